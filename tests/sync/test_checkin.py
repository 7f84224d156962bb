"""The check-in: who is told of whom, what is refused, and a client that a silent hub costs nothing."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from wsgi import address_of

from catalog.resource import canonical_json
from sync.checkin import (
    MAX_CARD_BYTES,
    MOST_ANSWERED,
    NOBODY,
    CardError,
    CheckIn,
    check_in,
    make_card,
    read_card,
    read_meeting,
)
from sync.registry import (
    KEPT_SECONDS,
    MOST_ASKED_PER_MINUTE,
    MOST_AT_ONE_ADDRESS,
    MOST_PORTS_OF_A_BOX,
    Registry,
)
from sync.serve import published_tree

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)


def card(
    key: Ed25519PrivateKey | None = None,
    *,
    port: int = 7000,
    addresses: tuple[str, ...] = ("192.168.1.5",),
    education_line: bool = False,
    now: datetime = NOW,
) -> bytes:
    return make_card(
        key or Ed25519PrivateKey.generate(),
        port=port,
        addresses=addresses,
        education_line=education_line,
        now=now,
    )


class Ticking:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_boxes_of_one_line_are_told_of_each_other() -> None:
    registry = Registry(hub_port=lambda: 8874)
    first = registry.check_in(read_card(card(addresses=("192.168.1.5", "fd00::5"))), "203.0.113.9")
    assert (first.mates, first.others, first.seen, first.hub_port) == ((), (), "203.0.113.9", 8874)
    second = registry.check_in(read_card(card(addresses=("192.168.1.6",), port=7001)), "203.0.113.9")
    assert second.mates == (("192.168.1.5", 7000), ("fd00::5", 7000))
    elsewhere = registry.check_in(read_card(card(addresses=("192.168.1.5",))), "198.51.100.1")
    assert (elsewhere.mates, elsewhere.others) == ((), ())


def test_boxes_of_other_lines_only_where_both_are_marked() -> None:
    registry = Registry()
    for place, marked in (("203.0.113.1", True), ("203.0.113.2", False), ("203.0.113.3", True)):
        registry.check_in(
            read_card(card(education_line=marked, addresses=("10.0.0.1", "2400:3200::1"))), place
        )
    plain = registry.check_in(read_card(card(education_line=False)), "203.0.113.4")
    assert plain.others == ()
    marked_one = registry.check_in(read_card(card(education_line=True)), "203.0.113.5")
    assert {host for host, _ in marked_one.others} == {"203.0.113.1", "203.0.113.3", "2400:3200::1"}
    assert marked_one.mates == ()
    assert marked_one.hub_peers("http://hub.example:8088/") == []
    registry.hub_port = lambda: 8874
    again = registry.check_in(read_card(card(education_line=True)), "203.0.113.6")
    assert again.hub_peers("http://hub.example:8088/") == [("hub.example", 8874)]


def test_cards_expire_and_are_bounded() -> None:
    clock = Ticking()
    registry = Registry(clock=clock)
    key = Ed25519PrivateKey.generate()
    for port in range(7000, 7010):
        registry.check_in(read_card(card(key, port=port)), "203.0.113.9")
    assert len(registry) == MOST_PORTS_OF_A_BOX
    for _ in range(MOST_AT_ONE_ADDRESS + 20):
        registry.check_in(read_card(card()), "203.0.113.9")
    assert len(registry) == MOST_AT_ONE_ADDRESS
    near = registry.check_in(read_card(card(addresses=("192.168.7.1",), port=1)), "203.0.113.9")
    assert len(near.mates) == MOST_ANSWERED
    mates = registry.check_in(read_card(card(addresses=("192.168.7.2",))), "203.0.113.9").mates
    assert len(mates) == MOST_ANSWERED and mates[0] == ("192.168.7.1", 1)
    clock.now += KEPT_SECONDS + 1
    assert registry.check_in(read_card(card()), "203.0.113.9").mates == ()
    assert len(registry) == 1


def test_an_old_card_does_not_come_back() -> None:
    registry = Registry()
    key = Ed25519PrivateKey.generate()
    old = card(key, port=6000)
    registry.check_in(read_card(card(key, port=7000, now=NOW.replace(hour=9))), "203.0.113.9")
    with pytest.raises(CardError):
        registry.check_in(read_card(old), "203.0.113.66")


def test_nobody_speaks_for_another_box() -> None:
    honest = json.loads(card())
    thief = Ed25519PrivateKey.generate()
    stolen = {**honest["signed"], "port": 6666}
    hostile: list[Any] = [
        {**honest, "signed": stolen},
        {"signed": stolen, "signature": thief.sign(canonical_json(stolen)).hex()},
        {**honest, "signature": "00" * 64},
        {**honest, "signature": "zz"},
        {"signed": {}},
        [],
        None,
        7,
        "text",
    ]
    for wrong in (
        {"port": 0},
        {"port": 70000},
        {"port": True},
        {"at": 1.5},
        {"education_line": 1},
        {"addresses": ["example.com"]},
        {"addresses": ["224.0.0.1"]},
        {"addresses": ["10.0.0.1"] * 99},
        {"addresses": [7]},
        {"addresses": 7},
        {"key": "ab"},
    ):
        signed = {**honest["signed"], **wrong}
        hostile.append({"signed": signed, "signature": thief.sign(canonical_json(signed)).hex()})
    for value in hostile:
        with pytest.raises(CardError):
            read_card(json.dumps(value).encode())
    for strange in (b"NaN", b"-Infinity", b'"\\ud800"', b'{"\\udfff": 1}'):
        with pytest.raises(CardError):
            read_card(card().replace(b'"at":', b'"more":' + strange + b',"at":'))
    for data in (b"", b"{", b"[" * 100_000, b" " * (MAX_CARD_BYTES + 1) + card()):
        with pytest.raises(CardError):
            read_card(data)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(CardError):
        read_card(data)
    assert read_meeting(data) == NOBODY or data


def test_over_http() -> None:
    registry = Registry(hub_port=lambda: 8874)
    with address_of(CheckIn(registry)) as address:
        assert check_in(address, card(port=7001)).mates == ()
        answer = check_in(address.rstrip("/"), card())
        assert answer.seen == "127.0.0.1" and answer.mates == (("192.168.1.5", 7001),)
        assert check_in(address, b"{}") == NOBODY
        assert check_in(address, b"x" * (MAX_CARD_BYTES + 1)) == NOBODY
        assert status(address, "GET", b"") == 405
        assert status(address, "POST", b"") == 413
        assert status(address, "POST", b"{}") == 400
        codes = {status(address, "POST", card()) for _ in range(MOST_ASKED_PER_MINUTE)}
        assert codes == {200, 429}


def status(address: str, method: str, body: bytes) -> int:
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=5)
    try:
        connection.request(method, "/checkin", body=body)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def test_a_hub_without_a_check_in_costs_nothing(tmp_path: Path) -> None:
    with address_of(published_tree(tmp_path)) as static:
        assert check_in(static, card()) == NOBODY
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    assert check_in(f"http://127.0.0.1:{port}/", card()) == NOBODY
    assert check_in("rsync://127.0.0.1/tree/", card()) == NOBODY
    assert check_in("/media/stick", card()) == NOBODY
    assert check_in("http://127.0.0.1:99999/", card()) == NOBODY
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert check_in(f"http://127.0.0.1:{port}/", card(), timeout_seconds=0.2) == NOBODY


@pytest.mark.parametrize(
    "body",
    [
        b"<html>log in</html>",
        b"[]",
        b'{"mates": 7}',
        b'{"mates": [["127.0.0.1"], ["x", 5], ["10.0.0.1", 0], [1, 2], 3], "hub_port": "5", "seen": 4}',
        b"x" * 100_000,
        b"[" * 60_000,
    ],
)
def test_answers_that_are_none(body: bytes) -> None:
    def portal(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    with address_of(portal) as address:
        assert check_in(address, card()) == NOBODY


def test_many_check_in_at_once() -> None:
    registry = Registry()
    cards = [read_card(card()) for _ in range(200)]
    threads = [
        threading.Thread(
            target=lambda part=part: [registry.check_in(one, f"10.0.0.{n}") for n, one in enumerate(part)]
        )
        for part in (cards[:100], cards[100:])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(registry) == 200
