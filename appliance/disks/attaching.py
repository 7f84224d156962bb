"""At every start: the disk with the content is found, checked, mounted, and shown where the service keeps its state.

The order: choose · check and mount, or grow the card's partition · bring the state over from the card, once · show it ·
remember the disk · keep what was seen for a start like this one. Each step comes to the same when it is repeated, and a
disk is remembered after all that is done to it, so a cut anywhere is followed by the same whole. Invariant: either the state
shown is the one of before, or nothing is: a machine never begins a new life because a disk is missing or damaged.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from appliance.disks import checking, growing
from appliance.disks.choose import LABEL, Remembered, choose
from appliance.disks.devices import USB, Device, devices, is_one_waking
from appliance.disks.programs import ask
from appliance.disks.telling import Told
from appliance.disks.usual import PROGRAM, Usual
from catalog import durable
from catalog.errors import ShuxiangError, StorageError

WAIT_SECONDS = 30.0
"""A disk that turns takes its time; so does a USB port that was given power just now."""
WAKING_SECONDS = 15.0
"""How long a card that has no state, and knows of no disk, waits for one that wakes: it may be that of an older card."""
STATE, MOVING, MOVED = "state", "state.moving", "state.moved"
CONFIG = "config.toml"
_LOST = "lost+found"
_SPARE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where things are: `run` as the initramfs left it, `data` the card's own partition, `state` where it is to be shown."""

    run: Path
    data: Path
    state: Path
    label: str = LABEL
    wait_seconds: float = WAIT_SECONDS
    waking_seconds: float = WAKING_SECONDS
    looking: Path = PROGRAM
    usb: Path = USB

    @property
    def memory(self) -> Path:
        return self.data / "system" / "data-disk"

    @property
    def usual(self) -> Usual:
        return Usual(self.data / "system" / "usual-disk", self.looking)

    @property
    def disk(self) -> Path:
        return self.run / "data-disk"


def attach(places: Places) -> Told:
    """Show the state at `places.state`, and return where it lies and what a person should know.

    Raises `StorageError`: nothing is shown then.
    """
    return durable.storage(lambda: _Attaching(places).told(), places.state)


