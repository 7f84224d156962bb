"""Who is a neighbour: own subnets, named networks, and nobody who can not be told."""

from __future__ import annotations

import ipaddress

import pytest

from sync.line.network import is_lan, lan_of, own_networks


def test_own_subnets_are_the_lan() -> None:
    assert is_lan("127.0.0.1") and is_lan("localhost")
    assert not is_lan("203.0.113.7")
    assert all(network.version in (4, 6) for network in own_networks())


@pytest.mark.parametrize("host", ["no.such.host.invalid", "", "a" * 300, "..", "xn--\udc80"])
def test_what_can_not_be_told_is_no_neighbour(host: str) -> None:
    assert not is_lan(host)


def test_every_address_of_a_host_must_be_near() -> None:
    networks = [ipaddress.ip_network("192.168.0.0/16"), ipaddress.ip_network("fd00::/8")]
    assert is_lan("192.168.7.9", networks) and is_lan("fd00::1", networks)
    assert not is_lan("127.0.0.1", networks) and not is_lan("10.0.0.1", networks)


def test_a_policy_may_name_the_networks() -> None:
    named = lan_of(["192.0.2.0/24", "2001:db8::/32"])
    assert named("192.0.2.9") and named("2001:db8::7")
    assert not named("127.0.0.1")
    assert lan_of([])("127.0.0.1")
