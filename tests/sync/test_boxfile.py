"""A box's own file: signed at the hub, fetched with the head, refused where it is not the box's own newest one."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from builders import sha256
from county import DAY, NOW, County
from syncing_box import SyncingBox
from wire import Wire
from wsgi import address_of

from catalog.errors import ContentError
from catalog.local import Local
from catalog.resource import canonical_json
from catalog.scope import Scope
from sync import boxfile, tree
from sync.boxfile import Assignment, assign, assigned, held, new_assignment, renew_all, sign, take, verify
from sync.roads import Road, road_for
from sync.serve import published_tree

BOX, OTHER = "0123456789abcdef" * 2, "f" * 32


@pytest.fixture
def county(tmp_path: Path) -> Iterator[County]:
    with County(tmp_path / "hub") as county:
        yield county


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Local]:
    with Local.open(tmp_path / "local.db") as local:
        yield local


def an_assignment(county: County, box: str = BOX, **settings: object) -> Assignment:
    with hubs_own(county) as own:
        made = new_assignment(county.public, box, NOW, county.keys, settings, own)
        assign(county.public, county.keys, made, own)
    return made


def hubs_own(county: County) -> Local:
    """Return the hub's own `local.db`."""
    return Local.open(county.state / "local.db")


def taken(road: Road, local: Local, county: County, **more: object) -> str:
    """Take over `road`; return the code of the refusal."""
    error = take(
        road,
        local,
        **{"box_id": BOX, "box_key": county.keys.box_key, "now": NOW, **more},  # type: ignore[arg-type]
    )
    return error.code if error else ""


def road_to(county: County) -> Road:
    return road_for(str(county.public))


def test_a_file_is_read_as_it_was_written(county: County) -> None:
    made = an_assignment(
        county,
        subscriptions=("main", "g3-math"),
        scope=Scope(stages=frozenset({"primary"})),
        policy={"windows": ["1-5 18:00-23:00"], "month_budget_mb": 2000},
    )
    data = (county.public / tree.box_path(BOX)).read_bytes()
    read = verify(data, box_key=county.keys.box_key, box_id=BOX)
    assert read == Assignment(
        box=BOX,
        version=1,
        signed_at=NOW,
        expires=made.expires,
        subscriptions=("g3-math", "main"),
        scope=made.scope,
        policy=made.policy,
    )
    assert read.expires - NOW >= timedelta(days=200)
    assert (county.public / tree.box_path(BOX)).stat().st_mode & 0o777 == 0o644
    assert (county.public / "boxes").stat().st_mode & 0o777 == 0o755


def test_a_box_takes_its_file_and_keeps_it(county: County, local: Local) -> None:
    road = road_to(county)
    assert taken(road, local, county) == "" and held(local) is None
    an_assignment(county, subscriptions=("main",))
    assert taken(road, local, county) == ""
    found = held(local)
    assert found is not None and found.subscriptions == ("main",) and found.version == 1
    an_assignment(county, subscriptions=("all",), policy={"metered": True})
    assert taken(road, local, county) == ""
    found = held(local)
    assert found is not None and found.subscriptions == ("all",) and found.policy == {"metered": True}
    # The hub's tree is gone, the settings are not.
    (county.public / tree.box_path(BOX)).unlink()
    assert taken(road, local, county) == "" and held(local) == found


def test_an_unchanged_file_costs_a_tag(county: County, local: Local) -> None:
    an_assignment(county, subscriptions=("main",))
    with address_of(published_tree(county.public)) as address:
        port = int(address.rstrip("/").rpartition(":")[2])
        with Wire(port) as wire:
            road = road_for(f"http://127.0.0.1:{wire.port}/")
            assert taken(road, local, county) == ""
            stored = local.get(boxfile.BOX_FILE)
            wire.reset()
            assert taken(road, local, county) == ""
            assert wire.down_bytes < 300 and wire.up_bytes < 300 and wire.connections == 0
            assert local.get(boxfile.BOX_FILE) == stored
            an_assignment(county, subscriptions=("other",))
            assert taken(road, local, county) == ""
            road.close()
    found = held(local)
    assert found is not None and found.subscriptions == ("other",)


def test_an_older_file_after_a_newer_one_is_refused(county: County, local: Local) -> None:
    an_assignment(county, subscriptions=("main",))
    old = (county.public / tree.box_path(BOX)).read_bytes()
    an_assignment(county, subscriptions=("other",))
    road = road_to(county)
    assert taken(road, local, county) == ""
    (county.public / tree.box_path(BOX)).write_bytes(old)
    assert taken(road, local, county) == "E-ROLLBACK"
    found = held(local)
    assert found is not None and found.subscriptions == ("other",)


