"""What runs before every page of an appliance loads no more of the program than it needs: emulated, and on slow boards, Python's imports are most of it."""

from __future__ import annotations

import subprocess
import sys

HEAVY = {
    "catalog.library",
    "importlib.metadata",
    "sqlite3",
    "tomllib",
    "zoneinfo",
    "email",
    "http",
    "webui",
    "sync",
}


def test_the_command_that_finds_the_disk_loads_little() -> None:
    modules = "appliance.cli, appliance.cli.disk, appliance.disks.attaching, appliance.disks.telling"
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys, {modules}; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.split())
    assert not loaded & HEAVY and "appliance.state" not in loaded
