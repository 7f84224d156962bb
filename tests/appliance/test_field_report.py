"""The field report: what it reads of a board's own files, what it says where nothing can be read, and its file for Notepad."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from command import call

from appliance.doctor.lines import FINE, LOOK, UNKNOWN, Line, lines_of, start_told, startup, throttling
from appliance.doctor.machine import Machine
from appliance.doctor.report import examine_machine, page, write_page

# What Linux 6.12 shows of a Pi 4 with our card: the device tree's words end with a zero byte, its numbers have four.
PI_4 = {
    "proc/device-tree/model": b"Raspberry Pi 4 Model B Rev 1.4\0",
    "proc/device-tree/chosen/os_prefix": b"system-a/\0",
    "proc/device-tree/chosen/bootloader/version": b"4fd8f1f3f7c32d0a2b3a2c2f1b1b8a0b7a4f6d5c\0",
    "proc/device-tree/chosen/bootloader/build-timestamp": (1713952800).to_bytes(4, "big"),
    "proc/cmdline": b"root=LABEL=sx-system-a ro rootwait console=tty0\n",
    "proc/sys/kernel/osrelease": b"6.12.107+deb13-arm64\n",
    "proc/meminfo": b"MemTotal:        3884196 kB\nMemFree:         3000000 kB\nMemAvailable:    3500000 kB\n",
    "etc/os-release": b'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nID=debian\n',
    "sys/block/mmcblk0/device/name": b"SD32G\n",
    "sys/block/mmcblk0/device/manfid": b"0x000003\n",
    "sys/block/mmcblk0/device/date": b"05/2024\n",
    "sys/block/mmcblk0/size": b"62333952\n",
    "sys/class/thermal/thermal_zone0/temp": b"84220\n",
    "sys/class/net/lo/operstate": b"unknown\n",
    "sys/class/net/end0/operstate": b"up\n",
    "sys/class/net/wlan0/operstate": b"down\n",
    "sys/class/net/wlan0/phy80211/name": b"phy0\n",
    "sys/class/rfkill/rfkill0/type": b"wlan\n",
    "sys/class/rfkill/rfkill0/state": b"0\n",
    "sys/class/watchdog/watchdog0/identity": b"Broadcom BCM2835 Watchdog timer\n",
    "sys/class/watchdog/watchdog0/state": b"active\n",
    "sys/class/watchdog/watchdog0/timeout": b"60\n",
}


@pytest.fixture
def board(tmp_path: Path) -> Path:
    for name, data in PI_4.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path


@pytest.fixture
def answering() -> Iterator[int]:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"status":"ok","role":"box","version":"0.1.0"}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def by_key(lines: list[Line]) -> dict[str, Line]:
    return {line.key: line for line in lines}


def test_a_board_tells_of_itself(board: Path) -> None:
    lines = by_key(list(lines_of(Machine(board))))
    assert lines["board"].value == "Raspberry Pi 4 Model B Rev 1.4"
    assert lines["system"].value == "Debian GNU/Linux 13 (trixie), 6.12.107+deb13-arm64"
    assert lines["firmware"].value == "4fd8f1f3f7c3, EEPROM 1713952800"
    assert lines["prefix"].value == "system-a/, root=LABEL=sx-system-a"
    assert lines["memory"].value == "3793 MiB, 3417 MiB free"
    assert lines["card"].value == "SD32G 31.9 GB, 0x000003 05/2024"
    assert lines["watchdog"].value == "Broadcom BCM2835 Watchdog timer active 60 s"
    assert (lines["temperature"].value, lines["temperature"].state) == ("84 °C", LOOK)
    assert (lines["wifi"].value, lines["wifi"].state) == ("wlan0; blocked", LOOK)
    assert lines["power"].state == UNKNOWN
    assert lines["network"].value == "end0 up; wlan0 down"


def test_a_firmware_that_did_not_take_the_prefix_is_seen(board: Path) -> None:
    (board / "proc/device-tree/chosen/os_prefix").unlink()
    assert by_key(list(lines_of(Machine(board))))["prefix"].state == LOOK


def test_what_cannot_be_read_is_said_and_stops_nothing(tmp_path: Path) -> None:
    lines = list(lines_of(Machine(tmp_path)))
    assert {line.value for line in lines} == {""}
    assert UNKNOWN in {line.state for line in lines}


def test_the_page_is_asked(board: Path, answering: int) -> None:
    line = by_key(examine_machine(Machine(board), [1, answering]))["page"]
    assert line.state == FINE
    assert line.value.startswith(f"box 0.1.0, port {answering}, ")
    assert by_key(examine_machine(Machine(board), [1]))["page"].state == LOOK


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (0, ""),
        (0x50000, "since power came: under-voltage, throttled"),
        (0x50005, "now: under-voltage, throttled; since power came: under-voltage, throttled"),
    ],
)
def test_throttling_in_words(flags: int, words: str) -> None:
    assert throttling(flags) == words


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("Startup finished in 3.021s (kernel) + 12.5s (userspace) = 15.521s", 15.521),
        ("Startup finished in 9s (kernel) + 1min 2.5s (userspace) = 1min 11.5s ", 71.5),
        ("Startup finished in 212ms (kernel) + 300ms (userspace) = 512ms", 0.512),
        ("Bootup is not yet finished", None),
    ],
)
def test_seconds_to_start(told: str, seconds: float | None) -> None:
    assert startup(told) == seconds


@pytest.mark.parametrize(
    ("told", "page", "known"),
    [
        ("Startup finished in 3s (kernel) + 12s (userspace) = 15s \ngraphical", "9400000", ("Startup finished in 3s (kernel) + 12s (userspace) = 15s; shuxiang.service 9.4 s", 15)),
        ("", "612300000", ("shuxiang.service 612.3 s", 612.3)),
        ("", "0", ("", None)),
        ("", "", ("", None)),
    ],
)  # fmt: skip
def test_a_start_that_is_not_over_is_told_by_its_page(
    told: str, page: str, known: tuple[str, float | None]
) -> None:
    assert start_told(told, page) == known


def test_the_file_is_for_notepad(board: Path, tmp_path: Path) -> None:
    text = page(examine_machine(Machine(board), []), datetime(2026, 3, 1, tzinfo=UTC))
    path = tmp_path / "shuxiang-report.txt"
    path.write_bytes(b"x" * 20_000)
    write_page(path, text)
    data = path.read_bytes()
    assert data.startswith(b"\xef\xbb\xbf")
    assert data.count(b"\n") == data.count(b"\r\n") == text.count("\n")
    assert data.decode("utf-8-sig").replace("\r\n", "\n") == text
    for words in ("机型：Raspberry Pi 4", "board: Raspberry Pi 4", "请人填写", "to be filled in by hand"):
        assert words in text


def test_the_command(tmp_path: Path) -> None:
    lines = call(tmp_path / "none", "doctor", "--to", tmp_path / "report.txt")
    assert [set(line) for line in lines] == [{"key", "title", "value", "meaning", "state"}] * len(lines)
    assert lines[-1]["key"] == "page"
    assert "书箱现场报告" in (tmp_path / "report.txt").read_text(encoding="utf-8-sig")
