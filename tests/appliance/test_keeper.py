"""`box run` beside its pages: it syncs by policy, steers, stops, notices who watches, and tells systemd the truth."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from command import call, command, environment, refusal, service
from supplier import write_folder

from appliance.keeper import sharing_options
from appliance.notify import notified, notify, watchdog_seconds
from appliance.streaming import LESSON_BYTES, Watched
from catalog.local import Local
from sync.line.policy import Policy


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("county")
    hub = base / "hub"
    write_folder(base / "folder", files=6, size_bytes=200_000)
    call(hub, "hub", "init", "--name", "县")
    call(hub, "hub", "ingest", base / "folder")
    call(hub, "hub", "publish")
    return hub


def new_box(box: Path, hub: Path, address: str, *policy: str) -> Path:
    """A box to which not even this machine is a neighbour, and that shares with nobody."""
    root = hub / "public" / "metadata" / "1.root.json"
    call(box, "box", "init", "--hub", address, "--root", root)
    sets = [
        part
        for one in ("lan_networks=192.0.2.0/24", "upload_lan=no", "lessons=[]", *policy)
        for part in ("--set", one)
    ]
    call(box, "box", "policy", *sets)
    return box


@contextmanager
def running(box: Path, **more: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    process = subprocess.Popen(
        [*command(box, "box", "run"), "--host", "127.0.0.1", "--port", "0"],
        env={**environment(), **more}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())
    finally:
        process.terminate()
        try:
            _, errors = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            _, errors = process.communicate()
        assert "Traceback" not in errors, errors


def status(answer: dict[str, Any]) -> dict[str, Any]:
    with urlopen(f"{answer['address']}/api/v1/status", timeout=30) as reply:
        found: dict[str, Any] = json.load(reply)
        return found


def wait_for(found: Callable[[], Any], seconds: float = 90) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)
    return value


def syncing(box: Path) -> list[int]:
    """Return the ids of the sync processes of this box."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"--governed" in words and str(box).encode() in words:
            found.append(int(entry.parent.name))
    return found


@pytest.mark.slow
def test_a_box_syncs_by_itself_and_stops_for_a_pause(hub: Path, tmp_path: Path) -> None:
    with service(hub, "hub", "serve", "--host", "127.0.0.1", "--port", "0") as at:
        box = new_box(tmp_path / "box", hub, at["address"], "rate_kb_per_s=20")
        with running(box) as (_, answer):
            wait_for(lambda: syncing(box))
            call(box, "box", "pause")
            wait_for(lambda: not syncing(box))
            here = wait_for(lambda: status(answer)["last_sync"])
            assert (here["result"], here["code"]) == ("paused", "E-PAUSED")
            time.sleep(3)
            assert not syncing(box)
        # It outlives a restart.
        with running(box) as (_, answer):
            time.sleep(5)
            assert not syncing(box) and status(answer)["last_sync"] == here
            call(box, "box", "resume")
            wait_for(lambda: syncing(box))
            # The rate changes while it runs.
            call(box, "box", "policy", "--set", "rate_kb_per_s=0")
            wait_for(lambda: status(answer)["cached"] == 6)
            # The last file is here a moment before the run has ended.
            wait_for(lambda: status(answer)["last_sync"]["result"] == "ok")


def test_outside_its_windows_a_box_waits_for_now(hub: Path, tmp_path: Path) -> None:
    with service(hub, "hub", "serve", "--host", "127.0.0.1", "--port", "0") as at:
        box = new_box(tmp_path / "box", hub, at["address"], "windows=1 03:00-03:01")
        with running(box) as (_, answer):
            time.sleep(5)
            assert status(answer)["last_sync"] is None
            call(box, "box", "resume", "--now", 1)
            wait_for(lambda: status(answer)["cached"] == 6)
        with Local.open(box / "local.db") as local:
            assert sum(local.get("on_hours")["counts"]) in (1, 2)


