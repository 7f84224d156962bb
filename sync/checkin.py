"""The check-in, both ends: a box tells its hub where it can be met, and learns whom it may meet.

A card is signed by the box's own key and names the box by that key's hash, so nobody can speak for another box; the
hub remembers cards for a quarter of an hour, in memory, a bounded number of them. Boxes that the hub sees at one
address share a line: they are told of each other's local addresses. All others are told of each other only where both
mark their line as the education network 专网. Invariant: the answer is a hint that nothing is believed of (peers are
filtered, pieces have hashes), so a hub that has no check-in, or is a mere web server, costs a box nothing but peers.
"""

from __future__ import annotations

import hashlib
import http.client
import ipaddress
import json
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from catalog.resource import canonical_json

PATH = "checkin"
KEPT_SECONDS = 900.0
# A carrier shows hundreds of schools at one address.
MOST_CARDS, MOST_AT_ONE_ADDRESS, MOST_PORTS_OF_A_BOX = 5000, 400, 3
MOST_ASKED_PER_MINUTE = 300
MOST_ANSWERED = 40
MOST_ADDRESSES = 8
MAX_CARD_BYTES, MAX_ANSWER_BYTES = 4 << 10, 64 << 10
TIMEOUT_SECONDS = 5.0
_ID_DIGITS = 32
_TOO_MANY_PLACES = 20_000

Peer = tuple[str, int]
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """Where a box can be met: its BitTorrent port, its own addresses; `at` tells an older card from a newer one."""

    box: str
    key: str
    port: int
    addresses: tuple[str, ...]
    education_line: bool
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Meeting:
    """The hub's answer: our address as it sees it, its own BitTorrent port, neighbours, and others to meet."""

    seen: str = ""
    hub_port: int | None = None
    mates: tuple[Peer, ...] = ()
    others: tuple[Peer, ...] = ()

    def peers(self, hub: str) -> list[Peer]:
        """Return everyone, neighbours first; `hub` is the address of the hub that answered."""
        host = urlsplit(hub).hostname
        own = [(host, self.hub_port)] if host and self.hub_port else []
        return [*self.mates, *self.others, *own]


NOBODY = Meeting()


class CardError(ValueError):
    """A card that is not one; the text says why."""


def make_card(
    key: Ed25519PrivateKey, *, port: int, addresses: Iterable[str], education_line: bool, now: datetime
) -> bytes:
    """Return the signed card of the box whose key is `key`."""
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    usable = [address for address in addresses if _meetable(address)]
    card = {
        "box": hashlib.sha256(public).hexdigest()[:_ID_DIGITS],
        "key": public.hex(),
        "port": port,
        "addresses": usable[:MOST_ADDRESSES],
        "education_line": education_line,
        "at": int(now.timestamp()),
    }
    return canonical_json({"signed": card, "signature": key.sign(canonical_json(card)).hex()})


def read_card(data: bytes) -> Card:
    """Return the card in `data`; raise `CardError` where it is none, or not signed by the box that it names."""
    try:
        if len(data) > MAX_CARD_BYTES:
            raise CardError("too long")
        envelope = json.loads(data)
        signed, signature = envelope["signed"], bytes.fromhex(envelope["signature"])
        public = bytes.fromhex(signed["key"])
        card = Card(
            box=signed["box"],
            key=signed["key"],
            port=signed["port"],
            addresses=tuple(signed["addresses"]),
            education_line=signed["education_line"],
            at=signed["at"],
        )
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CardError("not a card") from error
    if (
        not _is_port(card.port)
        or type(card.at) is not int
        or type(card.education_line) is not bool
        or len(card.addresses) > MOST_ADDRESSES
        or not all(isinstance(one, str) and _meetable(one) for one in card.addresses)
    ):
        raise CardError("a field has no such value")
    if len(public) != 32 or hashlib.sha256(public).hexdigest()[:_ID_DIGITS] != card.box:
        raise CardError("the key is not that of the box")
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, canonical_json(signed))
    except InvalidSignature as error:
        raise CardError("the signature is wrong") from error
    return card


@dataclass(slots=True)
class _Entry:
    card: Card
    seen: str
    until: float


