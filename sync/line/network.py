"""Which hosts are neighbours: what goes to them leaves no line that is paid for or shared (rule 4).

A neighbour is a host all of whose addresses lie in a subnet of one of this machine's own interfaces, or in the
networks that the policy names instead. Invariant: what cannot be told is no neighbour, so that a cap holds.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence
from urllib.parse import SplitResult, urlsplit

# Wider than this, a "subnet" is a provider's or a whole education network.
NARROWEST_IPV4, NARROWEST_IPV6 = 16, 56

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
IsLan = Callable[[str], bool]


def address_parts(address: str) -> SplitResult:
    """Return the parts of a URL; all are empty where it is none that can be, so that no road leads there."""
    try:
        return urlsplit(address)
    except ValueError:
        return SplitResult("", "", "", "", "")


def own_networks() -> tuple[Network, ...]:
    """Return the subnets that this machine's interfaces are in, loopback included."""
    import ifaddr

    found: dict[Network, None] = {}
    for adapter in ifaddr.get_adapters():
        for one in adapter.ips:
            address = one.ip[0] if isinstance(one.ip, tuple) else one.ip
            network = ipaddress.ip_network(f"{address.split('%')[0]}/{one.network_prefix}", strict=False)
            narrowest = NARROWEST_IPV4 if network.version == 4 else NARROWEST_IPV6
            if network.is_loopback or network.prefixlen >= narrowest:
                found[network] = None
    return tuple(found)


def is_lan(host: str, networks: Sequence[Network] | None = None) -> bool:
    """Return whether `host` (a name or an address) is a neighbour: in `networks`, else in our own subnets."""
    addresses = _addresses(host)
    known = own_networks() if networks is None else networks
    return bool(addresses) and all(
        any(address in network for network in known if network.version == address.version)
        for address in addresses
    )


def lan_of(networks: Sequence[str]) -> IsLan:
    """Return the test for the networks that a policy names (`192.168.0.0/16`); none named: our own subnets."""
    named = tuple(ipaddress.ip_network(one, strict=False) for one in networks)
    return (lambda host: is_lan(host, named)) if named else is_lan


def _addresses(host: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    try:
        answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [ipaddress.ip_address(str(place[0]).split("%")[0]) for *_, place in answers]
