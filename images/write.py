"""Writes an image to cards, disks or files: one unpacking for all of them, each at its own fate.

`Fate` serves `images.data_disk` as well: another thing to write, the same ways to end.

Invariant: a card is said to be written only when every block was read back from the medium and its first MiB, which
goes last, stands; a hash that does not fit, a bad place or a cut leaves a card that starts no machine.
"""

from __future__ import annotations

import queue
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from catalog.clock import Clock
from catalog.errors import ConfigError, ContentError, ShuxiangError, StorageError
from catalog.progress import Progress, Speed
from images import fat_files
from images.card import Card, digest_of, open_card
from images.devices import Device
from images.image_file import Description, blocks

PRESEED_NAME = "shuxiang.toml"
_QUEUE_BLOCKS = 4
_LOOK_SECONDS = 0.2

OnTarget = Callable[[int, Progress], None]
"""Told how far the target of that number is; called from threads of several targets."""
OnWritten = Callable[[int, "Written"], None]
"""Told what became of a target, at once, while others go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where an image goes: a device as it was found, or a file (`device` None), and the `shuxiang.toml` it is given.

    Setting `stop` ends its writing.
    """

    path: Path
    device: Device | None = None
    preseed: bytes | None = None
    school: str = ""
    stop: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What became of a target. `refusal` None: it is written and read back; `written_bytes` without skipped zeros."""

    target: Target
    at: datetime
    seconds: float
    image: Description
    written_bytes: int = 0
    refusal: ShuxiangError | None = None


class Stopped(Exception):
    """Someone asked for the end."""


def refuse_device(device: Device, image_bytes: int, *, fixed_too: bool = False) -> None:
    """Raise where `device` must not be written: the system's, in use, not removable (but with `fixed_too`), too small.

    `ConfigError` E-CARD-SYSTEM, E-CARD-MOUNTED, E-CARD-FIXED; `StorageError` E-CARD-SMALL, E-READ-ONLY.
    """
    about = f"{device.path} {device.model}".strip()
    if device.is_system:
        raise ConfigError("E-CARD-SYSTEM", where=about)
    if device.mounted:
        raise ConfigError("E-CARD-MOUNTED", where=about, found=" ".join(device.mounted))
    if not device.is_removable and not fixed_too:
        raise ConfigError("E-CARD-FIXED", where=about)
    if device.is_read_only:
        raise StorageError("E-READ-ONLY", where=about)
    if device.size_bytes < image_bytes:
        raise StorageError(
            "E-CARD-SMALL",
            where=about,
            expected=f"≥ {image_bytes / 1e6:,.0f} MB",
            found=f"{device.size_bytes / 1e6:,.0f} MB",
        )


def write_image(
    file: BinaryIO,
    name: str,
    description: Description,
    targets: Sequence[Target],
    progress: OnTarget,
    clock: Clock,
    *,
    over: OnWritten | None = None,
) -> list[Written]:
    """Write the image in `file` (`name` tells how it is packed) to all `targets`; return what became of each, in order.

    A target that fails does not hold up the others; what is wrong with the image fails all. `over` is told of each at
    its end.
    """
    writers = [
        _Writer(number, target, description, progress, clock, over) for number, target in enumerate(targets)
    ]
    for writer in writers:
        writer.start()
    # Only the stream's own end is the end: whatever else ends the loop leaves cards without their first MiB.
    end: ShuxiangError | str = StorageError("E-INTERNAL", where=name)
    stream = blocks(file, name, description)
    try:
        alive = True
        while alive:
            block = next(stream)
            alive = False
            for writer in writers:
                alive |= writer.give(block)
    except StopIteration as ended:
        end = ended.value
    except ContentError as error:
        end = error
    except OSError as error:
        end = StorageError("E-IO", where=name, found=error.strerror or error)
    finally:
        for writer in writers:
            writer.end(end)
    return [writer.result() for writer in writers]


class Fate(ABC):
    """Writes one target in a thread of its own, and keeps what becomes of it."""

    def __init__(
        self,
        number: int,
        target: Target,
        image: Description,
        progress: OnTarget,
        clock: Clock,
        over: OnWritten | None,
    ) -> None:
        self._thread = threading.Thread(target=self._run, name=f"write {target.path.name}", daemon=True)
        self._number, self._target, self._image = number, target, image
        self._progress, self._clock, self._over = progress, clock, over
        self._done = threading.Event()
        self._began = time.monotonic()
        # Nothing but the last step of all takes the refusal away.
        self._written = Written(
            target=target, at=clock(), seconds=0.0, image=image, refusal=StorageError("E-INTERNAL")
        )
        self._speed = Speed()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def result(self) -> Written:
        """Wait for the end and return it."""
        self._thread.join()
        return self._written

    @abstractmethod
    def _write(self, card: Card) -> None:
        """Write the open target and read it back; raise `Stopped` soon after its `stop` is set."""

    def _run(self) -> None:
        refusal = self._written.refusal
        try:
            with open_card(self._target.path, is_device=self._target.device is not None) as card:
                self._write(card)
            refusal = None
        except Stopped:
            refusal = ConfigError("E-CARD-STOPPED", where=self._target.path)
        except ShuxiangError as error:
            refusal = error
        finally:
            self._done.set()
            self._written = replace(
                self._written, refusal=refusal, seconds=time.monotonic() - self._began, at=self._clock()
            )
            if self._over is not None:
                self._over(self._number, self._written)

    def _keep_on(self) -> None:
        if self._target.stop.is_set():
            raise Stopped

    def _count(self, written_bytes: int) -> None:
        self._written = replace(self._written, written_bytes=self._written.written_bytes + written_bytes)

    def _tell(self, phase: str, done: int, step: int, total: int) -> None:
        self._speed.add(step)
        self._progress(
            self._number,
            Progress(
                phase=phase,
                done_bytes=done,
                total_bytes=total,
                bytes_per_second=self._speed.bytes_per_second,
                seconds_left=self._speed.seconds_for(total - done),
            ),
        )


class _Writer(Fate):
    """Writes one target from a queue of blocks; the image's SHA-256 in it is the end, an error the end of hope."""

    def __init__(
        self,
        number: int,
        target: Target,
        image: Description,
        progress: OnTarget,
        clock: Clock,
        over: OnWritten | None,
    ) -> None:
        super().__init__(number, target, image, progress, clock, over)
        self._queue: queue.Queue[bytes | str | ShuxiangError] = queue.Queue(_QUEUE_BLOCKS)

    def give(self, block: bytes) -> bool:
        """Hand over the next block; return False where this target has failed."""
        return self._put(block)

    def end(self, end: ShuxiangError | str) -> None:
        """Say that no more blocks come: the SHA-256 of all, or why it is early."""
        self._put(end)

    def _put(self, item: bytes | str | ShuxiangError) -> bool:
        while not self._done.is_set():
            try:
                self._queue.put(item, timeout=_LOOK_SECONDS)
                return True
            except queue.Full:
                continue
        return False

    def _write(self, card: Card) -> None:
        total = self._image.size_bytes
        card.begin(total)
        marks: list[tuple[int, int, bytes]] = []
        head, offset = b"", 0
        while (block := self._next()) is not None:
            if not offset:
                head = block
            else:
                self._count(card.put(offset, block))
                marks.append((offset, len(block), digest_of(block)))
            offset += len(block)
            self._tell("write", offset, len(block), total)
        card.settle()
        self._speed, done = Speed(), len(head)
        for place, length, digest in marks:
            self._keep_on()
            card.check(place, length, digest)
            done += length
            self._tell("check", done, length, total)
        if self._target.preseed is not None:
            with card.lent():
                partition = fat_files.fat_of(head)
                fat_files.put_file(card.path, partition, PRESEED_NAME, self._target.preseed)
            with card.lent():
                if fat_files.read_file(card.path, partition, PRESEED_NAME) != self._target.preseed:
                    raise StorageError("E-STICK-BAD", where=f"{card.path} {PRESEED_NAME}")
        card.finish(head)
        card.show_partitions()
        self._tell("check", total, 0, total)

    def _next(self) -> bytes | None:
        while not self._target.stop.is_set():
            try:
                item = self._queue.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                continue
            if isinstance(item, ShuxiangError):
                raise item
            if isinstance(item, str):
                self._written = replace(self._written, image=replace(self._image, sha256=item))
                return None
            return item
        raise Stopped
