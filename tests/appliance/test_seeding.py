"""`hub seed` and `box seed`: what is published or held is shared, by processes that follow it and end by themselves."""

from __future__ import annotations

import json
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from command import call, command, environment, service
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from swarms import HERE, MIB, Shared, fetch, seeder
from wsgi import address_of

from appliance.box import Box
from appliance.neighbours import CardMaker, neighbours_of
from appliance.seeder import Seeder
from catalog.clock import system_clock
from catalog.local import Local
from sync.checkin import CheckIn, check_in, make_card, read_card
from sync.formats.torrentfile import read_torrent
from sync.formats.transport import Torrent, read_transport
from sync.line.policy import Policy
from sync.line.rate import Governor
from sync.registry import Registry
from sync.roads.road import blob_file
from sync.trust.heads import current_head
from sync.updating.manifests import transport_lines


def material(directory: Path, name: str, seed: int, size_bytes: int = 5 * MIB) -> None:
    """Write something that is ingested as it is and is large enough for a torrent."""
    directory.mkdir(exist_ok=True)
    (directory / name).write_bytes(random.Random(seed).randbytes(size_bytes))


def published(hub: Path) -> dict[str, Shared]:
    """Return what the hub offers by torrent."""
    public = hub / "public"
    head = current_head(public)
    assert head is not None
    found = {}
    for bundle in head.release.bundles:
        for offer in read_transport(transport_lines(public, bundle), where=bundle.id):
            if isinstance(offer, Torrent):
                file = blob_file(offer.blob, offer.size_bytes)
                torrent = read_torrent((public / offer.file.path).read_bytes(), sha256=offer.blob)
                found[offer.blob] = Shared(path=public / file.path, file=file, torrent=torrent)
    return found


@contextmanager
def seeding(state: Path, *arguments: object) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run `hub seed` or `box seed` and give its process and port."""
    process = subprocess.Popen(
        command(state, *arguments, "--host", HERE),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(),
    )
    try:
        assert process.stdout is not None and process.stdin is not None
        yield process, json.loads(process.stdout.readline())["port"]
    finally:
        process.stdin.close()
        process.kill()
        process.wait()
        process.stdout.close()


def until(check: Callable[[], object], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub that has published one file; its material lies beside it."""
    state = tmp_path_factory.mktemp("county") / "hub"
    call(state, "hub", "init", "--name", "县")
    material(state.parent / "material", "1.bin", 1)
    call(state, "hub", "ingest", state.parent / "material")
    call(state, "hub", "publish")
    return state


@pytest.fixture(scope="module")
def box(hub: Path) -> Path:
    """A box that holds what the hub has published."""
    state = hub.parent / "box"
    root = hub / "public" / "metadata" / "1.root.json"
    call(state, "box", "init", "--hub", hub / "public", "--root", root, "--name", "校")
    call(state, "box", "sync")
    return state


def noted(box: Path) -> list[str]:
    with Local.open(box / "local.db") as local:
        return [blob.sha256 for blob in local.damage()]


def test_a_box_shares_what_it_holds(hub: Path, box: Path, tmp_path: Path) -> None:
    blobs = published(hub)
    with seeding(box, "box", "seed") as (process, port):
        came = fetch(tmp_path, list(blobs.values()), peers=[(HERE, port)])
        assert sorted(came.right) == sorted(blobs) and len(blobs) == 1
        # The service that started it is gone: the pipe ends.
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(60) == 0


def test_hub_run_shares_and_tells_boxes_where(hub: Path, tmp_path: Path) -> None:
    blobs = list(published(hub).values())
    with socket.socket() as probe:
        probe.bind((HERE, 0))
        rsync_port = str(probe.getsockname()[1])
    ports = ("--port", "0", "--rsync-port", rsync_port, "--torrent-port", "0", "--host", HERE)
    with service(hub, "hub", "run", *ports) as served:
        key = Ed25519PrivateKey.generate()
        card = make_card(key, port=7000, addresses=["10.0.0.1"], education_line=False, now=system_clock())
        until(lambda: check_in(served["address"], card).hub_port)
        meeting = check_in(served["address"], card)
        assert meeting.seen == HERE
        came = fetch(tmp_path, blobs, peers=meeting.hub_peers(served["address"]))
        assert len(came.right) == len(blobs)


