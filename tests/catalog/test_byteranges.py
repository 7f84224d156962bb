"""Ranges and conditional requests as RFC 9110 has them."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.byteranges import UNSATISFIABLE, ByteRange, answer, etag_matches, parse_range, send


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("bytes=0-499", ByteRange(0, 500)),
        ("bytes=500-999", ByteRange(500, 500)),
        ("bytes=-500", ByteRange(9500, 500)),
        ("bytes=9500-", ByteRange(9500, 500)),
        ("bytes=0-0", ByteRange(0, 1)),
        ("Bytes = 5 - 9", ByteRange(5, 5)),
        ("bytes=0-99999999999999999999", ByteRange(0, 10000)),
        ("bytes=-99999", ByteRange(0, 10000)),
        ("bytes=10000-", UNSATISFIABLE),
        ("bytes=-0", UNSATISFIABLE),
        ("bytes=9-5", None),
        ("bytes=0-1,5-6", None),
        ("lines=0-5", None),
        ("bytes=", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("", None),
        ("bytes=0-" + "9" * 5000, None),
        ("bytes=" + "9" * 5000 + "-", None),
    ],
)
def test_parse_range(header: str | None, expected: ByteRange | None) -> None:
    assert parse_range(header, 10000) == expected


def test_an_empty_file_has_no_range() -> None:
    assert parse_range("bytes=0-", 0) is UNSATISFIABLE
    assert parse_range("bytes=-5", 0) is UNSATISFIABLE


@given(st.text(alphabet="bytes=0123456789-, ", max_size=20), st.integers(0, 50))
def test_a_range_never_leaves_the_file(header: str, size: int) -> None:
    found = parse_range(header, size)
    if found is not None and found is not UNSATISFIABLE:
        assert found.start >= 0 and found.length_bytes > 0 and found.start + found.length_bytes <= size


@pytest.mark.parametrize(
    ("header", "matches"),
    [
        ('"a"', True),
        ('W/"a"', True),
        ('"b", "a"', True),
        ("*", True),
        ('"b"', False),
        (None, False),
        ("", False),
    ],
)
def test_etag(header: str | None, matches: bool) -> None:
    assert etag_matches(header, '"a"') is matches


def ask(**headers: str) -> tuple[str, dict[str, str], bytes]:
    data = bytes(range(100))
    environ = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    reply = answer("GET", environ, size_bytes=100, etag='"e"', media_type="video/mp4")
    return reply.status[:3], dict(reply.headers), b"".join(send(io.BytesIO(data), reply.body, environ))


def test_answers() -> None:
    status, headers, body = ask()
    assert (status, headers["Content-Length"], len(body)) == ("200", "100", 100)
    status, headers, body = ask(range="bytes=10-19")
    assert (status, headers["Content-Range"], body) == ("206", "bytes 10-19/100", bytes(range(10, 20)))
    status, headers, body = ask(range="bytes=10-19", if_range='"e"')
    assert status == "206"
    status, headers, body = ask(range="bytes=10-19", if_range='"other"')
    assert (status, len(body)) == ("200", 100)
    status, headers, body = ask(range="bytes=200-")
    assert (status, headers["Content-Range"], body) == ("416", "bytes */100", b"")
    status, headers, body = ask(if_none_match='"e"', range="bytes=0-1")
    assert (status, body, headers["ETag"]) == ("304", b"", '"e"')
    assert "Content-Length" not in headers


def test_head_has_the_length_and_no_body() -> None:
    reply = answer("HEAD", {}, size_bytes=100, etag='"e"', media_type="video/mp4")
    assert dict(reply.headers)["Content-Length"] == "100" and reply.body is None


def test_a_large_body_goes_through_the_servers_wrapper() -> None:
    class Wrapper:
        def __init__(self, stream: io.BytesIO, block: int) -> None:
            self.position = stream.tell()

    stream = io.BytesIO(bytes(1 << 20))
    body = send(stream, ByteRange(5000, 1 << 19), {"wsgi.file_wrapper": Wrapper})
    assert isinstance(body, Wrapper) and body.position == 5000
    assert len(b"".join(send(stream, ByteRange(5000, 1 << 19), {}))) == 1 << 19
    assert stream.closed
