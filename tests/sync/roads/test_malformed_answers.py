"""Answers of a form that no honest server sends: they end in a code, soon, and take no more memory than was asked for."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import sha256
from malformed import Answer, MalformedServer

from catalog.blobs import Staged
from catalog.byteranges import ByteRange
from catalog.errors import ContentError, RoadError, ShuxiangError
from sync.roads import http_fetch, road_for
from sync.roads.http import HttpRoad
from sync.roads.road import RoadSettings, blob_file
from sync.roads.staging import Staging

from .conftest import MIB

IMPATIENT = RoadSettings(timeout_seconds=2, retry_pause_seconds=0.01)
DATA = random.Random(8).randbytes(2 * MIB)
FILE = blob_file(sha256(DATA), len(DATA))
_FLOOD_BYTES = 64 * MIB


def head(first: int, last: int | None) -> bytes:
    """Return the head of an answer that is chunked, as of a part where one was asked for."""
    words = b"HTTP/1.1 200 OK\r\n"
    if first or last is not None:
        words = b"HTTP/1.1 206 Partial\r\nContent-Range: bytes %d-%d/%d\r\n" % (
            first,
            len(DATA) - 1 if last is None else last,
            len(DATA),
        )
    return words + b"Transfer-Encoding: chunked\r\n\r\n"


def chunks_of(size: int) -> Answer:
    """Return a server's way to say that a chunk has `size` bytes, and to send what was asked for."""

    def answer(_: str, first: int, last: int | None) -> Iterator[bytes]:
        yield head(first, last) + b"%x\r\n" % size
        yield DATA[first : None if last is None else last + 1]

    return answer


def without_end(_: str, first: int, last: int | None) -> Iterator[bytes]:
    """Send what was asked for and then go on for ever."""
    data = DATA[first : None if last is None else last + 1]
    yield head(first, last) + b"%x\r\n" % len(data) + data + b"\r\n"
    for _ in range(_FLOOD_BYTES // MIB):
        yield b"%x\r\n" % MIB + bytes(MIB) + b"\r\n"


def fetch(server: MalformedServer, place: Path) -> list[str]:
    """Fetch the file; return the codes of what became of it."""
    came: list[Staged] = []
    road = road_for(server.address, IMPATIENT)
    try:
        with Staging(place) as staging:
            return [one.error.code for one in road.fetch([FILE], staging, came.extend, lambda _: None)]
    except ShuxiangError as error:
        return [error.code]
    finally:
        road.close()


@pytest.mark.parametrize("long", [True, False], ids=["spread", "alone"])
@pytest.mark.parametrize("size", [-1, -5, -70_000])
def test_a_chunk_of_negative_length(
    size: int, long: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if long:
        monkeypatch.setattr(http_fetch, "LONG_SECONDS", 0.0)
    with MalformedServer(chunks_of(size)) as server:
        assert fetch(server, tmp_path / "staging") == ["E-ROAD-SHORT"]
        road = HttpRoad(server.address, IMPATIENT)
        with pytest.raises(RoadError):
            road.read("metadata/timestamp.json", 1000)
        part = tmp_path / "part"
        part.touch()
        with pytest.raises(RoadError):
            road.fetch_ranges(FILE, [ByteRange(1000, 5000)], part, lambda _: None)
        road.close()


@pytest.mark.parametrize("long", [True, False], ids=["spread", "alone"])
def test_an_answer_that_does_not_end(long: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if long:
        monkeypatch.setattr(http_fetch, "LONG_SECONDS", 0.0)
    with MalformedServer(without_end) as server:
        assert fetch(server, tmp_path / "staging") == ["E-SIZE"]
        road = HttpRoad(server.address, IMPATIENT)
        part = tmp_path / "part"
        part.touch()
        with pytest.raises(ContentError) as refusal:
            road.fetch_ranges(FILE, [ByteRange(1000, 5000)], part, lambda _: None)
        assert refusal.value.code == "E-SIZE"
        assert part.read_bytes()[1000:] == DATA[1000:6000]
        road.close()
        # What was on the way in the kernels' buffers, on each connection, and no more.
        assert server.sent_bytes < _FLOOD_BYTES // 2
