"""A leader asks the tree for all its LAN, its mates take from it; whoever vanishes costs seconds. Real sessions."""

from __future__ import annotations

import ipaddress
import socketserver
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hostile import HostileHub, Misbehaviour
from swarms import HERE, MIB, Fetched, Shared, fetch_by, settings, shared

from catalog.errors import ShuxiangError
from sync.line.rate import Governor
from sync.roads import RoadSettings
from sync.roads.collecting import Part
from sync.roads.staging import Staging
from sync.roads.torrent import Swarm
from sync.roads.uplink import Errand, Uplink

LAN = (ipaddress.ip_network("127.0.0.2/31"), ipaddress.ip_network("127.0.0.4/30"))
"""The boxes' addresses are near, the hub's, 127.0.0.1, is far."""


@pytest.fixture
def films(root: Path) -> list[Shared]:
    return [shared(root, 6 * MIB + n, seed=n) for n in range(2)]


class Machine:
    """A box of the LAN that fetches in a thread of its own."""

    def __init__(self, number: int, place: Path, **more: Any) -> None:
        self.host = f"127.0.0.{2 + number}"
        self.place = place / str(number)
        self.place.mkdir(parents=True)
        # Whoever calls does so from 127.0.0.1, whatever it listens to.
        plain: dict[str, Any] = {
            "lan_seconds": 1.0, "networks": LAN, "hub": (HERE,), "governor": Governor(lan=lambda _: False),
        }  # fmt: skip
        self.swarm = Swarm(settings(listen=(self.host,), **(plain | more)))
        self.came = Fetched()
        self.error: BaseException | None = None

    @property
    def peer(self) -> tuple[str, int]:
        return self.host, self.swarm.port

    def start(self, films: list[Shared], tree: str, *, kept: bool = True) -> None:
        door = self.place / "door"

        def work() -> None:
            try:
                with Staging(self.place / "staging") as staging:
                    self.came = fetch_by(
                        self.swarm, staging, door, films, web_seeds=[tree],
                        kept_at=(lambda sha256: door / sha256) if kept else None,
                    )  # fmt: skip
            except (ShuxiangError, OSError, AssertionError) as error:
                self.error = error

        self.thread = threading.Thread(target=work)
        self.thread.start()

    def join(self) -> Fetched:
        self.thread.join(120)
        assert not self.thread.is_alive()
        if self.error is not None:
            raise self.error
        return self.came

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_: object) -> None:
        self.swarm.settings.governor.stop()
        self.thread.join(60)
        self.swarm.close()


def sizes(films: list[Shared]) -> int:
    return sum(film.file.size_bytes for film in films)


def test_a_lone_box_waits_for_nobody(films: list[Shared], root: Path, tmp_path: Path) -> None:
    with HostileHub(root) as hub, Machine(0, tmp_path, lan_seconds=20.0) as box:
        box.swarm.part = Part(place=(0, 1))
        box.start(films, hub.address)
        came = box.join()
        assert len(came.right) == 2 and came.seconds < 10
        assert came.received == {"http": sizes(films)}
        assert hub.sent("blobs/") == sizes(films)


def test_the_leader_asks_once_for_all(films: list[Shared], root: Path, tmp_path: Path) -> None:
    with (
        HostileHub(root) as hub,
        Machine(0, tmp_path) as leader,
        Machine(1, tmp_path, lan_seconds=30.0) as mate,
    ):
        leader.swarm.part = Part(place=(0, 2))
        mate.swarm.part = Part(peers=[leader.peer], place=(1, 2))
        leader.swarm.settings.governor.set_rate(4 * MIB)
        mate.start(films, hub.address)
        leader.start(films, hub.address)
        came = leader.join(), mate.join()
        assert [len(one.right) for one in came] == [2, 2] and not came[1].missed
        assert set(came[1].received) == {"lan"}
        assert hub.sent("blobs/") <= 1.05 * sizes(films)
        # Both went on sharing what had passed the door, from where it lay.
        assert len(leader.swarm.shared()) == len(mate.swarm.shared()) == 2
        swarms = [path for path in (tmp_path / "0" / "staging").iterdir() if path.suffix == ".swarm"]
        assert len(swarms) == 2
    assert not [path for path in (tmp_path / "0" / "staging").iterdir() if path.suffix == ".swarm"]
    for film in films:
        assert (tmp_path / "1" / "door" / film.file.sha256).read_bytes() == film.path.read_bytes()


def test_two_leaders_bring_a_half_each(films: list[Shared], root: Path, tmp_path: Path) -> None:
    """Their LANs reach each other over the education network."""
    alone = {"networks": (ipaddress.ip_network("192.0.2.0/24"),), "education_line": True}
    with (
        HostileHub(root) as hub,
        Machine(0, tmp_path, **alone) as first,
        Machine(1, tmp_path, **alone) as second,
    ):
        first.swarm.part = Part(place=(0, 3), stripe=(0, 2))
        second.swarm.part = Part(peers=[first.peer], place=(0, 3), stripe=(1, 2))
        for machine in (first, second):
            machine.swarm.settings.governor.set_rate(3 * MIB)
            machine.start(films, hub.address)
        came = first.join(), second.join()
        assert [len(one.right) for one in came] == [2, 2]
        assert hub.sent("blobs/") <= 1.25 * sizes(films)
        assert all(one.received["torrent"] > sizes(films) / 4 for one in came)


