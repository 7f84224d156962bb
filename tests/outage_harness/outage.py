"""The outage bench: records what a workload makes a real disk do, and boots the disk after each power cut.

A bench keeps all it needs in one directory on a tmpfs of its own, and one guard process watches it: whatever becomes
of this process, the guard undoes the mounts (their loop devices detach with them) and removes the directory.
Nothing else here starts processes or mounts.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType

from outage_harness.blocklog import BLOCK_BYTES, SECTOR_BYTES, BlockLog, Cut
from outage_harness.journal import MARK, decode

Acknowledge = Callable[[str], None]
Workload = Callable[[Path, Acknowledge], None]

# Nothing is written early because a program forgot to ask. Not `data=writeback`: there ext4 gives the blocks of a
# deleted file to others before the deletion is durable (`ext4_free_blocks`), so a cut brings the file back with
# foreign bytes in it. SQLite's log after a checkpoint is such a file, and then hides what the database holds.
_MOUNT_OPTIONS = "data=ordered,noauto_da_alloc,nodiscard"
_START_SECONDS = 20.0
_END_SECONDS = 2.0
_AFTERMATH_SECONDS = 0.15  # cuts fall into the time after the workload too, while the bystander goes on
_BEGIN = "outage: the workload begins"
_HERE = Path(__file__).resolve().parent

_GUARD = """
read -r _
for part in cut live fuse .; do
  while umount -l "$1/$part" 2>/dev/null; do :; done
