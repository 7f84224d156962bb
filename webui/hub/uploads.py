"""Files that come through the browser: streamed to disk under the job's folder, nothing believed, nothing executed.

Invariant: a file has its name in `content/` only when all its bytes came; what a cut left is in `parts/`, where the
next piece goes on. No name leads out of the folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from catalog import durable
from catalog.errors import ContentError, RoadError, UsageError
from catalog.ingest.lists import LIST_SUFFIXES
from catalog.resource import is_package_path

BLOCK_BYTES = 1 << 18
PIECE_BYTES = 8 << 20
FIELD_BYTES = 64 << 10
CONTENT = "content"
# What file managers leave behind; nobody misses it.
_LITTER = frozenset((".ds_store", "thumbs.db", "desktop.ini", "ehthumbs.db"))


def safe_path(name: str) -> str:
    """Return the relative path under which an uploaded file is kept; raise `ContentError` E-NAME.

    Browsers send `name`, `folder/name`, or (Internet Explorer) `C:\\Users\\…\\name`, of which only the last part counts.
    """
    if name[1:3] == ":\\" or name.startswith("\\\\"):
        name = name.rpartition("\\")[2]
    path = name.replace("\\", "/")
    if not is_package_path(path) or any(part != part.strip() for part in path.split("/")):
        raise ContentError("E-NAME", found=repr(name[:120]))
    return path


def is_litter(path: str) -> bool:
    """Return whether the file is what a file manager or an open WPS leaves behind."""
    name = path.rpartition("/")[2].lower()
    return name in _LITTER or name.startswith(("~$", "._")) or path.startswith("__MACOSX/")


class Inbox:
    """The uploaded files of one job, in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.content = folder / CONTENT
        self.parts = folder / "parts"

    def open(self) -> None:
        """Make the folders."""
        for folder in (self.content, self.parts):
            durable.storage(lambda folder=folder: durable.make_directory(folder), folder)  # type: ignore[misc]

    def have(self, path: str) -> int:
        """Return how many bytes of the file `path` are here."""
        whole, part = self.content / path, self._part(path)
        for place in (whole, part):
            if place.is_file():
                return place.stat().st_size
        return 0

    def add_piece(self, path: str, offset: int, total_bytes: int, stream: IO[bytes]) -> int:
        """Append the bytes of `stream` to `path` at `offset`; return how many are here now.

        Raises `RoadError` E-ROAD-SHORT where `offset` is not where the file ends so far (ask `have`), and `UsageError`
        where a piece is too long. An acknowledged piece survives a power cut.
        """
        if self.have(path) != offset:
            raise RoadError("E-ROAD-SHORT", where=path, expected=self.have(path), found=offset)
        return durable.storage(lambda: self._append(path, offset, total_bytes, stream), path)

    def take_whole(self, path: str, blocks: Iterator[bytes]) -> int:
        """Write a file that comes in one stream and give it its name at the end; return its length."""

        def write() -> int:
            part, size = self._part(path), 0
            with part.open("wb") as out:
                for block in blocks:
                    out.write(block)
                    size += len(block)
            self._name(path, part)
            return size

        return durable.storage(write, path)

    def settle(self) -> None:
        """Make everything that was received durable."""
        durable.storage(lambda: durable.sync_filesystem(self.content), self.content)

    def measure(self) -> tuple[int, int]:
        """Return (whole files, bytes received so far)."""
        whole = [item.stat().st_size for item in self.content.rglob("*") if item.is_file()]
        parts = [item.stat().st_size for item in self.parts.iterdir()] if self.parts.exists() else []
        return len(whole), sum(whole) + sum(parts)

    def unfinished(self) -> int:
        """Return how many files broke off in the middle."""
        return len(list(self.parts.iterdir())) if self.parts.exists() else 0

    def source(self) -> tuple[Path, Path | None]:
        """Return what there is to ingest, the one archive, the one folder or all of what came; and its list where
        one came beside an archive or a folder."""
        items = sorted(item for item in self.content.iterdir() if not is_litter(item.name))
        lists = [item for item in items if item.name.lower().endswith(LIST_SUFFIXES) and item.is_file()]
        others = [item for item in items if item not in lists]
        packed = len(others) == 1 and (others[0].is_dir() or others[0].name.lower().endswith(".zip"))
        if packed and len(lists) <= 1:
            return others[0], lists[0] if lists else None
        return (items[0] if len(items) == 1 else self.content), None

    def _append(self, path: str, offset: int, total_bytes: int, stream: IO[bytes]) -> int:
        part = self._part(path)
        size = offset
        with part.open("r+b" if part.exists() else "wb") as out:
            out.seek(offset)
            while block := stream.read(BLOCK_BYTES):
                size += len(block)
                if size > total_bytes or size - offset > PIECE_BYTES:
                    raise UsageError("E-USAGE", where=path, expected=f"<= {total_bytes} B", found=size)
                out.write(block)
            out.flush()
            durable.sync_data(out.fileno())
        if size == total_bytes:
            self._name(path, part)
        return size

    def _part(self, path: str) -> Path:
        return self.parts / hashlib.sha256(path.encode()).hexdigest()[:32]

    def _name(self, path: str, part: Path) -> None:
        place = self.content / path
        durable.make_directory(place.parent)
        durable.move(part, place)


