"""Writing a stick and syncing from it, beside the raw copy of the same files on the same kind of filesystem.

Run: `python tests/bench/bench_sticks.py [--megabytes 300] [--rounds 2] [--kinds vfat,exfat,ext4]`. A third of the bytes are
two films, a third files of 5 MB, a third files of 20 to 120 kB. The raw copy of an export is `cp -r`, flush, caches
dropped, and reading all of it back; that of an import is `cp -r` from the stick with its caches dropped, and a flush of
what it wrote. Ours are whole commands, `hub export` and `box sync --from` of a box that knows the catalogue, the start of
Python (a second) in them; `in_the_run` is without it. Each round is on a new filesystem on a loop device; figures are the
best of the rounds. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from command import command
from county import NOW, County
from sticks import stick

from catalog.durable import sync_filesystem
from sync.exporting.disk import Disk

MB = 1_000_000
LARGE_BYTES = 5 * MB


def write_content(county: County, folder: Path, total_bytes: int) -> int:
    """Publish random content of the mix, and lay the same files into `folder`; return how many there are."""
    noise = random.Random(4)
    third = total_bytes // 3
    sizes = [third // 2] * 2 + [LARGE_BYTES] * (third // LARGE_BYTES)
    while sum(sizes) < total_bytes:
        sizes.append(noise.randrange(20_000, 120_000))
    folder.mkdir()
    for number, size in enumerate(sizes):
        content = noise.randbytes(size)
        county.add(f"r{number:05}", content, title=f"第{number}课")
        (folder / f"{number:05}.bin").write_bytes(content)
    county.publish(now=NOW)
    return len(sizes)


def seconds(action: Callable[[], object]) -> float:
    """Return how long `action` takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def files_below(root: Path) -> list[Path]:
    """Return every file below `root`."""
    return sorted(path for path in root.rglob("*") if path.is_file())


def raw_export(folder: Path, root: Path) -> None:
    """Copy, flush and read back."""
    subprocess.run(["cp", "-r", folder, root / "raw"], check=True)
    disk = Disk(root)
    copies = files_below(root / "raw")
    disk.settle(copies[-1])
    disk.forget(copies)
    buffer = bytearray(1 << 20)
    for path in copies:
        with path.open("rb", buffering=0) as stream:
            while stream.readinto(buffer):
                pass


def raw_import(root: Path, target: Path) -> None:
    """Copy from the stick and flush."""
    subprocess.run(["cp", "-r", root, target], check=True)
    sync_filesystem(target)


def run(words: list[str]) -> Any:
    """Run a command of ours and return what it printed."""
    return json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def measure(kind: str, county: County, folder: Path, work: Path, size_bytes: int) -> dict[str, float]:
    """Return the seconds of one round of each way."""
    found = {}
    with stick(kind, size_bytes) as root:
        found["raw_export"] = seconds(lambda: raw_export(folder, root))
        Disk(root).forget(files_below(root))
        found["raw_import"] = seconds(lambda: raw_import(root / "raw", work / "raw"))
    subprocess.run(["rm", "-rf", work / "raw"], check=True)
    with stick(kind, size_bytes) as root:
        export = command(county.state, "hub", "export", root / "s")
        found["export"] = seconds(lambda: run(export))
        # Nothing to do: what a second run into the same stick costs.
        found["export_again"] = seconds(lambda: run(export))
        box = work / "box"
        init = ["init", "--hub", root, "--fingerprint", county.identity.fingerprint, "--subscribe", "none"]
        run(command(box, "box", *init))
        sync = command(box, "box", "sync", "--from", root / "s")
        found["catalogue"] = seconds(lambda: run(sync))
        run(command(box, "box", "subscribe", "--all"))
        Disk(root).forget(files_below(root))
        done: list[dict[str, Any]] = []
        found["import"] = seconds(lambda: done.append(run(sync)))
        found["import_in_the_run"] = done[0]["seconds"]
    subprocess.run(["rm", "-rf", box], check=True)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--kinds", default="vfat,exfat,ext4")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("mounting a stick needs root")
    total = options.megabytes * MB
    found: dict[str, Any] = {"megabytes": options.megabytes, "load": os.getloadavg()[0]}
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        folder = work / "content"
        with County(work / "hub") as county:
            (county.state / "config.toml").write_text('role = "hub"\nname = "county"\n')
            found["files"] = write_content(county, folder, total)
        for kind in options.kinds.split(","):
            rounds = [measure(kind, county, folder, work, total * 3 // 2) for _ in range(options.rounds)]
            best = {way: round(min(one[way] for one in rounds), 2) for way in rounds[0]}
            best["export_to_raw"] = round(best["raw_export"] / best["export"], 2)
            best["import_to_raw"] = round(best["raw_import"] / best["import"], 2)
            found[kind] = best
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
