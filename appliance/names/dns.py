"""LLMNR packets and what mDNS answers to a single question: the message format of RFC 1035, as bytes and back.

RFC 4795 section 2 for LLMNR, RFC 6762 section 6.7 for mDNS' answers to one who asks from another port than 5353.
Invariant: reading takes any bytes and never raises; what is not exactly what the RFC asks for is nothing (None).
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable
from dataclasses import dataclass

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

A, AAAA, ANY, IN = 1, 28, 255, 1
TTL_SECONDS = 30
# More do not fit into the 512 bytes of a UDP answer, and nobody tries more.
MOST_ADDRESSES = 12
_HEADER = struct.Struct("!6H")
_RESPONSE, _OPCODE, _CONFLICT, _TRUNCATED, _TENTATIVE, _RCODE = 0x8000, 0x7800, 0x0400, 0x0200, 0x0100, 0x000F
_CLASS = 0x7FFF
_MOST_RECORDS, _MOST_JUMPS = 64, 8


@dataclass(frozen=True, slots=True)
class Question:
    """What someone asks: a name without its last dot, in lower case. `conflict` is the C bit of a query."""

    id: int
    name: str
    type: int
    conflict: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """What someone answers about `name`; `tentative` is LLMNR's T bit: not yet known to be the only one."""

    id: int
    name: str
    addresses: tuple[Address, ...]
    tentative: bool = False


def read_query(packet: bytes) -> Question | None:
    """Return the question of an LLMNR query; None where a responder must be silent (RFC 4795 section 2.1.1)."""
    if len(packet) < _HEADER.size:
        return None
    id, flags, questions, answers, authorities, _ = _HEADER.unpack_from(packet)
    if flags & (_RESPONSE | _OPCODE | _TRUNCATED) or (questions, answers, authorities) != (1, 0, 0):
        return None
    question = _question(packet, id)
    if question is None:
        return None
    return Question(id, question.name, question.type, conflict=bool(flags & _CONFLICT))


def read_reply(packet: bytes) -> Reply | None:
    """Return who answers for the first question's name in a reply of LLMNR or mDNS; None where it is none."""
    if len(packet) < _HEADER.size:
        return None
    id, flags, questions, answers, _, _ = _HEADER.unpack_from(packet)
    if not flags & _RESPONSE or flags & (_OPCODE | _RCODE) or questions != 1:
        return None
    question = _question(packet, id)
    if question is None:
        return None
    at = _after_name(packet, _HEADER.size)
    place = None if at is None else at + 4
    addresses: list[Address] = []
    for _ in range(min(answers, _MOST_RECORDS)):
        read = None if place is None else _name(packet, place)
        if read is None:
            return None
        owner, at = read
        if at + 10 > len(packet):
            return None
        kind, group, _ttl, length = struct.unpack_from("!HHIH", packet, at)
        data = packet[at + 10 : at + 10 + length]
        if len(data) != length:
            return None
        place = at + 10 + length
        if owner == question.name and group & _CLASS == IN and (kind, length) in ((A, 4), (AAAA, 16)):
            addresses.append(ipaddress.ip_address(data))
    return Reply(id, question.name, tuple(addresses), tentative=bool(flags & _TENTATIVE))


def make_query(id: int, name: str, type: int = ANY) -> bytes:
    """Return the query for `name`; ANY asks whether somebody has it at all (RFC 4795 section 4.1)."""
    return _HEADER.pack(id, 0, 1, 0, 0, 0) + _wire(name) + struct.pack("!HH", type, IN)


def make_reply(question: Question, addresses: Iterable[Address], *, tentative: bool) -> bytes:
    """Return the answer for a name that is ours: those addresses that were asked for, perhaps none."""
    versions = {A: (4,), AAAA: (6,), ANY: (4, 6)}.get(question.type, ())
    told = [address for address in addresses if address.version in versions][:MOST_ADDRESSES]
    flags = _RESPONSE | (_TENTATIVE if tentative else 0)
    parts = [
        _HEADER.pack(question.id, flags, 1, len(told), 0, 0),
        _wire(question.name),
        struct.pack("!HH", question.type, IN),
    ]
    for address in told:
        data = address.packed
        # 0xC00C points at the name in the question.
        kind = A if address.version == 4 else AAAA
        parts.append(struct.pack("!HHHIH", 0xC00C, kind, IN, TTL_SECONDS, len(data)) + data)
    return b"".join(parts)


def _question(packet: bytes, id: int) -> Question | None:
    read = _name(packet, _HEADER.size)
    if read is None or read[1] + 4 > len(packet):
        return None
    kind, group = struct.unpack_from("!HH", packet, read[1])
    return Question(id, read[0], kind) if group & _CLASS == IN else None


def _wire(name: str) -> bytes:
    labels = [label.encode()[:63] for label in name.split(".") if label]
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


def _after_name(packet: bytes, at: int) -> int | None:
    read = _name(packet, at)
    return None if read is None else read[1]


def _name(packet: bytes, at: int) -> tuple[str, int] | None:
    """Return the name at `at` and where what follows it begins; pointers go backwards only, so that it ends."""
    labels: list[bytes] = []
    end: int | None = None
    for _ in range(128 + _MOST_JUMPS):
        if at >= len(packet):
            return None
        length = packet[at]
        if length == 0:
            try:
                name = b".".join(labels).decode()
            except UnicodeDecodeError:
                return None
            return name.lower(), at + 1 if end is None else end
        if length & 0xC0 == 0xC0:
            if at + 2 > len(packet):
                return None
            target = struct.unpack_from("!H", packet, at)[0] & 0x3FFF
            if target >= at:
                return None
            end = at + 2 if end is None else end
            at = target
        elif length & 0xC0 or at + 1 + length > len(packet):
            return None
        else:
            labels.append(packet[at + 1 : at + 1 + length])
            at += 1 + length
    return None