@dataclass(slots=True)
class Received:
    """What a form brought: its fields, how many files came, and the names that were refused."""

    fields: dict[str, str] = field(default_factory=dict)
    files: int = 0
    refused: list[str] = field(default_factory=list)


def receive_form(
    stream: IO[bytes], boundary: bytes, open_inbox: Callable[[dict[str, str]], Inbox]
) -> Received:
    """Read a multipart form (RFC 7578) whose files may be many and large, one block at a time.

    `open_inbox` is called once with the fields that stand before the first file (the token among them), or at the
    end where there is no file; what it raises ends the reading before anything is written. Raises `RoadError` E-ROAD-SHORT where
    the form breaks off, `ValueError` where it is no form.
    """
    # The decoder holds back a block and what may be the start of a boundary.
    decoder = MultipartDecoder(boundary, max_form_memory_size=2 * BLOCK_BYTES + FIELD_BYTES)
    received = Received()
    events = _events(decoder, stream)
    inbox: Inbox | None = None
    for event in events:
        if isinstance(event, Field):
            text = _field(_data(events))
            received.fields[event.name or ""] = text
        elif isinstance(event, File):
            if not event.filename:  # an empty file input sends one nameless, empty file
                for _ in _data(events):
                    pass
                continue
            inbox = inbox or open_inbox(received.fields)
            _receive_file(event.filename, _data(events), inbox, received)
    if inbox is None:
        open_inbox(received.fields)
    return received


def _receive_file(name: str, blocks: Iterator[bytes], inbox: Inbox, received: Received) -> None:
    try:
        path = safe_path(name)
    except ContentError:
        received.refused.append(name[:200])
        path = ""
    if not path or is_litter(path):
        for _ in blocks:
            pass
        return
    inbox.take_whole(path, blocks)
    received.files += 1


def _field(blocks: Iterator[bytes]) -> str:
    value = b""
    for block in blocks:
        value += block
        if len(value) > FIELD_BYTES:
            raise ValueError("field too long")
    return value.decode("utf-8", "replace")


def _data(events: Iterator[object]) -> Iterator[bytes]:
    for event in events:
        if not isinstance(event, Data):
            raise ValueError("form without data")
        if event.data:
            yield bytes(event.data)
        if not event.more_data:
            return


def _events(decoder: MultipartDecoder, stream: IO[bytes]) -> Iterator[object]:
    ended = False
    while True:
        try:
            event = decoder.next_event()
        except ValueError as error:
            if ended:
                raise RoadError("E-ROAD-SHORT") from error
            raise
        if isinstance(event, Epilogue):
            return
        if not isinstance(event, NeedData):
            yield event
            continue
        block = stream.read(BLOCK_BYTES)
        ended = not block
        decoder.receive_data(block or None)
