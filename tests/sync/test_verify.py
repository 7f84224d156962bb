"""Damage on the disk is found, and mended over a road."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import sha256
from county import NOW, County
from hostile import HostileHub, Misbehaviour
from syncing_box import QUICK, SyncingBox

from catalog.blobs import Blob
from sync.updating.repair import repair_from
from sync.updating.verify import Mend, Pace, VerifyResult, is_whole, verify


@pytest.fixture
def county(tmp_path: Path) -> Iterator[County]:
    with County(tmp_path / "hub") as county:
        noise = random.Random(5)
        for number in range(8):
            county.add(f"r{number}", noise.randbytes(20_000 + number))
        county.publish()
        yield county


@pytest.fixture
def box(tmp_path: Path, county: County) -> Iterator[SyncingBox]:
    with SyncingBox(tmp_path / "box", county) as box:
        box.update(county.public)
        yield box


def read_all(box: SyncingBox, repair: Mend | None = None) -> VerifyResult:
    return verify(box.library, box.blobs, box.local, now=NOW, pace=Pace(), repair=repair)


def mend(box: SyncingBox, *sources: str) -> Mend:
    return repair_from(sources, box.library, box.blobs, box.local, QUICK)


def damage(box: SyncingBox, count: int) -> list[str]:
    victims = sorted(box.held())[:count]
    for kind, victim in enumerate(victims):
        path = box.blobs.path(victim)
        if kind % 3 == 0:
            data = bytearray(path.read_bytes())
            data[777] ^= 1
            path.write_bytes(data)
        elif kind % 3 == 1:
            path.unlink()
        else:
            path.write_bytes(path.read_bytes()[:-5])
    return victims


def test_damage_is_found_and_repaired(county: County, box: SyncingBox) -> None:
    clean = read_all(box)
    assert (clean.checked, clean.damaged) == (8, 0)
    assert clean.damage() is None
    damage(box, 3)
    found = read_all(box)
    assert (found.checked, found.damaged, found.repaired) == (8, 3, 0)
    refusal = found.damage()
    assert refusal is not None and (refusal.code, refusal.exit_code) == ("E-DAMAGED", 20)
    with HostileHub(county.public) as hub:
        mended = read_all(box, mend(box, hub.address))
        assert (mended.damaged, mended.repaired) == (3, 3)
        assert 60_000 < mended.fetched_bytes < 65_000
        assert mended.damage() is None
    assert read_all(box).damaged == 0
    box.check()


def test_what_cannot_be_repaired_remains_and_is_told(county: County, box: SyncingBox) -> None:
    victims = damage(box, 2)
    with HostileHub(county.public, Misbehaviour(victims[0], swap=b"no")) as hub:
        mended = read_all(box, mend(box, hub.address))
    assert (mended.damaged, mended.repaired) == (2, 1)
    assert mended.failure is not None and mended.failure.code == "E-HASH"
    assert mended.damage() is not None
    away = read_all(box, mend(box, "http://127.0.0.1:9/"))
    assert (away.damaged, away.repaired, away.fetched_bytes) == (1, 0, 0)


def test_damage_is_remembered_until_it_is_mended(county: County, box: SyncingBox) -> None:
    victims = damage(box, 3)
    read_all(box)
    assert [blob.sha256 for blob in box.local.damage()] == victims
    read_all(box, mend(box, str(county.public)))
    assert box.local.damage() == []


def test_a_pace_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "blob"
    path.write_bytes(bytes(600_000))
    blob = Blob(sha256=sha256(bytes(600_000)), size_bytes=600_000)
    started = time.monotonic()
    assert is_whole(path, blob, Pace(500_000))
    # It is the lower bound that is kept; a busy machine takes longer.
    assert 1.0 < time.monotonic() - started < 60
