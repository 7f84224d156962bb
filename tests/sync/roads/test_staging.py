"""What a kill and what a power cut leave in staging, and programs that outlive their run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from builders import sha256

from catalog.errors import RoadError
from sync.roads.road import blob_file
from sync.roads.staging import Staging

MIB = 1 << 20
DATA = os.urandom(4 * MIB)
FILE = blob_file(sha256(DATA), len(DATA))
SMALL = blob_file(sha256(b"small"), 5)

WRITER = """
import subprocess, sys
from pathlib import Path
from sync.roads.staging import Staging
staging = Staging(Path(sys.argv[1]))
child = subprocess.Popen(
    [sys.executable, "-c", "import time; print('x', flush=True); time.sleep(60)"],
    pass_fds=(staging.lock_handle,), start_new_session=True, stdout=subprocess.PIPE,
)
child.stdout.readline()
staging.writer_started(child.pid)
print(child.pid, flush=True)
sys.stdin.readline()
"""


def test_after_a_kill_the_length_counts(tmp_path: Path) -> None:
    with Staging(tmp_path, boot="one") as staging:
        staged = staging.open(FILE)
        staged.write(DATA[: 2 * MIB + 333])
        os.close(staged.handle)
    with Staging(tmp_path, boot="one") as staging, staging.open(FILE) as again:
        assert again.offset == 2 * MIB + 333


def test_after_a_cut_the_record_counts(tmp_path: Path) -> None:
    with Staging(tmp_path, boot="one") as staging:
        staged = staging.open(FILE)
        for start in range(0, 2 * MIB + MIB // 2, MIB // 4):
            staged.write(DATA[start : start + MIB // 4])
        os.close(staged.handle)
        small = staging.open(SMALL)
        small.write(b"sma")
        os.close(small.handle)
    with Staging(tmp_path, boot="two") as staging:
        with staging.open(FILE) as again:
            assert again.offset == 2 * MIB
            again.write(DATA[2 * MIB : 2 * MIB + 100])
        with staging.open(SMALL) as again:
            assert again.offset == 0
    # In the second boot lengths count again, also after another start of the program.
    with Staging(tmp_path, boot="two") as staging, staging.open(FILE) as again:
        assert again.offset == 2 * MIB + 100


def test_a_second_boot_without_a_fetch_forgets_no_doubt(tmp_path: Path) -> None:
    with Staging(tmp_path, boot="one") as staging:
        small = staging.open(SMALL)
        small.write(b"sma")
        os.close(small.handle)
    Staging(tmp_path, boot="two").close()
    with Staging(tmp_path, boot="two") as staging, staging.open(SMALL) as again:
        assert again.offset == 0


def test_a_spoilt_record_says_nothing(tmp_path: Path) -> None:
    with Staging(tmp_path, boot="one") as staging:
        staging.path(FILE.sha256).write_bytes(DATA[:MIB])
        (tmp_path / f"{FILE.sha256}.at").write_bytes(b"\0" * 57)
        with staging.open(FILE) as again:
            assert again.offset == 0


def test_complete_keeps_what_is_right(tmp_path: Path) -> None:
    with Staging(tmp_path, boot="one") as staging:
        staging.path(FILE.sha256).write_bytes(DATA)
        assert staging.complete(FILE)
        staging.path(FILE.sha256).write_bytes(bytes(len(DATA)))
        assert not staging.complete(FILE)
        assert not staging.path(FILE.sha256).exists()
        empty = blob_file(sha256(b""), 0)
        assert staging.complete(empty)


def test_prune_leaves_what_is_wanted(tmp_path: Path) -> None:
    with Staging(tmp_path) as staging:
        for name in (FILE.sha256, f"{FILE.sha256}.at", SMALL.sha256, "main.changed.jsonl", ".rsync-files"):
            (tmp_path / name).write_bytes(b"12345")
        (tmp_path / "trust").mkdir()
        assert staging.prune(lambda digest: digest == FILE.sha256) == 15
        assert {path.name for path in tmp_path.iterdir()} == {
            FILE.sha256, f"{FILE.sha256}.at", ".writers", ".boot", "trust",
        }  # fmt: skip


def test_a_second_run_is_busy(tmp_path: Path) -> None:
    with Staging(tmp_path):
        with pytest.raises(RoadError) as refusal:
            Staging(tmp_path, lock_seconds=0.1)
        assert refusal.value.code == "E-BUSY"
    Staging(tmp_path).close()


def test_a_program_that_outlived_its_run_is_ended(tmp_path: Path) -> None:
    run = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert run.stdin is not None and run.stdout is not None
    orphan = int(run.stdout.readline())
    with pytest.raises(RoadError):
        Staging(tmp_path, lock_seconds=0.1)
    assert Path(f"/proc/{orphan}").exists()
    run.send_signal(signal.SIGKILL)
    run.wait()
    run.stdin.close()
    run.stdout.close()
    Staging(tmp_path, lock_seconds=60).close()
    deadline = time.monotonic() + 60
    while _alive(orphan) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _alive(orphan)


def _alive(process: int) -> bool:
    try:
        return ") Z" not in Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False
