"""How a built image starts and rests in QEMU: seconds to the first page and our own share, memory, what it writes.

Run: `python tests/bench/bench_image.py [--role hub] [--starts 3] [--minutes 30]`, after `make image`. The machine is
asked from outside, as it is sent to schools: memory is what its kernel tells QEMU's balloon, writes are what QEMU's disk
got. Our own share of a start is what it takes longer than the named baseline of the same run: the same disk with all of
our units masked, until systemd says that the machine is up (multi-user.target). How long each of our units took, by the
machine's own clock, stands beside it; they run beside others. Software emulation on processors that others use too: the
processor time that QEMU took is told beside each wall time. Prints one JSON value.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent)]

from first_boots import HUB, PASSWORDS, SETTINGS  # noqa: E402
from qemu_machine import KERNEL_BEGINS, Disk, Started, copy_disk, need_image, pc  # noqa: E402

from appliance.firstboot.template import write_request  # noqa: E402

DISK_BYTES = 8 << 30
MEMORY_MIB = 1024
START_SECONDS, FIRMWARE_SECONDS, PATIENCE_SECONDS = 900.0, 180.0, 3.0
# After this the index is open, the names are claimed, sharing has begun, and the syncs that failed (no hub is there)
# have become rare: the next ones come half an hour and an hour after the start, then every hour. Half an hour from here
# has one of them, where half an hour of the day has one or none.
SETTLE_SECONDS = 1200.0
_DAY_MINUTES = 24 * 60
SERVICE = "shuxiang.service"
UNITS = HERE.parent.parent / "images/package/files/usr/lib/systemd/system"
OURS = tuple(sorted(path.name for path in UNITS.iterdir() if "@" not in path.name))
UP = "Reached target multi-user.target"
_BALLOON = ("-device", "virtio-balloon-pci,id=balloon")
# On a serial console the kernel's words may come behind a login prompt.
_UNIT = re.compile(
    r"\[ *(\d+\.\d+)\] systemd\[1\]: (Starting|Started|Finished|Listening on|Condition check resulted in) (shuxiang[\w@-]*\.\w+)"
)


def measure(role: str, place: Path, starts: int, minutes: float) -> dict[str, Any]:
    """Start the image of a PC with a request, then so often with ours and without; let it rest `minutes` at last."""
    disk = written(role, place)
    with pc(disk, place / "pc", memory_mib=MEMORY_MIB) as machine:
        found: dict[str, Any] = {"role": role, "first_start": start_of(machine)}
        machine.press_the_button(300)
    later, bare = list[dict[str, Any]](), list[dict[str, Any]]()
    for _ in range(starts):
        disk.tell_the_kernel(*(f"systemd.mask={name}" for name in OURS))
        with pc(disk, place / "pc", memory_mib=MEMORY_MIB) as machine:
            bare.append(start_without_us(machine))
            machine.press_the_button(300)
        disk.tell_the_kernel()
        with pc(disk, place / "pc", memory_mib=MEMORY_MIB) as machine:
            later.append(start_of(machine))
            machine.press_the_button(300)
    found |= {"starts": later, "without_us": bare}
    if starts:
        page, up = middle(later, "seconds_to_page"), middle(bare, "seconds_to_up")
        found |= {"page_seconds": page, "without_us_seconds": up, "our_share_seconds": round(page - up, 1)}
    if minutes:
        with pc(disk, place / "pc", memory_mib=MEMORY_MIB, more=_BALLOON) as machine:
            start_of(machine)
            time.sleep(SETTLE_SECONDS)
            found["rest"] = rest_of(machine, minutes)
            machine.press_the_button(300)
    return found


def middle(starts: list[dict[str, Any]], name: str) -> float:
    """Return the median of a figure."""
    return round(statistics.median(one[name] for one in starts), 1)


def written(role: str, place: Path) -> Disk:
    """Write the image to a disk, with a request beside it."""
    disk = copy_disk(need_image("pc", role), place / "disk.img", DISK_BYTES)
    asked = (
        write_request(SETTINGS, PASSWORDS)
        if role == "box"
        else write_request(HUB, {"admin_password": "12345678a"})
    )
    disk.put("shuxiang.toml", asked)
    return disk


def start_of(machine: Started) -> dict[str, Any]:
    """Return how long it took from the kernel's first word to a page, and our units' part of that."""
    began = machine.wait_for_words(KERNEL_BEGINS, FIRMWARE_SECONDS)
    spent = machine.processor_seconds()
    machine.wait_for_page(seconds=START_SECONDS, patience=PATIENCE_SECONDS)
    page, spent = time.monotonic() - began, machine.processor_seconds() - spent
    # The page may come before the line that says so.
    machine.wait_until(lambda: SERVICE in own_units(machine.said()), f"no word of {SERVICE}", 60)
    units = own_units(machine.said())
    return {
        "seconds_to_page": round(page, 1),
        "processor_seconds": round(spent, 1),
        "own_seconds": round(covered(units.values()), 1),
        "units": {name: round(end - start, 1) for name, (start, end) in units.items()},
        "load": load(),
    }


def start_without_us(machine: Started) -> dict[str, Any]:
    """Return how long it took from the kernel's first word until systemd had started everything else."""
    began = machine.wait_for_words(KERNEL_BEGINS, FIRMWARE_SECONDS)
    spent = machine.processor_seconds()
    up = machine.wait_for_words(UP, START_SECONDS) - began
    spent = machine.processor_seconds() - spent
    return {"seconds_to_up": round(up, 1), "processor_seconds": round(spent, 1), "load": load()}


