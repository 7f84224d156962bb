"""The few files that pages need besides themselves: kept in memory, named by their content, immutable.

Invariant: an address made by `address` always answers with the bytes that it was made from.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

STATIC = Path(__file__).parent / "static"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
}


class StaticFiles:
    """A WSGI application for `/static/<name>`; the query is the version."""

    def __init__(self, folder: Path = STATIC) -> None:
        self._files = {
            path.name: _StaticFile(path) for path in sorted(folder.iterdir()) if path.suffix in _TYPES
        }

    def address(self, name: str) -> str:
        """Return the address of a file, which changes when the file does."""
        return f"/static/{name}?{self._files[name].version}"

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        file = self._files.get(environ["PATH_INFO"].rpartition("/")[2])
        if file is None or environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            start_response("404 Not Found", [("Content-Length", "0")])
            return []
        if file.etag in environ.get("HTTP_IF_NONE_MATCH", ""):
            start_response("304 Not Modified", file.headers[:2])
            return []
        if "gzip" in environ.get("HTTP_ACCEPT_ENCODING", "") and file.packed is not None:
            start_response(
                "200 OK",
                [*file.headers, ("Content-Encoding", "gzip"), ("Content-Length", str(len(file.packed)))],
            )
            body = file.packed
        else:
            start_response("200 OK", [*file.headers, ("Content-Length", str(len(file.body)))])
            body = file.body
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


class _StaticFile:
    def __init__(self, path: Path) -> None:
        self.body = path.read_bytes()
        packed = gzip.compress(self.body, 9, mtime=0)
        self.packed = packed if len(packed) < len(self.body) else None
        self.version = hashlib.sha256(self.body).hexdigest()[:10]
        self.etag = f'W/"{self.version}"'
        self.headers = [
            ("ETag", self.etag),
            ("Cache-Control", "public, max-age=31536000, immutable"),
            ("Content-Type", _TYPES[path.suffix]),
            ("Vary", "Accept-Encoding"),
            ("X-Content-Type-Options", "nosniff"),
        ]