def test_the_file_of_another_box_or_county_is_refused(county: County, local: Local, tmp_path: Path) -> None:
    road, place = road_to(county), county.public / tree.box_path(BOX)
    an_assignment(county, subscriptions=("main",))
    assert taken(road, local, county) == ""
    before = local.get(boxfile.BOX_FILE)
    an_assignment(county, OTHER, subscriptions=("theirs",))
    place.write_bytes((county.public / tree.box_path(OTHER)).read_bytes())
    assert taken(road, local, county) == "E-BOX-FILE"
    with County(tmp_path / "elsewhere", name="别县") as elsewhere:
        made = an_assignment(elsewhere, subscriptions=("theirs",))
        place.write_bytes(sign(made, elsewhere.keys))
        assert taken(road, local, county) == "E-SIGNATURE"
        # The right key's name over another's signature.
        forged = json.loads(place.read_bytes())
        forged["signatures"][0]["keyid"] = county.keys.box_key
        place.write_bytes(canonical_json(forged))
        assert taken(road, local, county) == "E-SIGNATURE"
    assert local.get(boxfile.BOX_FILE) == before


def test_an_expired_file_changes_nothing_and_one_in_force_stays(county: County, local: Local) -> None:
    road = road_to(county)
    made = an_assignment(county, subscriptions=("main",))
    assert taken(road, local, county, now=made.expires + DAY) == "E-EXPIRED"
    assert held(local) is None
    assert taken(road, local, county) == ""
    assert held(local) is not None


@pytest.mark.parametrize(
    "change",
    [
        {"version": 0},
        {"version": True},
        {"version": 2**60},
        {"box": "../../etc"},
        {"expires": "soon"},
        {"signed_at": 5},
        {"subscriptions": ["../x"]},
        {"subscriptions": "some"},
        {"subscriptions": [["main"]]},
        {"scope": "all"},
        {"scope": {"editions": [1]}},
        {"policy": {"windows": ["never"]}},
        {"policy": [1]},
        {"format": 2},
    ],
)
def test_a_signed_file_is_still_read_with_care(
    county: County, local: Local, change: dict[str, object]
) -> None:
    signed = an_assignment(county, subscriptions=("main",)).to_json() | change
    signature = base64.b64encode(county.keys.box.sign(canonical_json(signed))).decode()
    value = {"signed": signed, "signatures": [{"keyid": county.keys.box_key, "sig": signature}]}
    (county.public / tree.box_path(BOX)).write_bytes(canonical_json(value))
    assert taken(road_to(county), local, county) in ("E-BOX-FILE", "E-VERSION")
    assert held(local) is None


def test_garbage_is_refused_with_a_word(county: County) -> None:
    an_assignment(county, subscriptions=("main",))
    good = (county.public / tree.box_path(BOX)).read_bytes()
    noise = random.Random(5)
    spoiled = [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"<html>",
        b"[" * 100_000,
        b'{"signed":{},"signatures":[{}]}',
        b"\xff" * 50,
    ]
    for _ in range(300):
        data = bytearray(good)
        for _ in range(noise.randrange(1, 4)):
            data[noise.randrange(len(data))] = noise.randrange(256)
        spoiled.append(bytes(data))
    for data in spoiled:
        try:
            read = verify(data, box_key=county.keys.box_key, box_id=BOX)
        except ContentError as error:
            assert error.code in ("E-BOX-FILE", "E-SIGNATURE", "E-VERSION")
        else:
            assert read == verify(good, box_key=county.keys.box_key, box_id=BOX)


def test_a_long_file_is_not_read(county: County, local: Local) -> None:
    place = county.public / tree.box_path(BOX)
    place.parent.mkdir()
    place.write_bytes(b" " * (boxfile.MAX_BYTES + 1))
    assert taken(road_to(county), local, county) == "E-SIZE"


def test_files_are_signed_anew_in_time(county: County, local: Local) -> None:
    an_assignment(county, subscriptions=("main",), policy={"metered": True})
    an_assignment(county, OTHER)
    (county.public / "boxes" / "notes.txt").write_text("no box's")
    later = NOW + 200 * DAY
    with hubs_own(county) as own:
        assert renew_all(county.public, county.keys, NOW + 100 * DAY, own) == 0
        assert renew_all(county.public, county.keys, later, own) == 2
        assert renew_all(county.public, county.keys, later, own) == 0
    found = assigned(county.public, BOX, county.keys)
    assert found is not None and found.version == 3 and found.expires - later >= timedelta(days=200)
    assert found.subscriptions == ("main",) and found.policy == {"metered": True}
    assert taken(road_to(county), local, county, now=later) == ""


