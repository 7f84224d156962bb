"""The index's files: written durably through Whoosh's own storage, read from a memory map without a copy.

Whoosh never syncs: a power cut could leave a table of contents that names unwritten data. Here every file is on disk
before the table of contents gets its name. Whoosh also copies each mapped segment into the heap; these readers do not.
"""

from __future__ import annotations

from contextlib import suppress
from io import SEEK_CUR, SEEK_END, SEEK_SET
from pathlib import Path
from typing import Any

from whoosh.codec.base import Segment
from whoosh.filedb.compound import CompoundStorage
from whoosh.filedb.filestore import FileStorage, RamStorage
from whoosh.filedb.structfile import BufferFile, StructFile

from catalog import durable


class DurableStorage(FileStorage):  # type: ignore[misc]
    """A directory in which a rename (Whoosh's commit) first makes everything written so far durable."""

    def __init__(self, directory: Path) -> None:
        super().__init__(str(directory))
        self._directory = directory
        self._written: dict[str, StructFile] = {}

    def create_file(self, name: str, **options: Any) -> StructFile:
        """Create a file and remember it for the next rename."""
        file = self._written[name] = super().create_file(name, **options)
        return file

    def abandon(self) -> None:
        """Close what a failed write left open; Whoosh does not."""
        for file in self._written.values():
            if not file.is_closed:
                with suppress(OSError):  # a full disk refuses the last bytes once more
                    file.close()
        self._written.clear()

    def rename_file(self, oldname: str, newname: str, safe: bool = False) -> None:
        """Give `oldname` its final name after all files written before it are on disk, names included."""
        if safe and self.file_exists(newname):
            raise FileExistsError(newname)
        self._written.pop(oldname, None)
        files = [self._directory / name for name in sorted(self._written)]
        durable.sync_all(path for path in files if path.exists())
        durable.sync_directory(self._directory)
        self._written.clear()
        durable.publish_file(self._directory / oldname, self._directory / newname)

    def temp_storage(self, name: str | None = None) -> RamStorage:
        """Return a place for column data on its way into the segment: a few bytes per document."""
        return RamStorage()


class _Window:
    """The part of a file object that Whoosh and pickle need, over a memory map."""

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self._at = 0

    def read(self, size: int = -1) -> bytes:
        end = len(self._view) if size is None or size < 0 else self._at + size
        data = bytes(self._view[self._at : end])
        self._at += len(data)
        return data

    def readline(self) -> bytes:
        size = 64
        while (data := bytes(self._view[self._at : self._at + size])) and b"\n" not in data:
            if len(data) < size:
                break
            size *= 2
        line = data[: data.find(b"\n") + 1] or data
        self._at += len(line)
        return line

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        self._at = offset + {SEEK_SET: 0, SEEK_CUR: self._at, SEEK_END: len(self._view)}[whence]
        return self._at

    def tell(self) -> int:
        return self._at


class _MappedFile(BufferFile):  # type: ignore[misc]
    """A file inside a mapped segment. `get*` keep no position: threads may share it once it is open."""

    def __init__(self, view: memoryview, name: str) -> None:
        self._buf = view
        self._name = name
        self.file = _Window(view)
        self.onclose = None
        self.is_real = False
        self.is_closed = False


class MappedSegment(CompoundStorage):  # type: ignore[misc]
    """The files of one compound segment in `directory`; the map lives as long as something refers to it."""

    def __init__(self, directory: Path, segment: Segment) -> None:
        path = directory / segment.make_filename(segment.COMPOUND_EXT)
        with path.open("rb") as file:  # the map outlives it
            super().__init__(StructFile(file, name=path.name))

    def open_file(self, name: str, *args: object, **options: object) -> _MappedFile:
        """Return the file `name` of the segment as a view of the map."""
        offset, length = self.range(name)
        return _MappedFile(memoryview(self._source)[offset : offset + length], name)
