"""What `doctor` looks at: each check is one function that returns its findings, worst first words for the phone.

Invariant: a check reads and never repairs; one that cannot look says so as a finding and does not stop the others.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from appliance.box import Box
from appliance.config import HubConfig, read_config
from catalog.clock import is_plausible
from catalog.errors import ShuxiangError
from catalog.local import Local
from catalog.message import Message
from catalog.wireless_messages import WIRELESS

ERROR, WARNING, FINE = "error", "warning", "ok"
LOW_SHARE = 0.05
QUIET_DAYS = 14
# The Debian versions of rsync in which the holes of January 2025 (CVE-2024-12084 and five more) are closed.
RSYNC_FIXED = {"12": "3.2.7-1+deb12u1", "13": "3.4.0+ds1-1"}
RSYNC_FIXED_UPSTREAM = "3.4.0"
LIBTORRENT_LEAST = [2, 1]
HUB_TOOLS, BOX_TOOLS = ("rsync", "ffmpeg", "ffprobe", "pdftoppm"), ("rsync",)
HUB_SAVERS, BOX_SAVERS = ("xdelta3", "bsdiff"), ("xdelta3",)

WORDS: dict[str, Message] = WIRELESS | {
    "D-STATE": Message(4, "状态目录打不开", "the state does not open", "看后面的说明", "see what follows"),
    "D-TOOL": Message(
        4, "缺少程序", "a program is missing", "运行 apt-get install 安装", "apt-get install it"
    ),
    "D-RSYNC-OLD": Message(
        4,
        "rsync 有已知漏洞",
        "rsync has known holes",
        "升级：apt-get install rsync",
        "upgrade: apt-get install rsync",
    ),
    "D-LIBTORRENT": Message(
        4,
        "libtorrent 缺失或太旧，不能与邻近书箱互传",
        "libtorrent is missing or too old: no exchange with boxes nearby",
        "重新运行 make setup",
        "run make setup again",
    ),
    "D-DAMAGED": Message(
        4,
        "有损坏的数据块",
        "there are damaged blobs",
        "运行 box verify --repair；再出现时换盘",
        "run box verify --repair; if it comes again, replace the disk",
    ),
    "D-CLOCK": Message(
        4,
        "系统时钟不可信",
        "the system clock can not be right",
        "在 /admin 校准，或联网对时",
        "set it on /admin, or by network",
    ),
    "D-DISK-LOW": Message(
        4, "磁盘快满了", "the disk is nearly full", "减少订阅或换大盘", "subscribe to less, or a larger disk"
    ),
    "D-RESERVE": Message(
        4,
        "没有留出保留空间",
        "the space reserve is not held",
        "腾出空间后再同步一次",
        "free space and sync again",
    ),
    "D-NEVER-SYNCED": Message(4, "还没有同步过", "never synced", "运行 box sync", "run box sync"),
    "D-SYNC-FAILED": Message(
        4,
        "上次同步没有成功",
        "the last sync failed",
        "按代码处理后再同步",
        "act on its code, then sync again",
    ),
    "D-QUIET": Message(
        4, "很久没有更新", "no new state for long", "检查线路和县中心", "check the line and the hub"
    ),
    "D-SUBSCRIPTION": Message(
        4,
        "订阅了县中心没有的资源包",
        "a bundle is subscribed that the hub does not have",
        "用 box status 核对，再用 box subscribe 订阅",
        "look at box status, then box subscribe",
    ),
    "D-INDEX": Message(
        4, "搜索索引打不开", "the search index does not open", "运行 box reindex", "run box reindex"
    ),
    "D-RECOVERY": Message(
        4,
        "恢复文件还在本机",
        "the recovery file is still here",
        "存到 U 盘后从本机删除",
        "move it to a stick and delete it here",
    ),
    "D-NAME-TAKEN": Message(
        4,
        "这个网里有另一台设备用同样的名字",
        "another device on this network has the same name",
        "照 /reach 页上的名字打开，或在 config.toml 的 [names] 里改名",
        "open it by the names on its page /reach, or rename it under [names] in config.toml",
    ),
    "D-NAME-PORT": Message(
        4,
        "不能应答 Windows 的名字查询（端口被占用或没有权限）",
        "names cannot be answered for Windows: a port is taken or not allowed",
        "用 systemd 服务运行（CAP_NET_BIND_SERVICE），停用本机的 nmbd",
        "run it as the systemd service (CAP_NET_BIND_SERVICE), and no nmbd beside it",
    ),
    "D-FINE": Message(0, "一切正常", "all is well", "不用处理", "nothing to do"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ailment:
    """One finding of `doctor`."""

    code: str
    level: str
    found: str = ""
    where: str = ""
    expected: str = ""

    def line(self, language: str) -> str:
        """Return the finding as one line."""
        return WORDS[self.code].line(
            self.code, language, where=self.where, expected=self.expected, found=self.found
        )

    def hint(self, language: str) -> str:
        """Return what to do."""
        return WORDS[self.code].hint_zh if language.startswith("zh") else WORDS[self.code].hint_en


def examine(state: Path, language: str) -> list[Ailment]:
    """Look at the machine and the state directory; return what was found, errors first, or that all is well."""
    found: list[Ailment] = []
    try:
        config = read_config(state / "config.toml")
        hub = isinstance(config, HubConfig)
        found += _tools(HUB_TOOLS if hub else BOX_TOOLS, ERROR)
        # Without them everything still travels, only whole.
        found += _tools(HUB_SAVERS if hub else BOX_SAVERS, WARNING)
        if isinstance(config, HubConfig):
            found += [*_recovery(state), *_space(state)]
            with Local.open(state / "local.db") as local:
                found += _names(local)
        else:
            with Box.open(state) as box:
                for check in BOX_CHECKS:
                    found += check(box)
    except ShuxiangError as error:
        found.append(Ailment(code="D-STATE", level=ERROR, found=error.line(language)))
    found += [*_wireless(), *_rsync(), *_libtorrent()]
    return sorted(found, key=lambda item: item.level != ERROR) or [Ailment(code="D-FINE", level=FINE)]


def _tools(names: tuple[str, ...], level: str) -> Iterator[Ailment]:
    for name in names:
        if shutil.which(name) is None:
            yield Ailment(code="D-TOOL", level=level, found=name)


def _wireless() -> Iterator[Ailment]:
    from appliance.plugging.notes import run_directory
    from appliance.wireless.note import read_note

    note = read_note(run_directory())
    if note is not None and note.code:
        yield Ailment(
            code=note.code, level=WARNING, where=note.ssid, expected=note.expected, found=note.found
        )


def _rsync() -> Iterator[Ailment]:
    installed = _output("dpkg-query", "-W", "-f", "${Version}", "rsync")
    name, release = _system()
    fixed = RSYNC_FIXED.get(release) if name == "debian" else RSYNC_FIXED_UPSTREAM
    if not installed and name != "debian":
        installed = upstream_version(_output("rsync", "--version"))
    if installed and fixed and is_older(installed, fixed):
        # Another system may have closed the holes in a version of its own numbering.
        level = ERROR if name == "debian" else WARNING
        yield Ailment(code="D-RSYNC-OLD", level=level, found=f"{installed} < {fixed}")


def upstream_version(text: str) -> str:
    """Return the version in what `rsync --version` prints; "" where it says none."""
    match = re.match(r"rsync\s+version\s+v?([0-9.]+)", text)
    return match[1] if match else ""


def is_older(version: str, fixed: str) -> bool:
    """Return whether `version` comes before `fixed` as Debian orders versions (deb-version(7)).

    Without dpkg only the numbers in front are compared.
    """
    if program := shutil.which("dpkg"):
        return subprocess.run([program, "--compare-versions", version, "lt", fixed]).returncode == 0
    numbers = [[int(part) for part in re.findall(r"\d+", text)[:3]] for text in (version, fixed)]
    return numbers[0] < numbers[1]


def _libtorrent() -> Iterator[Ailment]:
    try:
        found = version("libtorrent")
    except PackageNotFoundError:
        found = ""
    if [int(part) for part in re.findall(r"\d+", found)[:2]] < LIBTORRENT_LEAST:
        yield Ailment(code="D-LIBTORRENT", level=WARNING, found=found)


def _output(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return ""
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return done.stdout.strip() if done.returncode == 0 else ""


def _system() -> tuple[str, str]:
    """Return the system's name and release, as os-release(5) has them."""
    try:
        lines = Path("/etc/os-release").read_text().splitlines()
    except OSError:
        return "", ""
    values = dict(line.split("=", 1) for line in lines if "=" in line)
    return values.get("ID", "").strip('"'), values.get("VERSION_ID", "").strip('"')


