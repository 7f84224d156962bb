"""What libtorrent is told, each setting with what it is for: rates, reconnecting, resuming, silence to strangers."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import libtorrent
import pytest
from swarms import HERE, LOOPBACK, MIB, NOWHERE, Shared, fetch, fetch_by, seeder, settings, shared
from wsgi import address_of

from catalog.errors import RoadError
from catalog.local import Local
from sync.line.rate import Governor, Meter, used_bytes
from sync.roads import swarmfetch, swarmsettings
from sync.roads.collecting import Part
from sync.roads.staging import Staging
from sync.roads.torrent import Swarm
from sync.serve import published_tree

KIB = 1 << 10


def nobody(_: str) -> bool:
    """No host is a neighbour."""
    return False


def stranger(rate: int | None = None, **more: Any) -> dict[str, Any]:
    """Settings by which loopback is the shared line."""
    return {
        "networks": NOWHERE,
        "education_line": True,
        "lan_seconds": 0.0,
        "stall_seconds": 20.0,
        "governor": Governor(rate, lan=nobody),
        **more,
    }


@pytest.fixture
def big(root: Path) -> Shared:
    return shared(root, 20 * MIB)


def test_nothing_is_looked_up_or_opened_outside() -> None:
    with Swarm(settings(discovery=True)) as swarm:
        told = swarm._session.get_settings()
        assert not swarm._session.is_dht_running()
    for off in ("enable_dht", "enable_upnp", "enable_natpmp", "enable_incoming_utp", "enable_outgoing_utp"):
        assert told[off] is False, off
    assert (told["dht_bootstrap_nodes"], told["webtorrent_stun_server"]) == ("", "")
    assert told["enable_lsd"] is True
    assert 1 <= told["min_reconnect_time"] <= 4
    assert told["max_queued_disk_bytes"] + swarmfetch.FLUSH_BYTES < MIB
    assert told["max_allowed_in_request_queue"] == swarmsettings.MOST_REQUESTS
    assert told["disk_io_write_mode"] == int(libtorrent.io_buffer_mode_t.write_through)
    with Swarm(settings(lan=False, discovery=True)) as swarm:
        assert swarm._session.get_settings()["enable_lsd"] is False
    assert int(libtorrent.enc_level.both) == swarmsettings.ENCRYPTION_EITHER
    assert int(libtorrent.enc_policy.disabled) == swarmsettings.ENCRYPTION_ACCEPTED_ONLY
    assert int(libtorrent.io_buffer_mode_t.write_through) == swarmsettings.WRITE_THROUGH


def test_a_torrent_tells_no_tracker_and_stays_open_to_neighbours(big: Shared) -> None:
    with seeder(big) as source:
        [handle] = source._seeds.values()
        assert handle.trackers() == []
        assert not handle.torrent_file().priv()
        flags = handle.flags()
        assert flags & libtorrent.torrent_flags.upload_mode and flags & libtorrent.torrent_flags.disable_dht


class Measured:
    """What a running fetch has received, looked at now and then."""

    def __init__(self, swarm: Swarm) -> None:
        self._swarm = swarm

    def over(self, seconds: float) -> float:
        before, start = self._swarm.received.total(), time.monotonic()
        time.sleep(seconds)
        return (self._swarm.received.total() - before) / (time.monotonic() - start)

    def keeps(self, rate: int) -> None:
        """Check that no ten seconds have more than the rate and a tenth, and that some come as near from below."""
        for _ in range(4):
            found = self.over(10.0)
            assert found <= rate * 1.1
            if found >= rate * 0.9:
                return
        raise AssertionError(found)


@contextmanager
def running(place: Path, blob: Shared, swarm: Swarm, **sources: Any) -> Iterator[Measured]:
    """Fetch in a thread of its own until the block ends."""
    with Staging(place / "staging") as staging:

        def work() -> None:
            try:
                fetch_by(swarm, staging, place / "door", [blob], **sources)
            except RoadError as error:
                assert error.code == "E-PAUSED"

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield Measured(swarm)
        finally:
            swarm.settings.governor.stop()
            thread.join()


@pytest.mark.slow
@pytest.mark.parametrize("source", ["peer", "tree", "both"])
def test_a_cap_holds_on_a_private_address(source: str, root: Path, tmp_path: Path) -> None:
    blob = shared(root, 40 * MIB)
    rate = 1 * MIB
    with (
        seeder(blob) as giver,
        address_of(published_tree(root)) as address,
        Swarm(settings(**stranger(rate))) as taker,
    ):
        sources: dict[str, Any] = {}
        if source != "tree":
            sources["peers"] = [(HERE, giver.port)]
        if source != "peer":
            sources["web_seeds"] = [address]
        if source == "both":
            # Who leads asks trees at once, whoever else is met.
            taker.part = Part(place=(0, 1))
        with running(tmp_path, blob, taker, **sources) as measured:
            measured.over(3.0)
            measured.keeps(rate)
            # It is changed while it runs.
            taker.settings.governor.set_rate(rate // 4)
            measured.over(5.0)
            measured.keeps(rate // 4)


def test_two_that_call_each_other_at_one_moment_still_meet(big: Shared, tmp_path: Path) -> None:
    """Told of each other by hand *and* by local discovery: the calls cross, libtorrent hangs up both."""
    with seeder(big, discovery=True) as source, Swarm(settings(discovery=True)) as swarm:
        download = swarm.download(big.torrent, tmp_path / "x")
        download.add_peers([(HERE, source.port)])
        deadline = time.monotonic() + 60
        while not download.finished and time.monotonic() < deadline:
            swarm.wait(0.2)
        assert download.finished
        download.end()


def test_a_cap_is_no_cap_between_neighbours(big: Shared, tmp_path: Path) -> None:
    with seeder(big, up_bytes_per_second=100 * KIB) as source:
        came = fetch(tmp_path, [big], peers=[(HERE, source.port)], governor=Governor(100 * KIB, lan=nobody))
        assert came.right and came.seconds < 100


def test_what_is_given_to_strangers_is_capped_too(root: Path, tmp_path: Path) -> None:
    blob = shared(root, 4 * MIB)
    giver = seeder(blob, networks=NOWHERE, education_line=True, up_bytes_per_second=1 * MIB)
    with giver:
        came = fetch(tmp_path, [blob], peers=[(HERE, giver.port)])
    assert came.right and came.seconds > 3


def test_what_is_given_to_strangers_is_counted_and_to_neighbours_not(root: Path, tmp_path: Path) -> None:
    blob = shared(root, 4 * MIB)
    with Local.open(tmp_path / "local.db") as local:
        for networks, least, most in ((NOWHERE, 3 * MIB, 5 * MIB), (LOOPBACK, 0, 0)):
            before = used_bytes(local, "2026-11")
            governor = Governor(meter=Meter(local, month="2026-11"))
            giver = seeder(
                blob, networks=networks, education_line=True, up_bytes_per_second=2 * MIB, governor=governor
            )
            with giver, Swarm(settings()) as taker, Staging(tmp_path / f"to {most}") as staging:
                fetching = threading.Thread(
                    target=taker.fetch, args=([blob.wanted], staging, lambda _: None, lambda _: None),
                    kwargs={"peers": [(HERE, giver.port)]},
                )  # fmt: skip
                fetching.start()
                while fetching.is_alive():
                    giver.count_uploads()
                    time.sleep(0.1)
                fetching.join()
            governor.close()
            assert least <= used_bytes(local, "2026-11") - before <= most


def test_a_budget_that_is_used_up_leaves_the_neighbours(big: Shared, tmp_path: Path) -> None:
    class Spent(Governor):
        def failure(self, *, lan: bool = False) -> RoadError | None:
            return None if lan else RoadError("E-BUDGET", expected=1, found=2)

    spent = Spent(lan=nobody)
    with seeder(big) as source:
        peers = [(HERE, source.port)]
        far = fetch(
            tmp_path / "far", [big], peers=peers, **{**stranger(), "governor": spent, "stall_seconds": 1.0}
        )
        assert [one.error.code for one in far.missed] == ["E-BUDGET"]
        near = fetch(tmp_path / "near", [big], peers=peers, governor=spent)
        assert near.right and not near.missed


def test_a_pause_ends_the_fetch_and_keeps_what_came(big: Shared, tmp_path: Path) -> None:
    governor = Governor(4 * MIB, lan=nobody)
    with (
        seeder(big) as source,
        Swarm(settings(**{**stranger(), "governor": governor})) as swarm,
        Staging(tmp_path / "staging") as staging,
    ):
        timer = threading.Timer(2.5, governor.stop)
        timer.start()
        with pytest.raises(RoadError) as pause:
            fetch_by(swarm, staging, tmp_path / "door", [big], peers=[(HERE, source.port)])
        assert pause.value.code == "E-PAUSED"
        kept = staging.length(big.file)
        assert kept >= swarm.received.total() - MIB > 0


def test_a_peer_that_was_away_is_met_again_soon(big: Shared, tmp_path: Path) -> None:
    """libtorrent waits a minute by default."""
    source = seeder(big, networks=NOWHERE, education_line=True, up_bytes_per_second=4 * MIB)
    port = source.port
    back: list[Swarm] = []

    def go_and_return() -> None:
        time.sleep(1.5)
        source.close()
        time.sleep(1)
        back.append(seeder(big, port=port))

    leaving = threading.Thread(target=go_and_return)
    leaving.start()
    came = fetch(tmp_path, [big], peers=[(HERE, port)], stall_seconds=30.0)
    leaving.join()
    back[0].close()
    assert came.right and came.seconds < 25


def test_what_lies_in_staging_is_believed_by_its_pieces_only(big: Shared, tmp_path: Path) -> None:
    """Resume data is trusted by libtorrent when it is stale; the pieces themselves cannot be."""
    data = bytearray(big.path.read_bytes())
    for wrong in (0, 7 * MIB, 20 * MIB - 1):
        data[wrong] ^= 1
    data[12 * MIB : 13 * MIB] = bytes(MIB)
    staging = tmp_path / "staging"
    staging.mkdir()
    (staging / f"{big.file.sha256}.swarm").write_bytes(data)
    with seeder(big) as source:
        came = fetch(tmp_path, [big], peers=[(HERE, source.port)])
    assert came.right
    pieces = MIB + 3 * big.torrent.piece_length
    assert pieces <= came.received["lan"] <= pieces + 2 * big.torrent.piece_length


@pytest.mark.parametrize("what", ["longer than the blob", "noise", "nothing"])
def test_staging_may_hold_anything(what: str, big: Shared, tmp_path: Path) -> None:
    staging = tmp_path / "staging"
    staging.mkdir()
    contents = {
        "longer than the blob": big.path.read_bytes() + b"x" * 5000,
        "noise": random.Random(3).randbytes(3 * MIB),
        "nothing": b"",
    }
    (staging / f"{big.file.sha256}.swarm").write_bytes(contents[what])
    with seeder(big) as source:
        came = fetch(tmp_path, [big], peers=[(HERE, source.port)])
    assert came.right and not came.wrong


def test_the_addresses_of_this_machine_are_its_neighbourhood_where_none_is_named() -> None:
    with Swarm(settings(networks=None)) as swarm:
        assert swarm.is_near(HERE)
        assert not swarm.is_near("203.0.113.5")
        assert not swarm.is_near("no-such-host.invalid")
    with Swarm(settings(networks=LOOPBACK)) as swarm:
        assert swarm.is_near("localhost")