def own_units(said: str) -> dict[str, tuple[float, float]]:
    """Return when each of our units was begun and when it was ready, in seconds of the machine's own clock."""
    begun: dict[str, float] = {}
    units: dict[str, tuple[float, float]] = {}
    for clock, word, name in _UNIT.findall(said):
        if word == "Starting":
            begun[name] = float(clock)
        elif name in begun and name not in units:
            units[name] = begun[name], float(clock)
    return units


def covered(spans: Any) -> float:
    """Return the seconds that lie in any of the spans."""
    total, until = 0.0, 0.0
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total


def rest_of(machine: Started, minutes: float) -> dict[str, Any]:
    """Return what the machine holds in memory and writes while nobody uses it."""
    wrote, spent, began = writes(machine), machine.processor_seconds(), time.monotonic()
    held = list(memories(machine, minutes * 60))
    minutes = (time.monotonic() - began) / 60
    wrote = {name: value - wrote[name] for name, value in writes(machine).items()}
    last = held[-1]
    return {
        "minutes": round(minutes, 1),
        "memory_mb": round(last.in_use / 1e6),
        "most_memory_mb": round(max(one.in_use for one in held) / 1e6),
        "cached_mb": round(last.cached / 1e6),
        "not_available_mb": round(last.not_available / 1e6),
        "kernel_mb_beside": round(((MEMORY_MIB << 20) - last.total) / 1e6),
        "written_kb": round(wrote["wr_bytes"] / 1000, 1),
        "writes": wrote["wr_operations"],
        "written_mb_a_day": round(wrote["wr_bytes"] / 1e6 * _DAY_MINUTES / minutes, 2),
        "processor_percent": round(100 * (machine.processor_seconds() - spent) / (minutes * 60), 1),
        "load": load(),
    }


def writes(machine: Started) -> dict[str, int]:
    """Return what all disks of the machine got so far."""
    disks = [one["stats"] for one in machine.ask("query-blockstats")]
    return {name: sum(stats[name] for stats in disks) for name in ("wr_bytes", "wr_operations")}


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of memory as proc(5) has them: `cached` are page cache and what lies in tmpfs, `available` MemAvailable."""

    total: int
    free: int
    cached: int
    available: int

    @property
    def in_use(self) -> int:
        """What programs and the kernel hold."""
        return self.total - self.free - self.cached

    @property
    def not_available(self) -> int:
        """All that a new program could not get: tmpfs, and what the kernel keeps free for itself, count too."""
        return self.total - self.available


def memories(machine: Started, seconds: float, *, every_seconds: float = 20.0) -> Iterator[Memory]:
    """Give for `seconds` how the machine's memory is used."""
    balloon = {"path": "/machine/peripheral/balloon"}
    machine.ask("qom-set", **balloon, property="guest-stats-polling-interval", value=5)
    deadline = time.monotonic() + seconds
    while True:
        time.sleep(every_seconds)
        told = machine.ask("qom-get", **balloon, property="guest-stats")
        if told["last-update"]:
            stats = told["stats"]
            yield Memory(
                total=stats["stat-total-memory"],
                free=stats["stat-free-memory"],
                cached=stats["stat-disk-caches"],
                available=stats["stat-available-memory"],
            )
        if time.monotonic() > deadline:
            return


def load() -> float:
    """Return how many processes wanted a processor of this machine in the last minute."""
    return round(os.getloadavg()[0], 1)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--role", default="box", choices=("box", "hub"))
    parser.add_argument("--starts", type=int, default=3, help="starts with ours and without, in turn")
    parser.add_argument("--minutes", type=float, default=30.0, help="at rest; 0: only starts")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-image-") as place:
        print(json.dumps(measure(arguments.role, Path(place), arguments.starts, arguments.minutes), indent=1))


if __name__ == "__main__":
    main()
