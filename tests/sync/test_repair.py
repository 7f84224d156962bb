"""A damaged film is mended for little more than the damage, over every road; and what mending it must survive."""

from __future__ import annotations

import random
import shutil
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from builders import sha256
from county import NOW, County
from hostile import HostileHub, Misbehaviour
from syncing_box import QUICK, SyncingBox
from wsgi import address_of

from catalog.blobs import Blob
from sync.daemon import DaemonSettings, RsyncDaemon
from sync.formats.release import TreeFile
from sync.formats.torrentfile import TorrentFile, make_torrent
from sync.roads.road import Done, staged_file
from sync.roads.staging import SWARM_SUFFIX, Staging
from sync.serve import published_tree
from sync.updating.repair import repair_from
from sync.updating.verify import Mend, Pace, VerifyResult, verify

MIB = 1 << 20
FILM = random.Random(8).randbytes(50 * MIB + 77)
NAME = sha256(FILM)


@pytest.fixture(scope="module")
def county(tmp_path_factory: pytest.TempPathFactory) -> Iterator[County]:
    with County(tmp_path_factory.mktemp("hub")) as county:
        county.add("film", FILM)
        county.add("plan", b"a plan" * 5000)
        county.publish()
        yield county


@pytest.fixture
def box(tmp_path: Path, county: County) -> Iterator[SyncingBox]:
    with SyncingBox(tmp_path / "box", county) as box:
        box.update(county.public)
        with box.library.writing() as writer:
            writer.put_torrent(NAME, make_torrent(box.blobs.path(NAME), NAME).data)
        yield box


@pytest.fixture(scope="module")
def torrent(county: County) -> TorrentFile:
    return make_torrent(county.store.blobs.path(NAME), NAME)


@pytest.fixture(params=["http", "rsync", "directory"])
def address(request: pytest.FixtureRequest, county: County, tmp_path: Path) -> Iterator[str]:
    with ExitStack() as stack:
        if request.param == "http":
            yield stack.enter_context(address_of(published_tree(county.public)))
        elif request.param == "rsync":
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            settings = DaemonSettings(port=port, address="127.0.0.1")
            stack.enter_context(RsyncDaemon(county.public, tmp_path / "daemon", settings))
            yield f"rsync://127.0.0.1:{port}/tree/"
        else:
            yield str(county.public)


def spoil(box: SyncingBox, *places: int) -> None:
    with box.blobs.path(NAME).open("r+b") as stream:
        for place in places:
            stream.seek(place)
            stream.write(bytes([FILM[place] ^ 16]))


def mend(box: SyncingBox, *sources: str, **more: object) -> VerifyResult:
    repair: Mend = repair_from(sources, box.library, box.blobs, box.local, QUICK, **more)  # type: ignore[arg-type]
    return verify(box.library, box.blobs, box.local, now=NOW, pace=Pace(), repair=repair)


def leftovers(box: SyncingBox) -> list[str]:
    return [path.name for path in box.blobs.staging.iterdir() if NAME in path.name]


def test_three_bad_pieces_cost_three_pieces(box: SyncingBox, address: str, torrent: TorrentFile) -> None:
    spoil(box, 5, 20 * MIB, 50 * MIB + 70)
    inode = box.blobs.path(NAME).stat().st_ino
    result = mend(box, address)
    assert (result.damaged, result.repaired) == (1, 1), result.failure
    assert result.fetched_bytes <= 4 * torrent.piece_length
    # Replaced in one step, never written to.
    assert box.blobs.path(NAME).stat().st_ino != inode
    assert leftovers(box) == [] and box.local.damage() == []
    box.check()


def test_damage_of_other_kinds(box: SyncingBox, county: County, torrent: TorrentFile) -> None:
    path = box.blobs.path(NAME)

    def truncated() -> int:
        with path.open("r+b") as stream:
            stream.truncate(49 * MIB)
        return MIB + 77

    def too_long() -> int:
        with path.open("ab") as stream:
            stream.write(b"more")
        return 0

    def gone() -> int:
        path.unlink()
        return len(FILM)

    def other() -> int:
        path.write_bytes(bytes(len(FILM)))
        return len(FILM)

    for damage in (truncated, too_long, gone, other):
        bytes_lost = damage()
        with HostileHub(county.public) as hub:
            result = mend(box, hub.address)
        assert (result.damaged, result.repaired) == (1, 1), damage
        assert bytes_lost <= result.fetched_bytes <= bytes_lost + torrent.piece_length + 100_000, damage
        assert leftovers(box) == []
    box.check()


def test_a_blob_without_a_torrent_comes_whole(box: SyncingBox, county: County) -> None:
    with box.library.writing() as writer:
        writer.put_torrent(NAME, b"what the bad disk made of it")
    spoil(box, 1000)
    with HostileHub(county.public) as hub:
        result = mend(box, hub.address)
    assert result.repaired == 1 and result.fetched_bytes >= len(FILM)
    box.check()


