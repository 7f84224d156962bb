"""The tree as a WSGI application: what a hub published, or what a box holds.

Invariant: only names that `sync.tree` knows are opened, so no path leaves the tree and no directory is listed; a box
gives content only when its row says that it is verified. The body of every refusal is empty: an unchanged poll asks
for files that are not there and must cost little.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from catalog import byteranges
from sync import tree
from sync.tree import TreeName

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

IMMUTABLE = "public, max-age=31536000, immutable"
_ALWAYS_ASK = "no-cache"
_MEDIA_TYPES = {".json": "application/json", ".zst": "application/zstd", ".jsonl": "application/jsonl"}
_OCTETS = "application/octet-stream"


def published_tree(public: Path) -> WSGIApplication:
    """Return the application for a hub's `STATE/public`, whose files are what they are."""
    return _application(lambda path, name: public / path)


def held_tree(
    trust: Path,
    blob_path: Callable[[str], Path],
    holds: Callable[[str], bool],
    parcels: Path,
    asked: Callable[[str], None] = lambda _: None,
) -> WSGIApplication:
    """Return the application for a box: accepted metadata below `trust`, the blobs that `holds` knows, and what lies
    in `parcels`: packs, patches and torrent files that the box has used (`sync.parcels.kept`).

    `holds` answers whether the library has a row for a hash: a file without one may be a leftover of a cut. `asked`
    is told the id of a box whose own file was asked for.
    """

    def locate(path: str, name: TreeName) -> Path | None:
        if name.kind == "roads":
            return None
        if name.kind == "box" and name.id is not None:
            asked(name.id)
        if name.kind != "blob":
            return trust / path
        assert name.sha256 is not None
        if holds(name.sha256):
            return blob_path(name.sha256)
        # Beside content there are the ways by which it came, and deltas of manifests, which are metadata.
        kept = parcels / name.sha256
        return kept if kept.exists() else trust / path

    return _application(locate)


def _application(locate: Callable[[str, TreeName], Path | None]) -> WSGIApplication:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        if method not in ("GET", "HEAD"):
            return _refuse(start_response, "405 Method Not Allowed", ("Allow", "GET, HEAD"))
        path = environ.get("PATH_INFO", "").removeprefix("/")
        name = tree.parse(path)
        place = locate(path, name) if name is not None else None
        stream = _open(place) if place is not None else None
        if name is None or stream is None:
            return _refuse(start_response, "404 Not Found")
        try:
            found = os.fstat(stream.fileno())
            reply = byteranges.answer(
                method,
                environ,
                size_bytes=found.st_size,
                etag=_etag(name, found),
                media_type=_media_type(path),
                extra=(("Cache-Control", IMMUTABLE if name.sha256 else _ALWAYS_ASK),),
            )
        except BaseException:
            stream.close()
            raise
        start_response(reply.status, list(reply.headers))
        return byteranges.send(stream, reply.body, environ)

    return application


def _open(place: Path) -> BinaryIO | None:
    """Open a regular file; None for anything else (a link, a directory, a pipe that would never end)."""
    try:
        handle = os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        return None
    return os.fdopen(handle, "rb", buffering=0)


def _etag(name: TreeName, found: os.stat_result) -> str:
    """Return a strong tag: the hash where the name has one, else what a durable replacement of the file changes."""
    if name.sha256:
        return f'"{name.sha256}{".z" if name.compressed else ""}"'
    return f'"{found.st_mtime_ns:x}-{found.st_ino:x}-{found.st_size:x}"'


def _media_type(path: str) -> str:
    return _MEDIA_TYPES.get(Path(path).suffix, _OCTETS) if not path.startswith("blobs/") else _OCTETS


def _refuse(start_response: StartResponse, status: str, *headers: tuple[str, str]) -> Iterable[bytes]:
    start_response(status, [*headers, ("Content-Length", "0")])
    return []