def test_a_hub_with_a_new_key_counts_from_one(county: County, local: Local, tmp_path: Path) -> None:
    for _ in range(3):
        an_assignment(county, subscriptions=("main",))
    assert taken(road_to(county), local, county) == ""
    with County(tmp_path / "again") as again:
        assert an_assignment(again, subscriptions=("fresh",)).version == 1
        # The box knows the new key from a release that the pinned root vouches for.
        assert taken(road_to(again), local, again) == ""
    found = held(local)
    assert found is not None and found.subscriptions == ("fresh",)


def test_a_hub_that_lost_its_tree_goes_on_counting(county: County, local: Local) -> None:
    for number in range(4):
        an_assignment(county, subscriptions=(f"b{number}",))
        if number == 1:
            copy = (county.public / tree.box_path(BOX)).read_bytes()
    assert taken(road_to(county), local, county) == ""
    (county.public / tree.box_path(BOX)).unlink()
    assert an_assignment(county, subscriptions=("after",)).version == 5
    assert taken(road_to(county), local, county) == ""
    # Or an old copy of the tree came back.
    (county.public / tree.box_path(BOX)).write_bytes(copy)
    assert an_assignment(county, subscriptions=("again",)).version == 6
    assert taken(road_to(county), local, county) == ""
    found = held(local)
    assert found is not None and found.subscriptions == ("again",)


def test_a_scope_is_shown_until_the_school_sets_its_own(county: County, local: Local) -> None:
    primary, junior = (Scope(stages=frozenset({stage})) for stage in ("primary", "junior"))
    an_assignment(county, scope=primary)
    assert taken(road_to(county), local, county) == ""
    assert local.get("scope") == primary.to_json()
    an_assignment(county, scope=junior)
    assert taken(road_to(county), local, county) == ""
    assert local.get("scope") == junior.to_json()
    local.put("scope", Scope(grades=frozenset({"g3"})).to_json())
    an_assignment(county, scope=primary)
    assert taken(road_to(county), local, county) == ""
    assert local.get("scope") == Scope(grades=frozenset({"g3"})).to_json()


@pytest.fixture
def box(tmp_path: Path, county: County) -> Iterator[SyncingBox]:
    county.add("a", b"lesson a", bundle="main")
    county.add("b", b"lesson b", bundle="extra")
    county.publish()
    box = SyncingBox(tmp_path / "box", county)
    yield box
    box.close()


LEAVES = frozenset({"subscriptions", "scope"})


def test_a_run_keeps_what_the_hub_assigns(county: County, box: SyncingBox) -> None:
    an_assignment(county, subscriptions=("extra",))
    done = box.update(county.public, box_id=BOX, leaves=LEAVES)
    assert done.warnings == () and done.failure is None
    assert box.held() == {sha256(b"lesson b")}
    an_assignment(county, subscriptions=("all",))
    box.update(county.public, box_id=BOX, leaves=LEAVES)
    assert box.held() == {sha256(b"lesson a"), sha256(b"lesson b")}


def test_what_a_box_says_itself_goes_before_it(county: County, box: SyncingBox) -> None:
    an_assignment(county, subscriptions=("extra",))
    box.update(county.public, box_id=BOX, subscriptions=frozenset({"main"}))
    assert box.held() == {sha256(b"lesson a")}


def test_a_refused_file_is_a_word_and_the_run_goes_on(county: County, box: SyncingBox) -> None:
    place = county.public / tree.box_path(BOX)
    place.parent.mkdir()
    place.write_bytes(b"<html>")
    done = box.update(county.public, box_id=BOX, leaves=LEAVES)
    assert [warning.code for warning in done.warnings] == ["E-BOX-FILE"]
    assert done.failure is None and len(box.held()) == 2


def test_an_unchanged_poll_is_two_tags(county: County, box: SyncingBox) -> None:
    an_assignment(county, subscriptions=("main",))
    with (
        address_of(published_tree(county.public)) as address,
        Wire(int(address.rstrip("/").rpartition(":")[2])) as wire,
    ):
        source = f"http://127.0.0.1:{wire.port}/"
        box.update(source, box_id=BOX, leaves=LEAVES)
        wire.reset()
        done = box.update(source, box_id=BOX, leaves=LEAVES)
        assert done.fetched_bytes == 0 and not done.activated
        assert wire.up_bytes + wire.down_bytes < 1000
        # What `trust/` lost is asked for, whatever the tag says.
        (box.state / "trust" / tree.TIMESTAMP).unlink()
        assert box.update(source, box_id=BOX, leaves=LEAVES).roads["http"] > 0
        county.publish(now=NOW + DAY)
        county.add("c", b"lesson c", bundle="main")
        county.publish(now=NOW + DAY)
        assert box.update(source, box_id=BOX, leaves=LEAVES, now=NOW + DAY).release == 2