def test_over_rsync_even_that_costs_what_differs(box: SyncingBox, county: County, tmp_path: Path) -> None:
    with box.library.writing() as writer:
        writer.put_torrent(NAME, b"")
    spoil(box, 1000, 30 * MIB)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with RsyncDaemon(county.public, tmp_path / "daemon", DaemonSettings(port=port, address="127.0.0.1")):
        result = mend(box, f"rsync://127.0.0.1:{port}/tree/")
    assert result.repaired == 1 and result.fetched_bytes < 200_000
    box.check()


def test_wrong_pieces_from_one_source_are_fetched_from_the_next(
    box: SyncingBox, county: County, torrent: TorrentFile
) -> None:
    spoil(box, 5, 20 * MIB)
    with (
        HostileHub(county.public, Misbehaviour(NAME, swap=b"wrong ")) as liar,
        HostileHub(county.public, Misbehaviour(NAME, ignore_ranges=True)) as old,
        HostileHub(county.public) as honest,
    ):
        result = mend(box, liar.address, old.address, honest.address)
        assert result.repaired == 1 and result.failure is None
        assert liar.sent(NAME) == honest.sent(NAME) == 2 * torrent.piece_length
    box.check()


def test_where_no_source_has_right_pieces_the_blob_comes_whole(box: SyncingBox, county: County) -> None:
    spoil(box, 5)
    with HostileHub(county.public, Misbehaviour(NAME, times=1, swap=b"wrong ")) as hub:
        result = mend(box, hub.address)
        assert result.repaired == 1
        assert len(FILM) <= hub.sent(NAME) < len(FILM) + 2 * MIB
    box.check()
    spoil(box, 5)
    with HostileHub(county.public, Misbehaviour(NAME, swap=b"wrong ")) as hub:
        result = mend(box, hub.address)
        assert (result.damaged, result.repaired) == (1, 0)
        assert result.failure is not None and result.failure.code == "E-HASH"
        assert [blob.sha256 for blob in box.local.damage()] == [NAME]
        # What is damaged goes on playing.
        assert box.blobs.path(NAME).stat().st_size == len(FILM)


def test_a_mending_that_was_killed_goes_on_by_pieces(
    box: SyncingBox, county: County, torrent: TorrentFile
) -> None:
    """What a killed run leaves is a copy of which any part may be good: it is looked through, not believed."""
    spoil(box, 5, 20 * MIB, 40 * MIB)
    copy = box.blobs.staging / (NAME + SWARM_SUFFIX)
    shutil.copy(box.blobs.path(NAME), copy)
    with copy.open("r+b") as stream:
        stream.write(FILM[:MIB])
        stream.seek(30 * MIB)
        stream.write(bytes(100))
    with HostileHub(county.public) as hub:
        result = mend(box, hub.address)
        assert result.repaired == 1
        assert hub.sent(NAME) == 3 * torrent.piece_length
    assert leftovers(box) == []


def test_neighbours_are_asked_before_the_line(box: SyncingBox, county: County, torrent: TorrentFile) -> None:
    spoil(box, 5)
    asked: list[str] = []

    def swarming(wanted: Sequence[tuple[TreeFile, TorrentFile]], staging: Staging, done: Done) -> None:
        for file, found in wanted:
            asked.append(found.v2)
            copy = staging.path(file.sha256 + SWARM_SUFFIX)
            assert found.bad_pieces(copy) == [found.piece(0)]
            with copy.open("r+b") as stream:
                stream.write(FILM[: found.piece_length])
            copy.rename(staging.path(file.sha256))
            done([staged_file(file, staging)])

    with HostileHub(county.public) as hub:
        result = mend(box, hub.address, swarming=swarming)
        assert result.repaired == 1 and asked == [torrent.v2] and hub.sent(NAME) == 0
    box.check()


def test_a_sector_that_cannot_be_read_is_a_bad_piece(
    box: SyncingBox, county: County, torrent: TorrentFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno
    import os

    import sync.updating.repair

    real: Callable[[int, int, int], bytes] = os.pread

    def bad_sector(handle: int, count: int, start: int) -> bytes:
        if start <= 7 * MIB < start + count:
            raise OSError(errno.EIO, "Input/output error")
        return real(handle, count, start)

    copy = box.state / "copy"
    source = os.open(box.blobs.path(NAME), os.O_RDONLY)
    with monkeypatch.context() as patch:
        patch.setattr(sync.updating.repair.os, "pread", bad_sector)
        sync.updating.repair._copy_readable(source, copy, len(FILM))
    os.close(source)
    bad = torrent.bad_pieces(copy)
    assert sum(part.length_bytes for part in bad) <= MIB and bad[0].start == 7 * MIB


def test_nothing_is_mended_on_a_line_that_is_down(box: SyncingBox) -> None:
    spoil(box, 5)
    result = mend(box, "http://127.0.0.1:9/")
    assert (result.damaged, result.repaired, result.fetched_bytes) == (1, 0, 0)
    assert result.failure is not None and result.failure.exit_code in range(30, 40)
    assert box.local.damage() == [Blob(sha256=NAME, size_bytes=len(FILM))]
