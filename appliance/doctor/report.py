"""One page: the machine's own lines, whether its page answers, and room for what only a person sees.

Chinese first, as the result of first boot; on a card's FAT partition with Windows' marks, for Notepad.
"""

from __future__ import annotations

import codecs
import json
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from appliance.config import read_config
from appliance.doctor.lines import FINE, LOOK, UNKNOWN, Line, lines_of
from appliance.doctor.machine import Machine
from catalog import durable
from catalog.errors import ShuxiangError

FILE_NAME = "shuxiang-report.txt"
WEB_PORT = 80
_ANSWER_SECONDS = 10
_MARKS = {FINE: "[√]", LOOK: "[！]", UNKNOWN: "[？]"}
_BY_HAND = (
    ("试验的人、地点、日期", "who, where, when"),
    ("电源（几伏几安）和存储卡的牌子", "power supply (volts, amperes), make of the card"),
    ("从通电到网页打开，用表量（秒）", "from power to the page, by a watch (seconds)"),
    ("屏幕上有没有字，最后一行是什么", "is anything on the screen, what is its last line"),
    ("红灯、绿灯怎样亮", "how the red and the green light behave"),
    ("拔电再插，三次都打开了网页吗", "power pulled and given back three times: did the page open each time"),
    ("插 U 盘，页面上有反应吗", "a stick put in: does the page say so"),
    ("手机连同一个网，打开 shuxiang.local 了吗", "a phone in the same network: does shuxiang.local open"),
)


def examine_machine(machine: Machine, ports: Iterable[int]) -> list[Line]:
    """Return every line of the report; the page is asked for on `ports` of this machine, in this order."""
    return [*lines_of(machine), _page(ports)]


def ports_of(state: Path) -> list[int]:
    """Return where the page of the box or hub in `state` may answer: as a service, then as its config says."""
    try:
        return [WEB_PORT, read_config(state / "config.toml").port]
    except ShuxiangError:
        return [WEB_PORT]


def page(lines: Sequence[Line], now: datetime) -> str:
    """Return the report as text, Chinese and then English."""
    head = f"书箱现场报告　Shuxiang field report　{version('shuxiang')}　{now:%Y-%m-%d %H:%M}"
    parts = [head, f"{_MARKS[FINE]} 正常　{_MARKS[LOOK]} 要看一看　{_MARKS[UNKNOWN]} 读不到", ""]
    for line in lines:
        parts += [f"{_MARKS[line.state]} {line.zh}：{line.value or '—'}", f"     {line.means_zh}"]
    parts += ["", "请人填写：", *(f"[  ] {chinese}：" for chinese, _ in _BY_HAND), "", head]
    parts += [f"{_MARKS[FINE]} fine  {_MARKS[LOOK]} look at it  {_MARKS[UNKNOWN]} not to be read", ""]
    for line in lines:
        parts += [f"{_MARKS[line.state]} {line.en}: {line.value or '-'}", f"     {line.means_en}"]
    parts += ["", "to be filled in by hand:", *(f"[  ] {english}:" for _, english in _BY_HAND)]
    return "\n".join(parts) + "\n"


def write_page(path: Path, text: str) -> None:
    """Write the report for Notepad: UTF-8 with its mark, Windows' line ends."""
    data = codecs.BOM_UTF8 + text.replace("\n", "\r\n").encode()
    durable.storage(lambda: durable.write_in_place(path, data), path)


def _page(ports: Iterable[int]) -> Line:
    value, state = "", LOOK
    for port in ports:
        begun = time.monotonic()
        try:
            with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=_ANSWER_SECONDS) as answer:
                told = json.loads(answer.read(1 << 16))
        except (URLError, OSError, ValueError) as error:
            value = value or f"port {port}: {error}"
            continue
        seconds = time.monotonic() - begun
        value, state = f"{told.get('role')} {told.get('version')}, port {port}, {seconds * 1000:.0f} ms", FINE
        break
    return Line(
        key="page",
        zh="网页",
        en="page",
        value=value,
        state=state,
        means_zh="box 或 hub 和版本号：网页在应答；连接被拒绝：服务没有启动，先看 shuxiang-result.txt",
        means_en="box or hub with a version: the page answers; refused: the service did not start, see shuxiang-result.txt",
    )
