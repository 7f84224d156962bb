"""Deleting what nobody needs: rows first, then bytes, so that a cut leaves files without rows and never the reverse."""

from __future__ import annotations

from collections.abc import Sequence

from catalog.blobs import Blob, BlobStore
from catalog.library import Library

BATCH_BLOBS = 1000


def delete_blobs(library: Library, blobs: BlobStore, doomed: Sequence[Blob]) -> int:
    """Delete these blobs and return the bytes that were freed."""
    freed = 0
    for start in range(0, len(doomed), BATCH_BLOBS):
        batch = doomed[start : start + BATCH_BLOBS]
        with library.writing() as writer:
            writer.remove_blobs(blob.sha256 for blob in batch)
        freed += blobs.delete(batch)
    return freed


def collect_unused(library: Library, blobs: BlobStore) -> int:
    """Delete the blobs that no record names any more and return the bytes that were freed.

    On a hub the releases that are kept hold their own links to the bytes they name.
    """
    with library.reading() as reader:
        doomed = list(reader.unused_blobs())
    return delete_blobs(library, blobs, doomed)