def test_what_the_card_was_made_with_goes_before_the_line(hub: Path, tmp_path: Path) -> None:
    box = new_box(tmp_path / "box", hub, str(hub / "public"))
    (tmp_path / "preload").mkdir()
    with running(box, SHUXIANG_PRELOAD=str(tmp_path / "preload")) as (_, answer):
        time.sleep(6)
        assert status(answer)["last_sync"] is None
        # Whoever asks by hand is not held up.
        call(box, "box", "resume", "--now", 1)
        wait_for(lambda: status(answer)["cached"] == 6)


@pytest.mark.slow
def test_a_killed_service_leaves_no_sync_behind(hub: Path, tmp_path: Path) -> None:
    with service(hub, "hub", "serve", "--host", "127.0.0.1", "--port", "0") as at:
        box = new_box(tmp_path / "box", hub, at["address"], "rate_kb_per_s=20")
        with running(box) as (process, _):
            wait_for(lambda: syncing(box))
            time.sleep(1)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            wait_for(lambda: not syncing(box))
        with running(box) as (_, answer):
            call(box, "box", "policy", "--set", "rate_kb_per_s=0")
            wait_for(lambda: status(answer)["cached"] == 6)


def test_systemd_hears_the_truth(hub: Path, tmp_path: Path) -> None:
    place = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(place))
        listening.settimeout(30)
        box = new_box(tmp_path / "box", hub, str(hub / "public"))
        with running(box, NOTIFY_SOCKET=str(place), WATCHDOG_USEC="1000000") as (process, _):
            assert listening.recv(1000) == b"READY=1\nWATCHDOG=1"
            assert listening.recv(1000) == b"WATCHDOG=1"
            # The loop hangs: the other threads may live, but nobody says so.
            os.kill(process.pid, signal.SIGSTOP)
            listening.settimeout(2)
            with pytest.raises(TimeoutError):
                while True:
                    listening.recv(1000)
            os.kill(process.pid, signal.SIGCONT)
            listening.settimeout(30)
            assert listening.recv(1000) == b"WATCHDOG=1"
        said = b""
        while said != b"STOPPING=1":
            said = listening.recv(1000)


def test_a_loop_that_hangs_is_not_called_alive(tmp_path: Path) -> None:
    place, healthy = tmp_path / "notify", threading.Event()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(place))
        environment = {"NOTIFY_SOCKET": str(place), "WATCHDOG_USEC": "200000"}
        with notified(healthy.is_set, environment=environment):
            listening.settimeout(0.5)
            with pytest.raises(TimeoutError):
                listening.recv(100)
            listening.settimeout(30)
            healthy.set()
            assert listening.recv(100) == b"READY=1\nWATCHDOG=1"
            assert listening.recv(100) == b"WATCHDOG=1"
            healthy.clear()
            listening.settimeout(0.5)
            with pytest.raises(TimeoutError):
                while True:
                    listening.recv(100)
        listening.settimeout(30)
        assert listening.recv(100) == b"STOPPING=1"


def test_pings_go_on_where_what_comes_beside_them_fails(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def company() -> AbstractContextManager[object]:
        raise OSError("no memory for the list of addresses")

    place = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(place))
        listening.settimeout(30)
        environment = {"NOTIFY_SOCKET": str(place), "WATCHDOG_USEC": "200000"}
        with notified(lambda: True, company, environment):
            assert listening.recv(100) == b"READY=1\nWATCHDOG=1"
            assert listening.recv(100) == b"WATCHDOG=1"
    assert "no memory for the list" in caplog.text


