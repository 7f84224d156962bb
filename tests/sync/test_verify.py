"""Damage on the disk is found, and mended over a road."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from county import County
from hostile import HostileHub, Misbehaviour
from syncing_box import QUICK, SyncingBox

from sync.verify import repair_from, verify


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
    clean = verify(box.library, box.blobs)
    assert (clean.checked, clean.damaged) == (8, 0)
    assert clean.damage() is None
    damage(box, 3)
    found = verify(box.library, box.blobs)
    assert (found.checked, found.damaged, found.repaired) == (8, 3, 0)
    refusal = found.damage()
    assert refusal is not None and (refusal.code, refusal.exit_code) == ("E-DAMAGED", 20)
    with HostileHub(county.public) as hub:
        mended = verify(
            box.library, box.blobs, repair=repair_from((hub.address,), box.blobs, box.local, QUICK)
        )
        assert (mended.damaged, mended.repaired) == (3, 3)
        assert 60_000 < mended.fetched_bytes < 65_000
        assert mended.damage() is None
    assert verify(box.library, box.blobs).damaged == 0
    box.check()


def test_what_cannot_be_repaired_remains_and_is_told(county: County, box: SyncingBox) -> None:
    victims = damage(box, 2)
    with HostileHub(county.public, Misbehaviour(victims[0], swap=b"no")) as hub:
        mended = verify(
            box.library, box.blobs, repair=repair_from((hub.address,), box.blobs, box.local, QUICK)
        )
    assert (mended.damaged, mended.repaired) == (2, 1)
    assert mended.failure is not None and mended.failure.code == "E-HASH"
    assert mended.damage() is not None
    away = verify(
        box.library, box.blobs, repair=repair_from(("http://127.0.0.1:9/",), box.blobs, box.local, QUICK)
    )
    assert (away.damaged, away.repaired, away.fetched_bytes) == (1, 0, 0)
