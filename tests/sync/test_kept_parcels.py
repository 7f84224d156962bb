"""A box passes on what it came by: who syncs from a box alone pays what it would pay at the hub."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from builders import sha256
from county import DAY, NOW, County
from syncing_box import QUICK, SyncingBox
from wsgi import address_of

from sync.line.rate import Governor
from sync.parcels.kept import FOLDER, KeptParcels
from sync.serve import held_tree, published_tree

# No source is a neighbour: every byte counts.
FAR = replace(QUICK, governor=Governor(lan=lambda _: False))
DECK_BYTES, NOTES = 400_000, 30


@pytest.fixture
def county(tmp_path: Path) -> Iterator[County]:
    with County(tmp_path / "hub") as county:
        yield county


def deck(edits: int) -> bytes:
    data = random.Random(1).randbytes(DECK_BYTES)
    for number in range(edits):
        data = data[: 1000 * number] + b"edited" + data[1000 * number :]
    return data


def release(county: County, number: int) -> None:
    """A deck that is edited each time, and small files that are new."""
    county.add("deck", deck(number))
    for note in range(NOTES):
        county.add(f"note{number}-{note}", random.Random(number * 100 + note).randbytes(2000))
    county.publish(NOW + number * DAY)


def test_a_child_of_a_box_pays_what_it_would_pay_at_the_hub(county: County, tmp_path: Path) -> None:
    with (
        SyncingBox(tmp_path / "parent", county) as parent,
        SyncingBox(tmp_path / "child", county) as child,
        SyncingBox(tmp_path / "other", county) as other,
        address_of(published_tree(county.public)) as hub,
        address_of(given_by(parent)) as box,
    ):
        release(county, 1)
        for one in (parent, other):
            assert one.update(hub, road=FAR).failure is None
        assert child.update(box, road=FAR).failure is None
        release(county, 2)
        ways = []
        for one, source in ((parent, hub), (other, hub), (child, box)):
            result = one.update(source, road=FAR, now=NOW + 2 * DAY)
            assert result.failure is None and not result.warnings and result.content_release == 2
            ways.append((result.fetched_bytes, result.ways))
        (_, _), (at_hub, ways_of_hub), (at_box, ways_of_box) = ways
        assert {"patch", "pack"} <= ways_of_hub.keys() and ways_of_box == ways_of_hub
        assert at_box <= at_hub * 1.05 < 150_000
        assert child.held() == other.held()


def test_what_is_kept_goes_when_nothing_offers_it_any_more(county: County, tmp_path: Path) -> None:
    with SyncingBox(tmp_path / "box", county) as box, address_of(published_tree(county.public)) as hub:
        seen = []
        for number in range(1, 8):
            release(county, number)
            assert box.update(hub, road=FAR, now=NOW + number * DAY).failure is None
            seen.append({path.name for path in (box.state / FOLDER).glob("*")})
        assert seen[1] and not seen[1] & seen[6]
        assert all(path.name == sha256(path.read_bytes()) for path in (box.state / FOLDER).iterdir())


def test_so_much_is_kept_and_the_oldest_goes_first(tmp_path: Path) -> None:
    kept = KeptParcels(tmp_path / FOLDER, 2500)
    names = []
    for number in range(4):
        data = bytes([number]) * (1000 if number < 3 else 3000)
        path = tmp_path / sha256(data)
        path.write_bytes(data)
        kept.keep(path)
        names.append(path.name)
    here = {path.name for path in (tmp_path / FOLDER).iterdir()}
    # The last alone is more than may be kept.
    assert here == {names[1], names[2]}
    kept.prune([b'{"pack":{"sha256":"%s"}}' % names[2].encode()])
    assert {path.name for path in (tmp_path / FOLDER).iterdir()} == {names[2]}
    kept.clear()
    assert not list((tmp_path / FOLDER).iterdir())


def given_by(box: SyncingBox):  # type: ignore[no-untyped-def]
    return held_tree(
        box.state / "trust", box.blobs.path, lambda sha256: sha256 in box.held(), box.state / FOLDER
    )
