"""The plain page of a machine without its disk, as a browser asks for it; and the command as a unit runs it."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from name_clients import avahi, by_netbios, lan, need_clients
from netlab import Lab

from appliance.disks.telling import Told, read_told, tell
from catalog.clock import system_clock
from catalog.disk_messages import DISKS
from catalog.errors import StorageError

HERE = "127.0.0.1"
ANOTHER = 65534


def free_port() -> int:
    with socket.create_server((HERE, 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "appliance", "data-disk", *arguments]


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    failure = StorageError("E-DATA-DAMAGED", where="/dev/sdb1", found="<b>Block bitmap</b> differs")
    tell(tmp_path, Told(failure=failure, details="last words of e2fsck"))
    port = free_port()
    # The unit's user may not look into the card, which is root's.
    card = tmp_path / "card"
    card.mkdir(mode=0o700)
    others: tuple[str, ...] = ()
    if os.geteuid() == 0:
        os.chown(card, ANOTHER, ANOTHER)
        others = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")
    options = ("--run", str(tmp_path), "--card", str(card), "--host", HERE, "--port", str(port))
    with subprocess.Popen([*others, *command("--page", *options)]) as process:
        try:
            for _ in range(200):
                try:
                    socket.create_connection((HERE, port), 0.1).close()
                    break
                except OSError:
                    assert process.poll() is None
                    time.sleep(0.05)
            yield port
        finally:
            process.terminate()
            process.wait(10)


def ask(port: int, method: str, path: str) -> tuple[http.client.HTTPResponse, str]:
    connection = http.client.HTTPConnection(HERE, port, timeout=10)
    try:
        connection.request(method, path, body=b"x" * 1000 if method == "POST" else None)
        answer = connection.getresponse()
        return answer, answer.read().decode()
    finally:
        connection.close()


def test_every_path_says_what_is_wrong_and_what_to_do(port: int) -> None:
    message = DISKS["E-DATA-DAMAGED"]
    for path in (
        "/",
        "/r/abc",
        "/files/0/x.mp4",
        "/generate_204",
        "/../../etc/passwd",
        "/search?q=%E5%88%86",
    ):
        answer, text = ask(port, "GET", path)
        assert (
            answer.status == 503
            and answer.headers["Retry-After"]
            and answer.headers["Cache-Control"] == "no-store"
        )
        assert text.index(message.zh) < text.index(message.en)
        assert "换一个盘" in text and "<li>" in text and "/dev/sdb1" in text and "last words" in text
        assert "<b>Block" not in text and "&lt;b&gt;Block" in text
        assert "<script" not in text
    assert ask(port, "HEAD", "/")[1] == ""
    assert ask(port, "POST", "/admin")[0].status == 503


def test_who_says_nothing_holds_up_nobody(port: int) -> None:
    silent = [socket.create_connection((HERE, port)) for _ in range(30)]
    try:
        assert ask(port, "GET", "/")[0].status == 503
    finally:
        for one in silent:
            one.close()


def test_the_word_that_children_type_finds_the_page(tmp_path: Path) -> None:
    need_clients()
    tell(tmp_path, Told(failure=StorageError("E-DATA-MISSING")))
    with Lab() as lab, ExitStack() as stack:
        box, pc = lan(lab, "box", "pc")
        server = stack.enter_context(
            subprocess.Popen(box.command(command("--page", "--run", str(tmp_path), "--port", "80")))
        )
        stack.callback(server.terminate)
        browser = stack.enter_context(avahi(pc, tmp_path / "pc"))
        deadline = time.monotonic() + 40
        while browser.address("shuxiang.local", 4) != "10.77.0.1":
            assert time.monotonic() < deadline
        assert by_netbios(pc, "shuxiang") == {"10.77.0.1"}
        with pc.entered():
            asking = socket.create_connection(("10.77.0.1", 80), 10)
        with asking:
            asking.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert asking.recv(99).startswith(b"HTTP/1.0 503 ")


def test_where_nothing_is_wrong_there_is_no_page(tmp_path: Path) -> None:
    tell(tmp_path, Told(device="/dev/sda4"))
    done = subprocess.run(command("--page", "--run", str(tmp_path), "--port", str(free_port())), timeout=60)
    assert done.returncode == 0


def test_a_machine_that_the_initramfs_did_not_lay_out_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        command("--run", str(tmp_path), "--data", str(tmp_path / "data"), "--card", str(tmp_path / "card"), "--state", str(tmp_path / "state"), "--json"),
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert 20 <= done.returncode <= 29
    assert json.loads(done.stdout)["failure"]["code"] == "E-IO"
    told = read_told(tmp_path)
    assert told is not None and told.failure is not None and not (tmp_path / "state").exists()


def test_what_is_told_is_read_back_and_reads_well_on_the_card(tmp_path: Path) -> None:
    told = Told(
        failure=StorageError("E-DATA-MISSING", expected="uuid"),
        warnings=(StorageError("E-DATA-CARD", where="/dev/sda4"),),
        details="lines",
    )
    tell(tmp_path, told)
    back = read_told(tmp_path)
    assert back is not None and back.to_json() == told.to_json()
    text = back.text(system_clock)
    assert text.index("数据盘有问题") < text.index("E-DATA-MISSING") < text.index("cannot be used")
    assert "E-DATA-CARD" in text and text.endswith("lines\n")
