"""The device that a stick is: what is on it, whether it is still there, whether it is one of the machine's own disks."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from appliance.plugging.commands import run

OWN_LABELS = ("sx-system-a", "sx-system-b", "sx-data", "shuxiang-data")
"""Filesystems of a machine's own card and data disk; see `images`."""
BOOT_LABEL = "SHUXIANG"
"""The FAT of a card, which a county may call its own sticks as well: it is a card's beside one of the others."""
_BLOCKS = Path("/sys/dev/block")
_MOUNTS = Path("/proc/self/mountinfo")
_NAME_BYTES = 60
_NOT_IN_NAMES = re.compile(r"[^\w .+-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What was found on a device: the filesystem's `kind` ("" unknown), `label` and `uuid`, where it has them.

    `seen` differs once another medium is in.
    """

    path: Path
    kind: str
    label: str
    seen: str
    uuid: str = ""

    @property
    def name(self) -> str:
        """The name that people know it by, fit for a folder: its label, else the device's own."""
        text = _NOT_IN_NAMES.sub(" ", self.label).strip(" .")
        while len(text.encode()) > _NAME_BYTES:
            text = text[:-1]
        return text.strip(" .") or self.path.name


def look_at(path: Path) -> Device | None:
    """Return what is on the device at `path`, a plain file too; None where it is gone."""
    seen = _seen(path)
    if seen is None:
        return None
    kind, label, uuid = (_value(path, field) for field in ("TYPE", "LABEL", "UUID"))
    return Device(path=path, kind=kind, label=label, seen=seen, uuid=uuid)


def is_there(device: Device) -> bool:
    """Return whether the same medium is still in."""
    return _seen(device.path) == device.seen


def is_own(device: Device, sticks: Path) -> bool:
    """Return whether it belongs to a machine: by its label, for a card's FAT by its neighbours', or since its disk has
    something mounted elsewhere than below `sticks`."""
    if device.label in OWN_LABELS:
        return True
    found = device.path.stat()
    if not stat.S_ISBLK(found.st_mode):
        return False
    if device.label == BOOT_LABEL and any(
        _value(part, "LABEL") in OWN_LABELS for part in _parts(found.st_rdev)
    ):
        return True
    numbers = _numbers_of_disk(found.st_rdev)
    text = _MOUNTS.read_text(encoding="utf-8", errors="replace")
    return any(
        fields[2] in numbers and not fields[4].startswith(f"{sticks}/")
        for fields in map(str.split, text.splitlines())
        if len(fields) > 4
    )


def _numbers_of_disk(number: int) -> set[str]:
    """Return the numbers of the disk that the device `number` is on or is, and of all its partitions."""
    own = f"{os.major(number)}:{os.minor(number)}"
    try:
        place = (_BLOCKS / own).resolve(strict=True)
        disk = place.parent if (place / "partition").exists() else place
        return {own, *(path.read_text().strip() for path in (disk / "dev", *disk.glob("*/dev")))}
    except OSError:
        return {own}


def _parts(number: int) -> list[Path]:
    """Return all partitions of the disk that the partition `number` is on."""
    place = (_BLOCKS / f"{os.major(number)}:{os.minor(number)}").resolve()
    return [Path("/dev") / found.parent.name for found in place.parent.glob("*/partition")]


def _seen(path: Path) -> str | None:
    """Return what tells this medium in this device from the next one; None where there is none."""
    try:
        found = path.stat()
        if not stat.S_ISBLK(found.st_mode):
            return f"{found.st_dev}:{found.st_ino}"
        place = (_BLOCKS / f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}").resolve(strict=True)
        if not int((place / "size").read_text()):
            return None
        disk = place.parent if (place / "partition").exists() else place
        # Of a kernel that does not count the device's own number is left.
        return count_of_media(disk) or str(found.st_rdev)
    except (OSError, ValueError):
        return None


def count_of_media(disk: Path) -> str:
    """Return the number that the kernel (since 5.15) gave the medium in the disk whose folder in sysfs this is.

    No other medium has had it since the machine started; "" where the kernel does not count, or the disk is gone.
    """
    try:
        return (disk / "diskseq").read_text().strip()
    except OSError:
        return ""


def _value(path: Path, field: str) -> str:
    """Return a field of the low-level probe (blkid(8)); an old Windows writes labels in GBK."""
    data, _ = run(["blkid", "-p", "-o", "value", "-s", field, path])
    data = data.strip()
    for encoding in ("utf-8", "gb18030"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return ""
