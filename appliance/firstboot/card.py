"""The card's FAT partition: `shuxiang.toml` in, passwords out of it, `shuxiang-result.txt` beside it.

FAT has no step that replaces a file as a whole, so nothing is renamed. Passwords are overwritten where they stand, with
the same number of bytes, the last sector first and each durable before the next: name, length and clusters of the file
stay, the old bytes are gone from the disk, and a cut leaves the file old up to some sector and new from there. Only where
a sector ends within a password is that another file than the old one or one with fewer passwords: `is_torn` knows it by
`cleaned`, the one right result, which is kept in the state before the first byte is overwritten.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from pathlib import Path

from appliance.firstboot.request import FILE_NAME, Secret
from appliance.firstboot.textfile import TextFile, read_text
from appliance.firstboot.values import KEPT
from catalog import durable

RESULT_NAME = "shuxiang-result.txt"
MOST_ROOT_BYTES = 512_000
SECTOR_BYTES = 512
_NOTES = (
    "密码已收好，已从本文件删除；* 表示不变，要改就换成新密码",
    "密码已从本文件删除，* 表示不变",
    "密码已删除，* 表示不变",
    "密码已删除",
    "已删",
)
_BLANK = f'"{KEPT}"'


class Card:
    """The FAT partition, mounted at `directory`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / FILE_NAME

    def read(self) -> bytes | None:
        """Return the bytes of `shuxiang.toml`, None where there is none; names on FAT know no case."""
        return self.beside(FILE_NAME)

    def beside(self, name: str) -> bytes | None:
        """Return the bytes of a file of the partition's top, a bounded number of them; None where there is none."""

        def read() -> bytes | None:
            path = self.directory / name
            if not path.is_file():
                return None
            with path.open("rb") as stream:
                return stream.read(MOST_ROOT_BYTES)

        return durable.storage(read, self.directory / name)

    def clean(self, cleaned: bytes) -> bool:
        """Take the passwords out of `shuxiang.toml`: make it `cleaned`; return whether anything was overwritten."""
        data = self.read()
        if data is None or data == cleaned or len(data) != len(cleaned):
            return False
        for begin in reversed(range(0, len(cleaned), SECTOR_BYTES)):
            old, new = (whole[begin : begin + SECTOR_BYTES] for whole in (data, cleaned))
            if old != new:
                durable.storage(lambda: durable.overwrite(self.path, begin, new), self.path)  # noqa: B023
        return True

    def write_result(self, text: str, *, may_stand_below: bool = False) -> None:
        """Write `shuxiang-result.txt` for Notepad: UTF-8 with its mark, Windows' line ends. Does nothing where it says so already.

        `may_stand_below`: also below what was told since, as of the wireless network.
        """
        lines = result_lines(text)
        data = codecs.BOM_UTF8 + lines
        stored = self.beside(RESULT_NAME)
        if stored != data and not (may_stand_below and stored is not None and stored.endswith(lines)):
            path = self.directory / RESULT_NAME
            durable.storage(lambda: durable.write_in_place(path, data), path)


def result_lines(text: str) -> bytes:
    """Return the bytes of a result for Notepad, without the mark that stands at the file's beginning."""
    return text.replace("\n", "\r\n").encode()


def cleaned(data: bytes, secrets: Iterable[Secret]) -> bytes:
    """Return `data` with each password as `"*"` and, where there is room behind it, a word that says so; same length."""
    file = read_text(data)
    if not isinstance(file, TextFile):
        return data
    places = file.byte_places()
    result = bytearray(data)
    for secret in secrets:
        begin, end = places[secret.begin], places[secret.end]
        new = _blank(end - begin, file.encoding, alone=_ends_line(file.text, secret.end))
        if new is not None:
            result[begin:end] = new
    return bytes(result)


def is_torn(data: bytes, cleaned: bytes) -> bool:
    """Return whether `data` is `cleaned` but for sectors that a cut left old, the last of them ending within a blank."""
    blanks = _differences_in_blanks(data, cleaned)
    if not blanks:
        return False
    end = (max(blanks) // SECTOR_BYTES + 1) * SECTOR_BYTES
    places = set(_blank_places(cleaned))
    return end in places and end - 1 in places


def is_half_cleaned(data: bytes, cleaned: bytes) -> bool:
    """Return whether `data` is `cleaned` but for bytes within the blanks: a file that means nothing, but was this one."""
    return bool(_differences_in_blanks(data, cleaned))


def _differences_in_blanks(data: bytes, cleaned: bytes) -> list[int]:
    """Return the places that differ, where all of them lie in blanks; else none."""
    if len(data) != len(cleaned) or data == cleaned:
        return []
    allowed = set(_blank_places(cleaned))
    found = [at for at in range(len(data)) if data[at] != cleaned[at]]
    return found if allowed.issuperset(found) else []


def _blank(size: int, encoding: str, *, alone: bool) -> bytes | None:
    """Return `size` bytes for `"*"`, a comment where the rest of the line is free, and spaces."""
    space = " ".encode(encoding)
    for note in (*(f"  # {words}" for words in _NOTES), f"#{_NOTES[-1]}", "") if alone else ("",):
        found = f"{_BLANK}{note}".encode(encoding)
        if len(found) <= size and (size - len(found)) % len(space) == 0:
            return found + space * ((size - len(found)) // len(space))
    return None


def _ends_line(text: str, place: int) -> bool:
    rest = text[place:].partition("\n")[0].strip()
    return not rest or rest[0] in "#＃"


def _blank_places(cleaned: bytes) -> Iterator[int]:
    """Yield the places that a blank covers: from its quote to the end of its spaces."""
    file = read_text(cleaned)
    if not isinstance(file, TextFile):
        return
    places = file.byte_places()
    begin = file.text.find(_BLANK)
    while begin >= 0:
        line_end = min(
            (at for mark in "\r\n" if (at := file.text.find(mark, begin)) >= 0), default=len(file.text)
        )
        yield from range(places[begin], places[line_end])
        begin = file.text.find(_BLANK, line_end)
