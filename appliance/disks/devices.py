"""What disks are plugged in, and what each holds, as the kernel and libblkid's low-level probe see it.

Nothing is taken from udev's database: it may not have looked at a disk yet that is there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from appliance.disks.programs import ask

CLASS = Path("/sys/class/block")
USB = Path("/sys/bus/usb/devices")
SECTOR = 512
_STORAGE = "08"
_NO_DISKS = ("ram", "zram", "sr", "fd", "dm-", "md", "mtdblock")


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A disk or a partition. `partition` is the number of the latter; `disk` the name of the disk that it is on.

    `identity` names the place whatever was written to it: the partition's id, or model and serial number.
    """

    name: str
    disk: str
    partition: int = 0
    size_bytes: int = 0
    filesystem: str = ""
    label: str = ""
    uuid: str = ""
    identity: str = ""

    @property
    def path(self) -> Path:
        return Path("/dev") / self.name


def devices(skip_disk: str = "") -> list[Device]:
    """Return all disks and partitions with something in them but those of the disk `skip_disk`, by name."""
    found = []
    for entry in sorted(CLASS.iterdir()):
        if entry.name.startswith(_NO_DISKS) or disk_of(entry.name) == skip_disk:
            continue
        if _number(entry / "size") and (device := look_at(entry.name)) is not None:
            found.append(device)
    return found


def is_one_waking(usb: Path = USB) -> bool:
    """Return whether a disk is plugged in that the kernel knows as USB storage (class 08) and not yet as a disk."""
    return any(
        interface.read_text().strip() == _STORAGE
        and not any(interface.parent.glob("host*/target*/*:*/block/*"))
        for interface in usb.glob("*/bInterfaceClass")
    )


def look_at(name: str) -> Device | None:
    """Return what the disk or partition `name` holds; None where there is no such device."""
    entry = CLASS / name
    size_bytes = _number(entry / "size") * SECTOR
    if not size_bytes:
        return None
    fields = dict(_probed(Path("/dev") / name))
    disk = disk_of(name)
    return Device(
        name=name,
        disk=disk,
        partition=_number(entry / "partition"),
        size_bytes=size_bytes,
        filesystem=fields.get("TYPE", "") if fields.get("USAGE", "filesystem") == "filesystem" else "",
        label=fields.get("LABEL", ""),
        uuid=fields.get("UUID", ""),
        identity=fields.get("PART_ENTRY_UUID", "") or _serial(CLASS / disk),
    )


def disk_of(name: str) -> str:
    """Return the name of the disk that the partition `name` is on; a disk is on itself."""
    place = (CLASS / name).resolve()
    return place.parent.name if (place / "partition").exists() else place.name


def disk_bytes(disk: str) -> int:
    """Return how much the whole disk holds."""
    return _number(CLASS / disk / "size") * SECTOR


def partition_bytes(name: str) -> int:
    """Return how much the kernel lets the partition `name` hold."""
    return _number(CLASS / name / "size") * SECTOR


def partition_start(name: str) -> int:
    """Return where on its disk the kernel lets the partition `name` begin, in bytes."""
    return _number(CLASS / name / "start") * SECTOR


def _probed(path: Path) -> Iterator[tuple[str, str]]:
    said = ask(["blkid", "--probe", "--output", "export", path])
    for line in said.text.splitlines() if said.code == 0 else ():
        key, separator, value = line.partition("=")
        if separator:
            # What a shell would take for its own is escaped.
            yield key, value.replace("\\", "")


def _serial(disk: Path) -> str:
    parts = [_text(disk / "device" / name) for name in ("model", "serial", "wwid")]
    return " ".join(part for part in parts if part)


def _number(path: Path) -> int:
    text = _text(path)
    return int(text) if text.isdecimal() else 0


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