def _names(local: Local) -> Iterator[Ailment]:
    from appliance.reach import known_names

    known = known_names(local)
    if known.taken:
        told = ", ".join(f"{name} {address}" for name, address in known.taken.items())
        yield Ailment(code="D-NAME-TAKEN", level=WARNING, found=f"{told}; {' '.join(known.names.values())}")
    if known.missing:
        told = ", ".join(f"{protocol} {reason}" for protocol, reason in known.missing.items())
        yield Ailment(code="D-NAME-PORT", level=WARNING, found=told)


def _box_names(box: Box) -> Iterator[Ailment]:
    yield from _names(box.local)


def _recovery(state: Path) -> Iterator[Ailment]:
    if (state / "recovery" / "recovery.json").exists():
        yield Ailment(code="D-RECOVERY", level=WARNING, found=str(state / "recovery" / "recovery.json"))


def _space(state: Path) -> Iterator[Ailment]:
    disk = shutil.disk_usage(state)
    if disk.free < disk.total * LOW_SHARE:
        yield Ailment(code="D-DISK-LOW", level=WARNING, found=f"{disk.free >> 20} MiB")


def _box_space(box: Box) -> Iterator[Ailment]:
    yield from _space(box.directory)
    if box.library.generation().release and not box.reserve.held():
        yield Ailment(code="D-RESERVE", level=WARNING)


