"""Patches between inflated forms: any file comes back bit by bit, and no claim of a patch costs memory or disk."""

from __future__ import annotations

import io
import json
import random
import shutil
import struct
import subprocess
import sys
import zipfile
import zlib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import openpyxl
import pytest
from builders import sha256
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl.worksheet.worksheet import Worksheet
from small_disk import small_disk

from catalog.blobs import Blob
from catalog.errors import ContentError
from sync.formats.transport import Patch, read_offer, transport_blob
from sync.parcels import forms, patch_process, patches, streams
from sync.parcels.patches import MadePatch, apply, make, usable_methods
from sync.updating.loads import Held

INFLATED_METHODS = ("inflatexdelta3", "inflatebsdiff", "inflatezstd")
SLIDES = 12


def slide(number: int, word: str = "几分之一") -> bytes:
    """Return a slide's XML, its numbers as various as real ones."""
    chance = random.Random(number)
    shapes = "".join(
        f'<a:off x="{chance.randrange(10**7)}" y="{chance.randrange(10**7)}"/><a:t>{word}{chance.randrange(999)}</a:t>'
        for _ in range(90)
    )
    return f"<p:sld>{shapes}</p:sld>".encode()


def deck(word: str, *, seed: int = 1, level: int = 6, stored: bool = False, streamed: bool = False) -> bytes:
    """Return a deck with a `word` on each slide; `streamed` writes data descriptors instead of sizes."""
    picture = random.Random(seed).randbytes(20_000)
    out = io.BytesIO()
    target = Unseekable(out) if streamed else out
    kind = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(target, "w", kind, compresslevel=level) as archive:
        archive.writestr("[Content_Types].xml", b"<Types/>" * 30)
        for number in range(SLIDES):
            archive.writestr(f"ppt/slides/slide{number}.xml", slide(number, word))
        archive.writestr("ppt/media/image1.jpeg", picture)
    return out.getvalue()


class Unseekable(io.RawIOBase):
    """What a web server writes to."""

    def __init__(self, out: io.BytesIO) -> None:
        self._out = out

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        return self._out.write(data)


def pdf(word: str, pages: int = 8) -> bytes:
    """Return a PDF of FlateDecode pages."""
    body = b"%PDF-1.5\n"
    for number in range(pages):
        packed = zlib.compress(slide(number, word))
        body += b"%d 0 obj<</Filter/FlateDecode/Length %d>>stream\r\n" % (number, len(packed))
        body += packed + b"\nendstream endobj\n"
    return body + b"startxref\n%d\n%%%%EOF" % len(body)


def blob_of(data: bytes) -> Blob:
    return Blob(sha256=sha256(data), size_bytes=len(data))


def made_of(before: bytes, after: bytes, directory: Path) -> MadePatch | None:
    (directory / "before").write_bytes(before)
    (directory / "after").write_bytes(after)
    found = make(
        blob_of(before), directory / "before", blob_of(after), directory / "after", directory, release=4
    )
    left = {path.name for path in directory.iterdir()} - {"before", "after", "made"}
    assert left == ({found.path.name} if found else set())
    return found


def applied(made: MadePatch, directory: Path) -> bytes:
    target = directory / "made"
    target.unlink(missing_ok=True)
    apply(made.patch, directory / "before", made.path, target)
    assert {path.name for path in directory.iterdir()} == {"before", "after", "made", made.path.name}
    return target.read_bytes()


@pytest.mark.parametrize("level", [1, 6, 9])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_date_on_every_slide_costs_a_kilobyte(level: int, streamed: bool, tmp_path: Path) -> None:
    before, after = (deck(word, level=level, streamed=streamed) for word in ("9月1日", "11月21日"))
    made = made_of(before, after, tmp_path)
    assert made is not None and made.patch.method in INFLATED_METHODS
    # Between the archives as they are every slide is new: more than the half of them.
    assert made.patch.file.size_bytes < 1500 < len(after) // 20
    assert applied(made, tmp_path) == after


def test_another_level_of_deflate_costs_next_to_nothing(tmp_path: Path) -> None:
    made = made_of(deck("分数", level=6), after := deck("分数", level=1), tmp_path)
    assert made is not None and made.patch.file.size_bytes < 1000 and applied(made, tmp_path) == after


def test_a_pdf_written_anew(tmp_path: Path) -> None:
    made = made_of(pdf("9月1日"), after := pdf("11月21日"), tmp_path)
    assert made is not None and made.patch.method in INFLATED_METHODS
    assert made.patch.file.size_bytes < 1000 and applied(made, tmp_path) == after


