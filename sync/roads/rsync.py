"""The rsync road: the one wrapper around the rsync program.

One connection carries all files of a fetch (`--files-from`), flat into staging, `--append-verify` so that it goes on
inside a file and checks what it builds upon; `--partial-dir` would not survive `kill -9`. Files of which an older
edition is here come in a run of their own, as differences (`sync.roads.bases`). The password is in the
environment only. What comes over the shared line passes the governor by a relay (`sync.roads.relay`). rsync's output
is split by CR and LF, its exit status and its `@ERROR` text are turned into codes.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from pathlib import Path

from catalog.byteranges import ByteRange
from catalog.errors import ConfigError, ContentError, RoadError, ShuxiangError
from sync.formats.release import TreeFile
from sync.roads.bases import drop_basis, lay_basis
from sync.roads.relay import Relay
from sync.roads.road import Batches, Done, Missed, Progress, RoadSettings, split_address, staged_file
from sync.roads.rsync_output import RECEIVED, Fetch, counted, refusal
from sync.roads.staging import Staging

_PORT = 873
_FORM = "rsync://[USER@]HOST[:PORT]/MODULE"
_END_SECONDS = 5.0
_LAST_WORDS_SECONDS = 0.1
_METADATA_BYTES = 4 << 20
# Without a look at sizes and times: an edit may leave both as they were.
_DIFFERENCES = ("--inplace", "--no-whole-file", "--ignore-times")
_LOST = re.compile(r'(?:link_stat|change_dir) "[^"]*/([^"/]+)"')


def is_installed() -> bool:
    """Return whether the program is here."""
    return shutil.which("rsync") is not None


class RsyncRoad:
    """The tree at `rsync://[USER@]HOST[:PORT]/MODULE[/PATH]`."""

    name = "rsync"

    def __init__(self, address: str, settings: RoadSettings) -> None:
        parts, host = split_address(address, expected=_FORM)
        if parts.scheme != "rsync" or parts.path.strip("/") == "" or parts.password:
            raise ConfigError("E-CONFIG", where=parts.scheme, expected=_FORM)
        self.address = address if address.endswith("/") else address + "/"
        self.received_bytes = 0
        self._settings = settings
        self._host, self._port = host, parts.port or _PORT
        self._metadata: tempfile.TemporaryDirectory[str] | None = None
        # What was tried as differences once comes whole if it is asked for again.
        self._compared: set[str] = set()

    def read(self, path: str, max_bytes: int) -> bytes:
        """Return a small file; see `Road.read`. The first read brings all of `metadata/` over one connection."""
        if path.startswith("metadata/"):
            if self._metadata is None:
                self._metadata = tempfile.TemporaryDirectory(prefix="shuxiang-rsync-")
                self._run_small(
                    ["--recursive", f"--max-size={_METADATA_BYTES}"], "metadata/", self._metadata.name
                )
            return _read_small(Path(self._metadata.name) / path.removeprefix("metadata/"), path, max_bytes)
        with tempfile.TemporaryDirectory(prefix="shuxiang-rsync-") as folder:
            self._run_small([f"--max-size={max_bytes}"], path, folder)
            return _read_small(Path(folder) / Path(path).name, path, max_bytes)

    def fetch(
        self, files: Iterable[TreeFile], staging: Staging, done: Done, progress: Progress
    ) -> list[Missed]:
        """Bring `files` over one connection; see `Road.fetch`."""
        wanted = {file.sha256: file for file in files}
        # In a tree a blob is named by its hash, as in staging; a manifest has a longer name, and there are few.
        named = [wanted.pop(file.sha256) for file in tuple(wanted.values()) if _name(file) != file.sha256]
        batches = Batches(done, time.monotonic)
        missed = [file for file in named if not self._fetch_named(file, staging, batches, progress)]
        batches.flush()
        lost = [Missed(file=file, error=self._missed(file, {_name(file)}, 23)) for file in missed]
        based = {
            sha256: file
            for sha256, file in wanted.items()
            if sha256 not in self._compared and lay_basis(file, staging)
        }
        plain = {sha256: file for sha256, file in wanted.items() if sha256 not in based}
        if based:
            self._compared.update(based)
            for one in self._fetch_blobs(based, staging, batches, progress, _DIFFERENCES):
                if one.error.code == "E-ROAD-MISSING":
                    lost.append(one)
                else:
                    # A basis that our own disk can not give back must not stand in the way.
                    plain[one.file.sha256] = one.file
                    staging.forget(one.file.sha256)
        if plain:
            lost += self._fetch_blobs(plain, staging, batches, progress, ("--append-verify",))
        return lost

    def fetch_ranges(
        self, file: TreeFile, ranges: Iterable[ByteRange], target: Path, progress: Progress
    ) -> None:
        """Bring what differs; see `Road.fetch_ranges`. rsync finds by itself, block by block, what that is."""
        self._copy(file, target, [*_DIFFERENCES, f"--max-size={file.size_bytes}"], None, progress)

    def _fetch_named(self, file: TreeFile, staging: Staging, batches: Batches, progress: Progress) -> bool:
        """Bring one file whose name in the tree is not its hash; return False where the source has none."""
        arguments = ["--append-verify", f"--max-size={file.size_bytes}"]
        try:
            self._copy(file, staging.path(file.sha256), arguments, staging, progress)
        except RoadError as error:
            if error.code == "E-ROAD-MISSING":
                return False
            raise
        if staging.length(file) == file.size_bytes:
            batches.add(staged_file(file, staging))
            return True
        return False

    def _fetch_blobs(
        self,
        wanted: dict[str, TreeFile],
        staging: Staging,
        batches: Batches,
        progress: Progress,
        how: tuple[str, ...],
    ) -> list[Missed]:
        """Bring files whose names are their hashes, all over one connection."""
        fetch = Fetch(wanted, staging, batches, progress, differences=how is _DIFFERENCES, ended=self._ended)
        listing = staging.directory / ".rsync-files"
        listing.write_bytes(b"\0".join(file.path.encode() for file in wanted.values()))
        largest = max(file.size_bytes for file in wanted.values())
        arguments = [
            *how,
            *([f"--compare-dest={staging.basis_path('')}"] if how is _DIFFERENCES else []),
            "--no-relative",
            "--from0",
            f"--files-from={listing}",
            f"--max-size={largest}",
            "--info=progress2,stats2",
            "--no-human-readable",
            "--out-format==%b %n",
            self.address,
            f"{staging.directory}/",
        ]
        with self._started(arguments, staging) as program:
            fetch.follow(program)
            if fetch.failure is not None:
                _end(program)
            status = program.wait()
        self.received_bytes += fetch.received_bytes
        listing.unlink(missing_ok=True)
        if fetch.failure is not None:
            raise fetch.failure
        fetch.batches.flush()
        for sha256 in wanted.keys() - {file.sha256 for file in fetch.waiting()}:
            drop_basis(sha256, staging)
        missing = set(_LOST.findall(fetch.errors))
        missed = [Missed(file=file, error=self._missed(file, missing, status)) for file in fetch.waiting()]
        if missed:
            self._check()
        nothing_came = len(missed) == len(wanted) and not missing
        if status not in (0, 23, 24) or (missed and nothing_came and how is not _DIFFERENCES):
            raise refusal(status, fetch.errors, self.address)
        return missed

    def _copy(
        self, file: TreeFile, target: Path, arguments: list[str], staging: Staging | None, progress: Progress
    ) -> None:
        """Bring one file to `target` over a connection of its own."""
        where = self.address + file.path
        with self._started([*arguments, "--stats", where, str(target)], staging) as program:
            output, errors = program.communicate()
        received = counted(match[1]) if (match := RECEIVED.search(output)) else 0
        self.received_bytes += received
        progress(received)
        text = errors.decode(errors="replace")
        if program.returncode == 23 and "No such file" in text:
            raise RoadError("E-ROAD-MISSING", where=where)
        if program.returncode != 0:
            self._check()
            raise refusal(program.returncode, text, where)

    def close(self) -> None:
        """Remove the metadata kept for reading."""
        if self._metadata is not None:
            self._metadata.cleanup()
            self._metadata = None

    def _missed(self, file: TreeFile, missing: set[str], status: int) -> ShuxiangError:
        where = self.address + file.path
        # rsync names the file, or the folder where that is missing too.
        if not missing.isdisjoint(Path(file.path).parts[-2:]):
            return RoadError("E-ROAD-MISSING", where=where)
        return RoadError("E-ROAD-SHORT", where=where, found=f"rsync {status}")

    def _run_small(self, arguments: list[str], path: str, folder: str) -> None:
        with self._started([*arguments, "--stats", self.address + path, f"{folder}/"], None) as program:
            output, errors = program.communicate(timeout=self._settings.timeout_seconds * 4)
        if match := RECEIVED.search(output):
            self.received_bytes += counted(match[1])
        text = errors.decode(errors="replace")
        if program.returncode == 23 and "No such file" in text:
            raise RoadError("E-ROAD-MISSING", where=self.address + path)
        if program.returncode != 0:
            self._check()
            raise refusal(program.returncode, text, self.address + path)

    @contextmanager
    def _started(self, arguments: list[str], staging: Staging | None) -> Iterator[subprocess.Popen[bytes]]:
        """Run rsync in a group of its own that keeps the lock of `staging`; end it on the way out."""
        program = shutil.which("rsync")
        if program is None:
            raise ConfigError("E-TOOL", found="rsync")
        seconds = max(1, round(self._settings.timeout_seconds))
        limits = [f"--timeout={seconds}", f"--contimeout={seconds}", "--no-motd", "--outbuf=L"]
        self._check()
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
        if self._settings.rsync_password is not None:
            environment["RSYNC_PASSWORD"] = self._settings.rsync_password
        with ExitStack() as stack:
            if self._governed:
                relay = Relay(self._host, self._port, self._settings.governor, self._settings.timeout_seconds)
                environment["RSYNC_PROXY"] = stack.enter_context(relay).address
            process = subprocess.Popen(
                [program, *limits, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                bufsize=0,
                start_new_session=True,
                pass_fds=() if staging is None else (staging.lock_handle,),
            )
            if staging is not None:
                staging.writer_started(process.pid)
            try:
                yield process
            finally:
                _end(process)
                if staging is not None:
                    staging.writer_ended()

    @cached_property
    def _governed(self) -> bool:
        return self._settings.governor.governs(self._host)

    def _ended(self) -> ShuxiangError | None:
        """Return why nothing more may come over this road, where that is so."""
        return self._settings.governor.failure(lan=not self._governed)

    def _check(self) -> None:
        if (ended := self._ended()) is not None:
            raise ended


def _name(file: TreeFile) -> str:
    return Path(file.path).name


def _read_small(file: Path, path: str, max_bytes: int) -> bytes:
    try:
        size_bytes = file.stat().st_size
    except FileNotFoundError as error:
        raise RoadError("E-ROAD-MISSING", where=path) from error
    if size_bytes > max_bytes:
        raise ContentError("E-SIZE", where=path, expected=f"<= {max_bytes}", found=size_bytes)
    return file.read_bytes()


def _end(process: subprocess.Popen[bytes]) -> None:
    # The receiver takes a first signal as a wish that waits for the other end; the second ends it at once.
    for number, seconds in ((signal.SIGTERM, 1.0), (signal.SIGTERM, _END_SECONDS), (signal.SIGKILL, None)):
        if process.poll() is not None:
            break
        _signal(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
    # It is a child of the program, and where that went at the first signal it would go on alone and write here.
    if _signal(process.pid, signal.SIGTERM):
        time.sleep(_LAST_WORDS_SECONDS)
        _signal(process.pid, signal.SIGKILL)
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def _signal(group: int, number: signal.Signals) -> bool:
    """Send a signal to a group of processes; return whether it had any."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True
