"""Writing a stick and syncing from it, beside the raw copy of the same files on the same kind of filesystem.

Run: `python tests/bench/bench_sticks.py [--megabytes 300] [--rounds 2] [--kinds vfat,exfat,ext4] [--speed 100:30]`. A third of the bytes are
two films, a third files of 5 MB, a third files of 20 to 120 kB. The raw copy of an export is `cp -r`, flush, caches
dropped, and reading all of it back; that of an import is `cp -r` from the stick with its caches dropped, and a flush of
the disk that it wrote to. Ours are whole commands, `hub export` and `box sync --from` of a box that knows the catalogue,
the start of Python (a second) in them; `import_in_the_run` is without it. `check` is one pass of SHA-256 over the same
bytes in memory: ours has it in it, and who copies and then checks pays it, so `…_to_checked` compares with both. Every
round has a new filesystem for the stick and an ext4 of its own for the box's disk, on loop devices: what others write
on the machine's disk is in no flush of either. `--speed` makes the stick one that reads and writes so many MB/s, by the
kernel's own throttle of block devices, for either way; without it the stick is as fast as this machine. Figures are the best of the rounds; `cpu` are the seconds of processor of
a command and what it started (programs that serve a filesystem in user space are not in it). Prints one JSON object.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from command import command
from county import NOW, County
from sticks import stick

from catalog.durable import sync_filesystem
from sync.exporting.disk import Disk

MB = 1_000_000
LARGE_BYTES = 5 * MB
SPARE_BYTES = 200 * MB
_ASKED_BYTES = 64 * MB
_THROTTLE = Path("/sys/fs/cgroup/blkio")


class Speed(NamedTuple):
    """What a stick does, in MB/s."""

    read: int
    write: int


def speed_of(text: str) -> Speed:
    """Return the speed that `READ:WRITE` says."""
    read_text, _, write_text = text.partition(":")
    return Speed(int(read_text), int(write_text))


def write_content(county: County, folder: Path, total_bytes: int) -> int:
    """Publish random content of the mix, and lay the same files into `folder`; return how many there are."""
    noise = random.Random(4)
    third = total_bytes // 3
    sizes = [third // 2] * 2 + [LARGE_BYTES] * (third // LARGE_BYTES)
    while sum(sizes) < total_bytes:
        sizes.append(noise.randrange(20_000, 120_000))
    folder.mkdir()
    for number, size in enumerate(sizes):
        # At once no more than a quarter of a gigabyte can be asked for.
        content = b"".join(
            noise.randbytes(min(_ASKED_BYTES, size - at)) for at in range(0, size, _ASKED_BYTES)
        )
        county.add(f"r{number:05}", content, title=f"第{number}课")
        (folder / f"{number:05}.bin").write_bytes(content)
    county.publish(now=NOW)
    return len(sizes)


def timed(found: dict[str, float], way: str, action: Callable[[], object]) -> None:
    """Note how long `action` takes, and how much of the processor."""
    before = sum(os.times()[:4])
    began = time.perf_counter()
    action()
    found[way] = time.perf_counter() - began
    found[f"{way}_cpu"] = sum(os.times()[:4]) - before


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
    read(copies, lambda _: None)


def read(paths: Iterable[Path], use: Callable[[memoryview], None]) -> None:
    """Read files from beginning to end."""
    buffer = memoryview(bytearray(1 << 20))
    for path in paths:
        with path.open("rb", buffering=0) as stream:
            while count := stream.readinto(buffer):
                use(buffer[:count])


def raw_import(root: Path, target: Path) -> None:
    """Copy from the stick and flush."""
    subprocess.run(["cp", "-r", root / "raw", target], check=True)
    sync_filesystem(target)


def run(words: list[str]) -> Any:
    """Run a command of ours and return what it printed."""
    return json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


@contextmanager
def slow_stick(kind: str, size_bytes: int, speed: Speed | None) -> Iterator[Path]:
    """Give the root of a new filesystem on a device that reads and writes no faster than `speed`."""
    with stick(kind, size_bytes) as root, ExitStack() as undo:
        if speed is not None:
            number = _device_of(root).stat().st_rdev
            for way, rate in (("read", speed.read), ("write", speed.write)):
                limit = _THROTTLE / f"blkio.throttle.{way}_bps_device"
                name = f"{os.major(number)}:{os.minor(number)}"
                undo.callback(limit.write_text, f"{name} 0")
                limit.write_text(f"{name} {rate * MB}")
        yield root


def _device_of(root: Path) -> Path:
    """Return the device of the filesystem that is mounted at `root`."""
    words = ["findmnt", "--noheadings", "--output", "SOURCE", str(root)]
    return Path(subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip())


def measure(
    kind: str, county: County, folder: Path, size_bytes: int, speed: Speed | None
) -> dict[str, float]:
    """Return the seconds of one round of each way."""
    found: dict[str, float] = {}
    with slow_stick(kind, size_bytes, speed) as root, stick("ext4", size_bytes) as disk:
        timed(found, "raw_export", lambda: raw_export(folder, root))
        Disk(root).forget(files_below(root))
        timed(found, "raw_import", lambda: raw_import(root, disk / "raw"))
        timed(found, "check", lambda: read(files_below(disk / "raw"), hashlib.sha256().update))
    with slow_stick(kind, size_bytes, speed) as root, stick("ext4", size_bytes) as disk:
        export = command(county.state, "hub", "export", root / "s")
        timed(found, "export", lambda: run(export))
        # Nothing to do: what a second run into the same stick costs.
        timed(found, "export_again", lambda: run(export))
        box = disk / "box"
        init = ["init", "--hub", root, "--fingerprint", county.identity.fingerprint, "--subscribe", "none"]
        run(command(box, "box", *init))
        sync = command(box, "box", "sync", "--from", root / "s")
        timed(found, "catalogue", lambda: run(sync))
        run(command(box, "box", "subscribe", "--all"))
        Disk(root).forget(files_below(root))
        done: list[dict[str, Any]] = []
        timed(found, "import", lambda: done.append(run(sync)))
        found["import_in_the_run"] = done[0]["seconds"]
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--kinds", default="vfat,exfat,ext4")
    parser.add_argument("--speed", type=speed_of)
    options = parser.parse_args()
    if options.speed and not (_THROTTLE / "blkio.throttle.read_bps_device").exists():
        sys.exit("a slow stick needs the throttle of block devices in a cgroup of version 1")
    if os.geteuid() != 0:
        sys.exit("mounting a stick needs root")
    total = options.megabytes * MB
    found: dict[str, Any] = {
        "megabytes": options.megabytes,
        "speed": options.speed,
        "load": os.getloadavg()[0],
    }
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        folder = work / "content"
        with County(work / "hub") as county:
            (county.state / "config.toml").write_text('role = "hub"\nname = "county"\n')
            found["files"] = write_content(county, folder, total)
        for kind in options.kinds.split(","):
            rounds = [
                measure(kind, county, folder, total * 3 // 2 + SPARE_BYTES, options.speed)
                for _ in range(options.rounds)
            ]
            best = {way: round(min(one[way] for one in rounds), 2) for way in rounds[0]}
            for way in ("export", "import"):
                best[f"{way}_to_raw"] = round(best[f"raw_{way}"] / best[way], 2)
                best[f"{way}_to_checked"] = round((best[f"raw_{way}"] + best["check"]) / best[way], 2)
            found[kind] = best
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
