"""What the pages of 制卡 ask for, done: images and schools of this hub, the writer behind its socket, the record.

Invariant: a card that the writer is done with stands in the record before the writer forgets it.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.cards import wire
from appliance.firstboot.bulk import PASSWORDS_NAME, make_for_schools
from appliance.firstboot.request import FILE_NAME
from appliance.plugging.notes import RUN, STICKS
from catalog import durable
from catalog.errors import ConfigError, ShuxiangError
from catalog.ingest.findings import ERROR
from images import records
from images.image_file import SUFFIXES, Description, describe
from webui.hub.card_operations import (
    CardContent,
    CardContents,
    CardDevice,
    CardImage,
    CardLine,
    CardSchool,
    CardStanding,
    CardWork,
    DiskWish,
    MadeSchools,
    Wish,
)
from webui.hub.media import plugged_in
from webui.hub.operations import MEDIA

IMAGES, SCHOOLS = "images", "preseed"
_COLLECT_SECONDS = 2.0
_MEDIA = (*MEDIA, RUN / STICKS)
_MOUNTS = Path("/proc/self/mountinfo")


@dataclass(frozen=True, slots=True)
class _Found:
    """An image file with what stands beside it, and the name of its disk."""

    path: Path
    description: Description
    place: str

    @property
    def key(self) -> str:
        return hashlib.sha256(str(self.path).encode()).hexdigest()[:16]


class CardDesk:
    """Fulfils `webui.hub.card_operations.CardOperations` for the hub at `state`. Close it."""

    def __init__(
        self,
        state: Path,
        fingerprint: Callable[[], str],
        *,
        socket: Path = wire.SOCKET,
        media: tuple[Path, ...] = _MEDIA,
    ) -> None:
        self._images, self._schools = state / IMAGES, state / SCHOOLS
        self._fingerprint = fingerprint
        self._socket, self._media = socket, media
        self._lock = threading.Lock()
        self._kept: set[str] = set()
        self._over: dict[str, CardWork] = {}
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        if socket.exists():
            self._watch()

    def close(self) -> None:
        """End the watch; the writer goes on, and the record is made up at the next start."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()

    # -- the writer ----------------------------------------------------------------------------------------------

    def standing(self) -> CardStanding:
        """Return what stands in the readers and how far the work is."""
        try:
            found = self._collect()
        except ShuxiangError as error:
            return CardStanding(refusal=error, works=tuple(self._over.values()))
        running = [work for work in map(_work, found["works"]) if work.id not in self._over]
        return CardStanding(
            devices=tuple(map(_device, found["devices"])), works=(*running, *reversed(self._over.values()))
        )

    def write(self, image: str, wishes: list[Wish]) -> None:
        """Begin to write; raise `ShuxiangError` where nothing was begun."""
        chosen = next((one for one in self._found() if one.key == image), None)
        if chosen is None:
            raise ConfigError("E-IMAGE-NONE")
        targets = [
            {"device": wish.device, "seal": wish.seal, "school": wish.school, "preseed": self._request(wish.school)}
            for wish in wishes
        ]  # fmt: skip
        about = chosen.description
        request = {
            "do": "write",
            "packed": chosen.path.suffix.removeprefix("."),
            "image": {"name": about.name, "version": about.version, "size_bytes": about.size_bytes, "sha256": about.sha256},
            "targets": targets,
        }  # fmt: skip
        with durable.storage(lambda: chosen.path.open("rb"), chosen.path) as file:
            wire.ask(self._socket, request, file.fileno())
        self._watch()

    def contents(self, devices: list[str]) -> dict[str, CardContents]:
        """Return what lies on each device that may be written."""
        found: dict[str, Any] = wire.ask(self._socket, {"do": "look", "devices": devices})
        return {name: _contents(value) for name, value in found.items()}

    def make_disks(self, wishes: list[DiskWish]) -> None:
        """Begin to make data disks; raise `ShuxiangError` where nothing was begun."""
        targets = [{"device": wish.device, "seal": wish.seal, "erase": wish.erase} for wish in wishes]
        wire.ask(self._socket, {"do": "format", "targets": targets})
        self._watch()

    def stop(self, work: str) -> None:
        """End the writing of a card."""
        wire.ask(self._socket, {"do": "stop", "work": work})

    def dismiss(self) -> None:
        """Take what is over off the page."""
        with self._lock:
            self._over.clear()

    def _watch(self) -> None:
        """Keep the record in step with the writer, until nothing is under way."""
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                return
            self._thread = threading.Thread(target=self._follow, name="cards", daemon=True)
            self._thread.start()

    def _follow(self) -> None:
        under_way = True
        while under_way and not self._closing.wait(_COLLECT_SECONDS):
            try:
                under_way = any(one["phase"] != "done" for one in self._collect()["works"])
            except ShuxiangError:
                continue  # the page says it; the writer keeps what it did for a day

    def _collect(self) -> dict[str, Any]:
        """Ask the writer how things stand, take what is over into the record, and let it forget that."""
        with self._lock:
            found: dict[str, Any] = wire.ask(self._socket, {"do": "standing"})
            over = [one for one in found["works"] if one["phase"] == "done"]
            new = [one for one in over if one["id"] not in self._over and one["id"] not in self._kept]
            if new:
                durable.storage(lambda: durable.make_directory(self._images), self._images)
                records.keep(self.record(), [records.line_from(one["line"]) for one in new])
                self._over |= {one["id"]: _work(one) for one in new}
                self._kept |= {one["id"] for one in new}
            if over:
                wire.ask(self._socket, {"do": "forget", "works": [one["id"] for one in over]})
            return found

    # -- images --------------------------------------------------------------------------------------------------

    def images(self) -> list[CardImage]:
        """Return the images here and on the disks that are plugged in."""
        return [
            CardImage(
                key=one.key,
                name=_title(one.description.name, one.description.version),
                board=one.description.board,
                role=one.description.role,
                date=one.description.date,
                size_bytes=one.description.size_bytes,
                packed_bytes=one.path.stat().st_size,
                place=one.place,
            )
            for one in self._found()
        ]

    def _found(self) -> list[_Found]:
        places = [(self._images, "")]
        for disk in plugged_in(_MOUNTS, self._media):
            places += [(disk.mounted, disk.name), (disk.mounted / IMAGES, disk.name)]
        return [one for folder, place in places for one in _images_in(folder, place)]

    # -- schools -------------------------------------------------------------------------------------------------

    def schools(self) -> list[CardSchool]:
        """Return the schools whose settings are made."""
        written = {
            line.school: line.at for line in reversed(records.read_lines(self.record())) if line.is_done
        }
        if not self._schools.is_dir():
            return []
        return [
            CardSchool(key=folder.name, written=written.get(folder.name))
            for folder in sorted(self._schools.iterdir())
            if (folder / FILE_NAME).is_file()
        ]

    def make_schools(self, table: Path, hub: str) -> MadeSchools:
        """Make the settings of the schools in a list."""
        durable.storage(lambda: durable.make_directory(self._schools, mode=0o700), self._schools)
        made = make_for_schools(table, self._schools, fingerprint=self._fingerprint(), hub=hub)
        wrong = tuple(one for one in made.findings if one.level == ERROR)
        return MadeSchools(new=len(made.folders), kept=len(made.kept), findings=wrong)

    def passwords(self) -> Path | None:
        """Return the newest sheet of passwords of the schools."""
        sheets = self._schools.glob(f"{PASSWORDS_NAME}*.xlsx") if self._schools.is_dir() else ()
        return max(sheets, key=lambda sheet: sheet.stat().st_mtime_ns, default=None)

    def _request(self, school: str) -> str | None:
        if not school:
            return None
        if school not in {one.key for one in self.schools()}:
            raise ConfigError("E-PRESEED-MISSING", where=school)
        place = self._schools / school / FILE_NAME
        return durable.storage(place.read_bytes, place).decode("utf-8")

    # -- the record ----------------------------------------------------------------------------------------------

    def lines(self) -> list[CardLine]:
        """Return the record, newest first."""
        return [
            CardLine(
                at=line.at,
                school=line.school,
                image=_title(line.image, line.version),
                model=line.model,
                serial=line.serial,
                size_bytes=line.size_bytes,
                is_done=line.is_done,
                result=line.result,
            )
            for line in records.read_lines(self.record())
        ]

    def record(self) -> Path:
        """Return where the record lies as a table."""
        return self._images / records.RECORD_NAME


