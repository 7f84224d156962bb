"""The lines of the field report: what was found, what it means, and whether it is as it should be (pure, of one machine)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from appliance.doctor.machine import Machine

FINE, LOOK, UNKNOWN = "ok", "look", "unknown"
_TREE = "proc/device-tree"
HOT_DEGREES = 80
SHORT_MEMORY_MIB = 400
# Bits of the Raspberry Pi firmware's `get_throttled`: now, and at some time since power came.
_THROTTLED = {0: "under-voltage", 1: "capped", 2: "throttled", 3: "too hot"}
_SINCE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line: `value` as found ("" where nothing is told), and what it means."""

    key: str
    zh: str
    en: str
    value: str
    means_zh: str
    means_en: str
    state: str

    def to_json(self, chinese: bool) -> dict[str, Any]:
        """Return the line in one language."""
        return {
            "key": self.key,
            "title": self.zh if chinese else self.en,
            "value": self.value,
            "meaning": self.means_zh if chinese else self.means_en,
            "state": self.state,
        }


def throttling(flags: int) -> str:
    """Return in words what the firmware's flags say; "" where nothing was ever wrong."""
    now = [word for bit, word in _THROTTLED.items() if flags >> bit & 1]
    since = [word for bit, word in _THROTTLED.items() if flags >> (bit + _SINCE) & 1]
    parts = [f"now: {', '.join(now)}"] if now else []
    if since:
        parts.append(f"since power came: {', '.join(since)}")
    return "; ".join(parts)


def startup(text: str) -> float | None:
    """Return the seconds from the kernel's start that `systemd-analyze` tells."""
    total = re.search(r"= (?:(\d+)min )?([\d.]+)(ms|s)", text)
    if total is None:
        return None
    seconds = float(total[2]) / (1000 if total[3] == "ms" else 1)
    return seconds + 60 * int(total[1] or 0)


def start_told(told: str, page: str) -> tuple[str, float | None]:
    """Return what is known of the start in words and in seconds: by `systemd-analyze time`, which is silent until all
    is started, and by the microseconds at which the page's service was."""
    first = told.partition("\n")[0].strip()
    seconds = int(page) / 1e6 if page.isdigit() and int(page) else None
    words = "" if seconds is None else f"shuxiang.service {seconds:.1f} s"
    return "; ".join(filter(None, (first, words))), startup(first) or seconds


def _board(machine: Machine) -> Line:
    model = machine.text(f"{_TREE}/model")
    if not model:
        names = (machine.text(f"sys/class/dmi/id/{name}") for name in ("sys_vendor", "product_name"))
        model = " ".join(filter(None, names))
    return Line(
        key="board", zh="机型", en="board", value=model, state=FINE if model else UNKNOWN,
        means_zh="应与板子上印的一致；不一致说明启动时取错了设备树",
        means_en="as printed on the board; if not, the wrong device tree was taken at start",
    )  # fmt: skip


def _system(machine: Machine) -> Line:
    release = dict(line.split("=", 1) for line in machine.whole("etc/os-release").splitlines() if "=" in line)
    name, kernel = release.get("PRETTY_NAME", "").strip('"'), machine.text("proc/sys/kernel/osrelease")
    return Line(
        key="system", zh="系统和内核", en="system and kernel", value=", ".join(filter(None, (name, kernel))),
        state=FINE if kernel else UNKNOWN,
        means_zh="报告问题时要写明；Debian 13 的内核是 6.12",
        means_en="to be told with every fault; Debian 13's kernel is 6.12",
    )  # fmt: skip


def _firmware(machine: Machine) -> Line:
    version = machine.ask("vcgencmd", "version").replace("\n", ", ")
    loader = machine.text(f"{_TREE}/chosen/bootloader/version")
    stamp = machine.number(f"{_TREE}/chosen/bootloader/build-timestamp")
    value = ", ".join(filter(None, (version, loader[:12], f"EEPROM {stamp}" if stamp else "")))
    return Line(
        key="firmware", zh="启动固件", en="boot firmware", value=value, state=FINE if value else UNKNOWN,
        means_zh="Pi 4 系列在板上有引导固件；Pi 3 和 Zero 2 W 用卡上的，这里可以为空",
        means_en="a Pi 4 has its boot loader on the board; a Pi 3 and Zero 2 W use the card's, this may be empty",
    )  # fmt: skip


