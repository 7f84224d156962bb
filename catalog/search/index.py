"""Building the index and bringing it to a new state.

An index lives in a directory of its own (`index/<n>`) and is never changed once a library row names it. An update
hard-links the previous files into the next directory (Whoosh's segments never change) and commits there; a cut before
the library's transaction leaves the previous index in use and a directory that the next update clears away.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from whoosh.codec.whoosh3 import W3Segment
from whoosh.index import TOC, clean_files

from catalog import durable
from catalog.search.postings import SegmentFiles
from catalog.search.record import IndexRecord, record_of, records_of
from catalog.search.schema import INDEX_NAME, new_schema
from catalog.search.segment import SegmentBuilder
from catalog.search.storage import DurableStorage

__all__ = ["IndexRecord", "build", "record_of", "records_of", "update"]

SEGMENT_DOCUMENTS = 100_000
SMALL_SEGMENT_DOCUMENTS = 20_000
MAX_SMALL_SEGMENTS = 8


def build(directory: Path, records: Iterable[IndexRecord]) -> None:
    """Write a new index of `records` (best in descending quality) into `directory`, durably, replacing what is there.

    Raises `StorageError` where the disk is full or fails; the directory is gone then.
    """
    with _writing(directory) as storage:
        _commit(storage, _write(storage, _new_builder(), records)[0], generation=1)


def update(previous: Path, directory: Path, removed: Collection[int], added: Iterable[IndexRecord]) -> None:
    """Write into `directory` the index of `previous` without the numbers `removed` and with `added`, durably.

    A number that is added replaces the document it had. `previous` is not touched. Costs grow with the change, not with
    the index: small segments are merged when there are many, and one that is mostly deleted is written anew. Raises
    `StorageError` where the disk is full or fails; the directory is gone then.
    """
    with _writing(directory) as storage:
        _update(storage, previous, directory, removed, added)


def _update(
    storage: DurableStorage,
    previous: Path,
    directory: Path,
    removed: Collection[int],
    added: Iterable[IndexRecord],
) -> None:
    for file in sorted(previous.iterdir()):
        if file.is_file():
            durable.link(file, directory / file.name)
    toc = TOC.read(storage, INDEX_NAME)
    written, numbers = _write(storage, _new_builder(), added)
    gone = numbers.union(removed)
    kept: list[W3Segment] = [segment for segment in toc.segments if _delete(directory, segment, gone)]
    merged = _to_merge(kept, written)
    if merged:
        builder = _new_builder()
        for segment in merged:
            builder.add_segment(SegmentFiles(directory, segment), set(segment.deleted_docs()))
        kept = [segment for segment in kept if segment not in merged]
        written = [segment for segment in written if segment not in merged]
        if len(builder):
            written.append(builder.write(storage))
    _commit(storage, kept + written, generation=toc.generation + 1)


@contextmanager
def _writing(directory: Path) -> Iterator[DurableStorage]:
    """Clear what an interrupted run left and make the directory; remove it again where the disk refuses."""
    storage = DurableStorage(directory)
    try:
        if directory.exists():
            shutil.rmtree(directory)
        durable.make_directory(directory)
        yield storage
    except OSError as error:
        storage.abandon()
        shutil.rmtree(directory, ignore_errors=True)
        raise durable.storage_error(error, directory) from error


def _new_builder() -> SegmentBuilder:
    from catalog.search.pinyin import pinyin_of  # 55 MB: never where pages are served

    return SegmentBuilder(pinyin_of)


def _write(
    storage: DurableStorage, builder: SegmentBuilder, records: Iterable[IndexRecord]
) -> tuple[list[W3Segment], set[int]]:
    segments, numbers = [], set()
    for record in records:
        numbers.add(record.number)
        builder.add(record)
        if len(builder) >= SEGMENT_DOCUMENTS:
            segments.append(builder.write(storage))
            builder = _new_builder()
    if len(builder):
        segments.append(builder.write(storage))
    return segments, numbers


def _delete(directory: Path, segment: W3Segment, gone: set[int]) -> bool:
    """Mark the documents of the numbers `gone` as deleted; return whether any document is left."""
    if gone:
        for document, number in enumerate(SegmentFiles(directory, segment).numbers):
            if number in gone:
                segment.delete_document(document)
    return bool(segment.doc_count())


def _to_merge(kept: list[W3Segment], written: list[W3Segment]) -> list[W3Segment]:
    """Return the segments to write as one: all small ones when they are many, and each mostly deleted one."""
    small = [segment for segment in kept + written if segment.doc_count() < SMALL_SEGMENT_DOCUMENTS]
    hollow = [segment for segment in kept if segment.deleted_count() > segment.doc_count()]
    if len(small) > MAX_SMALL_SEGMENTS:
        return small + [segment for segment in hollow if segment not in small]
    return hollow


def _commit(storage: DurableStorage, segments: list[W3Segment], *, generation: int) -> None:
    """Write the table of contents last: the storage syncs everything else before it gets its name."""
    TOC(new_schema(), segments, generation).write(storage, INDEX_NAME)
    clean_files(storage, INDEX_NAME, generation, segments)
    durable.sync_directory(Path(storage.folder))
