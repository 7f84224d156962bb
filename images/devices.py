"""Cards and disks that stand in this machine: what they are, what they are used for now, which may be written.

Invariant: a device is system or mounted where anything on it, at any depth (partition, volume, encryption), is in use;
what lsblk does not see, the exclusive opening in `images.card` still refuses.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalog.errors import ConfigError
from images.commands import run

_COLUMNS = "NAME,PATH,TYPE,SIZE,MODEL,VENDOR,SERIAL,TRAN,RM,HOTPLUG,RO,MOUNTPOINTS,MAJ:MIN"
# Where this machine's own system and state live; the images mount theirs at the last five.
_SYSTEM_PLACES = ("/", "/usr", "/var", "/home", "/boot", "/boot/efi", "/boot/firmware", "/data", "/etc", "/var/lib/shuxiang")  # fmt: skip
_SWAP = "[SWAP]"
# Memory, optical drives, floppies and network disks are no cards.
_KINDS = frozenset(("disk", "loop"))
_NEVER = ("zram", "ram", "nbd", "fd", "sr", "mtdblock")


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A whole disk. `name` as the kernel has it (`sdb`); `bus` as lsblk has it (`usb`, `mmc`, `sata`, …, or "").

    `numbers` are the device numbers (`8:16`) of it and of all on it. `serial` is that of the card where its slot is part of the machine, else that of the reader.
    """

    name: str
    path: Path
    model: str
    serial: str
    bus: str
    size_bytes: int
    is_removable: bool
    is_read_only: bool
    is_system: bool
    mounted: tuple[str, ...]
    numbers: frozenset[str] = frozenset()


def devices() -> list[Device]:
    """Return the disks of this machine, by name."""
    text = run(["lsblk", "--json", "--bytes", "--output", _COLUMNS])
    return sorted(devices_of(text, _system_numbers()), key=lambda device: device.name)


def device_at(path: Path) -> Device:
    """Return the disk whose node is at `path`; raise `ConfigError` E-CARD-NONE where it is none, E-CARD-PART for a partition."""
    node = Path(os.path.realpath(path))
    if not is_block_device(node):
        raise ConfigError("E-CARD-NONE", where=path)
    for device in devices():
        if device.path == node:
            return device
    raise ConfigError("E-CARD-PART", where=path)


def is_block_device(path: Path) -> bool:
    """Return whether `path` is the node of a block device."""
    try:
        return stat.S_ISBLK(path.stat().st_mode)
    except OSError:
        return False


def devices_of(lsblk: str, system_numbers: frozenset[str] = frozenset()) -> Iterator[Device]:
    """Read what `lsblk --json` says (pure); a disk that holds one of `system_numbers` (`8:2`) is the system's."""
    for entry in json.loads(lsblk).get("blockdevices", []):
        if entry.get("type") not in _KINDS or entry["name"].startswith(_NEVER):
            continue
        within = list(_all_of(entry))
        points = tuple(sorted({point for one in within for point in one.get("mountpoints") or () if point}))
        eternal = entry["name"].startswith("mmcblk") and entry["name"].endswith(("boot0", "boot1", "rpmb"))
        yield Device(
            name=entry["name"],
            path=Path(entry["path"]),
            model=" ".join(filter(None, (_word(entry, "vendor"), _word(entry, "model")))),
            serial=_word(entry, "serial"),
            bus=_word(entry, "tran") or ("mmc" if entry["name"].startswith("mmcblk") else ""),
            size_bytes=int(entry.get("size") or 0),
            is_removable=bool(entry.get("rm") or entry.get("hotplug")) and not eternal,
            is_read_only=bool(entry.get("ro")),
            is_system=_SWAP in points
            or any(point in _SYSTEM_PLACES for point in points)
            or any(one.get("maj:min") in system_numbers for one in within),
            mounted=points,
            numbers=frozenset(one["maj:min"] for one in within if one.get("maj:min")),
        )


def _all_of(entry: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield entry
    for child in entry.get("children") or ():
        yield from _all_of(child)


def _word(entry: dict[str, Any], key: str) -> str:
    # A virtual disk has its vendor as a number.
    text = str(entry.get(key) or "").strip()
    return "" if text.startswith("0x") else text


def _system_numbers() -> frozenset[str]:
    """Return the device numbers under the places of the system, as lsblk writes them."""
    found = set()
    for place in _SYSTEM_PLACES:
        try:
            number = Path(place).stat().st_dev
        except OSError:
            continue
        found.add(f"{os.major(number)}:{os.minor(number)}")
    return frozenset(found)
