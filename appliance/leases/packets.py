"""The question for a DHCP server and its answer, as whole Ethernet frames (RFC 2131, RFC 2132; pure).

Frames, since whoever asks has no address yet and the port for answers belongs to the machine's own DHCP client.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

MARK = b"\x02SX"
"""How the made-up hardware addresses of our questions begin; what follows is another one for each that asks."""
_BROADCAST = b"\xff" * 6
_MAGIC = b"\x63\x82\x53\x63"
_IPV4, _UDP = 0x0800, 17
_SERVER_PORT, _CLIENT_PORT = 67, 68
_KIND, _SERVER, _ASKED, _END = 53, 54, 55, 255
_DISCOVER, _OFFER = 1, 2
_BOOTP_BYTES, _LEAST_BYTES = 236, 300
_ANSWER_BY_BROADCAST = 0x8000


def question(transaction: int, hardware: bytes) -> bytes:
    """Return a DHCPDISCOVER from the hardware address of 6 bytes, answered by broadcast."""
    head = struct.pack("!BBBBIHH", 1, 1, 6, 0, transaction, 0, _ANSWER_BY_BROADCAST)
    options = bytes((_KIND, 1, _DISCOVER, _ASKED, 2, 1, 3, _END))
    body = (head + bytes(16) + hardware.ljust(16, b"\0") + bytes(192) + _MAGIC + options).ljust(
        _LEAST_BYTES, b"\0"
    )
    datagram = struct.pack("!HHHH", _CLIENT_PORT, _SERVER_PORT, 8 + len(body), 0) + body
    packet = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 20 + len(datagram), 0, 0, 64, _UDP, 0, bytes(4), _BROADCAST[:4]
    )
    packet = packet[:10] + struct.pack("!H", _sum(packet)) + packet[12:]
    return _BROADCAST + hardware + struct.pack("!H", _IPV4) + packet + datagram


def offering_server(frame: bytes, transaction: int) -> IPv4Address | None:
    """Return which server answers our question in this frame; None for every other frame."""
    packet = frame[14:]
    if len(packet) < 20 or frame[12:14] != _IPV4.to_bytes(2, "big") or packet[9] != _UDP:
        return None
    datagram = packet[(packet[0] & 15) * 4 :]
    body = datagram[8:]
    if len(body) < _BOOTP_BYTES + 4 or datagram[:2] != _SERVER_PORT.to_bytes(2, "big"):
        return None
    if body[0] != 2 or body[4:8] != transaction.to_bytes(4, "big") or body[_BOOTP_BYTES:][:4] != _MAGIC:
        return None
    options = _options(body[_BOOTP_BYTES + 4 :])
    if options.get(_KIND) != bytes((_OFFER,)) or len(options.get(_SERVER, b"")) != 4:
        return None
    return IPv4Address(options[_SERVER])


def _options(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    place = 0
    while place < len(data) and data[place] != _END:
        if data[place] == 0:
            place += 1
            continue
        size = data[place + 1] if place + 1 < len(data) else 0
        found[data[place]] = data[place + 2 : place + 2 + size]
        place += 2 + size
    return found


def _sum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF
