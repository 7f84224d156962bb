"""Patches: made once at the hub, applied on a box within 64 MB of memory, believed only by the result's hash.

Invariant: `apply` leaves at `target` the blob that the patch names, or nothing: the work is done under another name
by processes whose memory, output and time are limited. The whole blob stays as a way, so a patch may always fail.
Up to 16 MiB xdelta3, bsdiff and zstd compete; above, xdelta3 alone keeps to the memory. ZIP packages and PDF are
compared by their inflated forms (`sync.parcels.forms`) where that is possible.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import backports.zstd

from catalog.blobs import Blob, hash_file
from catalog.durable import move, storage_error
from catalog.errors import ContentError
from sync.formats.transport import INFLATED, MAX_TARGET_BYTES, Patch, transport_blob
from sync.parcels import patch_process
from sync.parcels.forms import make_forms, packs_as_others

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
# Of an inflated form: the source's, the patch between the forms, the target's.
_FORM_SUFFIXES = (".source-form", ".inner", ".target-form")
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
    plain = ("bsdiff", "zstd", "xdelta3") if shutil.which("xdelta3") else ("bsdiff", "zstd")
    return (*plain, *(INFLATED + method for method in plain)) if packs_as_others() else plain


def beside_bytes(patch: Patch, source_bytes: int) -> int:
    """Return the room that applying `patch` to a source of this length takes for a while, beside it and its target.

    Between inflated forms: both forms and the inner patch.
    """
    if not patch.method.startswith(INFLATED):
        return 0
    forms_bytes = source_bytes + patch.target_bytes + 2 * patch_process.MOST_INFLATED_BYTES
    return forms_bytes + patch.file.size_bytes


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
    stem = work / f"{target.sha256}.{source.sha256}"
    forms = _beside(stem)
    try:
        made = make_forms(source_path, target_path, (forms[0], forms[2]))
        best = _smallest(made.source, made.target, stem, made.head) if made else None
    except OSError as error:
        raise storage_error(error, error.filename or work) from error
    finally:
        for path in forms:
            path.unlink(missing_ok=True)
    # Between the files as they are there is hardly less to say, once the forms have much in common.
    if best is None or 2 * best.size_bytes >= target.size_bytes:
        best = _smaller(best, _smallest(source_path, target_path, stem))
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
    forms = _beside(target)
    try:
        for path in (made, *forms):
            path.unlink(missing_ok=True)
        found = _apply(patch, source, patch_path, made, forms)
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


class _Made(NamedTuple):
    """A patch as one method made it."""

    size_bytes: int
    method: str
    path: Path


def _smallest(source: Path, target: Path, stem: Path, head: bytes = b"") -> _Made | None:
    """Return the smallest patch between two files, its name beginning with `stem`; with a `head` they are forms."""
    source_bytes, target_bytes = source.stat().st_size, target.stat().st_size
    best: _Made | None = None
    for inner in _methods(source_bytes, target_bytes):
        method = (INFLATED if head else "") + inner
        path = _with_suffix(stem, f".{method}")
        if not _make_one(inner, source, target, path, source_bytes + target_bytes):
            path.unlink(missing_ok=True)
            continue
        if head:
            path.write_bytes(head + path.read_bytes())
        size = path.stat().st_size
        best = _smaller(best, _Made(size, method, path))
        if inner == "xdelta3" and not _GOOD_ENOUGH_BYTES < size <= _HOPELESS * target_bytes:
            break
    return best


def _smaller(one: _Made | None, two: _Made | None) -> _Made | None:
    """Return the smaller, the first of equals, and remove the other."""
    if one is None or two is None:
        return one or two
    kept, lost = (two, one) if two.size_bytes < one.size_bytes else (one, two)
    lost.path.unlink()
    return kept


def _beside(path: Path) -> tuple[Path, Path, Path]:
    source, inner, target = (_with_suffix(path, suffix) for suffix in _FORM_SUFFIXES)
    return source, inner, target


def _with_suffix(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _methods(source_bytes: int, target_bytes: int) -> Sequence[str]:
    small = max(source_bytes, target_bytes) <= SMALL_BYTES
    return ("xdelta3", "bsdiff", "zstd") if small else ("xdelta3",)


def _make_one(method: str, source: Path, target: Path, patch: Path, total_bytes: int) -> bool:
    """Write a patch by one method and return whether it was made."""
    # xdelta3 would take a relative path that begins with a dash for an option; ours are absolute.
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


def _apply(
    patch: Patch, source: Path, patch_path: Path, made: Path, forms: tuple[Path, Path, Path]
) -> subprocess.CompletedProcess[bytes]:
    """Write to `made` what the patch makes of `source`; return how the last process ended, `forms` removed."""
    source_bytes = source.stat().st_size
    total_bytes = patch.target_bytes + source_bytes
    method = patch.method.removeprefix(INFLATED)
    if method == patch.method:
        words = _apply_words(method, source, patch_path, made)
        return _run(words, _APPLY_ADDRESS_SPACE, patch.target_bytes, total_bytes)
    source_form, inner, target_form = forms
    more = patch_process.MOST_INFLATED_BYTES
    room_bytes = patch.target_bytes + beside_bytes(patch, source_bytes)
    free_bytes = shutil.disk_usage(made.parent).free
    if free_bytes < room_bytes:
        raise ContentError("E-PATCH", where=patch.target, expected=f">= {room_bytes} free", found=free_bytes)
    steps: list[tuple[list[str], int]] = [
        (
            ["inflate", str(source), str(patch_path), str(source_form), str(inner)],
            max(source_bytes, patch.file.size_bytes) + more,
        ),
        (_apply_words(method, source_form, inner, target_form), patch.target_bytes + more),
        (["deflate", str(target_form), str(patch_path), str(made)], patch.target_bytes),
    ]
    try:
        for words, most_bytes in steps:
            found = _run(words, _APPLY_ADDRESS_SPACE, most_bytes, total_bytes + 2 * more)
            if found.returncode:
                break
        return found
    finally:
        for path in forms:
            path.unlink(missing_ok=True)


def _apply_words(method: str, source: Path, patch: Path, target: Path) -> list[str]:
    files = [str(source), str(patch), str(target)]
    if method != "xdelta3":
        return [f"apply-{method}", *files]
    program = shutil.which("xdelta3")
    if program is None:
        raise ContentError("E-PATCH", where=patch, expected="xdelta3", found="not installed")
    # `-D -R`: a patch may ask for gzip to be run on what goes in or comes out; it is not obeyed.
    return ["run", program, "-d", "-D", "-R", "-q", "-B", _XDELTA_WINDOW, "-s", *files]


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