class _Attaching:
    def __init__(self, places: Places) -> None:
        self.places = places
        lines = [*(places.run / "card").read_text().splitlines(), "", ""]
        self.system_disk, self.partition = lines[0], lines[1]
        self.has_card = os.path.ismount(places.data) and not (places.run / "data-missing").exists()
        self.warnings: list[ShuxiangError] = []
        self.details = _text(places.run / "data-repaired")
        self.grown = False
        self.remembered = read_memory(places.memory) if self.has_card else None

    def told(self) -> Told:
        if self.has_card:
            self.places.usual.forget()
        device = self._chosen()
        if self.has_card and self.partition:
            self._grow()
        if device is None:
            base = self._card()
        else:
            base = self._disk(device)
            if self.has_card and self._keeps_to_card(base):
                device, base = None, self.places.data
        self._show(base, device)
        if device is not None and self.has_card:
            self._remember(device)
        told = Told(
            device=str(device.path) if device else f"/dev/{self.partition}",
            on_card=device is None,
            grown=self.grown,
            warnings=tuple(self.warnings),
            details=self.details,
        )
        # A disk that had no state yet is remembered as one that has by the next start.
        if self.has_card and (device is None or (base / STATE / CONFIG).exists()):
            self.places.usual.keep(told, self.system_disk)
        return told

    def _chosen(self) -> Device | None:
        began = time.monotonic()
        # Where a disk is remembered, the state that is on the card is not that of today.
        serves_alone = self.remembered is None and self._card_holds_state()
        while True:
            waited = time.monotonic() - began
            try:
                device = choose(devices(self.system_disk), self.remembered, label=self.places.label)
                waits = device is None and not serves_alone and waited < self.places.waking_seconds
                if not waits or not is_one_waking(self.places.usb):
                    return device
            except StorageError as error:
                if serves_alone:
                    # Nothing is lost, and nobody is to miss a lesson, because of a disk that was never used here.
                    self.warnings.append(error)
                    return None
                if error.code != "E-DATA-MISSING" or waited >= self.places.wait_seconds:
                    raise
            time.sleep(0.5)

    def _card_holds_state(self) -> bool:
        return self.has_card and (self.places.data / STATE / CONFIG).exists()

    def _grow(self) -> None:
        try:
            self.grown = growing.grow(self.partition)
        except StorageError as error:
            self.warnings.append(error)

    def _card(self) -> Path:
        if not self.has_card:
            raise self._why_no_card()
        if self.details:
            self.warnings.append(StorageError("E-DATA-REPAIRED", where=f"/dev/{self.partition}"))
        return self.places.data

    def _why_no_card(self) -> StorageError:
        word, _, rest = _text(self.places.run / "data-missing").partition("\n")
        if self.system_disk and growing.is_too_small(self.system_disk):
            return StorageError("E-DATA-CARD-SMALL", where=f"/dev/{self.system_disk}")
        code = "E-DATA-MISSING" if word == "missing" else "E-DATA-DAMAGED"
        return StorageError(code, where=f"/dev/{self.partition or self.system_disk}", found=rest.strip())

    def _disk(self, device: Device) -> Path:
        if not os.path.ismount(self.places.disk):
            checked = checking.check(device.path)
            if checked.repaired:
                self.warnings.append(StorageError("E-DATA-REPAIRED", where=device.path))
                self.details = checked.log
            checking.mount(device.path, self.places.disk)
        if not self.has_card:
            self.warnings.append(StorageError("E-DATA-CARD", where=f"/dev/{self.partition}"))
        return self.places.disk

    def _keeps_to_card(self, base: Path) -> bool:
        """Bring the card's state over to a disk that has none; return whether it has to stay on the card."""
        ours, theirs = self.places.data / STATE, base / STATE
        if (theirs / CONFIG).exists() or not (ours / CONFIG).exists():
            return False
        needed = shutil.disk_usage(self.places.data).used + _SPARE_BYTES
        free = shutil.disk_usage(base).free
        if free < needed:
            self.warnings.append(
                StorageError("E-DATA-SMALL", expected=f">= {needed >> 20} MB", found=f"{free >> 20} MB")
            )
            return True
        _bring_over(ours, theirs)
        return False

    def _show(self, base: Path, device: Device | None) -> None:
        state = base / STATE
        before = self.remembered
        held = device is not None and before is not None and before.held and before.uuid == device.uuid
        if not (state / CONFIG).exists() and (held or _has_found_files(base)):
            raise StorageError("E-DATA-LOST", where=device.path if device else f"/dev/{self.partition}")
        if not state.exists():
            # As the package makes the directory that it will cover.
            owner = self.places.state.stat()
            durable.make_directory(state, mode=0o750)
            os.chown(state, owner.st_uid, owner.st_gid)
        if not os.path.ismount(self.places.state):
            checking.bind(state, self.places.state)

    def _remember(self, device: Device) -> None:
        held = (self.places.disk / STATE / CONFIG).exists()
        text = json.dumps({"uuid": device.uuid, "identity": device.identity, "held": held})
        if _text(self.places.memory) != text:
            durable.make_directory(self.places.memory.parent)
            durable.write_file(self.places.memory, text.encode())


def read_memory(path: Path) -> Remembered | None:
    """Return the disk that was used before; None where there was none."""
    try:
        value = json.loads(path.read_bytes())
        return Remembered(uuid=value["uuid"], identity=value["identity"], held=value["held"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _bring_over(ours: Path, theirs: Path) -> None:
    """Copy the state, durable before it has its name; the card's own stays under another name for whoever needs it."""
    moving = theirs.with_name(MOVING)
    said = ask(["rsync", "--archive", "--hard-links", "--inplace", "--delete", f"{ours}/", f"{moving}/"])
    if said.code:
        raise StorageError("E-IO", where=theirs, found=said.last_line)
    durable.sync_filesystem(moving)
    if theirs.exists():
        # An empty one, which a start without content left.
        shutil.rmtree(theirs)
    durable.move(moving, theirs)
    durable.sync_directory(theirs.parent)
    shutil.rmtree(ours.with_name(MOVED), ignore_errors=True)
    durable.move(ours, ours.with_name(MOVED))
    durable.sync_directory(ours.parent)


def _has_found_files(base: Path) -> bool:
    """Return whether a repair put files aside that had lost their names."""
    lost = base / _LOST
    return lost.is_dir() and any(lost.iterdir())


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
