"""The local links of this machine as they are now: which interface, which addresses, who is a neighbour on it.

Invariant: a neighbour's address lies in a subnet of the very interface that its packet came in by.
"""

from __future__ import annotations

import fcntl
import ipaddress
import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv6Interface

from appliance.names.dns import Address

_SIOCGIFHWADDR = 0x8927


@dataclass(frozen=True, slots=True)
class Link:
    """An interface with its addresses, IPv4 first, link-local ones last."""

    index: int
    name: str
    places: tuple[IPv4Interface | IPv6Interface, ...]

    @property
    def addresses(self) -> tuple[Address, ...]:
        """What a neighbour is told: IPv6 link-local addresses only where there is no other IPv6 address."""
        here: list[Address] = [place.ip for place in self.places]
        wide = any(one.version == 6 and not one.is_link_local for one in here)
        return tuple(one for one in here if not (wide and one.version == 6 and one.is_link_local))

    @property
    def ipv4(self) -> tuple[IPv4Address, ...]:
        """The IPv4 addresses."""
        return tuple(place.ip for place in self.places if isinstance(place, IPv4Interface))

    def has_neighbour(self, address: Address) -> bool:
        """Return whether `address` is on this link, by the interface's own subnets."""
        return any(place.version == address.version and address in place.network for place in self.places)

    def mac(self) -> bytes:
        """Return the interface's hardware address of 6 bytes, zeros where it has none (netdevice(7))."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                told = fcntl.ioctl(probe, _SIOCGIFHWADDR, struct.pack("256s", self.name.encode()[:15]))
            except OSError:
                return bytes(6)
        return told[18:24]


def local_links() -> tuple[Link, ...]:
    """Return the links of this moment, loopback left out."""
    import ifaddr

    found = []
    for adapter in ifaddr.get_adapters():
        places = []
        for one in adapter.ips:
            text = one.ip if isinstance(one.ip, str) else one.ip[0].partition("%")[0]
            place = ipaddress.ip_interface(f"{text}/{one.network_prefix}")
            if not (place.ip.is_loopback or place.ip.is_unspecified or place.ip.is_multicast):
                places.append(place)
        if places and adapter.index:
            places.sort(key=lambda place: (place.version == 6, place.ip.is_link_local, place.ip.packed))
            found.append(Link(adapter.index, adapter.name, tuple(places)))
    return tuple(sorted(found, key=lambda link: link.index))
