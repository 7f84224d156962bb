"""Archives from anywhere: names are read right or flagged, nothing leaves the target, bombs stay folded."""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from pathlib import Path

import pytest
from builders import Store
from hypothesis import given, settings
from hypothesis import strategies as st
from ingest_material import session

from catalog.errors import ContentError
from catalog.ingest.archive import PACKAGE_LIMITS, SOURCE_LIMITS, Archive, Limits
from catalog.resource import is_package_path


def raw_zip(
    path: Path, members: dict[bytes, bytes], *, flags: int = 0, mode: int = 0, method: int = 8
) -> Path:
    """Write a ZIP byte by byte, so that names need not be text."""
    body, directory = b"", b""
    for name, data in members.items():
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        packed = packer.compress(data) + packer.flush() if method == 8 else data
        head = struct.pack(
            "<HHHHHLLLHH", 20, flags, method, 0, 33, zlib.crc32(data), len(packed), len(data), len(name), 0
        )
        directory += b"PK\x01\x02" + struct.pack("<H", 0) + head
        directory += struct.pack("<HHHLL", 0, 0, 0, mode << 16, len(body)) + name
        body += b"PK\x03\x04" + head + name + packed
    end = struct.pack("<HHHHLLH", 0, 0, len(members), len(members), len(directory), len(body), 0)
    path.write_bytes(body + directory + b"PK\x05\x06" + end)
    return path


def names(path: Path) -> tuple[list[str], list[str]]:
    with Archive(path, SOURCE_LIMITS) as archive:
        return [member.path for member in archive.members], [finding.code for finding in archive.findings]


@pytest.mark.parametrize("encoding", ["gb18030", "utf-8"])
def test_names_without_a_flag_are_read_in_the_encoding_they_have(tmp_path: Path, encoding: str) -> None:
    written = ["数学/第一单元 时分秒.mp4", "说明.txt"]
    path = raw_zip(tmp_path / "a.zip", {name.encode(encoding): b"x" for name in written})
    assert names(path) == (written, [])


def test_a_backslash_byte_inside_a_gbk_character_is_no_separator(tmp_path: Path) -> None:
    name = "乗法/誠実.txt"
    assert b"\\" in name.encode("gbk")
    path = raw_zip(
        tmp_path / "a.zip",
        {name.encode("gbk"): b"x", "数学一年级上册第一单元时分秒的认识.txt".encode("gbk"): b"y"},
    )
    assert names(path)[0][0] == name


def test_backslashes_of_windows_programs_separate(tmp_path: Path) -> None:
    assert names(raw_zip(tmp_path / "a.zip", {"数学\\秒.mp4".encode("gbk"): b"x"}))[0] == ["数学/秒.mp4"]


def test_names_of_unknown_encoding_are_flagged(tmp_path: Path) -> None:
    found, codes = names(
        raw_zip(tmp_path / "a.zip", {"ファイル名の一覧表です.txt".encode("shift_jis"): b"x"})
    )
    assert len(found) == 1 and codes == ["E-ARCHIVE-NAMES"]


@pytest.mark.parametrize(
    "name",
    [
        b"../out.txt",
        b"a/../../out.txt",
        b"/etc/out.txt",
        b"C:/out.txt",
        b"a\x00.txt",
        b"a//b.txt",
        b"a\n.txt",
    ],
)
def test_names_that_leave_the_target_are_refused(tmp_path: Path, name: bytes) -> None:
    assert names(raw_zip(tmp_path / "a.zip", {name: b"x", b"good.txt": b"y"})) == (["good.txt"], ["E-NAME"])


def test_links_are_refused(tmp_path: Path) -> None:
    path = raw_zip(tmp_path / "a.zip", {b"link": b"/etc/passwd"}, mode=stat.S_IFLNK | 0o777)
    assert names(path) == ([], ["E-LINK"])


def test_bombs_and_locks_are_refused_before_a_byte_is_unpacked(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(8):
            archive.writestr(f"{number}.txt", b"\0" * (10 << 20))
    many = raw_zip(tmp_path / "many.zip", {f"{number}".encode(): b"" for number in range(50)})
    locked = raw_zip(tmp_path / "locked.zip", {b"a.txt": b"x"}, flags=1)
    for path, limits, code in (
        (bomb, PACKAGE_LIMITS, "E-ARCHIVE-LIMIT"),
        (many, Limits(members=49, total_bytes=1 << 30), "E-ARCHIVE-LIMIT"),
        (locked, SOURCE_LIMITS, "E-ARCHIVE-LOCKED"),
        (raw_zip(tmp_path / "d64.zip", {b"a": b"x"}, method=9), SOURCE_LIMITS, "E-ARCHIVE"),
    ):
        with pytest.raises(ContentError) as caught:
            Archive(path, limits)
        assert caught.value.code == code


def test_a_member_that_lies_about_its_size_gives_no_more_than_it_said(tmp_path: Path) -> None:
    path = tmp_path / "liar.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", b"x" * 100_000)
    data = path.read_bytes().replace(struct.pack("<L", 100_000), struct.pack("<L", 10))
    path.write_bytes(data)
    with (
        Archive(path, SOURCE_LIMITS) as archive,
        pytest.raises(ContentError),
        archive.open(archive.members[0]) as stream,
    ):
        assert len(stream.read(1000)) <= 10
        stream.read()


@settings(deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=6, unique=True))
def test_whatever_the_names_every_offered_path_is_safe(
    tmp_path_factory: pytest.TempPathFactory, raw: list[bytes]
) -> None:
    path = raw_zip(tmp_path_factory.mktemp("zips") / "a.zip", dict.fromkeys(raw, b"x"))
    assert all(is_package_path(name) for name in names(path)[0])


def test_a_zip_is_ingested_in_place_and_again_for_nothing(tmp_path: Path, store: Store) -> None:
    member = "三年级上册/数学/01 说明.txt".encode("gbk")
    path = raw_zip(tmp_path / "县资源.zip", {member: "内容".encode(), b"../evil.txt": b"x"})
    with session(store, path) as ingest:
        result = ingest.run()
        again = ingest.run()
    assert (result.added, [item.code for item in result.rejected]) == (1, ["E-NAME"])
    assert (again.added, again.unchanged) == (0, 1)
    with store.library.reading() as reader:
        found = next(reader.entries()).resource
    assert (found.title, found.subject, found.grades, found.volume) == ("说明", "math", ("g3",), "a")
    assert not (tmp_path / "evil.txt").exists()
