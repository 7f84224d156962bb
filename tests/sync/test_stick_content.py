"""What several runs leave on a stick: they add up, a newer release sweeps, other trees are refused, any cut is mended."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from builders import sha256
from county import DAY, NOW, County
from syncing_box import SyncingBox

from catalog.errors import ConfigError, ContentError, RoadError, ShuxiangError
from catalog.local import Local
from sync import boxfile, tree
from sync.export import MARKER, ExportResult, export, export_published
from sync.roads.stick import pack_files, read_index
from sync.trust.signing import renew

MIB = 1 << 20
BOX = "ab" * 16


@pytest.fixture
def county(tmp_path: Path) -> Iterator[County]:
    with County(tmp_path / "hub") as county:
        fill(county)
        county.publish()
        yield county


def fill(county: County) -> None:
    noise = random.Random(8)
    for bundle in ("one", "two"):
        for number in range(12):
            county.add(f"{bundle}{number:02}", noise.randbytes(3000 + number), bundle=bundle)
        county.add(f"{bundle}-film", noise.randbytes(4 * MIB + 5), bundle=bundle)


def write(
    county: County, root: Path, *, bundles: tuple[str, ...] = (), boxes: tuple[str, ...] = ()
) -> ExportResult:
    return export_published(
        county.store.library,
        county.store.blobs,
        county.public,
        county.keys,
        root,
        bundles=bundles,
        boxes=boxes,
    )


def packed(root: Path) -> set[str]:
    return {member.sha256 for path in pack_files(root) for member in read_index(path)}


def large(root: Path) -> set[str]:
    return {path.name for path in (root / "blobs").glob("*/*")}


def metadata(box: SyncingBox) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (box.state / "trust" / "metadata").iterdir()}


def test_runs_of_one_release_add_up(county: County, tmp_path: Path) -> None:
    root = tmp_path / "stick"
    first = write(county, root, bundles=("one",))
    assert first.blobs == 13 and len(large(root)) == 1
    (root / "holiday.jpg").write_bytes(b"not ours")
    before = packed(root)
    write(county, root, bundles=("two",))
    assert before < packed(root) and len(large(root)) == 2 and len(pack_files(root)) == 2
    with SyncingBox(tmp_path / "box", county) as box:
        assert box.update(root).failure is None
        assert len(box.held()) == 26
        # A box adds what it has to a stick of the same release, and finds nothing to do.
        again = export(box.library, box.blobs, box.state / "trust", root)
        assert (again.written_bytes, again.swept_bytes) == (0, 0)
        part = export(box.library, box.blobs, box.state / "trust", tmp_path / "part", bundles=("two",))
        assert part.blobs == 13
        with pytest.raises(ConfigError) as refusal:
            export(box.library, box.blobs, box.state / "trust", root, bundles=("three",))
        assert refusal.value.code == "E-BUNDLE"
    assert (root / "holiday.jpg").read_bytes() == b"not ours"


def test_a_newer_release_sweeps_what_it_does_not_name(county: County, tmp_path: Path) -> None:
    root = tmp_path / "stick"
    write(county, root)
    old_films, old_small = large(root), packed(root)
    noise = random.Random(9)
    # Most of a pack and one film are replaced; what stays is moved to a new pack.
    for bundle in ("one", "two"):
        for number in range(10):
            county.add(f"{bundle}{number:02}", noise.randbytes(3000 + number), bundle=bundle)
    county.add("one-film", noise.randbytes(4 * MIB + 6), bundle="one")
    county.publish(now=NOW + DAY)
    result = write(county, root, bundles=("one",))
    assert result.release == 2 and result.swept_bytes > 4 * MIB
    assert len(old_films & large(root)) == 1 and len(large(root)) == 2
    assert len(pack_files(root)) == 1 and 4 <= len(old_small & packed(root)) <= 6
    assert len(list((root / "metadata").glob("*.snapshot.json"))) == 1
    with SyncingBox(tmp_path / "box", county) as box:
        update = box.update(root, subscriptions=frozenset({"one"}), now=NOW + DAY)
        assert update.failure is None and update.release == 2
        box.check()


def test_a_box_gets_what_it_is_assigned_and_its_own_file(county: County, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refusal:
        write(county, tmp_path / "x", boxes=(BOX,))
    assert refusal.value.code == "E-BOX"
    made = boxfile.Assignment(
        box=BOX, version=1, signed_at=NOW, expires=NOW + 400 * DAY, subscriptions=("two",)
    )
    with Local.open(county.state / "local.db") as local:
        boxfile.assign(county.public, county.keys, made, local)
    root = tmp_path / "stick"
    result = write(county, root, boxes=(BOX,))
    assert result.blobs == 13
    assert (root / tree.box_path(BOX)).read_bytes() == (county.public / tree.box_path(BOX)).read_bytes()
    with SyncingBox(tmp_path / "box", county) as box:
        update = box.update(root, box_id=BOX, leaves=frozenset({"subscriptions"}))
        assert update.failure is None and not update.warnings and len(box.held()) == 13
    # A box that fills the stick of another one goes by the file that lies there.
    with SyncingBox(tmp_path / "all", county) as box:
        box.update(county.public)
        shutil.rmtree(root / "blobs")
        shutil.rmtree(root / tree.PACKS)
        given = export(box.library, box.blobs, box.state / "trust", root, box_id=BOX)
        assert given.blobs == 13
        other = export(box.library, box.blobs, box.state / "trust", root, box_id="cd" * 16)
        assert other.blobs == 26


def test_another_countys_stick_and_a_newer_one_are_refused_in_one_line(
    county: County, tmp_path: Path
) -> None:
    root = tmp_path / "stick"
    with County(tmp_path / "hub2", name="别的县") as other:
        other.add("r", b"other")
        other.publish()
        write(other, root)
        before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
        with pytest.raises(ContentError) as refusal:
            write(county, root)
        assert refusal.value.code == "E-STICK-OTHER"
        assert before == {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
        with SyncingBox(tmp_path / "box", county) as box:
            box.update(county.public)
            with pytest.raises(ContentError) as refused:
                box.update(root)
            assert refused.value.code == "E-STICK-OTHER"
            assert "\n" not in refused.value.line("zh-CN")
            box.check()
    newer = tmp_path / "newer"
    with SyncingBox(tmp_path / "behind", county) as behind:
        behind.update(county.public)
        county.add("extra", b"extra", bundle="one")
        county.publish(now=NOW + DAY)
        write(county, newer)
        with pytest.raises(ContentError) as refusal:
            export(behind.library, behind.blobs, behind.state / "trust", newer)
        assert refusal.value.code == "E-STICK-NEWER"


def test_an_old_stick_and_one_signed_by_a_wrong_clock(county: County, tmp_path: Path) -> None:
    old = tmp_path / "old"
    write(county, old)
    county.add("extra", b"extra", bundle="one")
    county.publish(now=NOW + DAY)
    with SyncingBox(tmp_path / "box", county) as box:
        box.update(county.public, now=NOW + DAY)
        failure = box.update(old, now=NOW + DAY).failure
        assert failure is not None and failure.code == "E-ROLLBACK"
        box.check()
    with SyncingBox(tmp_path / "late", county) as box:
        # Signed too long ago, whether it is our clock that is ahead or the hub's that was behind.
        with pytest.raises(ContentError) as refusal:
            box.update(old, now=NOW + 300 * DAY)
        assert refusal.value.code == "E-EXPIRED"
        # A box that believes it is 1970 takes it: nothing tells it that the stick is old.
        assert box.update(old, now=datetime(1970, 1, 2, tzinfo=UTC)).failure is None
        box.check()


def test_a_stick_signed_before_another_of_the_same_release_is_taken_too(
    county: County, tmp_path: Path
) -> None:
    write(county, tmp_path / "monday", bundles=("one",))
    renew(county.public, county.keys, NOW + 2 * DAY)
    write(county, tmp_path / "wednesday", bundles=("two",))
    with SyncingBox(tmp_path / "box", county) as box:
        # All that it has came; what the box wants more is elsewhere.
        failure = box.update(tmp_path / "wednesday", now=NOW + 2 * DAY).failure
        assert failure is not None and failure.code == "E-ROAD-MISSING"
        trust = metadata(box)
        assert box.update(tmp_path / "monday", now=NOW + 2 * DAY).failure is None
        assert len(box.held()) == 26 and metadata(box) == trust
        box.check()


def test_of_an_old_stick_what_still_misses_is_taken(county: County, tmp_path: Path) -> None:
    write(county, tmp_path / "old")
    county.add("extra", b"extra", bundle="one")
    county.publish(now=NOW + DAY)
    write(county, tmp_path / "new", bundles=("two",))
    with SyncingBox(tmp_path / "box", county) as box:
        box.update(tmp_path / "new", now=NOW + DAY)
        trust = metadata(box)
        found = box.update(tmp_path / "old", now=NOW + 300 * DAY)
        assert found.failure is not None and found.failure.code == "E-ROLLBACK"
        assert found.fetched_blobs == 13 and found.release == 2 and metadata(box) == trust
        box.check()
        # A state that is older and not whole either stays out.
        (tmp_path / "old" / "metadata" / "1.targets.json").write_bytes(b"{}")
        with pytest.raises(ContentError) as refusal:
            box.update(tmp_path / "old", now=NOW + 300 * DAY)
        assert refusal.value.code == "E-ROLLBACK"


def test_a_cut_stick_says_so(county: County, tmp_path: Path) -> None:
    root = tmp_path / "stick"
    write(county, root)
    (root / MARKER).touch()
    for path in pack_files(root):
        path.unlink()
    with SyncingBox(tmp_path / "box", county) as box:
        failure = box.update(root).failure
        assert failure is not None and failure.code == "E-STICK-CUT"
        (root / tree.TIMESTAMP).unlink()
        with pytest.raises(RoadError) as refusal, SyncingBox(tmp_path / "new", county) as new:
            new.update(root)
        assert refusal.value.code == "E-STICK-CUT"
        write(county, root)
        assert box.update(root).failure is None
        box.check()


def test_a_damaged_pack_is_told_and_harms_nothing(county: County, tmp_path: Path) -> None:
    root = tmp_path / "stick"
    write(county, root)
    pack = pack_files(root)[0]
    whole = pack.read_bytes()
    with SyncingBox(tmp_path / "box", county) as box:
        pack.write_bytes(whole[:40] + b"\xff" + whole[41:])
        failure = box.update(root).failure
        assert failure is not None and failure.code == "E-STICK-PACK"
        box.check()
        # A body that is wrong: each blob has its own hash, the others come.
        pack.write_bytes(whole)
        place = read_index(pack)[3].offset
        pack.write_bytes(whole[:place] + bytes(10) + whole[place + 10 :])
        failure = box.update(root).failure
        assert failure is not None and failure.code == "E-HASH"
        assert len(box.held()) == 25
        box.check()
        pack.write_bytes(whole)
        assert box.update(root).failure is None and len(box.held()) == 26


def test_pulled_in_the_middle_of_an_import(county: County, tmp_path: Path) -> None:
    root, away = tmp_path / "stick", tmp_path / "away"
    write(county, root)
    with SyncingBox(tmp_path / "box", county) as box:
        for bytes_until in (1, 20_000, 80_000, 5 * MIB):

            def pull(progress: object, most: int = bytes_until) -> None:
                done = getattr(progress, "done_bytes", 0)
                if getattr(progress, "phase", "") == "content" and done >= most and root.exists():
                    root.rename(away)

            update = box._update((root,), {})
            update._filling._progress = update._progress = pull
            try:
                failure: ShuxiangError | None = update.run(NOW).failure
            except RoadError as error:
                failure = error
            if away.exists():
                away.rename(root)
                # Pulled after the last byte it is no loss.
                assert len(box.held()) == 26 or (failure is not None and failure.code == "E-PULLED")
                assert failure is None or "\n" not in failure.line("zh-CN")
            box.check()
        assert box.update(root).failure is None
        assert len(box.held()) == 26
        box.check()


PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from catalog.blobs import BlobStore
from catalog.library import Library
from sync.export import export
state, root = Path(sys.argv[2]), Path(sys.argv[3])
library = Library.open(state / "library.db")
blobs = BlobStore(state / "blobs", state / "staging", library.add_blobs)
print("ready", flush=True)
export(library, blobs, state / "trust", root)
print("done", flush=True)
"""


