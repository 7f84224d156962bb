"""The words of why a machine is not on the school's wireless network; see `catalog.messages`."""

from __future__ import annotations

from catalog.message import Message

WIRELESS: dict[str, Message] = {
    "E-WIFI-PASSWORD": Message(
        32,
        "无线网络的密码不对",
        "the wireless network refuses the password",
        "在电脑上打开卡里的 shuxiang.toml，把 [wifi] 下面的 password 改成现在的无线密码（分大小写），把卡放回再开机；每十分钟也会自己再试",
        "open shuxiang.toml of the card on a PC, write the present password under [wifi] (case matters), put the card back and switch on; it also tries again every ten minutes",
    ),
    "E-WIFI-NOT-FOUND": Message(
        32,
        "附近没有这个无线网络",
        "this wireless network is not in reach",
        "看路由器开着没有、离得远不远；名称和 shuxiang.toml 里 [wifi] 的 ssid 要一字不差（分大小写）；旧网卡只认 2.4 GHz；每十分钟会自己再试",
        "see that the router is on and near; its name and ssid under [wifi] in shuxiang.toml must be the same to the letter; old adapters know 2.4 GHz only; it tries again every ten minutes",
    ),
    "E-WIFI-ADAPTER": Message(
        32,
        "没有能用的无线网卡",
        "there is no wireless adapter that works",
        "插紧 USB 无线网卡，或换一个型号；有无线开关就打开；也可以改用网线",
        "plug the USB adapter in firmly or use another kind; turn on the switch for wireless if there is one; a cable will do too",
    ),
    "E-WIFI-ADDRESS": Message(
        32,
        "连上了无线网络，但没有分到地址",
        "the wireless network is joined but gives no address",
        "看路由器的 DHCP 开着没有、地址分完没有，重启路由器；或在 shuxiang.toml 的 [network] 里写固定地址",
        "see that the router's DHCP is on and has addresses left, restart it; or give a fixed address under [network] in shuxiang.toml",
    ),
    "E-WIFI-JOIN": Message(
        32,
        "无线网络连不上",
        "the wireless network can not be joined",
        "重启路由器，把书箱放近一些；每十分钟会自己再试；总是这样就用网线",
        "restart the router and bring the machine nearer; it tries again every ten minutes; if this stays, use a cable",
    ),
}
