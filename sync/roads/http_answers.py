"""What an HTTP answer says it is, before a byte of its body is believed: not found, a portal, other bytes; and its end.

Invariant: of a body no more is taken than was asked for, whatever length the answer says it has, or says nothing of.
"""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator

from catalog.byteranges import ByteRange
from catalog.errors import ContentError, RoadError
from sync.formats.release import TreeFile
from sync.roads.connection import Connection
from sync.roads.http_line import HttpLine

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_BODY_BYTES = 128 << 10


def refuse_status(response: http.client.HTTPResponse, where: str, size_bytes: int | None) -> None:
    """Raise where the answer's head shows that its body is not what was asked for at the address `where`.

    Raises `HTTPException` where asking again may help.
    """
    status = response.status
    html = response.getheader("Content-Type", "").startswith(("text/html", "application/xhtml"))
    if status in (404, 410):
        response.read(_BODY_BYTES)
        raise RoadError("E-ROAD-MISSING", where=where)
    if status in (301, 302, 303, 307, 308):
        raise RoadError("E-PORTAL", where=where, found=response.getheader("Location", str(status))[:200])
    if status == 511 or (
        html and (status != 200 or response.length is None or response.length != size_bytes)
    ):
        raise RoadError("E-PORTAL", where=where, expected="data", found=f"{status} text/html")
    if status == 416:
        raise ContentError("E-SIZE", where=where, expected=size_bytes, found="416 range not satisfiable")
    if status >= 500 or status == 429:
        raise http.client.HTTPException(f"{status} {response.reason}")
    if status not in (200, 206):
        raise RoadError("E-ROAD", where=where, expected="200", found=f"{status} {response.reason}"[:100])


def bytes_to_skip(response: http.client.HTTPResponse, file: TreeFile, offset: int) -> int:
    """Return how many bytes of the body to skip; raise E-SIZE where it is not the rest of `file`.

    RFC 9110 §14.2: a server may ignore a range and send the whole; what is here already is then skipped, not lost.
    """
    expected = file.size_bytes
    skip = offset
    if response.status == 206:
        check_part(response, file, ByteRange(offset, file.size_bytes - offset), open_ended=True)
        expected -= offset
        skip = 0
    if response.length is not None and response.length != expected:
        raise ContentError("E-SIZE", where=file.path, expected=expected, found=response.length)
    return skip


def check_part(
    response: http.client.HTTPResponse, file: TreeFile, part: ByteRange, *, open_ended: bool = False
) -> None:
    """Raise E-SIZE where the answer is not exactly `part` of `file` (its beginning only, where `open_ended`)."""
    end = part.start + part.length_bytes - 1
    found = response.getheader("Content-Range", "")[:80] if response.status == 206 else str(response.status)
    match = _CONTENT_RANGE.fullmatch(found)
    if (
        match is None
        or int(match[1]) != part.start
        or match[3] not in ("*", str(file.size_bytes))
        or not (open_ended or (int(match[2]) == end and response.length in (None, part.length_bytes)))
    ):
        expected = f"bytes {part.start}-{end}/{file.size_bytes}"
        raise ContentError("E-SIZE", where=file.path, expected=expected, found=found)


def read_part(line: HttpLine, connection: Connection, file: TreeFile, part: ByteRange) -> Iterator[bytes]:
    """Yield `part` of `file` as it comes over `connection`: all of it and nothing more.

    What was yielded is counted when the next is asked for, so that it is kept before the governor may end the run.
    Raises `FAILURES` where asking again may help, `ContentError` where the answer can not be that part, `RoadError`.
    """
    response = line.answer(connection, line.asked(file.path, part.start, part.start + part.length_bytes - 1))
    refuse_status(response, line.address + file.path, file.size_bytes)
    check_part(response, file, part)
    left = part.length_bytes
    while left:
        connection.shrink()
        data = response.read1(min(line.read_bytes(), left))
        if not data:
            raise http.client.IncompleteRead(b"", left)
        left -= len(data)
        yield data
        line.received(len(data))
    expect_end(response, file.path, part.length_bytes)


def expect_end(response: http.client.HTTPResponse, where: str, size_bytes: int) -> None:
    """Read the end of an answer all of whose bytes are here, so that its connection is free; raise E-SIZE if more comes."""
    if not response.isclosed() and response.read(1):
        raise ContentError("E-SIZE", where=where, expected=size_bytes, found=f"> {size_bytes}")
