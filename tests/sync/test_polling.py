"""What a poll asks a source for: the timestamp, and of what it leads to only what is not here."""

from __future__ import annotations

from pathlib import Path

from county import DAY, NOW, County
from hostile import HostileHub
from syncing_box import SyncingBox

from sync import tree


def test_a_new_signature_alone_costs_the_timestamp_and_a_look_for_a_new_root(tmp_path: Path) -> None:
    with County(tmp_path / "hub") as county, SyncingBox(tmp_path / "box", county) as box:
        county.add("a", b"lesson a")
        county.publish()
        with HostileHub(county.public) as hub:
            assert box.update(hub.address).failure is None
            before = (county.public / tree.TIMESTAMP).read_bytes()
            county.publish(NOW + DAY)
            assert (county.public / tree.TIMESTAMP).read_bytes() != before
            hub.requests.clear()
            done = box.update(hub.address, now=NOW + DAY)
            assert done.failure is None and not done.activated
            assert [path for path, _ in hub.requests] == [tree.TIMESTAMP, tree.root_path(2)]
            assert (box.state / "trust" / tree.TIMESTAMP).read_bytes() != before
            # A new release is asked for with all that it needs.
            county.add("b", b"lesson b")
            county.publish(NOW + 2 * DAY)
            hub.requests.clear()
            assert box.update(hub.address, now=NOW + 2 * DAY).release == 2
            assert tree.ROADS in [path for path, _ in hub.requests]
        box.check()


def test_what_the_trust_directory_lost_is_asked_for_again(tmp_path: Path) -> None:
    with County(tmp_path / "hub") as county, SyncingBox(tmp_path / "box", county) as box:
        county.add("a", b"lesson a")
        county.publish()
        with HostileHub(county.public) as hub:
            assert box.update(hub.address).failure is None
            held = next((box.state / "trust" / "targets").glob(f"*.{tree.CATALOG_TARGET}"))
            held.unlink()
            county.publish(NOW + DAY)
            assert box.update(hub.address, now=NOW + DAY).failure is None
            assert held.is_file()
        box.check()
