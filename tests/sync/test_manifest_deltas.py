"""Deltas of manifests end to end: made by a hub, fetched and applied by a box; bad ones cost only themselves."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import sha256
from county import DAY, NOW, County

from sync import tree
from sync.heads import current_head
from sync.linedelta import read_head
from sync.release import BundleHead, Release

RECORDS = 60


@pytest.fixture
def county(tmp_path: Path) -> Iterator[County]:
    with County(tmp_path / "hub") as found:
        fill(found)
        found.publish()
        yield found


def fill(county: County, bundle: str = "main") -> None:
    """Enough of a catalogue that a delta is worth its entry, with one small blob."""
    dice = random.Random(bundle)
    for number in range(RECORDS):
        county.add(f"{bundle[0]}{number:04}", bundle=bundle, description=dice.randbytes(100).hex())
    county.add(f"{bundle[0]}x", bundle.encode(), bundle=bundle)


def edit(county: County, resource_id: str, title: str) -> None:
    county.add(resource_id, title=title, description=random.Random(title).randbytes(100).hex())


def release(county: County) -> Release:
    head = current_head(county.public)
    assert head is not None
    return head.release


def main(county: County) -> BundleHead:
    found = release(county).bundle("main")
    assert found is not None
    return found


def blobs(county: County) -> set[str]:
    return {path.name for path in (county.public / "blobs").rglob("*") if path.is_file()}


# -- made at the hub -------------------------------------------------------------------------------------------------


def test_a_release_names_deltas_from_the_last_three(county: County) -> None:
    assert main(county).deltas == ()
    edit(county, "m0001", "新题目")
    result = county.publish(NOW + DAY)
    (one,) = main(county).deltas
    assert one.source == 1 and one.transport is None and one.manifest is not None
    data = (county.public / one.manifest.path).read_bytes()
    assert (sha256(data), len(data)) == (one.manifest.sha256, one.manifest.size_bytes)
    assert len(data) < main(county).manifest.zst.size_bytes / 10
    with (county.public / one.manifest.path).open("rb") as stream:
        assert read_head(stream, where="").target == main(county).manifest.plain.sha256
    catalog = len(release(county).to_bytes())
    assert result.bytes_new == len(data) + main(county).transport.zst.size_bytes + catalog
    for day in (2, 3, 4):
        edit(county, f"m000{day}", f"新题目{day}")
        county.publish(NOW + DAY * day)
    assert [delta.source for delta in main(county).deltas] == [4, 3, 2]


def test_deltas_are_made_alike_again_and_stay_with_an_unchanged_bundle(county: County) -> None:
    fill(county, "extra")
    edit(county, "m0001", "新题目")
    county.publish(NOW + DAY)
    before = main(county)
    assert before.deltas
    for day in range(2, 7):
        county.add("ey", str(day).encode(), bundle="extra")
        county.publish(NOW + DAY * day)
    assert main(county) == before
    assert before.deltas[0].manifest is not None
    assert before.deltas[0].manifest.sha256 in blobs(county)


def test_deltas_are_swept_with_the_releases_that_they_lead_to(county: County) -> None:
    content = {sha256(b"main")}
    for day in range(1, 9):
        edit(county, f"m000{day}", f"新题目{day}")
        county.publish(NOW + DAY * day)
    kept = [Release.from_bytes(path.read_bytes()) for path in (county.public / "targets").glob("*.json")]
    assert len(kept) == 4
    assert blobs(county) == content | {file.sha256 for one in kept for file in one.deltas()}


def test_a_small_or_rewritten_manifest_has_no_delta(county: County) -> None:
    county.add("one", bundle="small")
    county.publish(NOW + DAY)
    county.add("two", bundle="small")
    for number in range(RECORDS):
        edit(county, f"m{number:04}", f"全部换新{number}")
    county.publish(NOW + DAY * 2)
    assert all(bundle.deltas == () for bundle in release(county).bundles)


def test_a_bundle_that_begins_anew_has_no_deltas(county: County) -> None:
    edit(county, "m0001", "新题目")
    county.publish(NOW + DAY)
    with county.store.library.writing() as writer:
        ids = [key for key, _ in writer.reader().digests("main")]
        writer.remove_resources("main", ids)
        writer.drop_bundle("main")
    county.publish(NOW + DAY * 2)
    fill(county)
    county.publish(NOW + DAY * 3)
    assert (main(county).version, main(county).deltas) == (1, ())


def test_every_name_in_the_tree_is_one_of_a_tree(county: County) -> None:
    edit(county, "m0001", "新题目")
    county.publish(NOW + DAY)
    for path in county.public.rglob("*"):
        assert path.is_dir() or tree.parse(str(path.relative_to(county.public))), path
        assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644)
