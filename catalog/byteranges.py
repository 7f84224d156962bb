"""Byte ranges and conditional requests (RFC 9110 §13, §14), decided purely, and sent by WSGI from an open file.

Invariant: `answer` touches no file and no socket; what it says about length and start is exactly what `send` sends.
Both the published tree and the pages' `/files/` answer through here, so that they behave alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

BLOCK_BYTES = 256 << 10
INLINE_BYTES = 64 << 10
# Twenty digits hold every size there is; more are no number of ours.
_RANGE = re.compile(r"\s*bytes\s*=\s*([0-9]{0,20})\s*-\s*([0-9]{0,20})\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """`length_bytes` bytes from `start`, inside the representation."""

    start: int
    length_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A status line, headers, and which bytes follow (`body` None: none)."""

    status: str
    headers: tuple[tuple[str, str], ...]
    body: ByteRange | None


UNSATISFIABLE = ByteRange(-1, 0)


def parse_range(header: str | None, size_bytes: int) -> ByteRange | None:
    """Return the one range that `header` asks of `size_bytes` bytes, None for the whole, or `UNSATISFIABLE`.

    RFC 9110 §14.2: a malformed header, another unit and a list of several ranges are ignored (the whole is sent).
    """
    match = _RANGE.fullmatch(header) if header else None
    if match is None or match[1] == match[2] == "":
        return None
    if match[1] == "":
        length = min(int(match[2]), size_bytes)
        return ByteRange(size_bytes - length, length) if length else UNSATISFIABLE
    start = int(match[1])
    end = min(int(match[2]), size_bytes - 1) if match[2] else size_bytes - 1
    if match[2] and int(match[2]) < start:
        return None
    return ByteRange(start, end - start + 1) if start < size_bytes else UNSATISFIABLE


def etag_matches(header: str | None, etag: str) -> bool:
    """Return whether `If-None-Match: header` holds for the entity tag `etag` (weak comparison, RFC 9110 §13.1.2)."""
    if not header:
        return False
    if header.strip() == "*":
        return True
    return etag.removeprefix("W/") in {part.strip().removeprefix("W/") for part in header.split(",")}


def answer(
    method: str,
    request: Mapping[str, str],
    *,
    size_bytes: int,
    etag: str,
    media_type: str,
    extra: Iterable[tuple[str, str]] = (),
) -> Answer:
    """Return the answer to a GET or HEAD whose WSGI environment is `request`; `etag` is strong and quoted."""
    common = (("ETag", etag), ("Accept-Ranges", "bytes"), *extra)
    if etag_matches(request.get("HTTP_IF_NONE_MATCH"), etag):
        return Answer(status="304 Not Modified", headers=common, body=None)
    wanted = None
    if request.get("HTTP_IF_RANGE") in (None, etag):
        wanted = parse_range(request.get("HTTP_RANGE"), size_bytes)
    if wanted is UNSATISFIABLE:
        headers = (*common, ("Content-Range", f"bytes */{size_bytes}"), ("Content-Length", "0"))
        return Answer(status="416 Range Not Satisfiable", headers=headers, body=None)
    status = "200 OK"
    part = ByteRange(0, size_bytes)
    if wanted is not None:
        status, part = "206 Partial Content", wanted
        last = part.start + part.length_bytes - 1
        common = (*common, ("Content-Range", f"bytes {part.start}-{last}/{size_bytes}"))
    headers = (*common, ("Content-Type", media_type), ("Content-Length", str(part.length_bytes)))
    return Answer(status=status, headers=headers, body=None if method == "HEAD" else part)


def send(stream: BinaryIO, part: ByteRange | None, environ: Mapping[str, object]) -> Iterable[bytes]:
    """Return the WSGI body for `part` of the open file `stream`, which is closed when it has been sent.

    The server's `wsgi.file_wrapper` reads from where the file stands (PEP 3333); waitress stops at Content-Length.
    """
    if part is None or part.length_bytes == 0:
        stream.close()
        return []
    stream.seek(part.start)
    if part.length_bytes <= INLINE_BYTES:
        with stream:
            return [stream.read(part.length_bytes)]
    wrapper = environ.get("wsgi.file_wrapper")
    if callable(wrapper):
        return _wrapped(wrapper, stream)
    return _blocks(stream, part.length_bytes)


def _wrapped(wrapper: Callable[[BinaryIO, int], Iterable[bytes]], stream: BinaryIO) -> Iterable[bytes]:
    return wrapper(stream, BLOCK_BYTES)


def _blocks(stream: BinaryIO, length_bytes: int) -> Iterator[bytes]:
    with stream:
        while length_bytes > 0 and (block := stream.read(min(BLOCK_BYTES, length_bytes))):
            length_bytes -= len(block)
            yield block