def test_a_long_text_is_packed_again_block_by_block(tmp_path: Path) -> None:
    """Blocks of 64 KiB at both ends, the last one full or not."""
    text = b"".join(slide(number) for number in range(200))
    for length in (10 << 16, (10 << 16) + 1, (11 << 16) - 1):

        def book(word: bytes, length: int = length) -> bytes:
            out = io.BytesIO()
            with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("content.json", (word + text)[:length])
            return out.getvalue()

        made = made_of(book(b"one"), after := book(b"another"), tmp_path)
        assert made is not None and made.patch.file.size_bytes < 1000 and applied(made, tmp_path) == after
        made.path.unlink()


def test_a_sheet_that_openpyxl_saved(tmp_path: Path) -> None:
    def sheet(word: str) -> bytes:
        book = openpyxl.Workbook()
        page = book.active
        assert isinstance(page, Worksheet)
        for row in range(1, 1000):
            page.append([f"第{row}课", row * 7919 % 1000, word if row == 500 else "青禾县"])
        out = io.BytesIO()
        book.save(out)
        return out.getvalue()

    made = made_of(sheet("甲"), after := sheet("乙乙"), tmp_path)
    assert made is not None and made.patch.method in INFLATED_METHODS
    assert made.patch.file.size_bytes < 600 and applied(made, tmp_path) == after


