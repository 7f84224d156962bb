"""A week's release with edited, small and big files: a box takes patches and packs, and does without where it must."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from builders import sha256
from county import NOW, County
from hostile import HostileHub, Misbehaviour
from small_disk import small_disk
from swarms import HERE, seeder, settings
from syncing_box import SyncingBox

from sync import tree
from sync.daemon import DaemonSettings, RsyncDaemon
from sync.formats.torrentfile import make_torrent, read_torrent
from sync.formats.transport import Pack
from sync.line.rate import Governor
from sync.roads import RoadSettings, http
from sync.roads.collecting import Part
from sync.roads.torrent import Swarm
from sync.updating.neighbours import Neighbours
from sync.updating.plan import PACK, PATCH, WHOLE
from sync.updating.run import UpdateResult

from .test_daemon import free_port

MIB = 1 << 20
LATER = NOW + timedelta(hours=1)


class Week:
    """A county at release 2: a deck was edited, eight small files and a film are new."""

    def __init__(self, directory: Path) -> None:
        self.county = County(directory)
        noise = random.Random(3)
        self.old = noise.randbytes(400_000)
        self.county.add("deck", self.old, title="课件 千克")
        for number in range(8):
            self.county.add(f"s{number}", noise.randbytes(3000 + number))
        self.county.publish()
        self.first = directory.with_name("first")
        shutil.copytree(self.county.public, self.first)
        self.new = self.old[:200_000] + b"edited" + self.old[200_000:]
        self.county.add("deck", self.new, title="课件 千克")
        for number in range(8):
            self.county.add(f"t{number}", noise.randbytes(3000 + number))
        self.film = noise.randbytes(6 * MIB)
        self.county.add("film", self.film)
        self.county.publish(LATER)
        self.new_bytes = len(self.new) + sum(3000 + number for number in range(8)) + len(self.film)


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Week]:
    week = Week(tmp_path_factory.mktemp("week") / "hub")
    yield week
    week.county.close()


@pytest.fixture
def box(tmp_path: Path, week: Week) -> Iterator[SyncingBox]:
    """A box at release 1."""
    with SyncingBox(tmp_path / "box", week.county) as box:
        assert box.update(week.first).failure is None
        yield box


def finished(week: Week, box: SyncingBox, result: UpdateResult) -> None:
    assert result.failure is None and result.content_release == 2
    assert box.entry("deck").serving[0].sha256 == sha256(week.new)
    box.check()
    assert sum(result.ways.values()) == week.new_bytes
    assert result.fetched_bytes == sum(result.roads.values())
    assert list((box.state / "staging").glob("?" * 64)) == []


def test_a_week_costs_its_new_bytes_only_and_as_planned(week: Week, box: SyncingBox) -> None:
    with HostileHub(week.county.public) as hub:
        plan = box.preview(hub.address)
        assert {step.way.kind for step in plan.steps} == {PATCH, PACK, WHOLE}
        before = hub.sent()
        result = box.update(hub.address)
        finished(week, box, result)
        assert result.ways == {
            "patch": len(week.new),
            "pack": week.new_bytes - len(week.new) - 6 * MIB,
            "whole": 6 * MIB,
        }
        assert result.fetched_blobs == 10 and result.reused_bytes == 0 and not result.warnings
        assert hub.sent() - before == result.fetched_bytes
        # What was planned is what travelled, but for the head's metadata.
        assert 0 <= result.fetched_bytes - plan.haul.line_bytes < 6000
        assert result.saved["patch"] > len(week.new) * 0.99
        with box.library.reading() as reader:
            assert reader.torrent(sha256(week.film)) is not None


def test_patches_and_packs_come_over_rsync_too(week: Week, box: SyncingBox, tmp_path: Path) -> None:
    daemon = DaemonSettings(port=free_port(), address="127.0.0.1")
    with RsyncDaemon(week.county.public, tmp_path / "daemon", daemon):
        result = box.update(f"rsync://127.0.0.1:{daemon.port}/tree/")
    finished(week, box, result)
    assert set(result.ways) == {"patch", "pack", "whole"} and set(result.roads) == {"rsync"}


def test_a_disk_without_room_aside_takes_whole_files(week: Week) -> None:
    with small_disk(40 * MIB) as disk, SyncingBox(disk / "box", week.county) as box:
        box.update(week.first, keep_free_bytes=0)
        plan = box.preview(week.county.public, keep_free_bytes=0)
        filler = disk / "filler"
        with filler.open("wb") as stream:
            os.posix_fallocate(stream.fileno(), 0, box.blobs.free_bytes() - plan.fetch_bytes - 20_000)
        with HostileHub(week.county.public) as hub:
            result = box.update(hub.address, keep_free_bytes=-MIB)
            # Too little for the pack beside its files: whatever came came whole.
            assert set(result.ways) <= {"whole"} and not result.saved
            filler.unlink()
            assert box.update(hub.address, keep_free_bytes=0).failure is None
        box.check()


def test_from_a_disk_everything_comes_whole(week: Week, box: SyncingBox) -> None:
    result = box.update(week.county.public)
    finished(week, box, result)
    assert result.ways == {"whole": week.new_bytes} and set(result.roads) == {"directory"}


@pytest.mark.parametrize(
    "wrong",
    [
        Misbehaviour(r"transport", status=404),
        Misbehaviour(r"transport", swap=b"x"),
        Misbehaviour(r"transport", lie_length=9),
    ],
)
def test_a_box_does_without_the_transport_file(week: Week, tmp_path: Path, wrong: Misbehaviour) -> None:
    with SyncingBox(tmp_path / "fresh", week.county) as box, HostileHub(week.county.public, wrong) as hub:
        result = box.update(hub.address)
        assert result.failure is None and result.content_release == 2
        assert set(result.ways) == {"whole"} and result.warnings
        box.check()


def test_packs_and_patches_that_are_nowhere_cost_nothing(week: Week, box: SyncingBox) -> None:
    plan = box.preview(week.county.public)
    wanted = "|".join(step.file.sha256 for step in plan.steps)
    with HostileHub(week.county.public, Misbehaviour(rf"blobs/../(?!{wanted})", status=404)) as hub:
        result = box.update(hub.address)
    finished(week, box, result)
    assert result.ways == {"whole": week.new_bytes}


def test_a_run_that_breaks_off_goes_on_with_what_came(week: Week, box: SyncingBox) -> None:
    film = sha256(week.film)
    with HostileHub(week.county.public, Misbehaviour(film, stop_after=2 * MIB + 5000, times=1)) as hub:
        hub.wrong.append(Misbehaviour(film, status=503))
        result = box.update(hub.address)
        assert result.failure is not None and result.content_release == 1
        # All but the film is here; the deck serves its new edition.
        assert box.entry("deck").serving[0].sha256 == sha256(week.new)
        hub.wrong.clear()
        sent = hub.sent("blobs/")
        again = box.update(hub.address)
        assert again.failure is None and again.content_release == 2
        assert hub.sent("blobs/") - sent <= 4 * MIB and again.reused_bytes >= 2 * MIB
        assert again.ways == {"whole": 6 * MIB}
    box.check()


def test_the_source_of_a_patch_is_kept_until_it_was_used(week: Week, box: SyncingBox) -> None:
    # The box no longer serves the old edition: only the patch needs its bytes.
    old = sha256(week.old)
    with HostileHub(week.county.public, Misbehaviour("blobs/", status=404)) as hub:
        box.update(hub.address, subscriptions=frozenset())
    assert old in box.held()
    with HostileHub(week.county.public) as hub:
        result = box.update(hub.address)
        finished(week, box, result)
        assert result.ways["patch"] == len(week.new) and hub.sent(sha256(week.new)) == 0
    assert old not in box.held()


def test_a_portal_in_the_way_keeps_the_old_edition(week: Week, box: SyncingBox) -> None:
    with HostileHub(week.county.public, Misbehaviour(r"blobs/", portal=True)) as hub:
        result = box.update(hub.address)
    assert result.failure is not None and result.failure.code == "E-PORTAL"
    assert box.entry("deck").serving[0].sha256 == sha256(week.old)


def test_a_neighbour_spares_the_line_and_all_bytes_are_told(week: Week, box: SyncingBox) -> None:
    path = week.county.public / tree.blob_path(sha256(week.film))
    torrent = make_torrent(path, sha256(week.film))
    far = RoadSettings(timeout_seconds=3, governor=Governor(lan=lambda _: False))
    with (
        seeder() as other,
        HostileHub(week.county.public, Misbehaviour(sha256(week.film), status=404)) as hub,
    ):
        other.seed(torrent, path)
        met = Neighbours(open=lambda: Swarm(settings()), meet=lambda _: Part(peers=[(HERE, other.port)]))
        plan = box.preview(hub.address, road=far, neighbours=met)
        assert {step.way.road for step in plan.steps} == {"http", "swarm"}
        # A source in the LAN is as near as any neighbour: no swarm is joined for it.
        assert {step.way.road for step in box.preview(hub.address, neighbours=met).steps} == {"http"}
        result = box.update(hub.address, road=far, neighbours=met)
    finished(week, box, result)
    assert result.roads["lan"] >= 6 * MIB and result.saved["lan"] == result.roads["lan"]
    assert hub.sent(sha256(week.film)) == 0


def test_pieces_that_a_swarm_left_lie_scattered_and_count(week: Week, box: SyncingBox) -> None:
    path = week.county.public / tree.blob_path(sha256(week.film))
    far = RoadSettings(timeout_seconds=3, governor=Governor(lan=lambda _: False))
    with (
        seeder() as other,
        HostileHub(week.county.public, Misbehaviour(sha256(week.film), status=404)) as hub,
    ):
        other.seed(make_torrent(path, sha256(week.film)), path)
        met = Neighbours(open=lambda: Swarm(settings()), meet=lambda _: Part(peers=[(HERE, other.port)]))
        before = box.preview(hub.address, road=far, neighbours=met).haul
        with (box.state / "staging" / f"{sha256(week.film)}.swarm").open("wb") as pieces:
            pieces.truncate(len(week.film))
            pieces.seek(3 * MIB)
            pieces.write(week.film[3 * MIB : 5 * MIB])
            os.fsync(pieces.fileno())
        after = box.preview(hub.address, road=far, neighbours=met).haul
        assert (before.line_bytes - after.line_bytes, after.begun_bytes) == (2 * MIB, 2 * MIB)
        # To the roads, which go on at a file's beginning, they are of no use.
        assert box.preview(hub.address, road=far).haul.line_bytes >= before.line_bytes - 100_000
        result = box.update(hub.address, road=far, neighbours=met)
    finished(week, box, result)
    assert 4 * MIB <= result.roads["lan"] < 5 * MIB


def test_a_pack_that_a_cut_left_in_the_middle_is_gone_on_with(tmp_path: Path) -> None:
    """No resource names a pack: its torrent, by which its pieces are known again, must outlive what tidies up."""
    noise = random.Random(5)
    far = RoadSettings(timeout_seconds=3, governor=Governor(lan=lambda _: False))
    with County(tmp_path / "hub") as county, SyncingBox(tmp_path / "box", county) as box, seeder() as other:
        for number in range(12):
            county.add(f"s{number}", noise.randbytes(500_000 + number))
        county.publish()
        met = Neighbours(open=lambda: Swarm(settings()), meet=lambda _: Part(peers=[(HERE, other.port)]))
        assert box.update(county.public, subscriptions=frozenset()).failure is None
        with HostileHub(county.public) as hub:
            (pack,) = (
                load
                for load in box.preview(hub.address, road=far, neighbours=met).haul.loads
                if isinstance(load.offer, Pack)
            )
            data = (county.public / tree.blob_path(pack.file.sha256)).read_bytes()
            assert pack.torrent is not None
            torrent = (county.public / tree.blob_path(pack.torrent.file.sha256)).read_bytes()
            other.seed(
                read_torrent(torrent, sha256=pack.file.sha256, size_bytes=len(data)),
                county.public / tree.blob_path(pack.file.sha256),
            )
            # As a kill leaves it: the torrent in the library, pieces in staging, nothing else.
            with box.library.writing() as writer:
                writer.put_torrent(pack.file.sha256, torrent)
            with (box.state / "staging" / f"{pack.file.sha256}.swarm").open("wb") as pieces:
                pieces.truncate(len(data))
                pieces.seek(MIB)
                pieces.write(data[MIB : 4 * MIB])
                os.fsync(pieces.fileno())
            hub.wrong.append(Misbehaviour(pack.file.sha256, status=404))
            result = box.update(hub.address, road=far, neighbours=met)
        assert result.failure is None and result.ways == {"pack": sum(500_000 + n for n in range(12))}
        assert 0 < result.roads["lan"] <= len(data) - 3 * MIB + MIB // 2
        # Now that it is used up, it goes.
        with box.library.reading() as reader:
            assert reader.torrent(pack.file.sha256) is None
        box.check()


def test_a_new_signature_alone_is_no_reason_to_meet_anyone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hub signs anew each day; who joins for nothing would lead its LAN for nothing."""
    monkeypatch.setattr(http, "LONG_SECONDS", 0.0)
    met: list[str] = []

    def joined() -> Swarm:
        met.append("joined")
        return Swarm(settings())

    neighbours = Neighbours(open=joined, meet=lambda _: Part(place=(0, 1)))
    with County(tmp_path / "hub") as county, SyncingBox(tmp_path / "box", county) as box:
        county.add("deck", b"a lesson")
        county.publish()
        with HostileHub(county.public) as hub:
            first = box.update(hub.address, neighbours=neighbours)
            assert (first.failure, first.release, met) == (None, 1, ["joined"])
            assert county.publish(LATER).release == 1
            again = box.update(hub.address, now=LATER, neighbours=neighbours)
            assert (again.failure, again.release, met) == (None, 1, ["joined"])
            assert again.fetched_bytes > 0


@pytest.mark.parametrize("alone", [True, False])
def test_who_is_alone_on_a_long_line_asks_the_hub_by_road(
    alone: bool, week: Week, box: SyncingBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "LONG_SECONDS", 0.0)
    path = week.county.public / tree.blob_path(sha256(week.film))
    far = RoadSettings(timeout_seconds=3, governor=Governor(lan=lambda _: False))
    wrong = [] if alone else [Misbehaviour(sha256(week.film), status=404)]
    with seeder() as other, HostileHub(week.county.public, *wrong) as hub:
        other.seed(make_torrent(path, sha256(week.film)), path)
        part = Part(place=(0, 1)) if alone else Part(place=(1, 2), peers=[(HERE, other.port)])
        met = Neighbours(open=lambda: Swarm(settings()), meet=lambda _: part)
        result = box.update(hub.address, road=far, neighbours=met)
    finished(week, box, result)
    assert (result.roads.keys() == {"http"}) is alone
    assert alone or result.roads["lan"] >= 6 * MIB
