"""The datagram sockets of the names: what comes in with the link that it came by, what goes out by a chosen link.

LLMNR on UDP 5355, NetBIOS on UDP 137, and one socket per family that asks (LLMNR, and mDNS as RFC 6762 section 6.7
allows). Invariant: a socket that this machine does not allow is left out and said in `missing`.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import logging
import selectors
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from appliance.names.dns import Address
from appliance.names.links import Link

LLMNR_PORT, MDNS_PORT, NETBIOS_PORT = 5355, 5353, 137
LLMNR_GROUPS = {4: "224.0.0.252", 6: "ff02::1:3"}
MDNS_GROUPS = {4: "224.0.0.251", 6: "ff02::fb"}
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
MOST_BYTES = 1500
MOST_AT_ONCE = 64
# RFC 4795 section 2.5: queries stay on the link, answers have the whole range.
QUERY_HOPS, ANSWER_HOPS = 1, 255
# Of Linux's <linux/in.h>: Python 3.11 does not name it.
IP_PKTINFO = 8
_PKTINFO4, _PKTINFO6 = struct.Struct("=I4s4s"), struct.Struct("=16sI")
_CONTROL_BYTES = 128

_log = logging.getLogger("shuxiang.names")


class Ear(Enum):
    """What a socket is for."""

    LLMNR = "llmnr"
    NETBIOS = "netbios"
    ASK = "ask"


@dataclass(frozen=True, slots=True)
class Heard:
    """A datagram: from whom, by which link (an interface index), and whether it was sent to a group."""

    ear: Ear
    data: bytes
    source: Address
    port: int
    link: int
    to_group: bool


class Sockets:
    """The sockets for `links`, registered at `selector` with (ear, family); close them."""

    def __init__(self, links: Sequence[Link], selector: selectors.BaseSelector) -> None:
        self.missing: dict[str, str] = {}
        self._selector = selector
        self._links = links
        self._open: dict[tuple[Ear, int], socket.socket] = {}
        for family in sorted({place.version for link in links for place in link.places}):
            self._add(Ear.ASK, family, self._asking)
            self._add(Ear.LLMNR, family, self._llmnr)
            if family == 4:
                self._add(Ear.NETBIOS, family, self._netbios)

    def close(self) -> None:
        """Close all sockets."""
        for made in self._open.values():
            self._selector.unregister(made)
            made.close()
        self._open.clear()

    def heard(self, ear: Ear, family: int) -> Iterator[Heard]:
        """Return the datagrams that wait at a socket, at most as many as a class of pupils sends at once."""
        for _ in range(MOST_AT_ONCE):
            try:
                data, told, _, place = self._open[ear, family].recvmsg(MOST_BYTES, _CONTROL_BYTES)
            except OSError:  # nothing more; or what ICMP says of an answer that came too late
                return
            source = ipaddress.ip_address(place[0].partition("%")[0])
            yield Heard(ear, data, source, place[1], *_came_by(told))

    def send(self, ear: Ear, link: Link, to: Address, port: int, data: bytes) -> None:
        """Send a datagram by `link`; one that cannot be sent is lost, as any datagram may be."""
        own = self._open.get((ear, to.version))
        if own is None:
            return
        place: tuple[str, int] | tuple[str, int, int, int] = (str(to), port)
        told = (socket.IPPROTO_IP, IP_PKTINFO, _PKTINFO4.pack(link.index, bytes(4), bytes(4)))
        if to.version == 6:
            place = (str(to), port, 0, link.index if to.is_link_local or to.is_multicast else 0)
            told = (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, _PKTINFO6.pack(bytes(16), link.index))
        try:
            own.sendmsg([data], [told], 0, place)
        except OSError as error:
            _log.debug("not sent to %s: %s", to, error)

    def _add(self, ear: Ear, family: int, opened: Callable[[int], socket.socket]) -> None:
        try:
            made = opened(family)
        except OSError as error:
            self.missing[ear.value] = errno.errorcode.get(error.errno or 0, "") or str(error)
            return
        self._open[ear, family] = made
        self._selector.register(made, selectors.EVENT_READ, (ear, family))

    def _asking(self, family: int) -> socket.socket:
        return _datagrams(family, 0)

    def _netbios(self, family: int) -> socket.socket:
        made = _datagrams(family, NETBIOS_PORT)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        return made

    def _llmnr(self, family: int) -> socket.socket:
        # Another responder of this machine may listen as well: each hears what is sent to the group.
        made = _datagrams(family, LLMNR_PORT, shared=True)
        group = socket.inet_pton(FAMILIES[family], LLMNR_GROUPS[family])
        level, join = (
            (socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP)
            if family == 4
            else (socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP)
        )
        for link in self._links:
            # A tunnel has no multicast, and the kernel bounds how many interfaces may join.
            with contextlib.suppress(OSError):
                middle = bytes(4) if family == 4 else b""
                made.setsockopt(level, join, group + middle + struct.pack("=I", link.index))
        return made


def _datagrams(family: int, port: int, *, shared: bool = False) -> socket.socket:
    made = socket.socket(FAMILIES[family], socket.SOCK_DGRAM)
    try:
        made.setblocking(False)
        if shared:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == 4:
            made.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
            made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, QUERY_HOPS)
            made.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ANSWER_HOPS)
        else:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, QUERY_HOPS)
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, ANSWER_HOPS)
        made.bind(("", port))
    except BaseException:
        made.close()
        raise
    return made


def _came_by(told: list[tuple[int, int, bytes]]) -> tuple[int, bool]:
    """Return the interface that a datagram came by, and whether it was sent to a multicast group."""
    for level, kind, data in told:
        if (level, kind) == (socket.IPPROTO_IP, IP_PKTINFO):
            index, _, to = _PKTINFO4.unpack_from(data)
            return index, ipaddress.IPv4Address(to).is_multicast
        if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
            to, index = _PKTINFO6.unpack_from(data)
            return index, ipaddress.IPv6Address(to).is_multicast
    return 0, False
