"""The connections to one server: how its address is written in a question, and what is opened and asked ahead."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import sha256
from longline import LongLine
from malformed import MalformedServer

from catalog.blobs import Staged
from catalog.errors import ConfigError
from sync.roads import road_for
from sync.roads.http_line import HttpLine
from sync.roads.road import RoadSettings, blob_file
from sync.roads.staging import Staging

from .conftest import QUICK, grow_tree


def empty(_path: str, _first: int, _last: int | None) -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    ("base", "asked"),
    [
        ("", "/a%20b%25.json"),
        ("书箱/", "/%E4%B9%A6%E7%AE%B1/a%20b%25.json"),
        ("%E4%B9%A6/", "/%E4%B9%A6/a%20b%25.json"),
        ("a%20b+c;d=e/", "/a%20b+c;d=e/a%20b%25.json"),
    ],
)
def test_a_base_is_quoted_once(base: str, asked: str) -> None:
    with MalformedServer(empty) as server:
        road = road_for(server.address + base, QUICK)
        road.read("a b%.json", 100)
        road.close()
        assert server.questions[0].startswith(b"GET %s HTTP/1.1\r\n" % asked.encode())


@pytest.mark.parametrize(
    ("address", "field"),
    [
        ("http://书箱.example/", "xn--1jq171i.example"),
        ("http://书箱.example:8088/", "xn--1jq171i.example:8088"),
        ("http://[::1]:8088/", "[::1]:8088"),
    ],
)
def test_a_host_is_named_in_ascii(address: str, field: str) -> None:
    assert HttpLine(address, QUICK).take()._host_field() == field


@pytest.mark.parametrize(
    "address",
    [
        "http://h:99999/",
        "http://h:x/",
        "http://a..b/",
        "http:///x",
        "http://[::1/",
        "file://[x",
        "rsync://a:pass@h:99999/m",
        "rsync://h:0/m",
    ],
)
def test_an_address_that_can_not_be_is_a_configuration_error(address: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        road_for(address, QUICK)
    assert "pass" not in str(refusal.value)


def test_what_was_opened_ahead_and_taken_is_opened_again(root: Path) -> None:
    grow_tree(root, small=0, large=0)
    with LongLine(root, 0.01) as server:
        line = HttpLine(server.address, QUICK)
        for _ in range(2):
            line.open_ahead(3)
            taken = []
            deadline = time.monotonic() + 5
            while len(taken) < 3 and time.monotonic() < deadline:
                one = line.take()
                if one.sock is not None:
                    taken.append(one)
                time.sleep(0.01)
            assert len(taken) == 3
            for one in taken:
                one.close()
        assert server.connections == 6
        line.close()


def test_a_proxy_that_drops_what_is_asked_ahead_is_noticed_at_once(tmp_path: Path) -> None:
    contents = [random.Random(number).randbytes(3000) for number in range(24)]
    stored = {f"/{blob_file(sha256(one), 3000).path}": one for one in contents}

    def answer(path: str, _first: int, _last: int | None) -> Iterator[bytes]:
        data = stored[path]
        yield b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data) + data

    files = [blob_file(sha256(one), len(one)) for one in contents]
    settings = RoadSettings(timeout_seconds=0.5, retry_pause_seconds=0.01, connections=2)
    came: list[Staged] = []
    with MalformedServer(answer, drops_ahead=True) as server, Staging(tmp_path / "staging") as staging:
        line = HttpLine(server.address, settings)
        connection = line.take()
        first, second = (line.asked(file.path) for file in files[:2])
        connection.ask(first)
        connection.ask(second)
        assert len(line.answer(connection, first).read(3000)) == 3000
        with pytest.raises(TimeoutError):
            line.answer(connection, second)
        assert not line.asks_ahead
        connection.close()
        road = road_for(server.address, settings)
        began = time.monotonic()
        assert not road.fetch(files, staging, came.extend, lambda _: None)
        # Each connection waits in vain once.
        assert time.monotonic() - began < 3
        road.close()
    assert len(came) == len(files)
