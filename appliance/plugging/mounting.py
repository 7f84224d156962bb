"""Mounting a stick so that it can do no harm, and taking it off again.

Invariants: nothing is written to it, no journal replayed, no mark of being in use, unless it is mounted to be written;
nothing on it is executed, no right or device of it means anything here, and no link on it is followed, whichever driver
mounts it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from appliance.plugging.commands import run
from appliance.plugging.device import Device
from catalog.errors import ContentError, StorageError

_HARMLESS = "nosuid,nodev,noexec"
SAFE = f"ro,{_HARMLESS}"
_LINKLESS = f"{SAFE},nosymfollow"
_MODE = "fmask=0333,dmask=0222"
_WRITABLE = f"rw,{_HARMLESS},nosymfollow"
_OWN_MODE = "fmask=0133,dmask=0022"
_BUSY_SECONDS = 10.0
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


def attempts_to_write(device: Device, place: Path, user: int, group: int) -> Iterator[list[str]]:
    """Yield the commands that may mount the device for the given user to write (pure).

    None by force: what Windows left dirty `ntfs-3g` repairs, or refuses. On ext the rights are those on the disk.
    """
    owner = f"uid={user},gid={group}"
    path, at = str(device.path), str(place)

    def kernel(kind: str, *options: str) -> list[str]:
        return ["mount", "-i", "-t", kind, "-o", ",".join((_WRITABLE, *options)), path, at]

    match device.kind:
        case "vfat":
            yield kernel("vfat", owner, _OWN_MODE, "utf8", "shortname=mixed")
            yield kernel("vfat", owner, _OWN_MODE, "iocharset=utf8")
        case "exfat":
            yield kernel("exfat", owner, _OWN_MODE)
            yield ["mount.exfat-fuse", "-o", f"rw,{_HARMLESS},{owner},umask=0022", path, at]
        case "ntfs":
            yield kernel("ntfs3", owner, _OWN_MODE)
            yield ["ntfs-3g", "-o", f"rw,{_HARMLESS},{owner},umask=0022", path, at]
        case "ext2" | "ext3" | "ext4":
            yield kernel("ext4")


def mount(device: Device, place: Path, user: int, group: int) -> None:
    """Mount the device at `place` for the given user to read.

    Raises `ContentError` E-STICK-KIND where its filesystem is none of `KINDS`, `StorageError` E-STICK-MOUNT with the
    last attempt's reason where none succeeds.
    """
    if device.kind not in KINDS:
        raise ContentError(
            "E-STICK-KIND", where=device.path, expected="FAT32 exFAT NTFS ext4", found=device.kind
        )
    failed = _mount_by(attempts(device, place, user, group), place, _LINKLESS)
    if failed:
        raise StorageError("E-STICK-MOUNT", where=device.path, found=failed)


def mount_to_write(device: Device, place: Path, user: int, group: int) -> None:
    """Mount the device at `place` for the given user to write; raise `StorageError` E-STICK-WRITE where that can not be."""
    failed = _mount_by(attempts_to_write(device, place, user, group), place, _WRITABLE)
    # Of a switch against writing `mount` only warns.
    if not failed and os.statvfs(place).f_flag & os.ST_RDONLY:
        unmount(place)
        failed = "read-only"
    if failed:
        raise StorageError("E-STICK-WRITE", where=device.path, found=failed)


def _mount_by(commands: Iterator[list[str]], place: Path, safe: str) -> str:
    """Mount by the first command that can; return "", or the reason that says most why none can."""
    reasons = []
    for command in commands:
        _, failed = run(command)
        # A driver in user space may have begun, and failed to read the root.
        if not failed and os.path.ismount(place):
            # A driver in user space may take an option and forget it: the mount point itself keeps what is safe.
            _, failed = run(["mount", "-o", f"remount,bind,{safe}", place])
            if not failed:
                return ""
        reasons.append(failed or command[0])
        unmount(place)
    # Of a driver that is not there nobody can do anything: the reason of one that is there says more.
    told = [one for one in reasons if "unknown filesystem" not in one and "not installed" not in one]
    return next(iter(told or reasons), "no driver")


def release(place: Path) -> bool:
    """Take what is mounted at `place` off once nobody reads there, what was written being on the disk; return whether."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while os.path.ismount(place):
        _, failed = run(["umount", place])
        if failed and time.monotonic() > deadline:
            return False
        if failed:
            time.sleep(0.5)
    return True


def unmount(place: Path) -> None:
    """Take what is mounted at `place` off, at once where the disk is gone; who still reads it fails and says so."""
    for _ in range(4):
        if not os.path.ismount(place):
            return
        run(["umount", "-l", place])
