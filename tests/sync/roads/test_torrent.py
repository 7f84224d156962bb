"""The swarm between machines on loopback: what arrives, from whom, and what is left where it does not."""

from __future__ import annotations

import ipaddress
import time
from pathlib import Path
from typing import Any

import pytest
from swarms import HERE, MIB, NOWHERE, Shared, fetch, fetch_by, seeder, settings, shared
from wsgi import address_of

from sync.roads.staging import Staging
from sync.roads.torrent import Swarm
from sync.serve import published_tree


@pytest.fixture
def big(root: Path) -> Shared:
    return shared(root, 20 * MIB)


def test_a_blob_travels_from_machine_to_machine(big: Shared, tmp_path: Path) -> None:
    with seeder(big) as source:
        came = fetch(tmp_path, [big], peers=[(HERE, source.port)])
    assert (came.right, came.wrong, came.missed) == ([big.file.sha256], [], [])
    assert big.file.size_bytes <= came.received["lan"] <= 1.02 * big.file.size_bytes
    assert came.told_bytes == came.received["lan"]
    assert set(came.received) == {"lan"}
    # Nothing of it is left in staging.
    assert [one.name for one in (tmp_path / "staging").iterdir() if not one.name.startswith(".")] == []


def test_many_blobs_travel_at_once_and_are_shared_on(root: Path, tmp_path: Path) -> None:
    blobs = [shared(root, 4 * MIB + n, seed=n) for n in range(12)]
    with seeder(*blobs) as source, Swarm(settings()) as first, Staging(tmp_path / "staging") as staging:
        door = tmp_path / "door"
        came = fetch_by(
            first, staging, door, blobs, peers=[(HERE, source.port)], kept_at=lambda sha256: door / sha256
        )
        assert len(came.right) == 12 and not came.missed
        assert first.shared() == {blob.torrent.v2 for blob in blobs}
        source.close()
        second = fetch(tmp_path / "second", blobs, peers=[(HERE, first.port)])
    assert len(second.right) == 12 and not second.missed


def test_what_peers_are_still_asked_for_at_the_end_does_no_harm(big: Shared, tmp_path: Path) -> None:
    """The rest came by another way meanwhile; then the blob is shared on, from where it lies, and stays so."""
    line: dict[str, Any] = {"networks": NOWHERE, "education_line": True}
    with seeder(big, **line, up_bytes_per_second=1 << 20) as source, Swarm(settings(**line)) as swarm:
        # As `fetch` sets it: who has given all it was asked for stays connected.
        swarm._session.apply_settings({"close_redundant_connections": False})
        download = swarm.download(big.torrent, tmp_path / "blob")
        download.add_peers([(HERE, source.port)])
        deadline = time.monotonic() + 30
        # Of who is quick whole pieces are taken, and asked for part by part.
        while download.handle.status(0).total_payload_download < 4 * MIB:
            assert time.monotonic() < deadline
            swarm.wait(0.01)
        data = big.path.read_bytes()
        for index in range(big.torrent.pieces):
            begin = index * big.torrent.piece_length
            download.put(index, data[begin : begin + big.torrent.piece_length])
        while not download.written:
            assert time.monotonic() < deadline
            swarm.wait(0.01)
        swarm.share_on(big.torrent)
        for _ in range(20):
            swarm.wait(0.05)
        assert swarm.shared() == {big.torrent.v2}
    assert (tmp_path / "blob").exists() is False


def test_web_seeds_are_our_own_trees_in_both_forms_of_address(
    big: Shared, root: Path, tmp_path: Path
) -> None:
    with address_of(published_tree(root)) as tree_address:
        for number, address in enumerate((tree_address, tree_address.rstrip("/"))):
            came = fetch(tmp_path / str(number), [big], web_seeds=[address])
            assert came.right == [big.file.sha256] and not came.missed
            assert set(came.received) == {"http"}
            assert came.received["http"] <= 1.05 * big.file.size_bytes


def test_neighbours_come_first(big: Shared, root: Path, tmp_path: Path) -> None:
    near = (ipaddress.ip_network("127.0.0.2/32"),)
    with seeder(big, listen=("127.0.0.2",)) as source, address_of(published_tree(root)) as tree_address:
        came = fetch(
            tmp_path,
            [big],
            peers=[("127.0.0.2", source.port)],
            web_seeds=[tree_address],
            networks=near,
            lan_seconds=5.0,
        )
        assert came.right and set(came.received) == {"lan"}
        # Where they bring nothing, others are asked.
        source.forget(big.torrent.v2)
        came = fetch(
            tmp_path / "far",
            [big],
            peers=[("127.0.0.2", source.port)],
            web_seeds=[tree_address],
            networks=near,
        )
        assert came.right and set(came.received) == {"http"}