@pytest.mark.parametrize("method", INFLATED_METHODS)
def test_every_inner_method(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = method.removeprefix("inflate")
    monkeypatch.setattr(patches, "_methods", lambda *_: (inner,))
    made = made_of(deck("9月1日"), after := deck("11月21日"), tmp_path)
    assert made is not None and made.patch.method == method and applied(made, tmp_path) == after


def broken_archives() -> list[bytes]:
    good = deck("几分之一")
    central = good.rindex(b"PK\x05\x06")
    encrypted = bytearray(deck("分数"))
    for at in range(len(encrypted) - 3):
        if encrypted[at : at + 4] == b"PK\x03\x04":
            encrypted[at + 6] |= 1
            encrypted[at + 40 : at + 400] = random.Random(at).randbytes(360)
    nested = io.BytesIO()
    with zipfile.ZipFile(nested, "w") as archive:
        archive.writestr("embedded.xlsx", good)
    zip64 = io.BytesIO()
    with (
        zipfile.ZipFile(zip64, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("big.xml", "w", force_zip64=True) as member,
    ):
        member.write(slide(3) * 5)
    return [
        good,
        good[: len(good) // 2],
        good[:central],
        good[100:],
        good + b"trailing junk" * 50,
        good.replace(b"PK\x01\x02", b"PK\x01\x03"),
        bytes(encrypted),
        deck("分数", stored=True),
        deck("分数", streamed=True),
        nested.getvalue(),
        zip64.getvalue(),
        b"PK\x03\x04" * 5000,
        b"PK" + bytes(5000),
        b"%PDF-1.4\n" + b"stream\r\nx\x9c" * 500,
        pdf("乘法")[:-900],
    ]


@pytest.mark.parametrize("number", range(len(broken_archives())))
def test_broken_archives_come_back_as_they_were(number: int, tmp_path: Path) -> None:
    after = broken_archives()[number]
    for before in (deck("9月1日"), after[: len(after) // 3] + b"x" + after[len(after) // 3 :]):
        made = made_of(before, after, tmp_path)
        if made is not None:
            assert applied(made, tmp_path) == after
            made.path.unlink()
    found = streams.streams_of(tmp_path / "after")
    data = (tmp_path / "after").read_bytes()
    for one in found:
        assert len(zlib.decompress(data[one.start : one.end], -15)) == one.plain_bytes
    assert all(one.end <= two.start for one, two in pairwise(found))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    members=st.lists(
        st.tuples(st.binary(max_size=400), st.integers(1, 60), st.integers(0, 9), st.booleans()),
        min_size=1,
        max_size=6,
    ),
    noise=st.binary(max_size=300),
    order=st.randoms(use_true_random=False),
)
def test_any_archive_comes_back(
    tmp_path: Path, members: list[tuple[bytes, int, int, bool]], noise: bytes, order: random.Random
) -> None:
    def archive(some: list[tuple[bytes, int, int, bool]]) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as made:
            for number, (text, times, level, stored) in enumerate(some):
                kind = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
                made.writestr(str(number), text * times, kind, level)
            made.writestr("shared", slide(1) + slide(2) + noise, zipfile.ZIP_DEFLATED, 6)
        return out.getvalue() + noise + bytes(4096)

    before = archive(members)
    after = archive([*order.sample(members, len(members)), (noise + b".", 3, 6, False)])
    place = order.randrange(len(after))
    for target in (after, after[:place] + noise + after[place:]):
        if (made := made_of(before, target, tmp_path)) is not None:
            assert applied(made, tmp_path) == target
            made.path.unlink()


def test_deflate_that_nobody_can_repeat_stays_as_it_is(tmp_path: Path) -> None:
    """A program with a deflate of its own (here zlib with a memory level that is not tried)."""

    def own(word: str) -> bytes:
        data = b""
        for number in range(SLIDES):
            packer = zlib.compressobj(6, zlib.DEFLATED, -15, 2)
            packed = packer.compress(slide(number, word if number == 3 else "")) + packer.flush()
            header = b"PK\x03\x04" + struct.pack("<5H3L2H", 20, 0, 8, 0, 0, 0, len(packed), 0, 1, 0)
            data += header + b"x" + packed
        return data

    before, after = own("9月1日"), own("11月21日")
    (tmp_path / "one").write_bytes(after)
    found = streams.streams_of(tmp_path / "one")
    assert len(found) == SLIDES and not streams.settings_of(tmp_path / "one", found)
    (tmp_path / "one").unlink()
    made = made_of(before, after, tmp_path)
    assert made is not None and made.patch.method not in INFLATED_METHODS
    assert applied(made, tmp_path) == after


def test_a_bomb_at_the_hub_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MOST_STREAM_BYTES", 1 << 20)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", bytes(40 << 20))
        archive.writestr("text", slide(1))
    (tmp_path / "bomb").write_bytes(out.getvalue())
    (text,) = streams.streams_of(tmp_path / "bomb")
    assert text.plain_bytes == len(slide(1))
    monkeypatch.setattr(streams, "MOST_LOOKED_BYTES", 256 << 10)
    assert streams.streams_of(tmp_path / "bomb") == []


def test_no_more_is_inflated_than_a_box_will(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "MOST_INFLATED_BYTES", 3 * len(slide(0, "9月1日")))
    made = made_of(deck("9月1日"), after := deck("11月21日"), tmp_path)
    assert made is not None and applied(made, tmp_path) == after
    with made.path.open("rb") as stream:
        source, target = patch_process.read_head(stream)
    assert 0 < len(source) <= 4 and 0 < len(target) <= 4


# -- a hub that lies -------------------------------------------------------------------------------------------------


def head(source: object, target: object) -> bytes:
    return zlib.compress(json.dumps({"source": source, "target": target}).encode())


def packed(data: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


BOMB = packed(bytes(300 << 20))
MISFITS = {
    "no head": b"",
    "no end of the head": head([], [])[:-5],
    "a head that grows": zlib.compress(b'{"source":[' + b" " * (200 << 20)),
    "no JSON": zlib.compress(b"["),
    "no lists": zlib.compress(b'{"source":1,"target":2}'),
    "half a stream": head([1, 2], []),
    "below zero": head([0, -5, 10], []),
    "no number": head([0, 5, 1.5], []),
    "a truth": head([0, True, 5], []),
    "a terabyte": head([0, 1 << 40, 1 << 40], []),
    "a terabyte of target": head([], [0, 1 << 40, 68]),
    "a number of a million digits": zlib.compress(b'{"source":[' + b"9" * 1_000_000 + b',1,1],"target":[]}'),
    "a gap beyond the end": head([1 << 50, 5, 5], []),
    "a stream that is none": head([0, 40, 40], []),
    "less than it says": head([0, len(BOMB), 10], []),
    "more than it says": head([0, len(BOMB), 60 << 20], []),
    "an end too early": head([0, len(BOMB) - 9, 60 << 20], []),
    "a setting that zlib has not": head([], [0, 3, 100]),
    "a level of hundreds": head([], [0, 3, 10**15]),
    "a target beyond the form": head([], [0, 50 << 20, 68]),
}


@pytest.mark.parametrize("why", MISFITS)
def test_hostile_heads(why: str, tmp_path: Path) -> None:
    """Whatever the head says: no result, nothing left, and never more than the patch may write."""
    (tmp_path / "inner").write_bytes(b"inner")
    (tmp_path / "source").write_bytes(BOMB)
    inner = tmp_path / "inner"
    subprocess.run(["xdelta3", "-e", "-f", "-s", "/dev/null", "/dev/null", str(inner)], check=True)
    (tmp_path / "patch").write_bytes(MISFITS[why] + inner.read_bytes())
    inner.unlink()
    claim = Patch(
        source=sha256(b"source"),
        target=sha256(b"target"),
        target_bytes=100_000,
        method="inflatexdelta3",
        file=transport_blob(sha256(b"patch"), 40_000),
        release=1,
    )
    with pytest.raises(ContentError, match="E-PATCH"):
        apply(claim, tmp_path / "source", tmp_path / "patch", tmp_path / "made")
    assert {path.name for path in tmp_path.iterdir()} == {"source", "patch"}


def test_a_source_that_is_a_bomb_is_stopped_on_the_disk(tmp_path: Path) -> None:
    """The head claims what is allowed; the stream makes more: the process ends at what was claimed."""
    (tmp_path / "source").write_bytes(BOMB)
    (tmp_path / "patch").write_bytes(head([0, len(BOMB), 64 << 20], []))
    arguments = [str(96 << 20), str(200 << 20), "60", "", "inflate"]
    files = [str(tmp_path / name) for name in ("source", "patch", "form", "inner")]
    command = [sys.executable, "-I", "-S", patch_process.__file__, *arguments, *files]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode and "longer than it should be" in found.stderr
    assert (tmp_path / "form").stat().st_size <= 64 << 20


def test_a_wrong_source_and_a_turned_bit_are_refused(tmp_path: Path) -> None:
    made = made_of(deck("9月1日"), after := deck("11月21日"), tmp_path)
    assert made is not None
    data = made.path.read_bytes()
    for place in range(0, len(data), max(1, len(data) // 12)):
        turned = bytearray(data)
        turned[place] ^= 0x10
        made.path.write_bytes(turned)
        try:
            assert applied(made, tmp_path) == after
        except ContentError as error:
            assert error.code == "E-PATCH" and not (tmp_path / "made").exists()
    made.path.write_bytes(data)
    (tmp_path / "before").write_bytes(deck("9月2日"))
    with pytest.raises(ContentError, match="E-PATCH"):
        applied(made, tmp_path)


PEAK = """
import resource, sys
from pathlib import Path
from sync.parcels.patches import apply
from sync.formats.transport import Patch, transport_blob
source, target, size, method = sys.argv[1:5]
patch = Patch(source=source, target=target, target_bytes=int(size), method=method,
              file=transport_blob(source, 1), release=1)
apply(patch, *map(Path, sys.argv[5:8]))
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10)
"""


@pytest.mark.slow
def test_applying_takes_at_most_64_megabytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A form of nearly 16 MiB, the largest that zstd is given; zstd holds the most in memory of the three."""
    monkeypatch.setattr(patches, "_methods", lambda *_: ("zstd",))
    cells = [b"<c r=%d>%d</c>" % (number, number * number) for number in range(700_000)]

    def sheet(value: bytes) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.writestr("sheet1.xml", value.join(cells[::50_000]) + b"".join(cells))
            archive.writestr("sheet2.xml", value + slide(1))
        return out.getvalue()

    before, after = sheet(b"1/2"), sheet(b"2/4")
    made = made_of(before, after, tmp_path)
    assert made is not None and made.patch.method == "inflatezstd"
    arguments = [made.patch.source, made.patch.target, str(len(after)), made.patch.method]
    paths = [str(tmp_path / "before"), str(made.path), str(tmp_path / "made")]
    command = [sys.executable, "-c", PEAK, *arguments, *paths]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (tmp_path / "made").read_bytes() == after
    assert int(found.stdout) <= patches.APPLY_MEMORY_BYTES


# -- machines that differ --------------------------------------------------------------------------------------------


def test_a_machine_with_another_zlib_neither_makes_nor_wants_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert forms.packs_as_others() and set(INFLATED_METHODS) <= set(usable_methods())
    monkeypatch.setattr(forms, "_PROBE_SHA256", sha256(b"zlib-ng"))
    forms.packs_as_others.cache_clear()
    try:
        assert not set(INFLATED_METHODS) & set(usable_methods())
        made = made_of(deck("9月1日"), deck("11月21日"), tmp_path)
        assert made is None or made.patch.method not in INFLATED_METHODS
    finally:
        forms.packs_as_others.cache_clear()


def test_a_box_that_does_not_know_the_method_passes_the_line_over(tmp_path: Path) -> None:
    from sync.formats.transport import offer_line

    made = made_of(deck("9月1日"), deck("11月21日"), tmp_path)
    assert made is not None
    line = offer_line(made.patch)
    assert read_offer(line, where="t") == made.patch
    newer = offer_line(replace(made.patch, method="inflate2bsdiff"))
    assert read_offer(newer, where="t") is None


def test_forms_without_room_are_not_begun(tmp_path: Path) -> None:
    """The whole blob comes instead; its place is not taken by what was only tried."""
    made = made_of(pdf("before"), pdf("after"), tmp_path)
    assert made is not None and made.patch.method in INFLATED_METHODS
    with small_disk(40 << 20) as disk:
        with pytest.raises(ContentError) as refused:
            apply(made.patch, tmp_path / "before", made.path, disk / "after")
        assert refused.value.code == "E-PATCH" and "free" in str(refused.value.expected)
        # The plan says so beforehand.
        spare = shutil.disk_usage(disk).free - made.patch.target_bytes
        size = (tmp_path / "before").stat().st_size
        assert not Held(has=lambda _: True, size_of=lambda _: size, spare_bytes=spare).has_room_for(
            made.patch
        )
        assert {path.name for path in disk.iterdir()} <= {"lost+found"}
