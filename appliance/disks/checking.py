"""A filesystem before it is used: checked, repaired where that needs no person, mounted.

`e2fsck -p` does what is safe; where it asks for a person, everything else is done as well (`-y`): nobody will come, blobs
are proved by their hash and databases by their journal. A repair that was cut begins anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from appliance.disks.programs import Said, ask
from catalog.errors import StorageError

_OPTIONS = "rw,noatime,nodev,nosuid,noexec,errors=remount-ro"
# What must last is flushed by whoever writes it (`catalog.durable`); the times of files can wait a minute.
_RARELY = f"{_OPTIONS},commit=60"
_WORST_FINE = 3
"""e2fsck(8): 1 errors were corrected, 2 the system should be restarted, which means the root only."""
_KEPT_LINES = 12


@dataclass(frozen=True, slots=True)
class Checked:
    """How a check ended: whether more than the usual was repaired, and the last lines that say what."""

    repaired: bool
    log: str = ""


def check(device: Path) -> Checked:
    """Check the ext4 on `device` and repair it; raise `StorageError` E-DATA-DAMAGED where it stays damaged."""
    said = ask(["e2fsck", "-p", device])
    if said.code <= _WORST_FINE:
        return Checked(False)
    whole = ask(["e2fsck", "-f", "-y", device])
    again = ask(["e2fsck", "-f", "-p", device])
    if again.code > _WORST_FINE:
        raise StorageError("E-DATA-DAMAGED", where=device, found=again.last_line)
    return Checked(True, "\n".join(whole.text.splitlines()[-_KEPT_LINES:]))


def mount(device: Path, place: Path) -> None:
    """Mount the checked ext4 at `place`; raise `StorageError` E-DATA-DAMAGED where the kernel refuses.

    A check that loses the journal leaves none, and ext4 takes `commit` only with one: it is made anew. On a full disk
    that can not be, and the disk is used without.
    """
    place.mkdir(parents=True, exist_ok=True)
    said = _mount(device, place, _RARELY)
    if said.code and not ask(["tune2fs", "-O", "has_journal", device]).code:
        said = _mount(device, place, _RARELY)
    if said.code:
        said = _mount(device, place, _OPTIONS)
    if said.code:
        raise StorageError("E-DATA-DAMAGED", where=device, found=said.last_line)


def _mount(device: Path, place: Path, options: str) -> Said:
    return ask(["mount", "-t", "ext4", "-o", options, device, place])


def bind(directory: Path, place: Path) -> None:
    """Show `directory` at `place` too; nothing in it is executed. Raises `StorageError` E-IO."""
    place.mkdir(parents=True, exist_ok=True)
    # mount(8) makes two steps of it: the kernel takes options of a bind only once it is there.
    said = ask(["mount", "-o", "bind,rw,noatime,nodev,nosuid,noexec", directory, place])
    if said.code:
        raise StorageError("E-IO", where=place, found=said.last_line)
