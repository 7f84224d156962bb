"""What was found by experiment about rsync and its daemon, each tried with the real programs."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from bad_roads import BadRoad

from catalog.blobs import Staged, hash_file
from catalog.errors import RoadError
from sync import tree
from sync.daemon import DaemonSettings, RsyncDaemon, configuration
from sync.formats.release import TreeFile
from sync.roads.road import Batches, RoadSettings, blob_file
from sync.roads.rsync import RsyncRoad
from sync.roads.rsync_output import Fetch
from sync.roads.staging import Staging

from .conftest import MIB, QUICK, free_port, grow_tree, put_blob

NOBODY = 65534


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A folder that an ordinary user may enter."""
    place = Path(tempfile.mkdtemp(prefix="shuxiang-rsync-test-"))
    place.chmod(0o755)
    yield place
    shutil.rmtree(place)


@contextmanager
def daemon_of_a_user(place: Path, *, chroot: bool) -> Iterator[str]:
    """Run rsync's daemon over `place/tree` as an ordinary user; give the address."""
    settings = DaemonSettings(port=free_port(), address="127.0.0.1")
    work = place / "work"
    work.mkdir()
    work.chmod(0o777)
    conf = work / "rsyncd.conf"
    conf.write_text(configuration(place / "tree", work, settings, root=chroot))
    user = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if os.geteuid() == 0 else []
    command = [
        "setpriv",
        "--pdeathsig",
        "TERM",
        *user,
        "rsync",
        "--daemon",
        "--no-detach",
        f"--config={conf}",
    ]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(100):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", settings.port)) == 0:
                        break
                time.sleep(0.05)
            yield f"rsync://127.0.0.1:{settings.port}/tree/"
        finally:
            process.terminate()


def read(address: str, settings: RoadSettings = QUICK) -> bytes:
    with closing(RsyncRoad(address, settings)) as road:
        return road.read(tree.TIMESTAMP, 1000)


def bring(address: str, files: list[TreeFile], staging: Path) -> tuple[list[Staged], dict[str, str]]:
    came: list[Staged] = []
    road = RsyncRoad(address, QUICK)
    with Staging(staging) as place:
        missed = road.fetch(files, place, came.extend, lambda _: None)
    road.close()
    return came, {one.file.sha256: one.error.code for one in missed}


def test_chroot_fails_for_an_ordinary_user_and_is_not_asked_for(open_place: Path) -> None:
    grow_tree(open_place / "tree", small=1, large=0)
    with daemon_of_a_user(open_place, chroot=True) as address:
        with pytest.raises(RoadError) as refusal:
            read(address)
        assert "chroot failed" in str(refusal.value.found)
    shutil.rmtree(open_place / "work")
    with daemon_of_a_user(open_place, chroot=False) as address:
        assert read(address)


def test_one_file_that_the_daemon_may_not_read_stops_no_other(open_place: Path, tmp_path: Path) -> None:
    files = grow_tree(open_place / "tree", small=5, large=0)
    closed = open_place / "tree" / files[3].path
    closed.chmod(0)
    if os.geteuid() == 0:
        os.chown(closed, 0, 0)
    with daemon_of_a_user(open_place, chroot=False) as address:
        came, missed = bring(address, files, tmp_path / "staging")
    assert len(came) == len(files) - 1
    assert list(missed) == [files[3].sha256] and missed[files[3].sha256].startswith("E-ROAD")


KILLED = """
import sys
from pathlib import Path
from sync.line.rate import Governor
from sync.roads.road import RoadSettings, blob_file
from sync.roads.rsync import RsyncRoad
from sync.roads.staging import Staging
address, staging, sha256, size = sys.argv[1:]
settings = RoadSettings(governor=Governor(4 << 20, lan=lambda host: False))
road = RsyncRoad(address, settings)
with Staging(Path(staging)) as place:
    road.fetch([blob_file(sha256, int(size))], place, lambda batch: None, lambda count: None)
print(road.received_bytes)
"""


def test_kills_in_the_middle_of_a_file_waste_little(root: Path, tmp_path: Path) -> None:
    """`--partial-dir` wastes 64 % in this trial, `--append-verify` in place what was on its way."""
    grow_tree(root, small=0, large=0)
    file = put_blob(root, random.Random(9).randbytes(14 * MIB))
    settings = DaemonSettings(port=free_port(), address="127.0.0.1")
    staged = tmp_path / "staging" / file.sha256
    address = f"rsync://127.0.0.1:{settings.port}/tree/"
    command = [sys.executable, "-c", KILLED, address, tmp_path / "staging", file.sha256, str(file.size_bytes)]
    here = 0
    with RsyncDaemon(root, tmp_path / "daemon", settings):
        for kill in (True, True, True, False):
            with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
                if kill:
                    # Killed once another mebibyte and a half has come: how fast the machine is does not matter.
                    for _ in range(600):
                        if staged.exists() and staged.stat().st_size >= here + 3 * MIB // 2:
                            break
                        time.sleep(0.02)
                    child.send_signal(signal.SIGKILL)
                output, _ = child.communicate()
            if kill:
                length = staged.stat().st_size
                assert here < length < file.size_bytes
                here = length
    assert int(output) <= file.size_bytes - here + file.size_bytes // 10
    assert hash_file(staged) == file.sha256


