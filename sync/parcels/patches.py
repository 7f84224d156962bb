"""Patches: made once at the hub, applied on a box within 64 MB of memory, believed only by the result's hash.

Invariant: `apply` leaves at `target` the blob that the patch names, or nothing: the work is done under another name
by a process whose memory, output and time are limited. The whole blob stays as a way, so a patch may always fail.
Up to 16 MiB xdelta3, bsdiff and zstd compete; above, xdelta3 alone keeps to the memory.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import backports.zstd

from catalog.blobs import Blob, hash_file
from catalog.durable import move, storage_error
from catalog.errors import ContentError
from sync.formats.transport import MAX_TARGET_BYTES, Patch, transport_blob
from sync.parcels import patch_process

SMALL_BYTES = 16 << 20
MIN_TARGET_BYTES = 4 << 10
"""A smaller file is not worth a line, a hash and a request of its own."""
APPLY_MEMORY_BYTES = 64 << 20
"""What applying may keep in memory; a test measures it for each method at its largest."""
# Shared libraries count as address space, though most of them is never in memory.
_APPLY_ADDRESS_SPACE = 96 << 20
_MAKE_ADDRESS_SPACE = 2 << 30
# xdelta3's own window on the source; with `-B 8M` it takes 19 MB whatever the files' size.
_XDELTA_WINDOW = str(8 << 20)
_PATCHED_SUFFIX = ".patched"
# A slow board applies some megabytes a second; this is for what never ends.
_SECONDS_AT_LEAST = 60
_BYTES_PER_SECOND = 1 << 20
# Where the quickest finds this little in common, the others find no half of it.
_HOPELESS = 0.9
# Below this the others could win some bytes, and take ten times the time for it.
_GOOD_ENOUGH_BYTES = 2 << 10
_PACKAGES = str(Path(backports.zstd.__file__).parents[2])
_PROGRAM = str(Path(patch_process.__file__))


@dataclass(frozen=True, slots=True, kw_only=True)
class MadePatch:
    """A patch, and the staged file that it is."""

    patch: Patch
    path: Path


def usable_methods() -> tuple[str, ...]:
    """Return the methods whose patches this machine can apply."""
    return ("bsdiff", "zstd", "xdelta3") if shutil.which("xdelta3") else ("bsdiff", "zstd")


def may_patch(source: Blob, target: Blob) -> bool:
    """Return whether a patch between the two blobs is worth trying."""
    return (
        source.sha256 != target.sha256
        and source.size_bytes > 0
        and MIN_TARGET_BYTES <= target.size_bytes <= MAX_TARGET_BYTES
        and source.size_bytes <= MAX_TARGET_BYTES
    )


def make(
    source: Blob, source_path: Path, target: Blob, target_path: Path, work: Path, *, release: int
) -> MadePatch | None:
    """Return the smallest patch that makes `target` of `source`, below `work`; None where none is less than half.

    `release` is the last in which the source was current. A method that fails or is not installed does not compete.
    Raises `StorageError` where a file cannot be read or written.
    """
    if not may_patch(source, target):
        return None
    # xdelta3 would take a relative path that begins with a dash for an option; ours are absolute.
    best: tuple[int, str, Path] | None = None
    for method in _methods(source, target):
        path = work / f"{target.sha256}.{source.sha256}.{method}"
        if not _make_one(method, source_path, target_path, path, source.size_bytes + target.size_bytes):
            path.unlink(missing_ok=True)
            continue
        size = path.stat().st_size
        if best is not None and best[0] <= size:
            path.unlink()
        else:
            if best is not None:
                best[2].unlink()
            best = (size, method, path)
        if method == "xdelta3" and not _GOOD_ENOUGH_BYTES < size <= _HOPELESS * target.size_bytes:
            break
    if best is None:
        return None
    size, method, path = best
    if 2 * size >= target.size_bytes:
        path.unlink()
        return None
    try:
        sha256 = hash_file(path)
    except OSError as error:
        raise storage_error(error, path) from error
    patch = Patch(
        source=source.sha256,
        target=target.sha256,
        target_bytes=target.size_bytes,
        method=method,
        file=transport_blob(sha256, size),
        release=release,
    )
    return MadePatch(patch=patch, path=path)


def apply(patch: Patch, source: Path, patch_path: Path, target: Path) -> None:
    """Write to `target` the blob `patch.target`, made of the file at `source` and the patch at `patch_path`.

    Takes at most 64 MB of memory and writes at most `patch.target_bytes`. Raises `ContentError` E-PATCH where the
    result is anything else, `StorageError` where the disk fails; nothing is at `target` then. Not durable: the door
    flushes.
    """
    made = target.with_name(target.name + _PATCHED_SUFFIX)
    try:
        made.unlink(missing_ok=True)
        total_bytes = patch.target_bytes + source.stat().st_size
        words = _apply_words(patch.method, str(source), str(patch_path), str(made))
        found = _run(words, _APPLY_ADDRESS_SPACE, patch.target_bytes, total_bytes)
        if found.returncode == 0 and made.stat().st_size == patch.target_bytes:
            digest = hash_file(made)
            if digest == patch.target:
                move(made, target)
                return
            raise ContentError("E-PATCH", where=patch.target, expected=patch.target, found=digest)
        _check_disk(made.parent, patch.target_bytes)
        raise ContentError("E-PATCH", where=patch.target, expected=patch.method, found=_reason(found))
    except OSError as error:
        raise storage_error(error, error.filename or made) from error
    finally:
        made.unlink(missing_ok=True)


def _methods(source: Blob, target: Blob) -> Sequence[str]:
    small = max(source.size_bytes, target.size_bytes) <= SMALL_BYTES
    return ("xdelta3", "bsdiff", "zstd") if small else ("xdelta3",)


def _make_one(method: str, source: Path, target: Path, patch: Path, total_bytes: int) -> bool:
    """Write a patch by one method and return whether it was made."""
    program = shutil.which(method) if method != "zstd" else None
    if method == "zstd":
        words = ["make-zstd", str(source), str(target), str(patch)]
    elif program is None:
        return False
    elif method == "bsdiff":
        words = ["run", program, str(source), str(target), str(patch)]
    else:
        # `-A` without text: the patch would name our files otherwise. `-D`: no gzip is ever run on an input.
        options = ["-e", "-9", "-S", "lzma", "-D", "-A", "-f", "-q", "-B", _XDELTA_WINDOW]
        words = ["run", program, *options, "-s", str(source), str(target), str(patch)]
    return _run(words, _MAKE_ADDRESS_SPACE, 0, 16 * total_bytes).returncode == 0 and patch.exists()


def _apply_words(method: str, source: str, patch: str, target: str) -> list[str]:
    if method != "xdelta3":
        return [f"apply-{method}", source, patch, target]
    program = shutil.which("xdelta3")
    if program is None:
        raise ContentError("E-PATCH", where=patch, expected="xdelta3", found="not installed")
    # `-D -R`: a patch may ask for gzip to be run on what goes in or comes out; it is not obeyed.
    return ["run", program, "-d", "-D", "-R", "-q", "-B", _XDELTA_WINDOW, "-s", source, patch, target]


def _run(
    words: Sequence[str], address_space: int, file_bytes: int, total_bytes: int
) -> subprocess.CompletedProcess[bytes]:
    """Run the process with its limits; `total_bytes` is the work that its time is measured by."""
    seconds = _SECONDS_AT_LEAST + total_bytes // _BYTES_PER_SECOND
    limits = [str(address_space), str(file_bytes), str(seconds)]
    command = [sys.executable, "-I", "-S", _PROGRAM, *limits, _PACKAGES, *words]
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
            timeout=4 * seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        return subprocess.CompletedProcess(command, returncode=-1, stderr=error.stderr or b"timeout")


def _check_disk(directory: Path, needed_bytes: int) -> None:
    """Tell a full disk from a bad patch: the next patch would fail too, and so would the whole file."""
    free_bytes = shutil.disk_usage(directory).free
    if free_bytes < needed_bytes:
        raise storage_error(OSError(28, os.strerror(28)), directory)


def _reason(found: subprocess.CompletedProcess[bytes]) -> str:
    lines = (found.stderr or b"").decode(errors="replace").strip().splitlines()
    return f"{lines[-1][:120] if lines else 'no result'} (exit {found.returncode})"