def test_without_systemd_nothing_is_sent(tmp_path: Path) -> None:
    assert not notify("READY=1", {})
    assert not notify("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    assert watchdog_seconds({}) is None
    assert watchdog_seconds({"WATCHDOG_USEC": "3000000"}) == 1.5
    assert watchdog_seconds({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}) is None


class Answering:
    """An application that answers all with one status and length."""

    def __init__(self, status: str, length: int) -> None:
        self._reply = status, [("Content-Length", str(length))]

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response(*self._reply)
        return []

    def close(self) -> None: ...


@pytest.mark.parametrize(
    ("path", "port", "status", "length", "watched"),
    [
        ("/files/ab/lesson.mp4", "8080", "206 Partial Content", 1000, True),
        ("/files/ab/lesson.mp4", "8080", "200 OK", LESSON_BYTES, True),
        ("/files/ab/cover.jpg", "8080", "200 OK", 20_000, False),
        ("/files/ab/lesson.mp4", "8080", "404 Not Found", LESSON_BYTES, False),
        ("/files/ab/lesson.mp4", "8080", "304 Not Modified", 0, False),
        ("/search", "8080", "200 OK", LESSON_BYTES, False),
        ("/p/a/index.html", "8081", "200 OK", 100, True),
    ],
)
def test_a_lesson_that_is_sent_is_noticed(
    path: str, port: str, status: str, length: int, watched: bool
) -> None:
    now = [100.0]
    application = Watched(Answering(status, length), 8081, lambda: now[0])
    assert application.streamed_seconds() is None
    application({"PATH_INFO": path, "SERVER_PORT": port}, lambda *_: None)
    now[0] += 5
    assert application.streamed_seconds() == (5.0 if watched else None)


def test_what_is_shared_follows_the_policy() -> None:
    assert sharing_options(Policy()) == ()
    assert sharing_options(Policy(upload_lan=False)) is None
    assert sharing_options(Policy(upload_lan=False, education_line=True)) == ("--no-lan", "--education-line")
    assert sharing_options(Policy(education_line=True, upload_bytes_per_second=5)) == (
        "--education-line",
        "--upload-rate",
        "5",
    )
    assert sharing_options(Policy(education_line=True, metered=True)) == ()


def lesson(answer: dict[str, Any]) -> str:
    """Return the address of a file that a class may play now."""
    with urlopen(f"{answer['address']}/api/v1/search?cached=1", timeout=30) as reply:
        found = json.load(reply)["hits"][0]["id"]
    with urlopen(f"{answer['address']}/api/v1/resources/{found}", timeout=30) as reply:
        path: str = json.load(reply)["files"][0]["url"]
    return f"{answer['address']}{path}"


@pytest.mark.slow
def test_while_someone_watches_the_line_is_left_alone(hub: Path, tmp_path: Path) -> None:
    with service(hub, "hub", "serve", "--host", "127.0.0.1", "--port", "0") as at:
        box = new_box(tmp_path / "box", hub, at["address"], "gentle_kb_per_s=0", "windows=1 03:00-03:01")
        call(box, "box", "sync")
        write_folder(tmp_path / "more", files=3, size_bytes=3_000_000, seed=9)
        call(hub, "hub", "ingest", tmp_path / "more")
        call(hub, "hub", "publish")
        with running(box) as (_, answer):
            request = Request(lesson(answer), headers={"Range": "bytes=0-99"})
            with urlopen(request, timeout=30) as reply:
                assert reply.status == 206
            call(box, "box", "policy", "--set", "windows=", "--set", "rate_kb_per_s=50")
            time.sleep(6)
            assert not syncing(box)
            # A person who asks by hand is not kept waiting.
            call(box, "box", "resume", "--now", 1)
            wait_for(lambda: syncing(box))


def test_what_a_sync_uses_is_counted_for_the_month(hub: Path, tmp_path: Path) -> None:
    with service(hub, "hub", "serve", "--host", "127.0.0.1", "--port", "0") as at:
        box = new_box(tmp_path / "box", hub, at["address"], "month_budget_mb=100")
        done = call(box, "box", "sync")
        shown = call(box, "box", "policy")
        assert done["fetched_bytes"] <= shown["used_bytes"] <= done["fetched_bytes"] + 10_000
        call(box, "box", "policy", "--set", "month_budget_mb=1")
        assert shown["used_bytes"] > 1_000_000
        assert refusal(box, "box", "sync", code=31) == "E-BUDGET"
