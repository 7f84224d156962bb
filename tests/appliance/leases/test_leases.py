"""Addresses on a network of the lab: given where nobody else gives them, withheld where somebody does."""

from __future__ import annotations

import ipaddress
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from ipaddress import IPv4Interface
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from netlab import Lab, Node, why_not

import images
from appliance.leases import giving
from appliance.leases.giving import Pace, asking_address, command, give, other_servers, pool
from appliance.leases.packets import offering_server, question
from appliance.names.links import Link
from catalog.errors import ConfigError

OWN = IPv4Interface("192.168.88.88/24")
ROUTER = IPv4Interface("192.168.88.1/24")


@pytest.fixture
def machines() -> Iterator[tuple[Node, Node]]:
    reason = why_not() or ("" if shutil.which("dnsmasq") else "the program `dnsmasq` is not installed")
    if reason and os.environ.get("CI"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    with Lab() as lab:
        box, other = lab.node("box"), lab.node("other")
        lab.cable(box, "e0", other, "e1")
        for node, name, address in ((box, "e0", OWN), (other, "e1", ROUTER)):
            node.ip(f"addr add {address} dev {name}")
            node.ip(f"link set {name} up")
            node.ip("link set lo up")
        yield box, other


def servers(node: Node, name: str) -> set[str]:
    with node.entered():
        nobody = ipaddress.IPv4Address("0.0.0.0")
        return {str(one) for one in other_servers(name, nobody, asking_address(), Pace().answer_seconds)}


def wait_for(lines: Path, text: str, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while text not in lines.read_text():
        assert time.monotonic() < deadline, lines.read_text()
        time.sleep(0.2)


@pytest.mark.slow
def test_given_where_nobody_does_and_withheld_where_somebody_does(
    machines: tuple[Node, Node], tmp_path: Path
) -> None:
    box, other = machines
    log = tmp_path / "log"
    with log.open("wb") as sink:
        ours = subprocess.Popen(
            box.command([sys.executable, "-u", "-m", "appliance", "dhcp", "--address", str(OWN), "--leases", tmp_path / "leases", "--pause", "0.5"]),
            stdout=sink, stderr=subprocess.STDOUT,
        )  # fmt: skip
    router = None
    try:
        wait_for(log, "dhcp on e0")
        # A second box finds the first, whose own questions its own server leaves unanswered.
        assert servers(other, "e1") == {str(OWN.ip)}
        assert _leased(other, "e1") == str(OWN.ip)
        assert "dhcp off" not in log.read_text()
        router = subprocess.Popen(
            other.command(command("e1", ROUTER, "router", tmp_path / "router-leases", asking_address())),
            stderr=subprocess.DEVNULL,
        )
        wait_for(log, f"dhcp off {ROUTER.ip}")
        assert _leased(box, "e0") == str(ROUTER.ip)
        router.terminate()
        router.wait(10)
        router = None
        log.write_bytes(b"")
        wait_for(log, "dhcp on e0")
    finally:
        for process in filter(None, (router, ours)):
            process.terminate()
            process.wait(20)
    assert servers(other, "e1") == set()


def test_a_server_with_the_unit_s_rights_that_first_looks_whether_an_address_is_free_is_heard_at_once(
    machines: tuple[Node, Node], tmp_path: Path
) -> None:
    box, other = machines
    server = command("e1", ROUTER, "router", tmp_path / "leases", asking_address())
    router = subprocess.Popen(
        other.command(["setpriv", f"--bounding-set=-all,{unit_rights()}", *server]),
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 30
        while "67" not in other.run(["ss", "-Huln", "sport = 67"]):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        # No question before this one: the pings that precede an offer are not spared.
        assert servers(box, "e0") == {str(ROUTER.ip)}
    finally:
        router.terminate()
        router.wait(20)


class Over(Exception):
    """The test has seen enough."""


@pytest.mark.parametrize(
    ("names", "said"), [(["wlan0"], ["off wlan0 is wireless"]), (["wlan0", "e0"], ["on e0"])]
)
def test_nothing_is_given_on_a_wireless_link_where_nobody_would_answer_a_question(
    names: list[str], said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    links = tuple(Link(number, name, (OWN,)) for number, name in enumerate(names, 1))
    asked, told, pauses = list[str](), list[str](), iter(range(5))

    def ask(link: str, *_: object) -> set[ipaddress.IPv4Address]:
        asked.append(link)
        return set()

    def pause(_: float) -> None:
        if next(pauses, None) is None:
            raise Over

    (tmp_path / "wlan0" / "phy80211").mkdir(parents=True)
    (tmp_path / "e0").mkdir()
    monkeypatch.setattr(giving, "CLASS", tmp_path)
    monkeypatch.setattr(giving, "local_links", lambda: links)
    monkeypatch.setattr(giving, "other_servers", ask)
    monkeypatch.setattr(giving.time, "sleep", pause)
    monkeypatch.setattr(giving, "command", lambda link, *_: ["sleep", "60"])
    with pytest.raises(Over):
        give(OWN, "shuxiang", tmp_path / "leases", pace=Pace(pause_seconds=0), tell=told.append)
    assert told == said
    assert set(asked) == set(names) - {"wlan0"}


def unit_rights() -> str:
    """Return the capabilities of the unit, as setpriv(1) wants them."""
    unit = Path(images.__file__).parent / "package/files/usr/lib/systemd/system/shuxiang-dhcp.service"
    [line] = [line for line in unit.read_text().splitlines() if line.startswith("CapabilityBoundingSet=")]
    return ",".join(f"+{name.removeprefix('CAP_').lower()}" for name in line.partition("=")[2].split())


def _leased(node: Node, name: str) -> str:
    """Return the server that answers a machine whose hardware address is like any other's."""
    transaction = random.getrandbits(32)
    with node.entered():
        line = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    with line:
        line.bind((name, 3))
        line.settimeout(10)
        line.send(question(transaction, b"\x02\xaa\xbb\xcc\xdd\xee"))
        deadline = time.monotonic() + 30
        while (server := offering_server(line.recv(2048), transaction)) is None:
            assert time.monotonic() < deadline
        return str(server)


@pytest.mark.parametrize(
    ("own", "first", "last"),
    [
        ("192.168.88.88/24", "192.168.88.64", "192.168.88.254"),
        ("10.1.2.3/8", "10.64.0.0", "10.64.0.199"),
        ("192.168.1.1/28", "192.168.1.4", "192.168.1.14"),
    ],
)
def test_the_addresses_to_give_lie_in_our_network(own: str, first: str, last: str) -> None:
    assert tuple(map(str, pool(IPv4Interface(own)))) == (first, last)


def test_a_network_without_room_is_refused() -> None:
    with pytest.raises(ConfigError):
        pool(IPv4Interface("192.168.1.1/30"))


@given(st.binary(max_size=400), st.integers(0, 2**32 - 1))
def test_no_frame_of_others_is_taken_for_an_answer(frame: bytes, transaction: int) -> None:
    assert offering_server(frame, transaction) is None
    assert offering_server(question(transaction, b"\x02SXabc"), transaction) is None
