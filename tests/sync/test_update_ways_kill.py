"""`kill -9` while patches and packs are fetched and used: little is sent twice, and the end is the same."""

from __future__ import annotations

import random
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from builders import sha256
from county import NOW, County
from hostile import HostileHub
from syncing_box import SyncingBox

from .test_update_kill import run

MIB = 1 << 20
KILLS = 10
METADATA_BYTES = 60_000


@pytest.mark.slow
def test_kill_an_update_by_patches_and_packs(tmp_path: Path) -> None:
    chance = random.Random(12)
    with County(tmp_path / "hub") as county:
        decks = [chance.randbytes(2 * MIB) for _ in range(6)]
        for number, deck in enumerate(decks):
            county.add(f"deck{number}", deck)
        county.publish()
        shutil.copytree(county.public, tmp_path / "first")
        for number, deck in enumerate(decks):
            decks[number] = deck[:MIB] + chance.randbytes(200_000) + deck[MIB:]
            county.add(f"deck{number}", decks[number])
        for number in range(200):
            county.add(f"page{number}", chance.randbytes(40_000 + number))
        county.add("film", chance.randbytes(12 * MIB))
        county.publish(NOW + timedelta(hours=1))
        with HostileHub(county.public) as hub:
            for state in ("trial", "box"):
                with SyncingBox(tmp_path / state, county) as box:
                    assert box.update(tmp_path / "first").failure is None
            seconds = run(tmp_path / "trial", county, hub.address, None)
            once_bytes = hub.sent()
            for _ in range(KILLS):
                run(tmp_path / "box", county, hub.address, chance.uniform(0, seconds))
                with SyncingBox(tmp_path / "box", county) as box:
                    box.check()
            run(tmp_path / "box", county, hub.address, None)
            # What the kernel held at a kill, and the metadata of each run, are all that came twice.
            again_bytes = hub.sent() - 2 * once_bytes
            assert again_bytes <= KILLS * (MIB + METADATA_BYTES)
            with SyncingBox(tmp_path / "box", county) as box:
                box.check()
                assert box.library.generation().content_release == 2
                for number, deck in enumerate(decks):
                    assert box.entry(f"deck{number}").serving[0].sha256 == sha256(deck)
                assert hub.sent(sha256(decks[0])) == 0
                assert [one.name for one in (box.state / "staging").glob("?" * 64)] == []
