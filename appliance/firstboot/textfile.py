"""The bytes of a file that a Windows editor wrote, as text: UTF-8 and UTF-16 with or without mark, GB18030.

Invariant: nothing is guessed into wrong characters, and no bytes raise: what is no text is a finding.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from catalog.ingest.findings import Finding
from catalog.ingest.listtext import is_plausible_chinese

MOST_BYTES = 64 << 10
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_NULS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFile:
    """A file as text. `mark_bytes` stand before the text; `cut`: the bytes end, or turn to zeros, within the text."""

    data: bytes
    text: str
    encoding: str
    mark_bytes: int
    cut: bool

    def byte_places(self) -> list[int]:
        """Return the place in `data` at which each character begins, and where the last one ends."""
        decoder = codecs.getincrementaldecoder(self.encoding)()
        places, begin = [], self.mark_bytes
        for place in range(self.mark_bytes, len(self.data)):
            for _ in decoder.decode(self.data[place : place + 1]):
                places.append(begin)
                begin = place + 1
            if len(places) >= len(self.text):
                break
        return [*places, begin]


def read_text(data: bytes) -> TextFile | Finding:
    """Return `data` as text, or the finding that says why it is none."""
    if len(data) > MOST_BYTES:
        return Finding(
            code="E-PRESEED-ENCODING", expected=f"<= {MOST_BYTES >> 10} kB", found=f"{len(data) >> 10} kB"
        )
    mark, encoding = next(
        ((mark, name) for mark, name in _MARKS if data.startswith(mark)), (b"", _unmarked(data))
    )
    found = _decode(data[len(mark) :], encoding)
    if found is None and not mark:
        encoding = "gb18030"
        found = _decode(data, encoding)
        if found is not None and not is_plausible_chinese(found[0]):
            found = None
    if found is None:
        return Finding(code="E-PRESEED-ENCODING", expected="UTF-8, UTF-16, GB18030")
    text, cut = found
    zero = text.find("\0")
    if zero >= 0:
        text, cut = text[:zero], True
    return TextFile(data=data, text=text, encoding=encoding, mark_bytes=len(mark), cut=cut)


def _unmarked(data: bytes) -> str:
    """Return the encoding to try first: UTF-16 without its mark shows by a zero in every other byte."""
    sample = data[:400]
    if len(sample) >= 8:
        for name, zeros in (("utf-16-le", sample[1::2]), ("utf-16-be", sample[::2])):
            other = sample[::2] if name == "utf-16-le" else sample[1::2]
            if zeros.count(0) > _NULS * len(zeros) and not other.count(0):
                return name
    return "utf-8"


def _decode(data: bytes, encoding: str) -> tuple[str, bool] | None:
    """Return the text and whether it ends within a character; None where the bytes are in another encoding."""
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        text = decoder.decode(data)
    except UnicodeDecodeError:
        return None
    return text, bool(decoder.getstate()[0])