def _clock(box: Box) -> Iterator[Ailment]:
    now = box.clock()
    if not is_plausible(now, box.newest_signed()):
        yield Ailment(code="D-CLOCK", level=WARNING, found=f"{now:%Y-%m-%d %H:%M}")


def _syncs(box: Box) -> Iterator[Ailment]:
    last = next(iter(box.local.syncs(1)), None)
    if last is None:
        yield Ailment(code="D-NEVER-SYNCED", level=WARNING)
    elif last.result == "failed":
        yield Ailment(code="D-SYNC-FAILED", level=WARNING, found=last.code)
    elif box.clock() - last.at > timedelta(days=QUIET_DAYS):
        yield Ailment(code="D-QUIET", level=WARNING, found=f"{last.at:%Y-%m-%d}")


def _damage(box: Box) -> Iterator[Ailment]:
    if damaged := box.local.damage():
        yield Ailment(code="D-DAMAGED", level=WARNING, found=str(len(damaged)))


def _subscriptions(box: Box) -> Iterator[Ailment]:
    with box.library.reading() as reader:
        bundles = {bundle.id for bundle in reader.bundles()}
    unknown = sorted((box.subscriptions or frozenset()) - bundles)
    if unknown and box.library.generation().release:
        yield Ailment(code="D-SUBSCRIPTION", level=WARNING, found=", ".join(unknown))


def _index(box: Box) -> Iterator[Ailment]:
    from catalog.finder import Finder

    if not box.library.generation().release:
        return
    try:
        Finder(box.library, box.index).search("", per_page=1)
    except ShuxiangError as error:
        yield Ailment(code="D-INDEX", level=ERROR, found=error.code)


BOX_CHECKS: tuple[Callable[[Box], Iterator[Ailment]], ...] = (
    _box_space,
    _clock,
    _syncs,
    _damage,
    _subscriptions,
    _index,
    _box_names,
)
