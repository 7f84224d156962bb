"""The check-in, both ends: a box tells its hub where it can be met, and learns whom it may meet.

A card is signed by the box's own key and names the box by that key's hash, so nobody can speak for another box; the
hub (`sync.registry`) answers whom it may meet. Who fetches is told its place in its LAN (0 leads: it alone need ask
the hub) and its stripe among the LANs that reach each other. Invariant: the answer is a hint that nothing is believed
of (peers are filtered, pieces have hashes, who waits for a leader waits for seconds), so a hub that has no check-in, or
is a mere web server, costs a box nothing but peers.
"""

from __future__ import annotations

import hashlib
import http.client
import ipaddress
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from catalog.resource import canonical_json

if TYPE_CHECKING:
    from sync.registry import Registry

PATH = "checkin"
MOST_CARDS, MOST_ANSWERED = 5000, 40
MOST_ADDRESSES = 8
MAX_CARD_BYTES, MAX_ANSWER_BYTES = 4 << 10, 64 << 10
TIMEOUT_SECONDS = 5.0
_ID_DIGITS = 32

Peer = tuple[str, int]
Share = tuple[int, int]
"""Rank and number: (0, 6) is the first of six."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """Where a box can be met: its BitTorrent port, its own addresses; `at` tells an older card from a newer one.

    `fetching`: what this port belongs to is bringing content now, and does not only share.
    """

    box: str
    key: str
    port: int
    addresses: tuple[str, ...]
    education_line: bool
    at: int
    fetching: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Meeting:
    """The hub's answer: our address as it sees it, its own BitTorrent port, neighbours, and others to meet.

    `place`: our rank among those who fetch in our LAN, and their number; None where the hub does not say. `stripe`: the
    rank of our LAN among those that reach each other, and their number.
    """

    seen: str = ""
    hub_port: int | None = None
    mates: tuple[Peer, ...] = ()
    others: tuple[Peer, ...] = ()
    place: Share | None = None
    stripe: Share = (0, 1)

    def hub_peers(self, hub: str) -> list[Peer]:
        """Return where the hub itself shares; `hub` is the address of the hub that answered."""
        host = urlsplit(hub).hostname
        return [(host, self.hub_port)] if host and self.hub_port else []


NOBODY = Meeting()


class CardError(ValueError):
    """A card that is not one; the text says why."""


def make_card(
    key: Ed25519PrivateKey,
    *,
    port: int,
    addresses: Iterable[str],
    education_line: bool,
    now: datetime,
    fetching: bool = False,
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
        "fetching": fetching,
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
            fetching=signed.get("fetching", False),
        )
        # What JSON can say and a card cannot (NaN, half a character) has no such bytes.
        speech = canonical_json(signed)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise CardError("not a card") from error
    if (
        not _is_port(card.port)
        or type(card.at) is not int
        or type(card.education_line) is not bool
        or type(card.fetching) is not bool
        or len(card.addresses) > MOST_ADDRESSES
        or not all(isinstance(one, str) and _meetable(one) for one in card.addresses)
    ):
        raise CardError("a field has no such value")
    if len(public) != 32 or hashlib.sha256(public).hexdigest()[:_ID_DIGITS] != card.box:
        raise CardError("the key is not that of the box")
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, speech)
    except InvalidSignature as error:
        raise CardError("the signature is wrong") from error
    return card


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
                "place": meeting.place and list(meeting.place),
                "stripe": list(meeting.stripe),
            }
        )


def check_in(hub: str, card: bytes, *, timeout_seconds: float = TIMEOUT_SECONDS) -> Meeting:
    """Send `card` to the hub at the address `hub` and return its answer: `NOBODY` where it gives none that is one."""
    try:
        parts = urlsplit(hub)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            return NOBODY
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
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
            place=_read_share(fields.get("place")),
            stripe=_read_share(fields.get("stripe")) or (0, 1),
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


def _read_share(value: object) -> Share | None:
    if not isinstance(value, list) or len(value) != 2 or not all(type(one) is int for one in value):
        return None
    rank, number = value
    return (rank, number) if 0 <= rank < number <= MOST_CARDS else None


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