def test_a_box_tells_its_hub_and_meets_others(hub: Path, box: Path) -> None:
    registry = Registry(hub_port=lambda: 8874)
    other = make_card(
        Ed25519PrivateKey.generate(),
        port=7000,
        addresses=["10.9.9.9"],
        education_line=False,
        now=system_clock(),
    )
    registry.check_in(read_card(other), HERE)
    with address_of(CheckIn(registry)) as address, Box.open(box) as opened, seeder() as swarm:
        opened.config = replace(opened.config, hub=address)
        meeting = CardMaker(opened, swarm).send()
        assert meeting.mates == (("10.9.9.9", 7000),) and meeting.place is None
        company = neighbours_of(opened, Policy(), Governor())
        assert company is not None
        with closing(company.open()) as joined:
            part = company.meet(joined)
            assert (part.peers, part.hub) == ((("10.9.9.9", 7000),), [("127.0.0.1", 8874)])
            assert (part.place, part.stripe) == ((0, 1), (0, 1))
            second = make_card(
                Ed25519PrivateKey.generate(), port=7001, addresses=["10.9.9.8"], education_line=False,
                now=system_clock(), fetching=True,
            )  # fmt: skip
            assert registry.check_in(read_card(second), "10.9.9.8").place == (0, 1)
            # The run is over: its place goes to the next.
            company.leave()
    assert len(registry) == 4
    assert [entry.fetching_since is not None for entry in registry._entries.values()].count(True) == 1


def test_the_service_looks_after_its_seeder(hub: Path) -> None:
    with Seeder("hub", hub, ["--port", "0", "--host", HERE]) as seeder:
        until(lambda: seeder.port)
        process = seeder._process
        assert process is not None and process.poll() is None
    assert process.poll() is not None


def test_damage_is_not_shared_but_noted(hub: Path, box: Path, tmp_path: Path) -> None:
    [(sha256, blob)] = published(hub).items()
    place = box / "blobs" / sha256[:2] / sha256
    whole = place.read_bytes()
    data = bytearray(whole)
    data[2 * MIB : 2 * MIB + 5] = b"wrong"
    place.unlink()
    place.write_bytes(data)
    with seeding(box, "box", "seed") as (_, port):
        came = fetch(tmp_path / "a", [blob], peers=[(HERE, port)], stall_seconds=8.0)
        assert came.missed and not came.right and not came.wrong
        # What it gave before the damage was found is right.
        staged = tmp_path / "a" / "staging" / sha256
        if staged.exists():
            assert whole.startswith(staged.read_bytes())
        until(lambda: noted(box) == [sha256])
    # Nothing was written into the store.
    assert place.read_bytes() == bytes(data)


def test_a_hub_follows_what_it_publishes(hub: Path, tmp_path: Path) -> None:
    first = published(hub)
    with seeding(hub, "hub", "seed", "--port", 0) as (process, port):
        peers = [(HERE, port)]
        came = fetch(tmp_path / "a", list(first.values()), peers=peers)
        assert sorted(came.right) == sorted(first) and not came.missed
        material(hub.parent / "material", "2.bin", 2)
        call(hub, "hub", "ingest", hub.parent / "material")
        call(hub, "hub", "publish")
        more = {sha256: one for sha256, one in published(hub).items() if sha256 not in first}
        assert len(more) == 1
        until(lambda: fetch(tmp_path / "b", list(more.values()), peers=peers, stall_seconds=1.0).right)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) in (0, 130)
