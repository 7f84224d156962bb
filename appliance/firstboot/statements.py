"""The statements of a `shuxiang.toml`: TOML as people who know no TOML write it, each line by itself.

Chinese quotes, commas, brackets, equals signs and spaces outside strings count as their ASCII forms, keys may be
Chinese, and a colon behind a known key is an equals sign. Invariants: a wrong line never hides the next one; every
character of a string stays as it was typed; every statement knows its line and where its value stands in the text; no
finding repeats a word that is not of our own table, since it may be a password.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from appliance.firstboot.fields import is_key, shown, table_of
from catalog.ingest.findings import WARNING, Finding

DOUBLE, SINGLE = '"“”„＂', "'‘’＇"
_PLAIN = {"、": ",", "，": ",", "【": "[", "】": "]", "〔": "[", "〕": "]", "　": " ", "\u00a0": " ", "\u200b": " ", "\ufeff": " "}  # fmt: skip
_CODE, _STRING, _COMMENT = 0, 1, 2
_HEADER = re.compile(r"(\[\[?)\s*([^\[\]=,]+?)\s*(\]\]?)")
# From the beginning of a word and without a way back: a long one is looked at once.
_ASSIGNED = re.compile(r"(?<![^\s=:,\[\]{}\"'])([^\s=:,\[\]{}\"']++)\s*[=:]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """`table.key = value` in line `line` (from 1). `begin`, `end`: where the value's source stands in the text.

    `bare`: the value is no TOML, `value` its source as it stands: text without quotes. `table` counts the tables of an
    array: `("scope", "editions#2")`.
    """

    line: int
    table: tuple[str, ...]
    key: str
    value: Any
    source: str
    bare: bool
    begin: int
    end: int


def read_statements(text: str) -> tuple[list[Statement], list[Finding]]:
    """Return what `text` says, and what is wrong with it."""
    reader = _Reader(text)
    return list(reader.statements()), reader.findings


class _Reader:
    """One text on its way: `plain` has the same length as `text`, `marks` says of each character what it is."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.findings: list[Finding] = []
        self.plain, self.marks = list(text), bytearray(len(text))
        self._typed: dict[int, str] = {}
        self._open_lines: set[int] = set()
        self.lines: list[tuple[int, int]] = []
        begin = 0
        for found in re.finditer(r"\r\n|\n|\r|\Z", text):
            self.lines.append((begin, found.start()))
            self._read_line(len(self.lines), begin, found.start())
            if found[0] == "\r":
                self.plain[found.start()] = "\n"
            begin = found.end()
        if self._typed:
            line, typed = next(iter(self._typed.items()))
            self.findings.append(Finding(code="E-PRESEED-PUNCTUATION", level=WARNING, row=line, found=typed))

    # -- characters ----------------------------------------------------------------------------------------------

    def _read_line(self, line: int, begin: int, end: int) -> None:
        place = begin
        while place < end:
            char = self.text[place]
            if char in "#＃":
                self.marks[place:end] = bytes([_COMMENT]) * (end - place)
                return
            quotes = DOUBLE if char in DOUBLE else SINGLE if char in SINGLE else ""
            if quotes:
                place = self._read_string(line, place, end, quotes)
                continue
            plain = _plain(char)
            if plain != char:
                self.plain[place] = plain
                # Letters and figures may be a password without quotes.
                if plain != " " and not plain.isalnum():
                    self._note(line, char)
            place += 1

    def _read_string(self, line: int, place: int, end: int, quotes: str) -> int:
        """Mark the string that opens at `place` and return where what follows it begins."""
        opening = self.text[place]
        close = self._closing(place, end, quotes)
        last = end if close is None else close + 1
        self.marks[place:last] = bytes([_STRING]) * (last - place)
        if close is None:
            self._open_lines.add(line)
            return end
        for at in (place, close):
            if self.text[at] != quotes[0]:
                self.plain[at] = quotes[0]
                self._note(line, self.text[at])
        if opening != quotes[0] and quotes is DOUBLE:
            inside = self.text[place + 1 : close]
            if "\\" in inside and "'" not in inside:
                # A backslash means nothing to who types Chinese quotes: TOML's other kind of string.
                self.plain[place] = self.plain[close] = "'"
        return last

    def _closing(self, place: int, end: int, quotes: str) -> int | None:
        """Return where the string that opens at `place` closes: at its own kind of quote, else at the last of the line."""
        opening, at = self.text[place], place + 1
        while at < end:
            char = self.text[at]
            if char == "\\" and opening == '"':
                at += 2
                continue
            if char == opening or (opening != quotes[0] and char in quotes):
                return at
            at += 1
        rest = [at for at in range(place + 1, end) if self.text[at] in quotes and self.text[at] != quotes[0]]
        return rest[-1] if rest else None

    def _note(self, line: int, char: str) -> None:
        if char not in self._typed.setdefault(line, ""):
            self._typed[line] += char

    # -- lines ---------------------------------------------------------------------------------------------------

    def statements(self) -> Iterator[Statement]:
        table: tuple[str, ...] | None = ()
        counts: dict[tuple[str, ...], int] = {}
        number = 0
        while number < len(self.lines):
            number += 1
            code = self._code(number).strip()
            if not code:
                continue
            if code.startswith("[") and (not self._equals(number) or _HEADER.match(code)):
                table = self._header(number, code, counts)
            elif (equals := self._equals(number)) is None:
                self._wrong("E-PRESEED-LINE", number, expected='key = "value"', found=_beginning(code))
            else:
                last, whole = self._last_line(number, equals)
                statement = self._assignment(number, last, equals, table, whole)
                number = last
                if statement is not None and table is not None:
                    yield statement

    def _header(self, number: int, code: str, counts: dict[tuple[str, ...], int]) -> tuple[str, ...] | None:
        found = _HEADER.fullmatch(code)
        if found is None or len(found[1]) != len(found[3]):
            self._wrong("E-PRESEED-LINE", number, expected="[table]", found=_beginning(code))
            return None
        table = tuple(part.strip().strip("\"'") for part in found[2].split("."))
        if found[1] == "[[":
            counts[table] = counts.get(table, 0) + 1
            return (*table[:-1], f"{table[-1]}#{counts[table]}")
        return table

    def _assignment(
        self, number: int, last: int, equals: int, table: tuple[str, ...] | None, whole: bool
    ) -> Statement | None:
        begin, end = self._value_span(equals, last)
        source = self.text[begin:end]
        *tables, key = [
            part.strip().strip("\"'") for part in self._slice(self.lines[number - 1][0], equals).split(".")
        ]
        if self._open_lines & set(range(number, last + 1)):
            self._wrong("E-PRESEED-VALUE", number, column=shown(key), expected='"…"')
            return None
        if not source or not whole:
            self._wrong("E-PRESEED-VALUE", number, column=shown(key), expected="]" if source else '"…"')
            return None
        try:
            value = _fitting(tomllib.loads(f"v = {self._slice(begin, end)}\n")["v"])
            bare = False
        except (ValueError, RecursionError):
            if any(self.marks[begin:end]) or source[0] in "[{" or self._holds_key(begin, end):
                # A value may be a password: what stands there is not repeated.
                self._wrong(
                    "E-PRESEED-VALUE", number, column=shown(key), expected="'…'" if "\\" in source else '"…"'
                )
                return None
            value, bare = source, True
        return Statement(
            line=number, table=(*(table or ()), *tables), key=key, value=value, source=source, bare=bare,
            begin=begin, end=end,
        )  # fmt: skip

    def _last_line(self, number: int, equals: int) -> tuple[int, bool]:
        """Return the last line of the statement in `number`, and whether its brackets close."""
        depth = self._depth(equals + 1, self.lines[number - 1][1])
        last = number
        while depth > 0:
            if last == len(self.lines) or (self._equals(last + 1) and "{" not in self._code(last + 1)):
                return last, False
            last += 1
            depth += self._depth(*self.lines[last - 1])
        return last, True

    def _depth(self, begin: int, end: int) -> int:
        code = self._slice(begin, end, strings=False)
        return code.count("[") + code.count("{") - code.count("]") - code.count("}")

    def _value_span(self, equals: int, last: int) -> tuple[int, int]:
        """Return where the value begins and ends, without spaces and comment around it."""
        begin, end = equals + 1, self.lines[last - 1][1]
        while begin < end and (self.plain[begin].isspace() or self.marks[begin] == _COMMENT):
            begin += 1
        while end > begin and (self.plain[end - 1].isspace() or self.marks[end - 1] == _COMMENT):
            end -= 1
        return begin, end

    def _equals(self, number: int) -> int | None:
        """Return where the equals sign of a line stands, or the colon that a known key has in its place."""
        begin, end = self.lines[number - 1]
        for at in range(begin, end):
            if self.marks[at] != _CODE:
                continue
            if self.plain[at] == "=":
                return at
            if self.plain[at] == ":" and is_key(
                self._slice(begin, at).rpartition(".")[2].strip().strip("\"'")
            ):
                return at
        return None

    def _holds_key(self, begin: int, end: int) -> bool:
        """Return whether a value without quotes goes on with another key: two lines that became one."""
        return any(is_key(found[1]) for found in _ASSIGNED.finditer(self._slice(begin, end)))

    def _code(self, number: int) -> str:
        return self._slice(*self.lines[number - 1])

    def _slice(self, begin: int, end: int, *, strings: bool = True) -> str:
        """Return the plain text between two places without comments (and strings)."""
        most = _STRING if strings else _CODE
        return "".join(self.plain[at] if self.marks[at] <= most else " " for at in range(begin, end))

    def _wrong(self, code: str, line: int, *, column: str = "", expected: str, found: str = "") -> None:
        self.findings.append(Finding(code=code, row=line, column=column, expected=expected, found=found))


def _beginning(code: str) -> str:
    """Return the first word of a line that is none, where it is one of ours: all else may be a password."""
    found = re.match(r"\[*\s*([\w-]+)", code)
    return found[1] if found and (is_key(found[1]) or table_of(found[1])) else ""


def _fitting(value: Any) -> Any:
    """Return a value of TOML; raise `ValueError` for a whole number in it of more than 64 bits (TOML 1.0, Integer).

    Python reads one of any length where it is hexadecimal, and can not write it down then.
    """
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        raise ValueError("a number of more than 64 bits")
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _fitting(part)
    return value


def _plain(char: str) -> str:
    """Return the ASCII form of a full-width character outside strings, else the character."""
    if char in _PLAIN:
        return _PLAIN[char]
    if "\uff01" <= char <= "\uff5e":
        return unicodedata.normalize("NFKC", char)
    return char
