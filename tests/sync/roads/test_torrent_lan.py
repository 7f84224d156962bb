"""Local discovery on a real network: machines of one LAN find each other without being told, strangers do not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from netlab import Lab, Node, why_not
from swarms import MIB, Shared, shared

MACHINE = textwrap.dedent("""
    import json, sys, time
    from pathlib import Path
    sys.path[:0] = sys.argv[1].split(":")
    from sync.roads.road import blob_file
    from sync.roads.staging import Staging
    from sync.roads.swarmsettings import SwarmSettings
    from sync.roads.torrent import Swarm
    from sync.formats.torrentfile import read_torrent
    role, metainfo, place = sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])
    torrent = read_torrent(metainfo.read_bytes())
    settings = SwarmSettings(education_line="open" in role, lan_seconds=3.0, stall_seconds=float(sys.argv[5]))
    with Swarm(settings) as swarm:
        print(json.dumps({"port": swarm.port}), flush=True)
        if "seed" in role:
            swarm.seed(torrent, place)
            sys.stdin.read()
        else:
            sys.stdin.readline()
            start = time.monotonic()
            with Staging(place) as staging:
                missed = swarm.fetch(
                    [(blob_file(torrent.name, torrent.size_bytes), torrent)],
                    staging, lambda batch: None, lambda count: None,
                    peers=[(host, int(port)) for host, port in (one.rsplit(":", 1) for one in sys.argv[6:])],
                )
            seconds = time.monotonic() - start
            print(json.dumps({"missed": len(missed), "received": dict(swarm.received), "seconds": seconds}), flush=True)
""")


@pytest.fixture
def lab() -> Iterator[Lab]:
    why = why_not()
    if why and os.environ.get("CI") == "true":
        pytest.fail(why)
    if why:
        pytest.skip(why)
    with Lab() as made:
        yield made


def lan(lab: Lab, count: int) -> list[Node]:
    """Return machines on one switch: 10.5.0.1 and on."""
    switch = lab.node("switch")
    switch.ip("link add lan type bridge")
    switch.ip("link set lan up")
    nodes = []
    for number in range(1, count + 1):
        node = lab.node(f"box{number}")
        lab.cable(node, "e0", switch, f"p{number}")
        switch.ip(f"link set p{number} master lan")
        node.ip(f"addr add 10.5.0.{number}/24 dev e0")
        node.ip("route add default dev e0")
        nodes.append(node)
    return nodes


class Machine:
    """A process that shares or fetches a blob on a machine of the lab."""

    def __init__(
        self, node: Node, role: str, blob: Shared, place: Path, *peers: str, stall_seconds: float = 20
    ) -> None:
        metainfo = blob.path.with_suffix(".torrent")
        metainfo.write_bytes(blob.torrent.data)
        arguments = [
            sys.executable,
            "-c",
            MACHINE,
            ":".join(sys.path),
            role,
            metainfo,
            place,
            stall_seconds,
            *peers,
        ]
        self.process = subprocess.Popen(
            node.command(arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.port = self._said()["port"]

    def start(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def result(self) -> dict[str, Any]:
        return self._said()

    def end(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def _said(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        value: dict[str, Any] = json.loads(self.process.stdout.readline())
        return value


@contextmanager
def ending(*machines: Machine) -> Iterator[None]:
    try:
        yield
    finally:
        for machine in machines:
            machine.end()


def test_a_neighbour_is_found_without_being_told(lab: Lab, root: Path, tmp_path: Path) -> None:
    near, far = lan(lab, 2)
    blob = shared(root, 20 * MIB)
    source = Machine(near, "seed", blob, blob.path)
    time.sleep(1)
    taker = Machine(far, "fetch", blob, tmp_path / "staging")
    with ending(source, taker):
        taker.start()
        result = taker.result()
    # The one that shares is silent; it hears who wants, and calls.
    assert result["missed"] == 0 and set(result["received"]) == {"lan"}
    assert result["seconds"] < 20


def test_two_that_want_the_same_share_one_source(lab: Lab, root: Path, tmp_path: Path) -> None:
    """Both begin at one moment, and call each other at one moment."""
    first, second, third = lan(lab, 3)
    blob = shared(root, 20 * MIB)
    takers = [
        Machine(node, "fetch", blob, tmp_path / f"staging{number}")
        for number, node in enumerate((first, second))
    ]
    source = Machine(third, "seed", blob, blob.path)
    with ending(source, *takers):
        for taker in takers:
            taker.start()
        results = [taker.result() for taker in takers]
    assert [result["missed"] for result in results] == [0, 0]
    assert all(result["seconds"] < 60 for result in results)


@pytest.mark.slow
def test_a_stranger_is_not_met_over_a_router(lab: Lab, root: Path, tmp_path: Path) -> None:
    """Private addresses everywhere, as in an education network: what counts is the subnet."""
    router, here, there = lab.node("router"), lab.node("here"), lab.node("there")
    router.set_kernel("net.ipv4.ip_forward", 1)
    for number, node in ((1, here), (2, there)):
        lab.cable(node, "e0", router, f"p{number}")
        router.ip(f"addr add 10.{number}.0.254/24 dev p{number}")
        node.ip(f"addr add 10.{number}.0.1/24 dev e0")
        node.ip(f"route add default via 10.{number}.0.254")
    blob = shared(root, 5 * MIB)
    closed = Machine(there, "seed", blob, blob.path)
    opened = Machine(there, "seed open", blob, blob.path)
    shy = Machine(here, "fetch", blob, tmp_path / "a", f"10.2.0.1:{opened.port}", stall_seconds=4)
    refused = Machine(here, "fetch open", blob, tmp_path / "b", f"10.2.0.1:{closed.port}", stall_seconds=4)
    both = Machine(here, "fetch open", blob, tmp_path / "c", f"10.2.0.1:{opened.port}")
    with ending(closed, opened, shy, refused, both):
        for machine in (shy, refused):
            machine.start()
            result = machine.result()
            assert result["missed"] == 1 and result["received"] == {}
        both.start()
        result = both.result()
        assert result["missed"] == 0 and set(result["received"]) == {"torrent"}
