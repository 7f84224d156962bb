"""`/files/<sha256>/<name>`: the bytes of a blob under its right name, by WSGI, with ranges.

Invariant: only blobs that the library says are here (verified, durable) are sent; the media type comes from the
record, never from the address; what a browser could run as a page of ours is sent as a download only (rule 5).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote

from catalog.blobs import BlobStore
from catalog.byteranges import answer, send
from catalog.library import Library
from catalog.resource import is_file_name, is_resource_id, is_sha256

# What browsers show without running anything of it.
HARMLESS = frozenset(
    [
        "image/png",
        "image/jpeg",
        "image/gif",
        "image/webp",
        "image/bmp",
        "image/avif",
        "application/pdf",
        "text/plain",
        "text/vtt",
    ]
)
HARMLESS_GROUPS = ("video/", "audio/")
IMMUTABLE = ("Cache-Control", "public, max-age=31536000, immutable")
KNOWN_FILES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    path: Path
    size_bytes: int
    media_type: str


def is_harmless(media_type: str) -> bool:
    """Return whether a browser may show this media type in the pages' own origin."""
    plain = media_type.partition(";")[0].strip().lower()
    return plain in HARMLESS or plain.startswith(HARMLESS_GROUPS)


def disposition(kind: str, name: str) -> str:
    """Return a Content-Disposition for `name` (RFC 6266): UTF-8 in `filename*`, an ASCII stand-in beside it."""
    plain = "".join(c if " " <= c <= "~" and c not in '"\\%;' else "_" for c in name)
    if plain == name:
        return f'{kind}; filename="{name}"'
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


class Files:
    """A WSGI application for `/files/`; `count` takes (resource id, event)."""

    def __init__(self, library: Library, blobs: BlobStore, count: Callable[[str, str], None]) -> None:
        self._library = library
        self._blobs = blobs
        self._count = count
        # The bytes of a blob never change, and their type hardly: finding it again would read whole records.
        self._media_types: dict[str, str] = {}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        if method not in ("GET", "HEAD"):
            return _refuse(start_response, "405 Method Not Allowed", ("Allow", "GET, HEAD"))
        _, _, sha256, *names = environ["PATH_INFO"].split("/")
        name = names[0].encode("latin-1").decode("utf-8", "replace") if len(names) == 1 else ""
        if not is_sha256(sha256) or not is_file_name(name):
            return _refuse(start_response, "404 Not Found")
        known = self._find(sha256)
        if known is None:
            return _refuse(start_response, "404 Not Found")
        try:
            stream = known.path.open("rb", buffering=0)
        except OSError:
            return _refuse(start_response, "404 Not Found")
        query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        download = "download" in query or not is_harmless(known.media_type)
        extra = [IMMUTABLE, ("X-Content-Type-Options", "nosniff")]
        if download:
            extra.append(("Content-Disposition", disposition("attachment", name)))
            extra.append(("Content-Security-Policy", "sandbox; default-src 'none'"))
        elif not name.isascii():
            extra.append(("Content-Disposition", disposition("inline", name)))
        said = answer(
            method,
            environ,
            size_bytes=known.size_bytes,
            etag=f'"{sha256}"',
            media_type=known.media_type,
            extra=extra,
        )
        if "download" in query and method == "GET" and said.body is not None and said.body.start == 0:
            self._count_download(query)
        start_response(said.status, list(said.headers))
        return send(stream, said.body, environ)

    def _count_download(self, query: dict[str, list[str]]) -> None:
        resource_id = query.get("r", [""])[0]
        if not is_resource_id(resource_id):
            return
        with self._library.reading() as reader:
            known = reader.numbers_of([resource_id])
        if known:
            self._count(resource_id, "download")

    def _find(self, sha256: str) -> _Known | None:
        with self._library.reading() as reader:
            blob = reader.blob(sha256)
            if blob is None:
                return None
            media_type = self._media_types.get(sha256)
            if media_type is None:
                file = reader.file(sha256)
                if file is None:
                    return None
                if len(self._media_types) >= KNOWN_FILES:
                    self._media_types.clear()
                media_type = self._media_types[sha256] = with_charset(file.media_type)
        return _Known(path=self._blobs.path(sha256), size_bytes=blob.size_bytes, media_type=media_type)


def with_charset(media_type: str) -> str:
    """Return the media type as it is sent: subtitles and plain text are UTF-8 here."""
    return f"{media_type}; charset=utf-8" if media_type in ("text/plain", "text/vtt") else media_type


def _refuse(start_response: Any, status: str, *headers: tuple[str, str]) -> list[bytes]:
    start_response(status, [("Content-Length", "0"), *headers])
    return []