def _images_in(folder: Path, place: str) -> Iterator[_Found]:
    try:
        paths = sorted(path for path in folder.iterdir() if path.name.endswith(SUFFIXES) and path.is_file())
    except OSError:
        return
    for path in paths:
        try:
            yield _Found(path, describe(path), place)
        except (ShuxiangError, OSError):
            continue  # without its description nobody could say whether it is whole


def _title(name: str, version: str) -> str:
    """Return what people call an image; most names have the version in them."""
    return name if version in name else f"{name} {version}"


def _device(value: dict[str, Any]) -> CardDevice:
    return CardDevice(
        key=value["name"], model=value["model"], serial=value["serial"], bus=value["bus"],
        size_bytes=value["size_bytes"], is_read_only=value["read_only"], seal=value["seal"],
    )  # fmt: skip


def _contents(value: dict[str, Any]) -> CardContents:
    if refused := value.get("refused"):
        return CardContents(refusal=wire.refusal_of(refused))
    return CardContents(
        held=tuple(
            CardContent(
                kind=one["kind"], label=one["label"], size_bytes=one["size_bytes"], used_bytes=one["used_bytes"],
                owner=one["owner"], is_data_disk=one["is_data_disk"], is_bare=one["is_bare"],
            )
            for one in value["contents"]
        )
    )  # fmt: skip


def _work(value: dict[str, Any]) -> CardWork:
    return CardWork(
        id=value["id"], is_disk=value["disk"], device=_device(value["device"]), image=value["image"], school=value["school"],
        phase=value["phase"], percent=100 * value["share"], bytes_per_second=value["bytes_per_second"],
        seconds_left=value["seconds_left"],
        refusal=wire.refusal_of(value["refused"]) if value["refused"] else None,
    )  # fmt: skip
