"""Peers and servers that send wrong pieces: nothing wrong reaches the door, and an honest source is enough."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import libtorrent
import pytest
from hostile import HostileHub, Misbehaviour
from swarms import HERE, MIB, NOWHERE, Shared, fetch, seeder, shared


@pytest.fixture
def big(root: Path) -> Shared:
    return shared(root, 8 * MIB)


@contextmanager
def liar(blob: Shared, place: Path, *, wrong_share: float = 1.0) -> Iterator[int]:
    """A real peer that gives wrong bytes under right names: it checks nothing and claims to have it all."""
    place.mkdir()
    data = bytearray(blob.path.read_bytes())
    noise = random.Random(5)
    for start in range(0, len(data), 16 << 10):
        if noise.random() < wrong_share:
            data[start] ^= 0xFF
    (place / blob.file.sha256).write_bytes(data)
    parameters = libtorrent.session_params()
    parameters.settings = {
        "listen_interfaces": f"{HERE}:0",
        "enable_dht": False,
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        "disable_hash_checks": True,
        "allow_multiple_connections_per_ip": True,
    }
    session = libtorrent.session(parameters)
    torrent = libtorrent.load_torrent_buffer(blob.torrent.data)
    torrent.save_path = str(place)
    torrent.flags = libtorrent.torrent_flags.seed_mode | libtorrent.torrent_flags.no_verify_files
    handle = session.add_torrent(torrent)
    try:
        yield session.listen_port()
        assert handle.status().total_payload_upload > 0, "the liar was never asked"
    finally:
        session.pause()
        del session


def test_a_peer_that_sends_wrong_pieces_only(big: Shared, tmp_path: Path) -> None:
    with liar(big, tmp_path / "liar") as port:
        came = fetch(tmp_path, [big], peers=[(HERE, port)], stall_seconds=2.0)
    assert came.missed and not came.right and not came.wrong
    assert came.missed[0].error.code in ("E-ROAD-SHORT", "E-ROAD-MISSING")
    # It was banned long before it could waste the line.
    assert sum(came.received.values()) <= 4 * MIB


@pytest.mark.parametrize("wrong_share", [1.0, 0.02])
def test_an_honest_peer_beside_it_is_enough(wrong_share: float, big: Shared, tmp_path: Path) -> None:
    # The honest one is slow, so that the liar is asked.
    slow = seeder(big, networks=NOWHERE, education_line=True, up_bytes_per_second=2 * MIB)
    with liar(big, tmp_path / "liar", wrong_share=wrong_share) as port, slow as source:
        came = fetch(tmp_path, [big], peers=[(HERE, port), (HERE, source.port)], stall_seconds=10.0)
    assert came.right and not came.wrong and not came.missed


def test_a_tree_that_gives_wrong_bytes_is_left(big: Shared, root: Path, tmp_path: Path) -> None:
    lie = Misbehaviour("blobs/", swap=b"other bytes")
    with HostileHub(root, lie) as hub:
        alone = fetch(tmp_path / "alone", [big], web_seeds=[hub.address], stall_seconds=2.0)
        assert alone.missed and not alone.wrong
        assert hub.sent("blobs/") <= 16 * MIB
        with seeder(big) as source:
            came = fetch(tmp_path / "both", [big], web_seeds=[hub.address], peers=[(HERE, source.port)])
        assert came.right and not came.wrong


@pytest.mark.parametrize(
    "wrong",
    [
        Misbehaviour("blobs/", portal=True),
        Misbehaviour("blobs/", status=404),
        Misbehaviour("blobs/", status=503),
        Misbehaviour("blobs/", reset_after=0),
        Misbehaviour("blobs/", redirect="http://127.0.0.1:1/"),
        Misbehaviour("blobs/", ignore_ranges=True, stop_after=100_000),
        Misbehaviour("blobs/", wrong_range=True),
    ],
    ids=["portal", "404", "503", "reset", "redirect", "no ranges, cut", "wrong range"],
)
def test_a_tree_that_is_none_costs_nothing(
    wrong: Misbehaviour, big: Shared, root: Path, tmp_path: Path
) -> None:
    with HostileHub(root, wrong) as hub, seeder(big) as source:
        came = fetch(tmp_path, [big], web_seeds=[hub.address], peers=[(HERE, source.port)], lan_seconds=0.0)
    assert came.right and not came.wrong


def test_a_tree_whose_answers_are_cut_each_mib_still_gives_the_whole(
    big: Shared, root: Path, tmp_path: Path
) -> None:
    with HostileHub(root, Misbehaviour("blobs/", reset_after=MIB)) as hub:
        came = fetch(tmp_path, [big], web_seeds=[hub.address], stall_seconds=30.0)
        assert came.right and came.seconds < 60
        assert hub.sent("blobs/") <= 2 * big.file.size_bytes


def test_a_peer_of_another_swarm_gives_nothing(big: Shared, root: Path, tmp_path: Path) -> None:
    other = shared(root, 5 * MIB, seed=9)
    with seeder(other) as source:
        came = fetch(tmp_path, [big], peers=[(HERE, source.port)], stall_seconds=1.5)
    assert came.missed and not came.received