def _prefix(machine: Machine) -> Line:
    prefix, arguments = machine.text(f"{_TREE}/chosen/os_prefix"), machine.text("proc/cmdline")
    root = re.search(r"root=\S+", arguments)
    return Line(
        key="prefix", zh="启动的是哪个系统", en="system that was started",
        value=", ".join(filter(None, (prefix, root[0] if root else ""))),
        state=FINE if prefix or not machine.text(f"{_TREE}/model") else LOOK,
        means_zh="树莓派应为 system-a/（更新后可为 system-b/）；为空说明固件没有采用 os_prefix；PC 上没有这一项",
        means_en="system-a/ on a Raspberry Pi (system-b/ after an update); empty: the firmware did not take os_prefix; a PC has none",
    )  # fmt: skip


def _memory(machine: Machine) -> Line:
    found = dict(re.findall(r"(?m)^(\w+):\s+(\d+) kB", machine.whole("proc/meminfo")))
    total, free = (int(found.get(name, 0)) >> 10 for name in ("MemTotal", "MemAvailable"))
    return Line(
        key="memory", zh="内存", en="memory", value=f"{total} MiB, {free} MiB free" if total else "",
        state=UNKNOWN if not total else LOOK if total < SHORT_MEMORY_MIB else FINE,
        means_zh="总量比板子的少几十 MiB 是正常的（显示用）",
        means_en="some tens of MiB less than the board has is normal (kept for the display)",
    )  # fmt: skip


def _cards(machine: Machine) -> Line:
    found = []
    for place in machine.all("sys/block/mmcblk[0-9]"):
        name, maker, date = (machine.text(f"{place}/device/{one}") for one in ("name", "manfid", "date"))
        sectors = machine.number(f"{place}/size") or 0
        found.append(f"{name or '?'} {sectors * 512 / 1e9:.1f} GB, {maker} {date}")
    return Line(
        key="card", zh="存储卡", en="SD card", value="; ".join(found), state=FINE if found else UNKNOWN,
        means_zh="容量应与卡面一致，小得多的是扩容假卡；厂商号和日期用来辨认批次",
        means_en="as large as printed on it, or it is a fake; maker and date tell the batch",
    )  # fmt: skip


def _boot(machine: Machine) -> Line:
    page = machine.ask(
        "systemctl", "show", "--property=ActiveEnterTimestampMonotonic", "--value", "shuxiang.service"
    )
    value, seconds = start_told(machine.ask("systemd-analyze", "time"), page)
    return Line(
        key="boot", zh="启动用时", en="time to start", value=value,
        state=UNKNOWN if seconds is None else FINE if seconds <= 120 else LOOK,
        means_zh="从内核起算，不含固件的几秒；120 秒以内为好",
        means_en="from the kernel's start, without the firmware's seconds; 120 s at most is good",
    )  # fmt: skip


def _power(machine: Machine) -> Line:
    told = machine.ask("vcgencmd", "get_throttled")
    flags = re.search(r"0x([0-9a-fA-F]+)", told)
    words = throttling(int(flags[1], 16)) if flags else ""
    return Line(
        key="power", zh="供电和降频", en="power and throttling", value=words or told,
        state=UNKNOWN if flags is None else LOOK if words else FINE,
        means_zh="0x0 为好；under-voltage 是电源或线太差；Debian 的内核读不出时为空，可看板上红灯是否熄灭",
        means_en="0x0 is good; under-voltage: a weak supply or cable; empty where Debian's kernel cannot tell: see whether the red light goes out",
    )  # fmt: skip


