"""The appliance's rules, asked by real packets from another machine."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from netlab import Lab, Node, why_not

import images

OVERLAY = Path(images.__file__).parent / "overlay" / "common"
RULES = OVERLAY / "etc/nftables.conf"
HERE, OTHER = "10.9.0.1", "10.9.0.2"
NEVER = 55_999


@pytest.fixture
def machines() -> Iterator[tuple[Node, Node]]:
    if reason := why_not(nat=True):
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with Lab() as lab:
        box, other = lab.node("box"), lab.node("other")
        lab.cable(box, "e0", other, "e1")
        for node, name, address in ((box, "e0", HERE), (other, "e1", OTHER)):
            node.ip(f"addr add {address}/24 dev {name}")
            node.ip(f"link set {name} up")
            node.ip("link set lo up")
        box.run(["nft", "--file", RULES])
        yield box, other


def answers(box: Node, other: Node, port: int, source: str = OTHER) -> bool:
    """Return whether a program on `port` of the box is reached over TCP."""
    with box.entered():
        listening = socket.create_server(("", port))
    with other.entered():
        asking = socket.socket()
    with listening, asking:
        asking.settimeout(0.4)
        asking.bind((source, 0))
        try:
            asking.connect((HERE, port))
        except TimeoutError:
            return False
        return True


def hears(box: Node, other: Node, port: int, source_port: int = 0) -> bool:
    """Return whether a program on `port` of the box gets a datagram."""
    with box.entered():
        listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with other.entered():
        asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with listening, asking:
        listening.bind(("", port))
        listening.settimeout(0.4)
        asking.bind((OTHER, source_port))
        asking.sendto(b"?", (HERE, port))
        try:
            return listening.recv(9) == b"?"
        except TimeoutError:
            return False


def echoes(other: Node) -> bool:
    """Return whether the box answers an echo request (RFC 792), by which a technician looks for it."""
    with other.entered():
        asking = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    with asking:
        asking.settimeout(2)
        # Type 8, code 0; the sum over the other words is its own complement.
        asking.sendto(bytes((8, 0, 0xF7, 0xFD, 0, 1, 0, 1)), (HERE, 0))
        while (answer := asking.recv(200))[20] == 8:
            pass
        return answer[20] == 0


def test_what_is_served_is_open_and_nothing_else(machines: tuple[Node, Node]) -> None:
    box, other = machines
    assert [port for port in (80, 81, 5355, 8873, 8874, 40_000) if not answers(box, other, port)] == []
    assert [
        port for port in (21, 22, 23, 111, 443, 631, 3306, 8080, 30_000) if answers(box, other, port)
    ] == []
    assert [port for port in (137, 5353, 5355, 6771) if not hears(box, other, port)] == []
    assert [port for port in (53, 67, 123, 161, 546, 5000) if hears(box, other, port)] == []
    # An answer of a DHCP server, which no question of ours went to: the first of a lease has no address to come to.
    assert hears(box, other, 68, source_port=67)
    assert not hears(box, other, 68)
    assert echoes(other)


def test_what_a_box_asks_is_answered(machines: tuple[Node, Node]) -> None:
    box, other = machines
    with other.entered():
        listening = socket.create_server((OTHER, 443))
    with box.entered():
        asking = socket.socket()
    with listening, asking:
        asking.settimeout(2)
        asking.connect((OTHER, 443))
        there, _ = listening.accept()
        with there:
            there.sendall(b"!")
            assert asking.recv(1) == b"!"


def test_neighbours_pieces_come_from_the_lan_only(machines: tuple[Node, Node]) -> None:
    box, other = machines
    other.ip("addr add 203.0.113.9/24 dev e1")
    box.ip("route add 203.0.113.0/24 dev e0")
    assert answers(box, other, 80, "203.0.113.9")
    assert not answers(box, other, NEVER, "203.0.113.9")
    assert answers(box, other, NEVER)


def test_ssh_opens_its_port_as_the_unit_does(machines: tuple[Node, Node]) -> None:
    box, other = machines
    unit = (OVERLAY / "etc/systemd/system/ssh.service.d/shuxiang.conf").read_text()
    opening, closing = (
        line.split("=", 1)[1].lstrip("-").split(" ", 1)[1]
        for line in unit.splitlines()
        if line.startswith(("ExecStartPost=", "ExecStopPost="))
    )
    assert not answers(box, other, 22)
    box.run(["nft", opening])
    assert answers(box, other, 22)
    box.run(["nft", closing])
    assert not answers(box, other, 22)
    assert "ConditionFileNotEmpty=/etc/shuxiang/authorized_keys" in unit
