"""Data for tests: small real records, files and libraries."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from catalog.blobs import Blob, BlobStore, Staged
from catalog.library import Library
from catalog.resource import Edition, File, Resource


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def file_of(
    data: bytes, name: str = "课.mp4", *, role: str = "play", media_type: str = "video/mp4", **more: Any
) -> File:
    return File(
        role=role, name=name, media_type=media_type, size_bytes=len(data), sha256=sha256(data), **more
    )


def resource(resource_id: str = "r1", title: str = "分数的初步认识", **fields: Any) -> Resource:
    values: dict[str, Any] = {
        "stage": "primary",
        "subject": "math",
        "edition": Edition(code="pep"),
        "grades": ("g3",),
        "volume": "a",
        "path": ("第八单元 分数的初步认识", "认识几分之一"),
        "kind": "video",
        "licence": "own",
    }
    values.update(fields)
    return Resource(id=resource_id, title=title, **values)


class Store:
    """A library with its blob store in `directory`, as box and hub have them."""

    def __init__(self, directory: Path) -> None:
        for name in ("blobs", "staging"):
            (directory / name).mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.library = Library.open(directory / "library.db", create=True)
        self.blobs = BlobStore(directory / "blobs", directory / "staging", self.library.add_blobs)

    def add(self, data: bytes) -> Blob:
        blob = Blob(sha256=sha256(data), size_bytes=len(data))
        path = self.blobs.staging_path(blob.sha256)
        path.write_bytes(data)
        assert not self.blobs.admit([Staged(path=path, blob=blob)])
        return blob

    def close(self) -> None:
        self.library.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