def run_and_kill(state: Path, root: Path, seconds: float) -> bool:
    """Export in a process of its own and kill it after a time; return whether it was done."""
    words = [sys.executable, "-c", PROGRAM, str(Path(__file__).parents[1]), str(state), str(root)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        time.sleep(seconds)
        os.kill(process.pid, signal.SIGKILL)
        return process.stdout.read() == b"done\n"


def check_readers(county: County, root: Path, work: Path) -> None:
    """A box takes the stick as it is: a whole state, or a clear word."""
    with SyncingBox(work, county) as box:
        try:
            failure = box.update(root).failure
        except RoadError as error:
            failure = error
        if failure is not None:
            assert failure.code in ("E-STICK-CUT", "E-NO-TREE"), failure
        box.check()


@pytest.mark.parametrize("kills", [6, pytest.param(60, marks=pytest.mark.slow)])
def test_killed_at_many_moments(kills: int, county: County, tmp_path: Path) -> None:
    noise = random.Random(kills)
    root = tmp_path / "stick"
    with SyncingBox(tmp_path / "source", county) as source:
        source.update(county.public)
        held = source.held()
    for number in range(kills):
        done = run_and_kill(tmp_path / "source", root, noise.uniform(0.0, 0.12))
        if root.exists() and number % 3 == 0:
            check_readers(county, root, tmp_path / f"reader{number}")
        if (root / MARKER).exists() and noise.random() < 0.5:
            # What a cut does besides: names without their bytes.
            files = [*(root / tree.PACKS).glob("*"), *(root / "blobs").glob("*/*")]
            if files:
                victim = noise.choice(files)
                os.truncate(victim, noise.randrange(victim.stat().st_size + 1))
        if done and noise.random() < 0.5:
            shutil.rmtree(root)
    with SyncingBox(tmp_path / "source", county) as source:
        export(source.library, source.blobs, source.state / "trust", root)
    assert not (root / MARKER).exists()
    for path in (root / "blobs").glob("*/*"):
        assert sha256(path.read_bytes()) == path.name
    with SyncingBox(tmp_path / "last", county) as box:
        assert box.update(root).failure is None and box.held() == held
        box.check()
