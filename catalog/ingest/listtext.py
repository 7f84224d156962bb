"""The text of a CSV list: which encoding it has, which delimiter, which records.

Chinese offices save CSV as UTF-8 (with or without BOM), GB18030 (Excel's and WPS's default) or UTF-16. A text in any
other encoding often still decodes, into wrong characters; it is refused, never ingested as garbage.
"""

from __future__ import annotations

import codecs
import csv
import io

from catalog.ingest.findings import Finding, Report

_PLAUSIBLE_SHARE = 0.85
_SAMPLE_CHARACTERS = 200_000
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def decode_text(data: bytes) -> str | None:
    """Return `data` as text if it is UTF-8, UTF-16 with a BOM or plausible GB18030, else None."""
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            text = _decode(data, encoding)
            return None if text is None or _is_wide(text) else text
    text = _decode(data, "utf-8")
    if text is not None:
        return None if _is_wide(text) else text
    text = _decode(data, "gb18030")
    return text if text is not None and is_plausible_chinese(text) else None


def is_plausible_chinese(text: str) -> bool:
    """Return whether `text`, decoded as GB18030, looks like what people write.

    Other encodings mostly decode as GB18030 too, into characters outside GB 2312, which ordinary text hardly uses.
    """
    foreign = [character for character in text[:_SAMPLE_CHARACTERS] if ord(character) > 127]
    if not foreign:
        return True
    common = len("".join(foreign).encode("gb2312", "ignore")) / 2
    return common / len(foreign) >= _PLAUSIBLE_SHARE


def decode_list(data: bytes, name: str, report: Report) -> str | None:
    """Return the text of the list `data`, or report E-ENCODING with the line that shows it and return None."""
    text = decode_text(data)
    if text is None:
        report(
            Finding(code="E-ENCODING", path=name, expected="UTF-8 / GB18030", found=_first_wrong_line(data))
        )
    return text


def split_records(text: str) -> list[list[str]]:
    """Return the records of the CSV `text` (RFC 4180; comma, semicolon or tab), cells stripped.

    A cell may hold line breaks: the place of a record is its row number in Excel, not its line in the file.
    """
    first = text[:4096].splitlines()[0] if text.strip() else ""
    delimiter = max(",\t;", key=first.count)
    limit = csv.field_size_limit(1 << 24)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        return [[cell.strip() for cell in record] for record in reader]
    finally:
        csv.field_size_limit(limit)


def _is_wide(text: str) -> bool:
    """Return whether `text` is really UTF-16 or UTF-32 without its mark: every other character a NUL."""
    return text.count("\0") * 20 > len(text)


def _decode(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None


def _first_wrong_line(data: bytes) -> str:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return f"0x{data[error.start]:02x} @ {line}"
    return ""
