"""A PC that nobody uses: how much memory it holds, and how little it writes to its card.

`SHUXIANG_IDLE_MINUTES` says how long it is watched, 30 where it says nothing.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from bench.bench_image import measure

pytestmark = pytest.mark.machine

MINUTES = float(os.environ.get("SHUXIANG_IDLE_MINUTES", "30"))
MOST_MEMORY_MB, MOST_MB_A_DAY = 250, 5.0


def test_it_holds_little_and_writes_hardly_anything(tmp_path: Path) -> None:
    found = measure("box", tmp_path, starts=1, minutes=MINUTES)
    print(json.dumps(found, indent=1))
    assert found["starts"][0]["units"].keys() >= {"shuxiang.service", "shuxiang-disk.service"}
    assert found["rest"]["memory_mb"] <= MOST_MEMORY_MB
    assert found["rest"]["written_mb_a_day"] <= MOST_MB_A_DAY
