"""A box passes on the own files of the boxes that sync from it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from county import NOW, County
from syncing_box import SyncingBox
from wsgi import address_of

from catalog.local import Local
from sync import tree
from sync.boxfile import assign, held, new_assignment, pass_on, take
from sync.children import CHILDREN, MOST_CHILDREN, children, note_child
from sync.roads import road_for
from sync.serve import held_tree, published_tree

PARENT, CHILD, NOBODY = "0123456789abcdef" * 2, "f" * 32, "e" * 32


@pytest.fixture
def county(tmp_path: Path) -> Iterator[County]:
    with County(tmp_path / "hub") as county:
        county.add("lesson", b"words" * 100)
        county.publish()
        yield county


@pytest.fixture
def parent(county: County, tmp_path: Path) -> Iterator[SyncingBox]:
    box = SyncingBox(tmp_path / "parent", county)
    yield box
    box.close()


def assigned_to(box_id: str, county: County, **settings: object) -> None:
    with Local.open(county.state / "local.db") as own:
        assign(county.public, county.keys, new_assignment(county.public, box_id, NOW, county.keys, settings, own), own)  # fmt: skip


def tree_of(box: SyncingBox) -> object:
    return held_tree(
        box.state / "trust",
        box.blobs.path,
        lambda _: False,
        box.state / "parcels",
        asked=lambda box_id: note_child(box.local, box_id),
    )


def test_a_child_gets_its_file_from_its_parent(county: County, parent: SyncingBox, tmp_path: Path) -> None:
    assigned_to(CHILD, county, subscriptions=("main",))
    with (
        address_of(published_tree(county.public)) as hub,
        address_of(tree_of(parent)) as here,
        Local.open(tmp_path / "child.db") as child,
    ):
        parent.update(hub, box_id=PARENT)
        road = road_for(here)
        ask = {"box_id": CHILD, "box_key": county.keys.box_key, "now": NOW}
        assert take(road, child, **ask) is None and held(child) is None  # type: ignore[arg-type]
        assert children(parent.local) == {CHILD: {}}
        parent.update(hub, box_id=PARENT)
        assert take(road, child, **ask) is None  # type: ignore[arg-type]
        found = held(child)
        assert found is not None and found.subscriptions == ("main",)
        assigned_to(CHILD, county, subscriptions=("all",))
        parent.update(hub, box_id=PARENT, now=NOW + timedelta(hours=1))
        assert take(road, child, **ask) is None  # type: ignore[arg-type]
        found = held(child)
        assert found is not None and found.subscriptions == ("all",)
        road.close()


def test_only_the_hubs_newest_word_is_passed_on(county: County, parent: SyncingBox) -> None:
    trust, place = parent.state / "trust", parent.state / "trust" / tree.box_path(CHILD)
    published = county.public / tree.box_path(CHILD)
    note_child(parent.local, CHILD)
    assigned_to(CHILD, county, subscriptions=("main",))
    first = published.read_bytes()
    assigned_to(CHILD, county, subscriptions=("all",))
    second = published.read_bytes()
    road = road_for(str(county.public))
    for data, code, kept in (
        (second, "", second),
        (first, "", second),
        (second.replace(b'"all"', b'"own"'), "E-SIGNATURE", second),
        (b"not a file", "E-BOX-FILE", second),
    ):
        published.write_bytes(data)
        refused = pass_on(road, parent.local, trust, box_key=county.keys.box_key)
        assert "".join(error.code for error in refused) == code
        assert place.read_bytes() == kept
    # What the hub has no more is still given: the box judges it by itself.
    published.unlink()
    assert pass_on(road, parent.local, trust, box_key=county.keys.box_key) == []
    assert place.read_bytes() == second and CHILD in children(parent.local)


def test_invented_ids_are_few_and_forgotten(county: County, parent: SyncingBox) -> None:
    for number in range(MOST_CHILDREN + 9):
        note_child(parent.local, f"{number:032x}")
    assert len(children(parent.local)) == MOST_CHILDREN
    pass_on(road_for(str(county.public)), parent.local, parent.state / "trust", box_key=county.keys.box_key)
    assert parent.local.get(CHILDREN) == {} and not (parent.state / "trust" / "boxes").exists()


def test_without_children_nothing_is_asked_or_written(county: County, parent: SyncingBox) -> None:
    before = parent.local.get(CHILDREN)
    pass_on(road_for(str(county.public)), parent.local, parent.state / "trust", box_key=county.keys.box_key)
    assert before is None and parent.local.get(CHILDREN) is None
