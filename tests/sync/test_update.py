"""A box's run against a real county over real roads, honest and hostile."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from builders import sha256
from county import NOW, County
from hostile import HostileHub, Misbehaviour
from small_disk import small_disk
from syncing_box import SyncingBox

from catalog.errors import ContentError, RoadError
from sync import tree
from sync.updating.explain import plan_text

MIB = 1 << 20


@pytest.fixture
def county(tmp_path: Path) -> Iterator[County]:
    with County(tmp_path / "hub") as county:
        noise = random.Random(11)
        for number in range(12):
            county.add(f"r{number}", noise.randbytes(2000 + number), title=f"第{number}课 千克")
        county.add("big", noise.randbytes(3 * MIB), title="大视频 长江")
        county.add("art1", noise.randbytes(5000), bundle="art", title="剪纸")
        county.publish()
        yield county


@pytest.fixture
def box(tmp_path: Path, county: County) -> Iterator[SyncingBox]:
    with SyncingBox(tmp_path / "box", county) as box:
        yield box


def test_a_fresh_box_gets_everything(county: County, box: SyncingBox) -> None:
    with HostileHub(county.public) as hub:
        result = box.update(hub.address)
        assert result.failure is None
        assert (result.release, result.content_release, result.activated) == (1, 1, True)
        assert result.fetched_blobs == 14
        assert result.roads == {"http": result.fetched_bytes}
        assert len(box.ids()) == 14 and box.found("千克") == 12 and box.found("剪纸") == 1
        assert box.entry("big").current
        box.check()
        before = len(hub.requests)
        again = box.update(hub.address)
        assert not again.activated and again.fetched_blobs == 0 and again.reused_bytes == 0
        # An unchanged poll asks for the timestamp alone.
        assert [path for path, _ in hub.requests[before:]] == [tree.TIMESTAMP]


def test_a_change_travels_alone(county: County, box: SyncingBox) -> None:
    box.update(county.public)
    county.add("r3", b"new bytes of r3", title="第3课 小数")
    county.add("r99", b"quite new", title="新课 圆")
    with county.store.library.writing() as writer:
        writer.remove_resources("main", ["r5"])
    county.publish(NOW + timedelta(hours=1))
    plan = box.preview(county.public)
    assert {step.file.size_bytes for step in plan.steps} == {15, 9}
    assert [(one.id, one.added, one.changed, one.removed) for one in plan.bundles] == [("main", 1, 1, 1)]
    assert "r5" in box.ids()
    result = box.update(county.public)
    assert result.fetched_blobs == 2 and result.release == 2
    assert box.found("千克") == 10 and box.found("小数") == 1 and box.found("圆") == 1
    assert "r5" not in box.ids()
    # What nothing names any more is deleted: the old r3 and r5.
    assert len(box.held()) == 14
    box.check()


def test_the_catalogue_is_whole_and_content_follows_the_subscription(county: County, box: SyncingBox) -> None:
    result = box.update(county.public, subscriptions=frozenset({"art"}))
    assert result.failure is None and result.content_release == 1
    assert len(box.ids()) == 14
    assert box.entry("art1").current and not box.entry("r1").cached
    assert result.fetched_blobs == 1
    box.local.add_request("r7", NOW)
    assert box.update(county.public, subscriptions=frozenset({"art"})).fetched_blobs == 1
    assert box.entry("r7").current
    none = box.update(county.public, subscriptions=frozenset())
    assert none.fetched_blobs == 0 and box.entry("art1").current


def test_a_resource_serves_its_old_files_until_the_new_ones_are_here(county: County, box: SyncingBox) -> None:
    box.update(county.public)
    old = box.entry("r4").serving[0].sha256
    new = b"a new film"
    county.add("r4", new, title="第4课 千克")
    county.publish(NOW + timedelta(hours=1))
    with HostileHub(county.public, Misbehaviour(sha256(new), status=404)) as hub:
        result = box.update(hub.address)
        assert result.failure is not None and result.failure.code == "E-ROAD-MISSING"
        assert (result.release, result.content_release) == (2, 1)
        assert box.entry("r4").serving[0].sha256 == old and not box.entry("r4").current
        hub.wrong.clear()
        result = box.update(hub.address)
    assert result.failure is None and result.content_release == 2
    assert box.entry("r4").serving[0].sha256 == sha256(new)
    assert old not in box.held()
    box.check()


def test_wrong_bytes_once_are_asked_for_again(county: County, box: SyncingBox) -> None:
    big = box_file(county, "big")
    with HostileHub(county.public, Misbehaviour(big, times=1, swap=b"other")) as hub:
        result = box.update(hub.address)
    assert result.failure is None
    box.check()


def test_wrong_bytes_always_are_a_content_refusal(county: County, box: SyncingBox) -> None:
    big = box_file(county, "big")
    with HostileHub(county.public, Misbehaviour(big, swap=b"other")) as hub:
        result = box.update(hub.address)
        assert result.failure is not None and result.failure.code == "E-HASH"
        assert result.content_release == 0 and len(box.held()) == 13
        with pytest.raises(ContentError):
            result.raise_for_failure()
        # No ban outlives the run.
        hub.wrong.clear()
        assert box.update(hub.address).failure is None
    box.check()


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (Misbehaviour("manifest|bundles/", swap=b"x"), "E-HASH"),
        (Misbehaviour("bundles/", lie_length=7), "E-SIZE"),
        (Misbehaviour("timestamp", portal=True), "E-PORTAL"),
        (Misbehaviour("timestamp", swap=b"<html>"), "E-PORTAL"),
        (Misbehaviour("snapshot", stop_after=20), "E-ROAD-SHORT"),
        (Misbehaviour("metadata", status=503), "E-ROAD-SHORT"),
        (Misbehaviour("catalog.json", swap=b"no data "), "E-ROAD-DATA"),
        (Misbehaviour(".", status=404), "E-NO-TREE"),
    ],
)
def test_a_refusal_keeps_the_old_state(
    county: County, box: SyncingBox, wrong: Misbehaviour, code: str
) -> None:
    box.update(county.public)
    county.add("r1", b"changed", title="改过的一课")
    county.publish(NOW + timedelta(hours=1))
    with HostileHub(county.public, wrong) as hub:
        with pytest.raises((ContentError, RoadError)) as refusal:
            box.update(hub.address)
        assert refusal.value.code == code
        assert box.library.generation().release == 1 and box.found("改过") == 0
        hub.wrong.clear()
        assert box.update(hub.address).release == 2
    assert box.found("改过") == 1


def test_an_older_state_is_refused(county: County, box: SyncingBox, tmp_path: Path) -> None:
    import shutil

    stick = tmp_path / "stick"
    shutil.copytree(county.public, stick)
    county.add("r1", b"changed")
    county.publish(NOW + timedelta(hours=1))
    box.update(county.public)
    found = box.update(stick)
    assert found.failure is not None and found.failure.code == "E-ROLLBACK"
    assert found.release == 2
    # The stick is refused as a state and used as a source of bytes.
    assert box.update(stick, county.public).failure is None


def test_roads_fall_back_in_order(county: County, box: SyncingBox, tmp_path: Path) -> None:
    parent = tmp_path / "parent"
    with SyncingBox(parent, county) as elder:
        elder.update(county.public, subscriptions=frozenset({"art"}))
        missing = Misbehaviour(sha256(b""), times=0)
        with HostileHub(county.public, missing) as hub:
            # The parent has the newest head but only some content: the rest comes from the hub.
            result = box.update("http://127.0.0.1:9/", parent_tree(elder, tmp_path), hub.address)
            assert result.failure is None
            assert result.roads["directory"] > 5000 and result.roads["http"] > 3 * MIB
            assert hub.sent(box_file(county, "art1")) == 0
    box.check()


def test_hints_are_read_when_the_source_lacks_something(
    county: County, box: SyncingBox, tmp_path: Path
) -> None:
    with HostileHub(county.public) as mirror:
        county.publish(NOW, roads=[mirror.address.replace("127.0.0.1", "{host}")])
        with HostileHub(county.public, Misbehaviour("blobs/", status=404)) as hub:
            assert box.update(hub.address).failure is None
            asked = [path for path, _ in hub.requests]
            assert tree.ROADS in asked
            box.update(hub.address)
            assert [path for path, _ in hub.requests[len(asked) :]] == [tree.TIMESTAMP]


def test_a_disk_that_is_too_small_keeps_what_fits(county: County) -> None:
    with small_disk(24 * MIB) as disk, SyncingBox(disk / "box", county) as box:
        tight = box.blobs.free_bytes() - 2 * MIB
        result = box.update(county.public, keep_free_bytes=tight)
        assert result.failure is None and result.content_release == 1
        assert not box.entry("big").cached and box.entry("r1").current
        assert box.preview(county.public, keep_free_bytes=tight).left_out == 1
        assert box.update(county.public, keep_free_bytes=0).fetched_blobs == 1
        assert box.entry("big").current


def test_requests_come_first_and_small_before_large(county: County, box: SyncingBox) -> None:
    box.local.add_request("big", NOW)
    plan = box.preview(county.public)
    sizes = [step.file.size_bytes for step in plan.steps]
    assert sizes[0] == 3 * MIB and sizes[1:] == sorted(sizes[1:])
    assert "点播申请：1 个数据块" in plan_text(plan, "zh-CN")
    assert "requested: 1 blobs" in plan_text(plan, "en")


def test_what_an_earlier_run_left_is_not_fetched_again(county: County, box: SyncingBox) -> None:
    big = box_file(county, "big")
    data = (county.public / tree.blob_path(big)).read_bytes()
    (box.state / "staging" / big).write_bytes(data)
    art = box_file(county, "art1")
    stray = box.blobs.path(art)
    stray.parent.mkdir(parents=True)
    stray.write_bytes((county.public / tree.blob_path(art)).read_bytes())
    with HostileHub(county.public) as hub:
        result = box.update(hub.address)
        assert hub.sent(big) == 0 and hub.sent(art) == 0
    assert result.reused_bytes == len(data) + 5000 and result.fetched_blobs == 12
    box.check()


def test_a_lost_library_is_rebuilt_from_what_is_here(county: County, box: SyncingBox, tmp_path: Path) -> None:
    box.update(county.public)
    box.close()
    for name in ("library.db", "library.db-wal", "library.db-shm"):
        (box.state / name).unlink(missing_ok=True)
    with SyncingBox(box.state, county) as again, HostileHub(county.public) as hub:
        result = again.update(hub.address)
        assert result.failure is None and hub.sent("blobs/") == 0 and hub.sent("bundles/") == 0
        assert again.found("千克") == 12
        again.check()


def test_a_lost_index_is_made_again(county: County, box: SyncingBox) -> None:
    import shutil

    box.update(county.public)
    shutil.rmtree(box.state / "index" / str(box.library.generation().index))
    box.update(county.public)
    assert box.found("千克") == 12


def test_a_clock_in_the_past_and_in_the_far_future(county: County, box: SyncingBox) -> None:
    box.update(county.public)
    result = box.update(county.public, now=NOW + timedelta(days=20_000))
    assert result.failure is not None and result.failure.code == "E-EXPIRED"
    assert box.found("千克") == 12


def box_file(county: County, resource_id: str) -> str:
    with county.store.library.reading() as reader:
        entry = reader.resource(resource_id)
    assert entry is not None
    return entry.resource.files[0].sha256


def parent_tree(box: SyncingBox, tmp_path: Path) -> str:
    """Lay out what `box` serves as a directory (its own trust with its blobs)."""
    import shutil

    target = tmp_path / "parent-tree"
    shutil.copytree(box.state / "trust", target)
    shutil.copytree(box.state / "blobs", target / "blobs")
    return str(target)
