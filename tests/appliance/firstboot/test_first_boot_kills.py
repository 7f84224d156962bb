"""Power lost during first boot, at each moment at which something becomes durable: the next start ends in the same state."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[2]


def run(directory: Path, moments: list[int], role: str) -> list[dict[str, object]]:
    done = subprocess.run(
        [sys.executable, "-m", "first_boots", directory, ",".join(map(str, moments)), role],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        cwd=TESTS,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def check(found: list[dict[str, object]]) -> None:
    for one in found:
        assert one["again"] == [0, 0] and not one["different"], one


def test_a_first_boot_that_was_killed_goes_on(tmp_path: Path) -> None:
    found = run(tmp_path, [3, 26, 50, 56], "box")
    check(found)
    assert {one["ended"] for one in found} == {-9}


@pytest.mark.slow
@pytest.mark.parametrize("role", ["box", "hub"])
def test_killed_at_every_moment(tmp_path: Path, role: str) -> None:
    found = run(tmp_path, list(range(1, 71)), role)
    check(found)
    killed = [one["moment"] for one in found if one["ended"] == -9]
    assert len(killed) >= 20 and len(killed) < len(found), "from before the first step to after the last"