def test_a_far_web_server_is_asked_only_where_far_peers_bring_nothing(
    big: Shared, root: Path, tmp_path: Path
) -> None:
    """A peer gives each who asks other pieces, a web server the same to all: first the one, then the other."""
    with (
        address_of(published_tree(root)) as tree_address,
        seeder(big, networks=NOWHERE, hub=(HERE,)) as source,
    ):

        def far(place: str) -> dict[str, int]:
            came = fetch(
                tmp_path / place, [big], peers=[(HERE, source.port)], web_seeds=[tree_address],
                networks=NOWHERE, hub=(HERE,), lan_seconds=4.0,
            )  # fmt: skip
            assert came.right == [big.file.sha256]
            return came.received

        assert set(far("peer")) == {"torrent"}
        source.forget(big.torrent.v2)
        assert set(far("web")) == {"http"}


def test_nobody_is_there(root: Path, tmp_path: Path) -> None:
    blobs = [shared(root, 4 * MIB + n, seed=n) for n in range(20)]
    came = fetch(tmp_path, blobs, peers=[])
    assert {one.error.code for one in came.missed} == {"E-ROAD-MISSING"}
    assert len(came.missed) == 20
    # Each would take half a second: it is given up for all after a few.
    assert came.seconds < 5
    assert [one.name for one in (tmp_path / "staging").iterdir() if not one.name.startswith(".")] == []


def test_what_another_road_left_is_taken_over_and_given_back(big: Shared, tmp_path: Path) -> None:
    data = big.path.read_bytes()
    with Staging(tmp_path / "staging") as staging, staging.open(big.file) as begun:
        begun.write(data[: 15 * MIB])
    with seeder(big) as source:
        came = fetch(tmp_path, [big], peers=[(HERE, source.port)])
    assert came.right and came.received["lan"] <= 5.5 * MIB


def test_what_the_swarm_leaves_is_the_beginning_of_the_file(big: Shared, tmp_path: Path) -> None:
    """A source that goes away in the middle: the verified beginning is there for HTTP and rsync."""
    with Swarm(settings(stall_seconds=4.0)) as swarm, Staging(tmp_path / "staging") as staging:
        # Slow enough to be stopped in the middle.
        source = seeder(big, networks=NOWHERE, education_line=True, up_bytes_per_second=8 * MIB)
        received = 0

        def progress(count: int) -> None:
            nonlocal received
            received += count
            if received > 6 * MIB and source.shared():
                source.forget(big.torrent.v2)

        missed = swarm.fetch([big.wanted], staging, lambda batch: None, progress, peers=[(HERE, source.port)])
        source.close()
        assert missed[0].error.code == "E-ROAD-SHORT"
        length = staging.length(big.file)
        assert length >= received - 2 * MIB
        assert staging.path(big.file.sha256).read_bytes() == big.path.read_bytes()[:length]
        assert not list((tmp_path / "staging").glob("*.swarm"))


def test_strangers_are_not_met_unless_the_line_is_marked(big: Shared, tmp_path: Path) -> None:
    with seeder(big) as source:
        peers = [(HERE, source.port)]
        came = fetch(tmp_path / "plain", [big], peers=peers, networks=NOWHERE, stall_seconds=1.5)
        assert came.missed and not came.received
        came = fetch(tmp_path / "marked", [big], peers=peers, networks=NOWHERE, education_line=True)
        assert came.right and set(came.received) == {"torrent"}
        came = fetch(tmp_path / "hub", [big], peers=peers, networks=NOWHERE, hub=("localhost",))
        assert came.right and set(came.received) == {"torrent"}


def test_nothing_is_given_to_strangers_unless_the_line_is_marked(big: Shared, tmp_path: Path) -> None:
    with seeder(big, networks=NOWHERE) as source:
        came = fetch(tmp_path / "plain", [big], peers=[(HERE, source.port)], stall_seconds=1.5)
        assert came.missed and not came.received
    with seeder(big, networks=NOWHERE, education_line=True) as source:
        came = fetch(tmp_path / "marked", [big], peers=[(HERE, source.port)])
        assert came.right


def test_an_empty_fetch_is_nothing(tmp_path: Path) -> None:
    came = fetch(tmp_path, [])
    assert (came.right, came.missed, came.received) == ([], [], {})


def test_wrong_bytes_are_shared_no_longer_and_never_mended_in_place(big: Shared, tmp_path: Path) -> None:
    whole = big.path.read_bytes()
    wrong = bytearray(whole)
    wrong[5 * MIB] ^= 1
    big.path.write_bytes(wrong)
    with seeder(big) as source:
        assert source.faults() == []
        came = fetch(tmp_path, [big], peers=[(HERE, source.port)], stall_seconds=2.0)
        assert came.missed and not came.right and not came.wrong
        assert source.faults() == [big.torrent.v2]
        assert source.shared() == frozenset() and source.faults() == []
    assert big.path.read_bytes() == bytes(wrong)


def test_a_blob_that_is_gone_is_shared_no_longer(big: Shared, tmp_path: Path) -> None:
    with seeder(big) as source:
        big.path.unlink()
        came = fetch(tmp_path, [big], peers=[(HERE, source.port)], stall_seconds=2.0)
        assert came.missed
        assert source.faults() == [big.torrent.v2]
    assert not big.path.exists()