def _temperature(machine: Machine) -> Line:
    found = [machine.number(place) for place in machine.all("sys/class/thermal/thermal_zone*/temp")]
    degrees = [one / 1000 for one in found if one is not None]
    return Line(
        key="temperature", zh="温度", en="temperature", value=", ".join(f"{one:.0f} °C" for one in degrees),
        state=UNKNOWN if not degrees else LOOK if max(degrees) >= HOT_DEGREES else FINE,
        means_zh="80 °C 起会降频；装散热片，不要闷在盒里",
        means_en="from 80 °C on it slows down: fit a heat sink, give it air",
    )  # fmt: skip


def _networks(machine: Machine) -> Line:
    addresses = json.loads(machine.ask("ip", "-json", "address") or "[]")
    known = {
        one["ifname"]: " ".join(
            item["local"] for item in one.get("addr_info", ()) if item.get("scope") == "global"
        )
        for one in addresses
    }
    found = []
    for place in machine.all("sys/class/net/*"):
        name = place.rpartition("/")[2]
        if name == "lo":
            continue
        parts = (
            name,
            machine.link_name(f"{place}/device/driver"),
            machine.text(f"{place}/operstate"),
            known.get(name, ""),
        )
        found.append(" ".join(filter(None, parts)))
    return Line(
        key="network", zh="网络接口", en="network interfaces", value="; ".join(found),
        state=LOOK if not any(known.get(name) for name in known if name != "lo") and known else FINE if found else LOOK,
        means_zh="插着网线的应为 up 并有地址；169.254 开头说明网里没有路由器分配地址",
        means_en="the one with a cable is up and has an address; 169.254.…: no router gives addresses",
    )  # fmt: skip


def _wifi(machine: Machine) -> Line:
    names = [place.split("/")[3] for place in machine.all("sys/class/net/*/phy80211")]
    blocked = [
        place for place in machine.all("sys/class/rfkill/*")
        if machine.text(f"{place}/type") == "wlan" and machine.number(f"{place}/state") != 1
    ]  # fmt: skip
    told = machine.ask("nmcli", "--terse", "--fields", "DEVICE,TYPE,STATE,CONNECTION", "device")
    states = [line for line in told.splitlines() if line.split(":")[1:2] == ["wifi"]]
    value = "; ".join([*(states or names), *(["blocked"] if blocked else [])])
    return Line(
        key="wifi", zh="Wi-Fi", en="Wi-Fi", value=value, state=UNKNOWN if not names else LOOK if blocked else FINE,
        means_zh="connected 为已连上；为空说明没有 Wi-Fi 或缺固件；blocked 多半是没有设国家",
        means_en="connected: joined; empty: no Wi-Fi or its firmware is missing; blocked: mostly no country is set",
    )  # fmt: skip


def _watchdog(machine: Machine) -> Line:
    found = [
        f"{machine.text(f'{place}/identity')} {machine.text(f'{place}/state')} {machine.text(f'{place}/timeout')} s"
        for place in machine.all("sys/class/watchdog/watchdog*")
    ]
    return Line(
        key="watchdog", zh="看门狗", en="watchdog", value="; ".join(found),
        state=FINE if any(" active " in one for one in found) else LOOK,
        means_zh="应为 active：死机时自己重启",
        means_en="active: the board starts anew where it hangs",
    )  # fmt: skip


def _units(machine: Machine) -> Line:
    told = machine.ask("systemctl", "list-units", "--failed", "--plain", "--no-legend")
    asked = machine.ask("systemctl", "is-system-running") or ("degraded" if told else "")
    failed = [line.split()[0] for line in told.splitlines() if line.strip()]
    return Line(
        key="units", zh="出错的服务", en="units that failed", value=", ".join(failed) or asked,
        state=LOOK if failed else FINE if asked else UNKNOWN,
        means_zh="running 为好；列出的服务名请随报告附上",
        means_en="running is good; tell the units named here with the report",
    )  # fmt: skip


LINES: tuple[Callable[[Machine], Line], ...] = (
    _board, _system, _firmware, _prefix, _memory, _cards, _boot, _power, _temperature, _networks, _wifi, _watchdog, _units,
)  # fmt: skip


def lines_of(machine: Machine) -> Iterator[Line]:
    """Yield what the machine tells of itself."""
    for line in LINES:
        yield line(machine)