@dataclass(slots=True)
class Registry:
    """The cards of the last quarter of an hour. Thread-safe. `hub_port` tells the hub's own BitTorrent port now."""

    hub_port: Callable[[], int | None] = lambda: None
    clock: Clock = time.monotonic
    _entries: dict[tuple[str, int], _Entry] = field(default_factory=dict)
    _asked: dict[str, deque[float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def admits(self, seen: str) -> bool:
        """Return whether this address may ask again now."""
        now = self.clock()
        with self._lock:
            if len(self._asked) > _TOO_MANY_PLACES:
                self._asked.clear()
            times = self._asked.setdefault(seen, deque())
            while times and times[0] < now - 60:
                times.popleft()
            if len(times) >= MOST_ASKED_PER_MINUTE:
                return False
            times.append(now)
            return True

    def check_in(self, card: Card, seen: str) -> Meeting:
        """Remember the card, seen at the address `seen`, and return whom its box may meet.

        Raises `CardError` for a card older than one of the same box.
        """
        now = self.clock()
        with self._lock:
            self._expire(now)
            own = [entry for entry in self._entries.values() if entry.card.box == card.box]
            if any(entry.card.at > card.at for entry in own):
                raise CardError("older than one that came before")
            self._entries.pop((card.box, card.port), None)
            self._make_room(card.box, seen)
            self._entries[card.box, card.port] = _Entry(card, seen, now + KEPT_SECONDS)
            return self._meeting(card, seen)

    def __len__(self) -> int:
        return len(self._entries)

    def _expire(self, now: float) -> None:
        for key in [key for key, entry in self._entries.items() if entry.until <= now]:
            del self._entries[key]

    def _make_room(self, box: str, seen: str) -> None:
        """Drop the oldest where there are too many: of the box, at the address, in all."""
        for most, keys in (
            (MOST_PORTS_OF_A_BOX, [key for key in self._entries if key[0] == box]),
            (MOST_AT_ONE_ADDRESS, [key for key, entry in self._entries.items() if entry.seen == seen]),
            (MOST_CARDS, list(self._entries)),
        ):
            for key in keys[: max(0, len(keys) - most + 1)]:
                self._entries.pop(key, None)

    def _meeting(self, card: Card, seen: str) -> Meeting:
        mates: list[Peer] = []
        others: list[Peer] = []
        for entry in self._entries.values():
            port = entry.card.port
            if entry.card.box == card.box:
                continue
            if entry.seen == seen:
                mates += [(address, port) for address in entry.card.addresses]
            elif entry.card.education_line and card.education_line:
                others += [(address, port) for address in _outside(entry)]
        return Meeting(
            seen=seen,
            hub_port=self.hub_port(),
            mates=_some(mates, {_subnet(address) for address in card.addresses}),
            others=_some(others),
        )


class CheckIn:
    """The WSGI application below `/checkin`."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        status, body = self._answer(environ)
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        start_response(status, [*headers, ("Cache-Control", "no-store")])
        return [body]

    def _answer(self, environ: dict[str, Any]) -> tuple[str, bytes]:
        if environ["REQUEST_METHOD"] != "POST":
            return "405 Method Not Allowed", b"{}"
        seen = str(environ.get("REMOTE_ADDR", ""))
        if not self._registry.admits(seen):
            return "429 Too Many Requests", b"{}"
        length = environ.get("CONTENT_LENGTH") or "0"
        if not length.isdigit() or not 0 < int(length) <= MAX_CARD_BYTES:
            return "413 Content Too Large", b"{}"
        try:
            card = read_card(environ["wsgi.input"].read(int(length)))
            meeting = self._registry.check_in(card, _plain(seen))
        except CardError as error:
            return "400 Bad Request", canonical_json({"error": str(error)})
        return "200 OK", canonical_json(
            {
                "seen": meeting.seen,
                "hub_port": meeting.hub_port,
                "mates": [list(peer) for peer in meeting.mates],
                "others": [list(peer) for peer in meeting.others],
            }
        )


def check_in(hub: str, card: bytes, *, timeout_seconds: float = TIMEOUT_SECONDS) -> Meeting:
    """Send `card` to the hub at the address `hub` and return its answer: `NOBODY` where it gives none that is one."""
    parts = urlsplit(hub)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return NOBODY
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    try:
        connection = kind(parts.hostname, parts.port, timeout=timeout_seconds)
        try:
            path = f"{parts.path.rstrip('/')}/{PATH}"
            connection.request("POST", path, body=card, headers={"Content-Type": "application/json"})
            answer = connection.getresponse()
            if answer.status != 200:
                return NOBODY
            return read_meeting(answer.read(MAX_ANSWER_BYTES + 1))
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError):
        return NOBODY


def read_meeting(data: bytes) -> Meeting:
    """Return the answer in `data`, `NOBODY` where it is none; peers that cannot be met are left out."""
    try:
        fields = json.loads(data) if len(data) <= MAX_ANSWER_BYTES else None
        if not isinstance(fields, dict):
            return NOBODY
        seen, port = fields.get("seen"), fields.get("hub_port")
        return Meeting(
            seen=seen if isinstance(seen, str) and _meetable(seen) else "",
            hub_port=port if _is_port(port) else None,
            mates=_read_peers(fields.get("mates")),
            others=_read_peers(fields.get("others")),
        )
    except (ValueError, RecursionError):
        return NOBODY


def _read_peers(value: object) -> tuple[Peer, ...]:
    pairs = value[:MOST_ANSWERED] if isinstance(value, list) else []
    return tuple(
        (pair[0], pair[1])
        for pair in pairs
        if isinstance(pair, list)
        and len(pair) == 2
        and isinstance(pair[0], str)
        and _meetable(pair[0])
        and _is_port(pair[1])
    )


def _outside(entry: _Entry) -> list[str]:
    """Return where a box of another line may be met: where it was seen, and its global IPv6 addresses."""
    found = {entry.seen: None}
    for address in map(ipaddress.ip_address, entry.card.addresses):
        if address.version == 6 and address.is_global:
            found[str(address)] = None
    return list(found)


def _some(peers: Sequence[Peer], subnets: Collection[str] = ()) -> tuple[Peer, ...]:
    """Return as many as an answer holds, those in `subnets` first: a carrier's NAT hides many lines."""
    if len(peers) <= MOST_ANSWERED:
        return tuple(peers)
    shuffled = random.sample(peers, len(peers))
    return tuple(sorted(shuffled, key=lambda peer: _subnet(peer[0]) not in subnets)[:MOST_ANSWERED])


def _subnet(address: str) -> str:
    length = 64 if ":" in address else 24
    return str(ipaddress.ip_network(f"{address}/{length}", strict=False))


def _is_port(value: object) -> bool:
    return type(value) is int and 0 < value < 1 << 16


def _meetable(text: str) -> bool:
    """Return whether `text` is the address of one machine on a network; loopback is one for tests and demos."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (address.is_multicast or address.is_unspecified or address.is_link_local)


def _plain(address: str) -> str:
    """Return an IPv4 address that a socket of both families shows as IPv6 in its own form."""
    try:
        found = ipaddress.ip_address(address.split("%")[0])
    except ValueError:
        return address
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)