def test_a_leader_that_vanishes_costs_seconds(films: list[Shared], root: Path, tmp_path: Path) -> None:
    with HostileHub(root) as hub, Machine(1, tmp_path) as second, Machine(2, tmp_path) as third:
        with Machine(0, tmp_path) as leader:
            leader.swarm.part = Part(place=(0, 3))
            second.swarm.part = Part(peers=[leader.peer], place=(1, 3))
            third.swarm.part = Part(peers=[leader.peer, second.peer], place=(2, 3))
            leader.swarm.settings.governor.set_rate(MIB)
            for machine in (leader, second, third):
                machine.start(films, hub.address)
            while hub.sent("blobs/") < 4 * MIB:
                leader.thread.join(0.05)
            leader.swarm.settings.governor.stop()
            leader.thread.join(60)
        leader.error = None
        came = second.join(), third.join()
        assert [len(one.right) for one in came] == [2, 2] and not came[0].missed
        # Who followed first asked for what was left, and the other took it from there.
        assert all(one.seconds < 40 for one in came)
        assert hub.sent("blobs/") <= 1.5 * sizes(films)


def test_a_mate_of_nobody_asks_after_a_while(films: list[Shared], root: Path, tmp_path: Path) -> None:
    """A hub that errs, or lies: it waits once, not for each file."""
    with HostileHub(root) as hub, Machine(0, tmp_path) as box:
        box.swarm.part = Part(place=(4000, 4001))
        box.start(films, hub.address)
        came = box.join()
        assert len(came.right) == 2 and 2.5 < came.seconds < 12
        before = came.seconds
        again = Machine(1, tmp_path)
        again.swarm.is_alone, again.swarm.part = True, Part(place=(5, 6))
        with again:
            again.start(films, hub.address)
            assert len(again.join().right) == 2 and again.came.seconds < before


def test_a_tree_that_gives_wrong_pieces_is_left_for_the_hubs_peer(
    films: list[Shared], root: Path, tmp_path: Path
) -> None:
    with (
        HostileHub(root, Misbehaviour("blobs/", swap=b"other bytes")) as hub,
        Machine(0, tmp_path) as box,
        Swarm(settings(networks=LAN, hub=(HERE,))) as seeding,
    ):
        for film in films:
            seeding.seed(film.torrent, film.path)
        box.swarm.part = Part(hub=[(HERE, seeding.port)], place=(0, 1))
        box.start(films, hub.address)
        came = box.join()
        assert len(came.right) == 2 and not came.wrong and set(came.received) <= {"torrent", "http"}
        assert came.received["torrent"] >= 0.9 * sizes(films)


class ChunksOfNegativeLength(socketserver.StreamRequestHandler):
    """A server that the standard library reads with a `ValueError`."""

    def handle(self) -> None:
        self.rfile.readline()
        self.wfile.write(
            b"HTTP/1.1 206 Partial Content\r\nTransfer-Encoding: chunked\r\n"
            b"Content-Range: bytes 0-65535/6291456\r\n\r\n-5\r\nabcdefgh"
        )


class Dribble(socketserver.StreamRequestHandler):
    """A server that begins an answer and then gives nearly nothing for very long."""

    def handle(self) -> None:
        self.rfile.readline()
        self.wfile.write(
            b"HTTP/1.1 206 Partial Content\r\nContent-Length: 65536\r\nContent-Range: bytes 0-65535/6291456\r\n\r\n"
        )
        with suppress(OSError):
            for _ in range(200):
                self.wfile.write(b"x")
                time.sleep(0.1)


@pytest.mark.parametrize("begun", [True, False])
def test_what_an_end_breaks_off_is_over_at_once_and_counted(films: list[Shared], begun: bool) -> None:
    film = films[0]
    put: list[int] = []
    with socketserver.ThreadingTCPServer((HERE, 0), Dribble) as server:
        server.daemon_threads = True
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        uplink = Uplink([f"http://{HERE}:{server.server_address[1]}/"], RoadSettings())
        uplink.ask(Errand(film.file, film.torrent, range(1), lambda index, _: put.append(index)))
        came = 0
        deadline = time.monotonic() + 20
        while begun and came < 3:
            assert time.monotonic() < deadline
            came += uplink.take_bytes()
            time.sleep(0.01)
        start = time.monotonic()
        uplink.close()
        assert time.monotonic() - start < 1.0
        assert not [one for one in threading.enumerate() if one.name.startswith("uplink-")]
        came += uplink.take_bytes()
        time.sleep(0.3)
        assert uplink.take_bytes() == 0 and not put
        assert came >= (3 if begun else 0)
        server.shutdown()
        serving.join()


def test_a_tree_that_answers_with_nonsense_is_left(films: list[Shared]) -> None:
    film = films[0]
    with socketserver.ThreadingTCPServer((HERE, 0), ChunksOfNegativeLength) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        uplink = Uplink(
            [f"http://{HERE}:{server.server_address[1]}/"], RoadSettings(retry_pause_seconds=0.01)
        )
        uplink.ask(Errand(film.file, film.torrent, range(1), lambda *_: None))
        deadline = time.monotonic() + 20
        while not uplink.take_ended():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert uplink.failure is not None and not uplink.may_have(film.file)
        uplink.close()
        server.shutdown()
        serving.join()
