"""Inflated forms: a ZIP package or PDF with its deflate streams inflated, so that a patch sees the texts themselves.

Made at the hub as `sync.parcels.patch_process` makes and unmakes them on a box. Invariant: only streams that differ
between source and target are inflated, and in the target only such that zlib packs to the same bytes again with a
setting that was tried; so what did not change costs nothing, and what nobody can pack again stays as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sync.parcels.patch_process import MOST_INFLATED_BYTES, head_bytes, packer, write_inflated
from sync.parcels.streams import Stream, settings_of, streams_of

# What the zlib of Debian 12 and 13 makes of the probe; zlib-ng and Chromium's zlib make other bytes of it.
_PROBE_SHA256 = "9bd4c4f87308d11c2ff96055c62324c606154c99d29824af185238ac39380741"
_PROBE_SETTINGS = (18, 68, 98)


@dataclass(frozen=True, slots=True)
class Forms:
    """The inflated forms of a source and a target, files at `source` and `target`; `head` stands before their patch."""

    head: bytes
    source: Path
    target: Path


def make_forms(source: Path, target: Path, forms: tuple[Path, Path]) -> Forms | None:
    """Write the inflated forms of `source` and `target` to the new files `forms`.

    None where there is nothing to inflate. Raises `OSError` where a file cannot be read or written.
    """
    new = streams_of(target) if packs_as_others() else []
    old = streams_of(source) if new else []
    here, there = {one.digest for one in old}, {one.digest for one in new}
    changed = list(_within(one for one in new if one.digest not in here))
    settings = settings_of(target, changed)
    if not settings:
        return None
    gone = list(_within(one for one in old if one.digest not in there))
    packed = [one for one in changed if one in settings]
    targets = [(gap, one.plain_bytes, settings[one]) for gap, one in _gaps(packed)]
    made = Forms(head_bytes(_places(gone), targets), *forms)
    write_inflated(str(source), _places(gone), str(made.source))
    write_inflated(str(target), _places(packed), str(made.target))
    return made


@cache
def packs_as_others() -> bool:
    """Return whether this machine's zlib writes what others' does; where it does not, no inflated form is of use."""
    probe = b"".join(b"%d 1/%d; " % (number * number, number % 97 + 1) for number in range(20_000))
    digest = hashlib.sha256()
    for setting in _PROBE_SETTINGS:
        deflater = packer(setting)
        digest.update(deflater.compress(probe) + deflater.flush())
    return digest.hexdigest() == _PROBE_SHA256


def _within(streams: Iterable[Stream]) -> Iterator[Stream]:
    """Yield streams as long as a box may inflate them all."""
    left = MOST_INFLATED_BYTES
    for one in streams:
        left -= one.plain_bytes
        if left >= 0:
            yield one


def _gaps(streams: Iterable[Stream]) -> Iterator[tuple[int, Stream]]:
    last_end = 0
    for one in streams:
        yield one.start - last_end, one
        last_end = one.end


def _places(streams: Iterable[Stream]) -> list[tuple[int, int, int]]:
    return [(gap, one.end - one.start, one.plain_bytes) for gap, one in _gaps(streams)]