done
rmdir "$1" 2>/dev/null
"""


class OutageError(Exception):
    """The bench itself could not do its work: what it ran, and what came of it."""


def why_not() -> str | None:
    """Return why no bench can work here, or None."""
    if os.geteuid() != 0:
        return "the outage harness mounts filesystems: it needs root"
    for device in ("/dev/fuse", "/dev/loop-control"):
        if not Path(device).exists():
            return f"the outage harness needs {device}"
    for program in ("mkfs.ext4", "mount", "umount"):
        if shutil.which(program) is None:
            return f"the outage harness needs the program {program}"
    try:
        with Outage():
            return None
    except OutageError as error:
        return f"the outage harness can not mount here: {error}"


class Outage:
    """A bench for recordings and cuts; a context manager. One recording or one cut is mounted at a time."""

    def __init__(self, *, disk_bytes: int = 64 << 20) -> None:
        self._disk_bytes = disk_bytes
        self.boot_id = Path()
        """A file as `/proc/sys/kernel/random/boot_id` is one; another boot each time that a cut is mounted."""
        self._undo = ExitStack()

    def __enter__(self) -> Outage:
        self._directory = Path(tempfile.mkdtemp(prefix="outage-"))
        with ExitStack() as undo:
            _start(["sh", "-c", _GUARD, "guard", str(self._directory)], undo)
            # Shared: a mount namespace that another test opens meanwhile would else keep a copy of every mount below.
            _mount("-t", "tmpfs", "-o", "mode=700", "--make-shared", "outage", self._directory, undo=undo)
            for part in ("fuse", "live", "cut"):
                (self._directory / part).mkdir()
            self.boot_id = self._directory / "boot_id"
            self._boot()
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()

    def record(self, workload: Workload, *, prepare: Workload | None = None, seed: int = 0) -> BlockLog:
        """Run `prepare` and then `workload` on a new filesystem and return what its disk saw.

        Both are called with a directory and a function that takes the name of a step which, from that moment on,
        must survive. What `prepare` leaves is made durable before the workload begins; cuts fall into the workload.
        Everything they open must be closed when they return.
        """
        base, journal = self._directory / "base", self._directory / "journal"
        fuse, live = self._directory / "fuse", self._directory / "live"
        with ExitStack() as undo:
            for path in (base, journal):
                undo.callback(path.unlink, missing_ok=True)
            with base.open("wb") as image:
                image.truncate(self._disk_bytes)
            _run(
                "mkfs.ext4",
                "-q",
                "-F",
                "-b",
                BLOCK_BYTES,
                "-E",
                "lazy_itable_init=0,lazy_journal_init=0",
                base,
            )
            disk = _start(
                [sys.executable, "-m", "outage_harness.disk", *map(str, (fuse, base, journal))], undo
            )
            undo.callback(_run, "umount", "-l", fuse)
            _wait(lambda: (fuse / "disk").exists(), disk)
            _run("mount", "-o", f"loop,{_MOUNT_OPTIONS}", fuse / "disk", live)
            undo.callback(_unmount, live)
            root = live / "state"
            root.mkdir()
            with (fuse / "marks").open("wb", buffering=0) as marks:

                def acknowledge(step: str) -> None:
                    marks.write(step.encode())

                if prepare is not None:
                    prepare(root, acknowledge)
                _run("sync", "-f", live)
                acknowledge(_BEGIN)
                with _bystander(live, seed):
                    workload(root, acknowledge)
                    time.sleep(_AFTERMATH_SECONDS)
            stored = journal.read_bytes()
            formatted = base.read_bytes()
        records = list(decode(stored))
        start = next(at for at, it in enumerate(records) if it.kind == MARK and it.data == _BEGIN.encode())
        return BlockLog(formatted, records, start + 1)

    @contextmanager
    def mounted(self, cut: Cut) -> Iterator[Path]:
        """Boot the disk that `cut` left and give the workload's directory; what is written there is thrown away.

        An exception from inside carries the description of the cut as a note.
        """
        image = self._directory / "image"
        with ExitStack() as undo:
            self._boot()
            undo.callback(self._boot)
            undo.callback(image.unlink, missing_ok=True)
            with image.open("wb", buffering=0) as disk:
                disk.truncate(self._disk_bytes)
                for sector, content in cut.image().items():
                    os.pwrite(disk.fileno(), content, sector * SECTOR_BYTES)
            try:
                _mount("-o", "loop,nodiscard", image, self._directory / "cut", undo=undo)
                yield self._directory / "cut" / "state"
            except BaseException as error:
                error.add_note(str(cut))
                raise

    def _boot(self) -> None:
        self.boot_id.write_text(f"{uuid.uuid4()}\n")


@contextmanager
def _bystander(filesystem: Path, seed: int) -> Iterator[None]:
    with ExitStack() as undo:
        process = _start(
            [sys.executable, "-IS", str(_HERE / "bystander.py"), str(filesystem), str(seed)],
            undo,
            output=True,
        )
        assert process.stdout is not None
        undo.callback(process.stdout.close)
        if not process.stdout.readline():
            raise OutageError(f"the bystander ended with {process.wait()}")
        yield
    if process.returncode:
        raise OutageError(f"the bystander ended with {process.returncode}")


def _start(command: list[str], undo: ExitStack, *, output: bool = False) -> subprocess.Popen[bytes]:
    """Start a process that ends by itself when its standard input closes or its filesystem is unmounted.

    In a session of its own, so that a Ctrl-C does not end it before what depends on it is unmounted.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE if output else subprocess.DEVNULL,
        cwd=_HERE.parent,
        start_new_session=True,
    )

    def end() -> None:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    undo.callback(end)
    return process


def _wait(ready: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _START_SECONDS
    while not ready():
        if process.poll() is not None or time.monotonic() > until:
            raise OutageError(f"{process.args!r} did not become ready (status {process.returncode})")
        time.sleep(0.01)


def _run(*command: object) -> None:
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OutageError(f"`{' '.join(words)}` ended with {done.returncode}: {done.stderr.strip()}")


def _mount(*arguments: object, undo: ExitStack) -> None:
    """Mount, and detach at the end: what is still in use below (a mapped file in a traceback) goes when its user goes."""
    _run("mount", *arguments)
    undo.callback(_run, "umount", "-l", arguments[-1])


def _unmount(where: object) -> None:
    """Unmount; where something is still open below, detach all the same and say so."""
    try:
        _run("umount", where)
    except OutageError:
        _run("umount", "-l", where)
        raise
