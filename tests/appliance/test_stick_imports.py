"""A stick is written by a process that loads what it needs for that: half a second of a small card's processor."""

from __future__ import annotations

import subprocess
import sys

import pytest

NOT_FOR_STICKS = {"PIL", "flask", "libtorrent", "openpyxl", "segno", "waitress", "werkzeug", "whoosh"}


@pytest.mark.parametrize(
    "modules", ["appliance.cli.hub, appliance.exporting", "appliance.cli.box, appliance.syncing"]
)
def test_a_stick_needs_no_pages_and_no_pictures(modules: str) -> None:
    probe = f"import sys, {modules}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert NOT_FOR_STICKS.isdisjoint(done.stdout.split())
