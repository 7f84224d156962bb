"""Which disk to use: decided from what is plugged in and what was used before (pure).

Rules, in this order. The disk of before, known by its filesystem, or by its place where that is unreadable: used, and
checked. One labelled disk: used, whatever was used before; someone put it there. Several: the one of before, else a
refusal. None, and one was used before: missing, never the card instead, whose old state would shadow what is on the disk.
None at all: the card. What to do where a disk is refused or none is there yet is the caller's to know.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.disks.devices import Device
from catalog.errors import StorageError

LABEL = "shuxiang-data"
FILESYSTEM = "ext4"


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """The data disk of before: its filesystem's id, its place's (see `Device.identity`), whether a state was on it."""

    uuid: str
    identity: str = ""
    held: bool = False


def choose(found: Sequence[Device], remembered: Remembered | None, *, label: str = LABEL) -> Device | None:
    """Return the disk to use, None for the card.

    Raises `StorageError` E-DATA-MISSING, E-DATA-TWO, E-DATA-KIND.
    """
    labelled = [device for device in found if device.label.casefold() == label]
    if remembered is not None:
        for device in found:
            if device.uuid == remembered.uuid:
                return _usable(device)
    if len(labelled) > 1:
        raise StorageError("E-DATA-TWO", found=", ".join(str(device.path) for device in labelled))
    if labelled:
        return _usable(labelled[0])
    if remembered is None:
        return None
    for device in found:
        # Its place is there and no filesystem in it: that is damage, which may be repaired from a second superblock.
        if not device.filesystem and device.identity and device.identity == remembered.identity:
            return device
    raise StorageError("E-DATA-MISSING", expected=remembered.uuid)


def _usable(device: Device) -> Device:
    if device.filesystem != FILESYSTEM:
        raise StorageError(
            "E-DATA-KIND", where=device.path, expected=FILESYSTEM, found=device.filesystem or "-"
        )
    return device
