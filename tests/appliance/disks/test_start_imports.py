"""What runs before every first page loads no more of the program than it needs: on slow boards imports are most of a start."""

from __future__ import annotations

import subprocess
import sys

HEAVY = {"catalog.library", "importlib.metadata", "sqlite3", "tomllib", "zoneinfo", "email", "http", "webui", "sync"}  # fmt: skip


def loaded_by(modules: str) -> set[str]:
    """Return the names of all modules that are loaded with these."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys, {modules}; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_the_command_that_finds_the_disk_loads_little() -> None:
    loaded = loaded_by(
        "appliance.cli, appliance.cli.disk, appliance.disks.attaching, appliance.disks.telling"
    )
    assert not loaded & HEAVY and "appliance.state" not in loaded


def test_the_service_loads_roads_when_it_looks_for_one() -> None:
    loaded = loaded_by("appliance.cli.run, appliance.box, appliance.service, webui.app, waitress.server")
    assert not {name for name in loaded if name.startswith(("sync.roads", "sync.updating", "sync.exporting"))}
