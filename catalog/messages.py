"""The words of every refusal and finding: code -> exit status, what is wrong, what to do, in both languages.

Exit status: 2 usage, 3 config, 4 doctor, 10-19 content refused, 20-29 storage, 30-39 road (try later).
A finding inside a list (a row that is rejected) has exit status 0: the command as a whole goes on.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """What is wrong and what to do, in Chinese and English."""

    exit_code: int
    zh: str
    en: str
    hint_zh: str
    hint_en: str

    def line(self, code: str, language: str, *, where: str = "", expected: str = "", found: str = "") -> str:
        """Return `CODE: what is wrong: expected, found. What to do` as one line in `language`."""
        chinese = language.startswith("zh")
        parts = [f"{code}: {self.zh if chinese else self.en}"]
        if where:
            parts.append(f"（{where}）" if chinese else f" ({where})")
        details = []
        if expected:
            details.append(f"应为 {expected}" if chinese else f"expected {expected}")
        if found:
            details.append(f"实为 {found}" if chinese else f"found {found}")
        if details:
            parts.append(("：" if chinese else ": ") + ("，" if chinese else ", ").join(details))
        hint = self.hint_zh if chinese else self.hint_en
        parts.append(("。" if chinese else ". ") + hint)
        return " ".join("".join(parts).split())


MESSAGES: dict[str, Message] = {
    # usage, config
    "E-USAGE": Message(2, "命令写法不对", "wrong usage", "请看 --help", "see --help"),
    "E-STATE-EXISTS": Message(
        3,
        "该状态目录已初始化",
        "this state directory is already initialised",
        "换一个 --state，或直接使用它",
        "use another --state, or go on with this one",
    ),
    "E-STATE-MISSING": Message(
        3,
        "状态目录尚未初始化",
        "this state directory is not initialised",
        "先运行 box init 或 hub init",
        "run box init or hub init first",
    ),
    "E-STATE-ROLE": Message(
        3,
        "状态目录属于另一种角色",
        "this state directory has the other role",
        "用 --state 指明正确的目录",
        "point --state at the right directory",
    ),
    "E-STATE-VERSION": Message(
        3,
        "状态由更新版本的软件写成",
        "the state was written by a newer version of the software",
        "升级本机软件",
        "upgrade the software on this machine",
    ),
    "E-STATE-USER": Message(
        3,
        "状态目录属于另一个用户",
        "the state directory belongs to another user",
        "用该用户或 root 运行",
        "run as that user or as root",
    ),
    "E-CONFIG": Message(3, "配置有误", "the configuration is wrong", "改正该项", "correct that key"),
    "E-TOOL": Message(
        3,
        "缺少所需程序",
        "a needed program is missing",
        "安装它（apt-get install）",
        "install it (apt-get install)",
    ),
    # content refused: 10-19
    "E-RECORD": Message(
        10,
        "资源记录不合规范",
        "the record is not valid",
        "改正该字段后重试",
        "correct that field and try again",
    ),
    "E-MANIFEST": Message(
        10,
        "资源包清单不合规范",
        "the manifest is not valid",
        "请县中心重新发布",
        "ask the hub to publish again",
    ),
    "E-CATALOG": Message(
        10,
        "发布目录不合规范",
        "the release catalogue is not valid",
        "请县中心重新发布",
        "ask the hub to publish again",
    ),
    "E-SIGNATURE": Message(
        11,
        "签名不对",
        "the signature is wrong",
        "检查发布方与信任根；旧内容继续可用",
        "check publisher and trust root; the old state keeps serving",
    ),
    "E-ROLLBACK": Message(
        12,
        "来的状态比已有的旧",
        "this state is older than the accepted one",
        "换一个更新的来源；旧内容继续可用",
        "use a newer source; the old state keeps serving",
    ),
    "E-EXPIRED": Message(
        13,
        "签名已过期",
        "the signed state has expired",
        "请县中心重新发布，并核对时钟",
        "ask the hub to publish again, and check the clock",
    ),
    "E-HASH": Message(
        14,
        "内容与其校验值不符",
        "the bytes do not have their hash",
        "换一条通道再试；错误内容已丢弃",
        "try another road; the wrong bytes were discarded",
    ),
    "E-SIZE": Message(14, "长度不符", "the length is wrong", "换一条通道再试", "try another road"),
    "E-NAME": Message(15, "名称不安全", "the name is not safe", "改名后重试", "rename it and try again"),
    "E-FINGERPRINT": Message(
        11,
        "信任根与指纹不符",
        "the trust root does not have this fingerprint",
        "核对县中心打印的指纹",
        "check the fingerprint on the hub's sheet",
    ),
    "E-VERSION": Message(
        16,
        "格式版本较新",
        "the format is of a newer version",
        "升级本机软件",
        "upgrade the software on this machine",
    ),
    # storage: 20-29
    "E-DAMAGED": Message(
        20,
        "发现损坏的数据块",
        "damaged blobs were found",
        "运行 box verify --repair",
        "run box verify --repair",
    ),
    "E-DISK-FULL": Message(
        21,
        "磁盘已满",
        "the disk is full",
        "腾出空间或减少订阅；已有内容不受影响",
        "free space or subscribe to less; what is here is not harmed",
    ),
    "E-IO": Message(
        22, "读写磁盘出错", "the disk reports an error", "检查磁盘和连接", "check the disk and its cable"
    ),
    "E-READ-ONLY": Message(23, "磁盘只读", "the disk is read-only", "检查磁盘", "check the disk"),
    # road: 30-39
    "E-BUSY": Message(30, "另一个同步正在进行", "another run is at work", "稍后再试", "try later"),
    "E-PAUSED": Message(
        31, "同步已暂停", "sync is paused", "在页面上恢复，或稍后再试", "resume it on the page, or try later"
    ),
    "E-ROAD": Message(
        32, "通道不通", "the road is down", "稍后再试，或换一条通道", "try later, or another road"
    ),
    "E-ROAD-SHORT": Message(
        33,
        "通道中途断开",
        "the road stopped in mid-file",
        "再次同步会接着传",
        "the next run goes on where it stopped",
    ),
    "E-PORTAL": Message(
        34,
        "收到网页而不是数据（可能要先登录网络）",
        "a web page came instead of data (a login portal?)",
        "登录网络后重试",
        "log in to the network and try again",
    ),
    "E-ROAD-MISSING": Message(
        35,
        "来源处没有该文件",
        "the source does not have this file",
        "稍后再试，或换一个来源",
        "try later, or another source",
    ),
    "E-NO-TREE": Message(
        36,
        "该地址没有书箱发布树",
        "there is no published tree at this address",
        "核对地址",
        "check the address",
    ),
}
