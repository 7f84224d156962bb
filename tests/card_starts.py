"""Starts of a card in a board, disks plugged in: the initramfs' step, then the shell that compares, then our command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from card_disk import MIB, attached, make_ext4, need_disks, run, write_card

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "images/overlay/common/etc/initramfs-tools/scripts/local-bottom/shuxiang"
DIFFERS = ROOT / "images/package/files/usr/lib/shuxiang/disk-differs"
# As the machine starts: only its own disks are there, the initramfs' step, its /run moved along, our unit, then what the
# test asks. Prints whether the start was a usual one, and what was told.
START = """
set -e
mount --make-rslave /
mount -t tmpfs none /run
mkdir /run/mnt /run/found
rootmnt=/run/mnt
export rootmnt
for device in $7; do
    for place in /sys/class/block/$device /sys/class/block/${device}p*; do
        [ ! -e "$place" ] || ln -s "$(readlink -f "$place")" /run/found/
    done
done
[ -z "$7" ] || mount --bind /run/found /sys/class/block
mount -t ext4 -o ro "/dev/$1p2" "$rootmnt"
sh "$2" >/dev/null
mkdir -p "$rootmnt/var/lib/shuxiang"
chown 4711:4712 "$rootmnt/var/lib/shuxiang"
cd "$rootmnt"
set +e
differs="sh $8 /run/shuxiang data var/lib/shuxiang"
if $differs; then
    echo looked
    "$3" -c "$4" "$rootmnt" "$5" "$6" "$8" "$9"
else
    echo usual
    cat /run/shuxiang/disk.json
    echo
fi
"""
ATTACH = """
import json, sys
from pathlib import Path
from appliance.disks.attaching import Places, attach
from appliance.disks.telling import Told, tell
from catalog.errors import ShuxiangError
root = Path(sys.argv[1])
run = Path("/run/shuxiang")
places = Places(run=run, data=root / "data", state=root / "var/lib/shuxiang", label=sys.argv[2],
    wait_seconds=float(sys.argv[3]), looking=Path(sys.argv[4]), usb=Path(sys.argv[5]), waking_seconds=3600)
try:
    told = attach(places)
except ShuxiangError as error:
    told = Told(failure=error)
tell(run, told)
print(json.dumps(told.to_json()), flush=True)
"""


@dataclass(frozen=True)
class Start:
    """One start: whether it went by what the last one saw, what was told, what the test's words printed."""

    usual: bool
    told: dict[str, Any]
    said: str


@dataclass
class Board:
    """A card in a board, and what is plugged into it; `alone`: the machine that runs the tests shows no other disks."""

    card: Path
    label: str = field(default_factory=lambda: f"sx-{uuid.uuid4().hex[:8]}")
    wait_seconds: float = 0
    usb: Path = Path("/nowhere")
    alone: bool = False

    def start(self, *disks: Path, then: str = "true") -> tuple[dict[str, Any], str]:
        """Start with `disks` plugged in, run the shell's words `then`, cut the power; return what was told and printed."""
        (start,) = self.starts(disks, then)
        return start.told, start.said

    def starts(self, disks: Sequence[Path], *thens: str) -> list[Start]:
        """Start as often as there are words to run, all disks staying where they are."""
        with ExitStack() as stack:
            devices = [stack.enter_context(attached(self.card))]
            devices += [stack.enter_context(attached(disk, partitions=_has_table(disk))) for disk in disks]
            return [self._start([Path(device).name for device in devices], then) for then in thens]

    def _start(self, devices: list[str], then: str) -> Start:
        shown = " ".join(devices) if self.alone else ""
        done = subprocess.run(
            ["unshare", "--mount", "--propagation", "slave", "sh", "-c", START + then, "start", devices[0], SCRIPT, sys.executable, ATTACH,
             self.label, str(self.wait_seconds), shown, DIFFERS, str(self.usb)],
            capture_output=True, text=True, timeout=300, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert done.returncode == 0, (done.stdout, done.stderr)
        how, told, *rest = done.stdout.split("\n", 2)
        return Start(how == "usual", json.loads(told), "".join(rest))


def new_board(place: Path, *, alone: bool = False) -> Board:
    """Write a new card in `place`, for a board; skip where no disks can be made."""
    need_disks()
    for name in ("etc", "var/lib", "boot"):
        (place / "system" / name).mkdir(parents=True)
    write_card(place / "card.img", place / "system")
    return Board(place / "card.img", alone=alone)


def _has_table(disk: Path) -> bool:
    asked = subprocess.run(
        ["blkid", "--probe", "--output", "value", "--match-tag", "PTTYPE", disk], capture_output=True
    )
    return bool(asked.stdout.strip())


def plain_disk(place: Path, label: str, size_mib: int = 300) -> Path:
    """A disk that is one ext4 without a table."""
    with place.open("wb") as file:
        file.truncate(size_mib * MIB)
    make_ext4(place, label, size_mib)
    return place


def parted_disk(place: Path, label: str, size_mib: int = 300) -> Path:
    """A disk with a table and one ext4, as disks are sold."""
    with place.open("wb") as file:
        file.truncate((size_mib + 2) * MIB)
    run("sfdisk", "--quiet", place, give=f"label: gpt\nstart=1MiB, size={size_mib}MiB\n")
    make_ext4(place, label, size_mib, offset=1)
    return place


WRITE = "echo one > var/lib/shuxiang/config.toml; echo content > var/lib/shuxiang/blob; sync"
READ = "cat var/lib/shuxiang/config.toml var/lib/shuxiang/blob"