def test_no_more_connections_than_the_daemon_allows(root: Path, tmp_path: Path) -> None:
    grow_tree(root, small=0, large=0)
    settings = DaemonSettings(port=free_port(), address="127.0.0.1", max_connections=1)
    with RsyncDaemon(root, tmp_path / "daemon", settings), socket.socket() as other:
        other.connect(("127.0.0.1", settings.port))
        other.recv(100)
        other.sendall(b"@RSYNCD: 31.0 md5\ntree\n")
        assert b"OK" in other.recv(1000)
        with pytest.raises(RoadError) as refusal:
            read(f"rsync://127.0.0.1:{settings.port}/tree/")
    assert refusal.value.code == "E-ROAD-FULL"


def test_a_long_list_is_one_connection(root: Path, tmp_path: Path) -> None:
    """A program for each file would wait for three round trips each."""
    files = grow_tree(root, small=300, large=1)
    settings = DaemonSettings(port=free_port(), address="127.0.0.1")
    came: list[Staged] = []
    with RsyncDaemon(root, tmp_path / "daemon", settings), BadRoad(settings.port) as line:
        with (
            closing(RsyncRoad(f"rsync://127.0.0.1:{line.port}/tree/", QUICK)) as road,
            Staging(tmp_path / "staging") as staging,
        ):
            assert road.fetch(files, staging, came.extend, lambda _: None) == []
        assert line.connections == 1
    assert len(came) == len(files)


@pytest.mark.parametrize("greeting", [b"", b"@RSYNCD: 31.0 md5\n"], ids=["at all", "after its greeting"])
def test_a_daemon_that_says_nothing_is_given_up(greeting: bytes) -> None:
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            server.settimeout(10)
            one, _ = server.accept()
            held.append(one)
            one.sendall(greeting)

        thread = threading.Thread(target=answer)
        thread.start()
        started = time.monotonic()
        with pytest.raises(RoadError) as refusal:
            read(f"rsync://127.0.0.1:{server.getsockname()[1]}/tree/", RoadSettings(timeout_seconds=1))
        thread.join()
    for one in held:
        one.close()
    assert refusal.value.code == "E-ROAD-SHORT" and time.monotonic() - started < 30


def test_progress_comes_in_lines_that_end_in_a_carriage_return(tmp_path: Path) -> None:
    file = blob_file("ab" * 32, 3000)
    told: list[int] = []
    came: list[Staged] = []
    printed = (
        f"  1,024  34%  1.0MB/s  0:00:00\\r  2,048  68%  1.0MB/s\\r  3,000 100%\\n=3000 {file.sha256}\\n"
    )
    code = f"import sys; sys.stdout.write('{printed}')"
    with Staging(tmp_path / "staging") as staging:
        staging.path(file.sha256).write_bytes(b"")
        fetch = Fetch(
            {file.sha256: file},
            staging,
            Batches(came.extend, time.monotonic),
            told.append,
            False,
            lambda: None,
        )
        staging.path(file.sha256).write_bytes(bytes(3000))
        with subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        ) as program:
            fetch.follow(program)
        fetch.batches.flush()
    assert told == [1024, 1024, 952] and [item.blob.sha256 for item in came] == [file.sha256]


def test_the_daemon_gives_and_nothing_else(root: Path, tmp_path: Path) -> None:
    files = grow_tree(root, small=2, large=0)
    settings = DaemonSettings(port=free_port(), address="127.0.0.1")
    address = f"rsync://127.0.0.1:{settings.port}/"

    def rsync(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["rsync", "--timeout=5", *map(str, arguments)], capture_output=True, text=True, check=False
        )

    with RsyncDaemon(root, tmp_path / "daemon", settings):
        # Not listed.
        assert "tree" not in rsync(address).stdout
        # Read only.
        mine = tmp_path / "mine"
        mine.write_bytes(b"mine")
        refused = rsync(mine, f"{address}tree/blobs/")
        assert refused.returncode != 0 and "read only" in refused.stderr
        # Nothing that makes it read or pack all it has.
        for option in ("--checksum", "--compress", "--remove-source-files"):
            refused = rsync(option, f"{address}tree/{files[2].path}", f"{tmp_path}/")
            assert refused.returncode != 0, option
        assert rsync(f"{address}tree/{files[2].path}", f"{tmp_path}/").returncode == 0
        assert (root / files[2].path).exists() and not (root / "blobs" / "mine").exists()
