"""Patches: the smallest wins, the result is checked, memory and output are bounded, lies cost one patch."""

from __future__ import annotations

import bz2
import os
import random
import resource
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from backports.zstd import ZstdCompressor
from bench.edits import EDITS, corrected_script, word
from builders import sha256
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.blobs import Blob
from catalog.errors import ContentError, StorageError
from sync.formats.transport import INFLATED, METHODS, Patch, transport_blob
from sync.parcels import patches
from sync.parcels.patches import MadePatch, apply, make, usable_methods

PLAIN = tuple(method for method in METHODS if not method.startswith(INFLATED))


def blob_of(data: bytes) -> Blob:
    return Blob(sha256=sha256(data), size_bytes=len(data))


def made_of(before: bytes, after: bytes, directory: Path) -> MadePatch | None:
    (directory / "before").write_bytes(before)
    (directory / "after").write_bytes(after)
    return make(
        blob_of(before),
        directory / "before",
        blob_of(after),
        directory / "after",
        directory,
        release=4,
    )


def applied(made: MadePatch, directory: Path) -> bytes:
    target = directory / "made"
    apply(made.patch, directory / "before", made.path, target)
    return target.read_bytes()


def by(
    method: str, before: bytes, after: bytes, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> MadePatch:
    """Return a patch made by `method`, whatever the others would do."""
    monkeypatch.setattr(patches, "_methods", lambda *_: (method,))
    made = made_of(before, after, directory)
    assert made is not None and made.patch.method == method
    return made


def edited(size_bytes: int, seed: int = 1) -> tuple[bytes, bytes]:
    """Return random bytes and the same with fifty places overwritten, some taken out and some put in."""
    chance = random.Random(seed)
    # One call makes at most 256 MiB of them.
    before = b"".join(chance.randbytes(min(1 << 20, size_bytes - at)) for at in range(0, size_bytes, 1 << 20))
    after = bytearray(before)
    for _ in range(50):
        place = chance.randrange(size_bytes - 60)
        after[place : place + 50] = chance.randbytes(50)
    del after[size_bytes // 3 : size_bytes // 3 + 100]
    after[size_bytes // 2 : size_bytes // 2] = chance.randbytes(77)
    return before, bytes(after)


@pytest.mark.parametrize("name", EDITS)
def test_edited_course_files_travel_as_patches(name: str, tmp_path: Path) -> None:
    # Thirty-one: saved by programs whose deflate can be repeated.
    before, after = EDITS[name][1](31)
    made = made_of(before, after, tmp_path)
    assert made is not None
    assert made.patch.file == transport_blob(sha256(made.path.read_bytes()), made.path.stat().st_size)
    assert (made.patch.source, made.patch.target) == (sha256(before), sha256(after))
    assert (made.patch.target_bytes, made.patch.release) == (len(after), 4)
    # A new picture of 90 kB must travel; anything else is a matter of a few kilobytes.
    assert made.patch.file.size_bytes < (95_000 if name == "picture" else 5_000)
    assert applied(made, tmp_path) == after
    # Nothing of the losers, nothing half done.
    assert {path.name for path in tmp_path.iterdir()} == {"before", "after", "made", made.path.name}


def test_the_same_patch_is_made_again(tmp_path: Path) -> None:
    before, after = word(3)
    found = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        made = made_of(before, after, tmp_path / name)
        assert made is not None
        found.append(made.patch)
    assert found[0] == found[1]


@pytest.mark.parametrize("method", PLAIN)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    parts=st.lists(st.binary(min_size=1, max_size=3000), min_size=1, max_size=8),
    order=st.randoms(use_true_random=False),
)
def test_every_method_gives_the_target(
    method: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    parts: list[bytes],
    order: random.Random,
) -> None:
    before = b"lesson: " + b"".join(parts)
    after = b"".join(order.choices(parts, k=len(parts))) + random.Random(5).randbytes(10) + b"\0" * 20_000
    monkeypatch.setattr(patches, "_methods", lambda *_: (method,))
    made = made_of(before, after, tmp_path)
    assert made is not None and applied(made, tmp_path) == after
    made.path.unlink()


def test_what_has_little_in_common_is_no_patch(tmp_path: Path) -> None:
    one, two = random.Random(1).randbytes(50_000), random.Random(2).randbytes(50_000)
    assert made_of(one, two, tmp_path) is None
    assert made_of(one, two[:30_000] + one[:20_000], tmp_path) is None
    assert made_of(one, one, tmp_path) is None
    assert made_of(one, one[:4000], tmp_path) is None
    assert made_of(b"", one, tmp_path) is None
    assert {path.name for path in tmp_path.iterdir()} == {"before", "after"}


def test_only_xdelta3_goes_beyond_sixteen_megabytes(tmp_path: Path) -> None:
    before, after = edited(patches.SMALL_BYTES + 1)
    made = made_of(before, after, tmp_path)
    assert made is not None and made.patch.method == "xdelta3"
    assert made.patch.file.size_bytes < 10_000 and applied(made, tmp_path) == after


def test_a_method_that_is_not_installed_does_not_compete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = word(3)
    with_all = made_of(before, after, tmp_path)
    assert with_all is not None and with_all.patch.method == "inflatexdelta3" and len(usable_methods()) == 6
    monkeypatch.setenv("PATH", str(tmp_path))
    without = made_of(before, after, tmp_path)
    assert (
        without is not None and without.patch.method == "inflatezstd" and applied(without, tmp_path) == after
    )
    assert set(usable_methods()) == {"bsdiff", "zstd", "inflatebsdiff", "inflatezstd"}
    with pytest.raises(ContentError, match=r"E-PATCH.*xdelta3.*not installed"):
        apply(with_all.patch, tmp_path / "before", with_all.path, tmp_path / "made")


PEAK = """
import resource, sys
sys.path[:0] = sys.argv[1:2]
from pathlib import Path
from sync.parcels.patches import apply
from sync.formats.transport import Patch, transport_blob
source, target, size, method = sys.argv[2:6]
patch = Patch(source=source, target=target, target_bytes=int(size), method=method,
              file=transport_blob(source, 1), release=1)
apply(patch, *map(Path, sys.argv[6:9]))
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10)
"""


@pytest.mark.parametrize(
    ("method", "size_bytes"),
    [
        ("bsdiff", patches.SMALL_BYTES),
        ("zstd", patches.SMALL_BYTES),
        ("xdelta3", patches.SMALL_BYTES),
        pytest.param("xdelta3", 300 << 20, marks=pytest.mark.slow),
    ],
)
def test_applying_takes_at_most_64_megabytes(
    method: str, size_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = edited(size_bytes - 200)
    made = by(method, before, after, tmp_path, monkeypatch)
    target = tmp_path / "made"
    arguments = [made.patch.source, made.patch.target, str(len(after)), method]
    paths = [str(tmp_path / "before"), str(made.path), str(target)]
    # From a small process: a child's peak counts the parent's memory that it was forked with.
    house = str(Path(patches.__file__).parent.parent)
    command = [sys.executable, "-c", PEAK, house, *arguments, *paths]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert target.read_bytes() == after
    assert int(found.stdout) <= patches.APPLY_MEMORY_BYTES


def refused(patch: Patch, source: bytes, data: bytes, directory: Path) -> str:
    """Apply and return why it was refused; nothing is left behind."""
    (directory / "source").write_bytes(source)
    (directory / "patch").write_bytes(data)
    with pytest.raises(ContentError, match="E-PATCH") as caught:
        apply(patch, directory / "source", directory / "patch", directory / "made")
    assert {path.name for path in directory.iterdir()} <= {"source", "patch", "before", "after"}
    return str(caught.value)


def claim(method: str, target: bytes, target_bytes: int | None = None) -> Patch:
    return Patch(
        source=sha256(b"source"),
        target=sha256(target),
        target_bytes=len(target) if target_bytes is None else target_bytes,
        method=method,
        file=transport_blob(sha256(b"patch"), 1),
        release=1,
    )


@pytest.mark.parametrize("method", PLAIN)
def test_a_wrong_patch_costs_itself_only(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = corrected_script(1)
    made = by(method, before, after, tmp_path, monkeypatch)
    data = made.path.read_bytes()
    made.path.unlink()
    # The result is another blob than the line said, of the same length or of another.
    refused(replace(made.patch, target=sha256(b"other")), before, data, tmp_path)
    refused(replace(made.patch, target_bytes=len(after) - 1), before, data, tmp_path)
    refused(replace(made.patch, target_bytes=len(after) + 1), before, data, tmp_path)
    # Cut, empty, noise; made for another source; one bit turned.
    for wrong in (data[: len(data) // 2], data[:-20], b"", random.Random(1).randbytes(900), b"\0" * 900):
        refused(made.patch, before, wrong, tmp_path)
    refused(made.patch, random.Random(2).randbytes(len(before)), data, tmp_path)
    refused(made.patch, b"", data, tmp_path)
    for place in range(0, len(data), max(1, len(data) // 12)):
        turned = bytearray(data)
        turned[place] ^= 0x10
        (tmp_path / "source").write_bytes(before)
        (tmp_path / "patch").write_bytes(turned)
        try:
            apply(made.patch, tmp_path / "source", tmp_path / "patch", tmp_path / "made")
        except ContentError as error:
            assert error.code == "E-PATCH" and not (tmp_path / "made").exists()
        else:
            # A bit that means nothing (a checksum of the frame's header): the blob is right.
            assert (tmp_path / "made").read_bytes() == after
            (tmp_path / "made").unlink()


def bsdiff(
    triples: list[tuple[int, int, int]], diff: bytes, extra: bytes, size: int, times: int = 1
) -> bytes:
    def number(value: int) -> bytes:
        return struct.pack("<Q", abs(value) | (1 << 63 if value < 0 else 0))

    control = bz2.compress(b"".join(number(value) for triple in triples for value in triple) * times)
    packed = bz2.compress(diff)
    lengths = (len(control), len(packed), size)
    return b"BSDIFF40" + b"".join(map(number, lengths)) + control + packed + bz2.compress(extra)


def test_bsdiff_reads_beyond_both_ends_of_the_source_as_zeros(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"abc")
    (tmp_path / "patch").write_bytes(bsdiff([(0, 1, -2), (7, 0, 0)], b"\1" * 7, b"x", 8))
    target = b"x\1\1bcd\1\1"
    apply(claim("bsdiff", target), tmp_path / "source", tmp_path / "patch", tmp_path / "made")
    assert (tmp_path / "made").read_bytes() == target


@pytest.mark.parametrize(
    "patch",
    [
        bsdiff([(1 << 40, 0, 0)], b"", b"", 1 << 40),
        bsdiff([(0, 1 << 40, 0)], b"", b"", 1 << 40),
        bsdiff([(-5, 0, 0)], b"", b"", 10),
        bsdiff([(5, -5, 0)], b"12345", b"", 10),
        bsdiff([(5, 0, 0)], b"1234", b"", 5),
        bsdiff([(0, 5, 0)], b"", b"1234", 5),
        bsdiff([], b"", b"", 5),
        bsdiff([], b"", b"", -5),
        bsdiff([(5, 0, -(1 << 62)), (5, 0, 1 << 62)], b"1" * 10, b"", 11),
        bsdiff([(0, 1 << 30, 0)], b"", b"\0" * (1 << 24), 1 << 30),
    ],
    ids=str,
)
def test_hostile_bsdiff(patch: bytes, tmp_path: Path) -> None:
    refused(claim("bsdiff", b"12345"), b"source", patch, tmp_path)


def test_zstd_that_grows_without_end_is_stopped(tmp_path: Path) -> None:
    compressor = ZstdCompressor(level=19)
    bomb = b"".join(compressor.compress(b"\0" * (1 << 20)) for _ in range(500)) + compressor.flush()
    assert len(bomb) < 50_000
    refused(claim("zstd", b"12345", 1 << 20), b"source", bomb, tmp_path)


def test_zstd_that_asks_for_a_window_of_gigabytes_is_refused(tmp_path: Path) -> None:
    # RFC 8878 §3.1.1.1.2: exponent 21 of the window descriptor is 2 GiB.
    refused(
        claim("zstd", b"12345"), b"source", b"\x28\xb5\x2f\xfd\x00" + bytes([21 << 3]) + b"\x01\0\0", tmp_path
    )


def test_xdelta3_that_grows_without_end_is_stopped(tmp_path: Path) -> None:
    (tmp_path / "zeros").write_bytes(b"")
    os.truncate(tmp_path / "zeros", 300 << 20)
    command = [
        "xdelta3",
        "-e",
        "-9",
        "-f",
        "-s",
        "/dev/null",
        str(tmp_path / "zeros"),
        str(tmp_path / "bomb"),
    ]
    subprocess.run(command, check=True)
    bomb = (tmp_path / "bomb").read_bytes()
    for name in ("zeros", "bomb"):
        (tmp_path / name).unlink()
    assert len(bomb) < 200_000
    refused(claim("xdelta3", b"12345", 1 << 20), b"source", bomb, tmp_path)


def test_a_program_that_eats_memory_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = edited(9 << 20)
    made = by("zstd", before, after, tmp_path, monkeypatch)
    assert applied(made, tmp_path) == after
    monkeypatch.setattr(patches, "_APPLY_ADDRESS_SPACE", 24 << 20)
    (tmp_path / "made").unlink()
    with pytest.raises(ContentError, match="E-PATCH"):
        applied(made, tmp_path)


def test_a_program_that_never_ends_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patches, "_SECONDS_AT_LEAST", 1)
    endless = bsdiff([(0, 0, 1)], b"", b"", 5, times=4_000_000)
    began = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    refused(claim("bsdiff", b"12345"), b"source", endless, tmp_path)
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - began < 3


def test_a_patch_that_asks_for_a_program_is_not_obeyed(tmp_path: Path) -> None:
    """xdelta3 packs gzip files anew by running gzip; both ends have it switched off."""
    import gzip

    before, after = (gzip.compress(data * 40, mtime=0) for data in corrected_script(1))
    (tmp_path / "before").write_bytes(before)
    (tmp_path / "after").write_bytes(after)
    command = ["xdelta3", "-e", "-f", "-s", str(tmp_path / "before"), str(tmp_path / "after")]
    subprocess.run([*command, str(tmp_path / "patch")], check=True, capture_output=True)
    asking = (tmp_path / "patch").read_bytes()
    refused(claim("xdelta3", after), before, asking, tmp_path)


def test_a_missing_source_is_the_disks_fault(tmp_path: Path) -> None:
    (tmp_path / "patch").write_bytes(b"x")
    with pytest.raises(StorageError):
        apply(claim("zstd", b"12345"), tmp_path / "none", tmp_path / "patch", tmp_path / "made")


def test_what_stood_at_the_target_is_replaced_only_by_the_blob(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = corrected_script(1)
    made = by("zstd", before, after, tmp_path, monkeypatch)
    target = tmp_path / "made"
    target.write_bytes(b"the beginning, from another road")
    with pytest.raises(ContentError):
        apply(replace(made.patch, target=sha256(b"other")), tmp_path / "before", made.path, target)
    assert target.read_bytes() == b"the beginning, from another road"
    (tmp_path / "made.patched").write_bytes(b"left by a kill")
    assert applied(made, tmp_path) == after
