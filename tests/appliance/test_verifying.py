"""`box verify` in its three ways, what `box status` and `doctor` say between them, and rsync's version."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import call
from supplier import write_folder

from appliance.health import RSYNC_FIXED, is_older, upstream_version
from appliance.state import locked


@pytest.fixture
def box(tmp_path: Path) -> Path:
    hub, folder, box = (tmp_path / name for name in ("hub", "folder", "box"))
    call(hub, "hub", "init", "--name", "青禾县")
    write_folder(folder, files=6)
    call(hub, "hub", "ingest", folder)
    call(hub, "hub", "publish")
    public = hub / "public"
    call(box, "box", "init", "--hub", public, "--root", public / "metadata" / "1.root.json")
    call(box, "box", "sync")
    return box


def damage(box: Path, count: int) -> None:
    for path in [path for path in sorted((box / "blobs").rglob("*")) if path.is_file()][:count]:
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)


def test_damage_is_told_until_a_round_in_the_background_has_mended_it(box: Path) -> None:
    damage(box, 2)
    found = call(box, "box", "verify", "--continue", "--rate", "100000000", code=20)
    assert (found["checked"], found["damaged"], found["repaired"]) == (6, 2, 0)
    assert found["round"]["checked"] == 6 and found["round"]["finished"]
    assert call(box, "box", "status")["damaged"] == 2
    assert [line["code"] for line in call(box, "doctor")] == ["D-DAMAGED"]
    # The month's round is full: only what is known to be damaged is looked at again, while nobody else writes.
    with locked(box, "sync"):
        busy = call(box, "box", "verify", "--continue", "--repair", code=20)
    assert (busy["checked"], busy["damaged"], busy["repaired"]) == (0, 2, 0)
    call(box, "box", "pause")
    paused = call(box, "box", "verify", "--continue", "--repair", code=20)
    assert (paused["damaged"], paused["repaired"]) == (2, 0)
    call(box, "box", "resume")
    mended = call(box, "box", "verify", "--continue", "--repair")
    assert (mended["checked"], mended["damaged"], mended["repaired"]) == (0, 2, 2)
    assert call(box, "box", "status")["damaged"] == 0
    assert call(box, "box", "verify") == {"checked": 6, "damaged": 0, "repaired": 0, "fetched_bytes": 0}
    assert [line["code"] for line in call(box, "doctor")] == ["D-FINE"]


def test_debian_orders_versions_not_letters() -> None:
    fixed = RSYNC_FIXED["12"]
    for old in ("3.2.7-1", "3.1.3-6", "3.2.7-1+deb12u1~bpo11+1"):
        assert is_older(old, fixed)
    for new in (fixed, "3.2.7-1+deb12u2", "3.2.10-1", "3.5.0+ds1-0+deb12u1"):
        assert not is_older(new, fixed)
    assert is_older("3.3.0", "3.4.0") and not is_older("3.4.1", "3.4.0")


def test_what_rsync_says_of_itself() -> None:
    assert upstream_version("rsync  version 3.2.7  protocol version 31\nCopyright") == "3.2.7"
    assert upstream_version("rsync  version v3.4.1  protocol version 32") == "3.4.1"
    assert upstream_version("openrsync: protocol version 29") == ""
