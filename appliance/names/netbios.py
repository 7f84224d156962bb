"""NetBIOS name service packets, as bytes and back (RFC 1001 section 14, RFC 1002 section 4.2), for a broadcast node.

Invariant: reading takes any bytes and never raises; what is not a packet of the name service is nothing (None).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

WORKSTATION, SERVER = 0x00, 0x20
SUFFIXES = (WORKSTATION, SERVER)
NB, NBSTAT, IN = 0x20, 0x21, 1
QUERY, REGISTRATION = 0, 5
# Names that a multi-homed machine or a refresh registers (RFC 1002 section 4.2.1.1, and Windows' 0xF).
REGISTRATIONS = (REGISTRATION, 8, 9, 15)
ANYBODY = "*"
TTL_SECONDS = 30
MOST_ADDRESSES = 8
_HEADER = struct.Struct("!6H")
_RESPONSE, _AUTHORITATIVE, _DESIRED, _AVAILABLE, _BROADCAST = 0x8000, 0x0400, 0x0100, 0x0080, 0x0010
_ACTIVE_ERROR = 6
_ACTIVE = 0x0400
_STATISTICS_BYTES = 46
_NAME_BYTES = 34


@dataclass(frozen=True, slots=True)
class Packet:
    """A request, or (`response`) what somebody answered: `refused` where the answer is no.

    `name` is in lower case without its filling, as the other protocols have it; `suffix` its sixteenth byte.
    """

    id: int
    operation: int
    response: bool
    refused: bool
    name: str
    suffix: int
    type: int


def read(packet: bytes) -> Packet | None:
    """Return what a packet of the name service says of its first name; None where it is none."""
    if len(packet) < _HEADER.size:
        return None
    id, flags, questions, answers, _, _ = _HEADER.unpack_from(packet)
    response = bool(flags & _RESPONSE)
    if (answers if response else questions) != 1:
        return None
    found = _decoded(packet[_HEADER.size : _HEADER.size + _NAME_BYTES])
    rest = packet[_HEADER.size + _NAME_BYTES :]
    if found is None or len(rest) < 4:
        return None
    kind, group = struct.unpack_from("!HH", rest)
    if group != IN or kind not in (NB, NBSTAT):
        return None
    return Packet(id, flags >> 11 & 0xF, response, bool(flags & 0xF), *found, kind)


def make_query_reply(request: Packet, addresses: Sequence[IPv4Address]) -> bytes:
    """Return the positive answer to a name query (RFC 1002 section 4.2.13)."""
    data = b"".join(struct.pack("!H", 0) + address.packed for address in addresses[:MOST_ADDRESSES])
    flags = _RESPONSE | _AUTHORITATIVE | _DESIRED
    return _answer(request, flags, NB, TTL_SECONDS, data)


def make_status_reply(request: Packet, names: Sequence[str], mac: bytes) -> bytes:
    """Return the answer to a node status request: `names`, each as workstation and server, and the interface's
    hardware address of 6 bytes (RFC 1002 section 4.2.18)."""
    lines = [(name, suffix) for name in names for suffix in SUFFIXES]
    data = bytes((len(lines),))
    for name, suffix in lines:
        data += _padded(name) + struct.pack("!BH", suffix, _ACTIVE)
    return _answer(request, _RESPONSE | _AUTHORITATIVE, NBSTAT, 0, data + mac.ljust(_STATISTICS_BYTES, b"\0"))


def make_registration(id: int, name: str, suffix: int, address: IPv4Address, *, demand: bool) -> bytes:
    """Return the broadcast that asks who minds this name being ours; the last one is a `demand` (section 4.2.2, 4.2.3)."""
    flags = REGISTRATION << 11 | _BROADCAST | (0 if demand else _DESIRED)
    question = _encoded(name, suffix) + struct.pack("!HH", NB, IN)
    record = struct.pack("!HHHIHH", 0xC00C, NB, IN, 0, 6, 0) + address.packed
    return _HEADER.pack(id, flags, 1, 0, 0, 1) + question + record


def make_query(id: int, name: str, suffix: int = WORKSTATION, *, type: int = NB) -> bytes:
    """Return a broadcast name query, or with NBSTAT a node status request."""
    flags = QUERY << 11 | (_DESIRED | _BROADCAST if type == NB else 0)
    return _HEADER.pack(id, flags, 1, 0, 0, 0) + _encoded(name, suffix) + struct.pack("!HH", type, IN)


def make_refusal(request: Packet, owner: IPv4Address) -> bytes:
    """Return the answer to somebody who registers a name of ours (RFC 1002 section 4.2.6)."""
    operation = REGISTRATION << 11
    flags = _RESPONSE | operation | _AUTHORITATIVE | _DESIRED | _AVAILABLE | _ACTIVE_ERROR
    return _answer(request, flags, NB, 0, struct.pack("!H", 0) + owner.packed)


def _answer(request: Packet, flags: int, kind: int, ttl_seconds: int, data: bytes) -> bytes:
    record = _encoded(request.name, request.suffix) + struct.pack("!HHIH", kind, IN, ttl_seconds, len(data))
    return _HEADER.pack(request.id, flags, 0, 1, 0, 0) + record + data


def _padded(name: str) -> bytes:
    if name == ANYBODY:
        return b"*".ljust(15, b"\0")
    return name.upper().encode("ascii", "replace")[:15].ljust(15)


def _encoded(name: str, suffix: int) -> bytes:
    """Return the name as 32 letters, two for each byte, in the frame of a DNS label."""
    plain = _padded(name) + bytes((suffix,))
    return b"\x20" + b"".join(bytes((0x41 + (one >> 4), 0x41 + (one & 15))) for one in plain) + b"\0"


def _decoded(wire: bytes) -> tuple[str, int] | None:
    if len(wire) != _NAME_BYTES or wire[0] != 0x20 or wire[-1] != 0:
        return None
    halves = [one - 0x41 for one in wire[1:-1]]
    if any(not 0 <= half < 16 for half in halves):
        return None
    plain = bytes(high << 4 | low for high, low in zip(halves[::2], halves[1::2], strict=True))
    return plain[:15].decode("latin-1").rstrip(" \0").lower(), plain[15]
