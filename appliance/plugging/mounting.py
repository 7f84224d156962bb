"""Mounting a stick so that it can do no harm, and taking it off again.

Invariants: nothing is written to it, no journal replayed, no mark of being in use; nothing on it is executed, no right
or device of it means anything here, and no link on it is followed, whichever driver mounts it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from appliance.plugging.commands import run
from appliance.plugging.device import Device
from catalog.errors import ContentError, StorageError

SAFE = "ro,nosuid,nodev,noexec"
_LINKLESS = f"{SAFE},nosymfollow"
_MODE = "fmask=0333,dmask=0222"
KINDS = ("vfat", "exfat", "ntfs", "ext2", "ext3", "ext4")


def attempts(device: Device, place: Path, user: int, group: int) -> Iterator[list[str]]:
    """Yield the commands that may mount the device, the kernel's own drivers first (pure).

    NTFS that Windows left dirty or asleep: `ntfs3` reads it where it is mounted read-only, or by `force`; `ntfs-3g`
    reads what that refuses. ext3 and ext4: `noload` leaves a journal that a cut left behind as it is.
    """
    owner = f"uid={user},gid={group}"
    path, at = str(device.path), str(place)

    def kernel(kind: str, *options: str) -> list[str]:
        return ["mount", "-i", "-t", kind, "-o", ",".join((_LINKLESS, *options)), path, at]

    match device.kind:
        case "vfat":
            yield kernel("vfat", owner, _MODE, "utf8", "shortname=mixed")
            yield kernel("vfat", owner, _MODE, "iocharset=utf8")
            yield ["fusefat", "-o", f"{SAFE},allow_other", path, at]
        case "exfat":
            yield kernel("exfat", owner, _MODE)
            yield ["mount.exfat-fuse", "-o", f"{SAFE},{owner},umask=0222", path, at]
        case "ntfs":
            yield kernel("ntfs3", owner, _MODE)
            yield kernel("ntfs3", owner, _MODE, "force")
            yield ["ntfs-3g", "-o", f"{SAFE},{owner},umask=0222", path, at]
        case "ext2":
            yield kernel("ext2")
            yield kernel("ext4")
        case "ext3" | "ext4":
            yield kernel(device.kind, "noload")


def mount(device: Device, place: Path, user: int, group: int) -> None:
    """Mount the device at `place` for the given user to read.

    Raises `ContentError` E-STICK-KIND where its filesystem is none of `KINDS`, `StorageError` E-STICK-MOUNT with the
    last attempt's reason where none succeeds.
    """
    if device.kind not in KINDS:
        raise ContentError(
            "E-STICK-KIND", where=device.path, expected="FAT32 exFAT NTFS ext4", found=device.kind
        )
    reasons = []
    for command in attempts(device, place, user, group):
        _, failed = run(command)
        # A driver in user space may have begun, and failed to read the root.
        if not failed and os.path.ismount(place):
            # A driver in user space may take an option and forget it: the mount point itself keeps what is safe.
            _, failed = run(["mount", "-o", f"remount,bind,{_LINKLESS}", place])
            if not failed:
                return
        reasons.append(failed or command[0])
        unmount(place)
    # Of a driver that is not there nobody can do anything: the reason of one that is there says more.
    told = [one for one in reasons if "unknown filesystem" not in one and "not installed" not in one]
    raise StorageError("E-STICK-MOUNT", where=device.path, found=(told or reasons)[0])


def unmount(place: Path) -> None:
    """Take what is mounted at `place` off, at once where the disk is gone; who still reads it fails and says so."""
    for _ in range(4):
        if not os.path.ismount(place):
            return
        run(["umount", "-l", place])
