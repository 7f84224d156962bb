"""The privileged half: answers a socket, lists what may be written, writes cards and makes data disks.

Run by systemd when it is asked.

Invariant: of a request only names are believed. Which device may be written is found out here, anew for each request:
removable, not the system's, in use by nobody, and still the medium that the page showed. Paths never come from outside.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from appliance.cards import wire
from appliance.plugging.notes import RUN, STICKS
from catalog.clock import Clock
from catalog.errors import ConfigError, ContentError, RoadError, ShuxiangError
from catalog.progress import Progress
from images import records
from images.commands import run
from images.contents import contents
from images.data_disk import LEAST_BYTES, about_disk, make_data_disks, refuse_contents
from images.devices import Device, device_at, devices
from images.image_file import Description
from images.write import OnTarget, OnWritten, Target, Written, refuse_device, write_image

IDLE_SECONDS = 60.0
KEPT_SECONDS = 24 * 3600.0
PRESEED_BYTES = 64 << 10
_LOOK_SECONDS = 2.0
_TALK_SECONDS = 20.0

_FIRST_FILE = 3
_PLUGGED = f"{RUN / STICKS}/"

Accept = Callable[[Device], bool]
"""Whether a device may be offered; tests accept loop devices in the place of cards."""


def offered(device: Device) -> bool:
    """Return whether a device may be written on a real machine: removable, with a medium in it, nobody's.

    A stick or card that was mounted read-only when it was plugged in is nobody's: it is let go of before it is written.
    """
    free = all(point.startswith(_PLUGGED) for point in device.mounted)
    return device.is_removable and device.size_bytes > 0 and not device.is_system and free


def let_go(device: Device) -> None:
    """End what keeps the device mounted since it was plugged in."""
    # sdb1 is of sdb, and mmcblk1p1 of mmcblk1, but mmcblk10 is not.
    own = re.compile(rf"{re.escape(device.name)}({'p' if device.name[-1].isdigit() else ''}\d+)?")
    for node in sorted(one.name for one in device.path.parent.iterdir() if own.fullmatch(one.name)):
        run(["systemctl", "stop", f"shuxiang-stick@{node}.service"])


def listening_socket(path: Path) -> socket.socket:
    """Return the socket that systemd hands over (sd_listen_fds(3)), else a new one at `path` for this user alone."""
    if os.environ.get("LISTEN_PID") == str(os.getpid()) and os.environ.get("LISTEN_FDS") == "1":
        return socket.socket(fileno=_FIRST_FILE)
    path.unlink(missing_ok=True)
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    line.bind(str(path))
    path.chmod(0o600)
    line.listen()
    return line


@dataclass(slots=True)
class _Work:
    """One card or data disk: what it is, how far it is, what became of it."""

    device: Device
    image: Description
    target: Target
    is_disk: bool = False
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    progress: Progress = field(default_factory=lambda: Progress(phase="write"))
    written: Written | None = None
    over_at: float = 0.0


class Writer:
    """Lists, writes, and keeps what became of each card until the hub has it in its record."""

    def __init__(self, clock: Clock, accept: Accept = offered) -> None:
        self._clock = clock
        self._accept = accept
        self._lock = threading.Lock()
        self._works: dict[str, _Work] = {}
        self._threads: list[threading.Thread] = []
        self._ending = threading.Event()

    def serve(self, listening: socket.socket, *, idle_seconds: float | None = IDLE_SECONDS) -> None:
        """Answer until nobody has asked for `idle_seconds` and nothing is left to tell (None: until `close`)."""
        listening.settimeout(_LOOK_SECONDS)
        asked = time.monotonic()
        while not self._ending.is_set():
            idle = time.monotonic() - asked
            if idle_seconds is not None and idle > idle_seconds and not self._is_needed():
                return
            try:
                line, _ = listening.accept()
            except TimeoutError:
                continue
            asked = time.monotonic()
            with line:
                line.settimeout(_TALK_SECONDS)
                self._talk(line)

    def close(self) -> None:
        """Answer no more and end all writing; what was being written starts no machine."""
        self._ending.set()
        with self._lock:
            works, threads = list(self._works.values()), list(self._threads)
        for work in works:
            work.target.stop.set()
        for thread in threads:
            thread.join()

    def _is_needed(self) -> bool:
        with self._lock:
            works = list(self._works.values())
        return any(work.written is None or time.monotonic() - work.over_at < KEPT_SECONDS for work in works)

    def _talk(self, line: socket.socket) -> None:
        try:
            request, files = wire.heard(line)
        except (OSError, ValueError):
            return
        try:
            wire.answer(line, self._done(request, files))
        except ShuxiangError as error:
            wire.answer(line, {"refused": wire.refusal_json(error)})
        except (KeyError, TypeError, ValueError):
            wire.answer(line, {"refused": wire.refusal_json(ConfigError("E-CARD-WRITER", found="request"))})
        finally:
            for file in files:
                os.close(file)

    def _done(self, request: dict[str, Any], files: list[int]) -> dict[str, Any]:
        if request["do"] == "standing":
            return self._standing()
        if request["do"] == "look":
            return self._look(request["devices"])
        if request["do"] == "write":
            return self._write(request, os.fdopen(os.dup(files[0]), "rb") if files else None)
        if request["do"] == "format":
            return self._format(request["targets"])
        if request["do"] == "stop":
            with self._lock:
                self._works[str(request["work"])].target.stop.set()
            return {}
        if request["do"] == "forget":
            with self._lock:
                for name in request["works"]:
                    if (work := self._works.get(str(name))) is not None and work.written is not None:
                        del self._works[work.id]
            return {}
        raise ValueError(request["do"])

    # -- list ----------------------------------------------------------------------------------------------------

    def _standing(self) -> dict[str, Any]:
        with self._lock:
            works = list(self._works.values())
        busy = {work.device.name for work in works if work.written is None}
        found = [one for one in devices() if self._accept(one) and one.name not in busy]
        return {"devices": list(map(_device_json, found)), "works": list(map(_work_json, works))}

    def _look(self, names: list[str]) -> dict[str, Any]:
        """Say what lies on the devices that may be written; of one that can not be read, why."""
        found = dict[str, Any]()
        for device in devices():
            if device.name in names and self._accept(device):
                try:
                    held = contents(device.path, device.size_bytes)
                except ShuxiangError as error:
                    found[device.name] = {"refused": wire.refusal_json(error)}
                else:
                    found[device.name] = {"contents": list(map(wire.content_json, held))}
        return found

    # -- write ---------------------------------------------------------------------------------------------------

    def _write(self, request: dict[str, Any], file: BinaryIO | None) -> dict[str, Any]:
        if file is None:
            raise ValueError("no image")
        try:
            image = _description(request["image"])
            works, targets = self._chosen(request["targets"], image, _number_of(file))
        except BaseException:
            file.close()
            raise
        name = "image.img" + {"zst": ".zst", "xz": ".xz"}.get(str(request["packed"]), "")

        def action(tell: OnTarget, over: OnWritten) -> None:
            with file:
                write_image(file, name, image, targets, tell, self._clock, over=over)

        return self._begin(works, action)

    def _format(self, wishes: list[dict[str, Any]]) -> dict[str, Any]:
        works, targets = list[_Work](), list[Target]()
        for device, wish in self._wished(wishes):
            about = f"{device.name} {device.model}".strip()
            if wish["erase"] is not True:
                refuse_contents(about, contents(device.path, device.size_bytes))
            free = self._freed(device)
            refuse_device(free, LEAST_BYTES, fixed_too=True)
            target = Target(path=free.path, device=free)
            targets.append(target)
            works.append(_Work(device=free, image=about_disk(free.size_bytes), target=target, is_disk=True))
        return self._begin(
            works, lambda tell, over: make_data_disks(targets, tell, self._clock, over=over)
        )  # fmt: skip

    def _begin(self, works: list[_Work], action: Callable[[OnTarget, OnWritten], object]) -> dict[str, Any]:
        """Let `action` work in a thread of its own, and keep what it tells."""

        def tell(number: int, progress: Progress) -> None:
            works[number].progress = progress

        def over(number: int, written: Written) -> None:
            works[number].written, works[number].over_at = written, time.monotonic()

        thread = threading.Thread(target=action, args=(tell, over), name="writing")
        with self._lock:
            self._works |= {work.id: work for work in works}
            self._threads = [one for one in self._threads if one.is_alive()] + [thread]
        thread.start()
        return {"works": [work.id for work in works]}

    def _chosen(
        self, wishes: list[dict[str, Any]], image: Description, lies_on: str
    ) -> tuple[list[_Work], list[Target]]:
        """Return what may be written of what is wished; one wish that may not be refuses all, before anything happens."""
        works, targets = list[_Work](), list[Target]()
        for device, wish in self._wished(wishes):
            if lies_on in device.numbers:
                raise ConfigError("E-CARD-MOUNTED", where=f"{device.name} {device.model}", found=image.name)
            free = self._freed(device)
            refuse_device(free, image.size_bytes, fixed_too=True)
            preseed = str(wish["preseed"]).encode() if wish["preseed"] else None
            if preseed is not None and len(preseed) > PRESEED_BYTES:
                raise ContentError(
                    "E-SIZE", where="shuxiang.toml", expected=PRESEED_BYTES, found=len(preseed)
                )
            target = Target(path=free.path, device=free, preseed=preseed, school=str(wish["school"]))
            targets.append(target)
            works.append(_Work(device=free, image=image, target=target))
        return works, targets

    def _wished(self, wishes: list[dict[str, Any]]) -> Iterator[tuple[Device, dict[str, Any]]]:
        """Yield each wish with its device, as it stands in this machine now; raise where it is another one."""
        if not wishes:
            raise ValueError("no device")
        here = {device.name: device for device in devices() if self._accept(device)}
        with self._lock:
            busy = {work.device.name for work in self._works.values() if work.written is None}
        for wish in wishes:
            name = str(wish["device"])
            if name in busy:
                raise RoadError("E-BUSY", where=name)
            busy.add(name)
            device = here.get(name)
            if device is None:
                raise ConfigError("E-CARD-NONE", where=name)
            if wire.seal_of(device) != wish["seal"]:
                raise ConfigError("E-CARD-OTHER", where=f"{name} {device.model}")
            yield device, wish

    def _freed(self, device: Device) -> Device:
        if not device.mounted:
            return device
        let_go(device)
        return device_at(device.path)


def _number_of(file: BinaryIO) -> str:
    """Return the number of the device that the file lies on, as lsblk writes it."""
    number = os.fstat(file.fileno()).st_dev
    return f"{os.major(number)}:{os.minor(number)}"


def _description(value: dict[str, Any]) -> Description:
    return Description(
        name=str(value["name"]), version=str(value["version"]), board="", role="", date="",
        size_bytes=int(value["size_bytes"]), sha256=str(value["sha256"]),
    )  # fmt: skip


def _device_json(device: Device) -> dict[str, Any]:
    return {
        "name": device.name, "model": device.model, "serial": device.serial, "bus": device.bus,
        "size_bytes": device.size_bytes, "read_only": device.is_read_only, "seal": wire.seal_of(device),
    }  # fmt: skip


def _work_json(work: _Work) -> dict[str, Any]:
    written = work.written
    line = records.line_of(written) if written is not None else None
    return {
        "id": work.id, "device": _device_json(work.device), "image": work.image.name, "school": work.target.school,
        "disk": work.is_disk,
        "phase": "done" if written is not None else work.progress.phase,
        "share": work.progress.share or 0.0,
        "bytes_per_second": work.progress.bytes_per_second, "seconds_left": work.progress.seconds_left,
        "refused": wire.refusal_json(written.refusal) if written is not None and written.refusal else None,
        "line": records.line_json(line) if line is not None else None,
    }  # fmt: skip
