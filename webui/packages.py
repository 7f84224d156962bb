"""`/p/<resource id>/<path>` on the package port: interactive packages, in an origin of nobody's (rule 5).

Every answer carries `Content-Security-Policy: sandbox` without `allow-same-origin`, so a package's page has the
origin `null` and can reach neither cookies nor our pages. The shim that is put into its HTML gives it back what such a
page lacks: `localStorage`, `sessionStorage` and `document.cookie` in memory, and a SCORM API whose results go to the
page around it by `postMessage`. Invariant: no cookie is read or set here; nothing of a package runs on the box.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from catalog.blobs import BlobStore
from catalog.byteranges import answer, etag_matches, send
from catalog.library import Library
from catalog.resource import File, is_package_path, is_resource_id
from webui.files import with_charset

SHIM_PATH = "/-/shim.js"
SHIM_TAG = f'<script src="{SHIM_PATH}"></script>'.encode()
MOST_HTML_BYTES = 4 << 20
KEPT_PACKAGES = 16
SECURITY = [
    ("Content-Security-Policy", "sandbox allow-scripts allow-forms allow-popups"),
    ("X-Content-Type-Options", "nosniff"),
    ("Access-Control-Allow-Origin", "*"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-cache"),
]
_HEAD = re.compile(rb"<head(?:\s[^>]*)?>", re.IGNORECASE)
_HTML = re.compile(rb"<html(?:\s[^>]*)?>|<!doctype[^>]*>", re.IGNORECASE)
_LAUNCH = re.compile(r"<resource\b[^>]*?\bhref\s*=\s*[\"']([^\"'?#]+)", re.IGNORECASE)


def start_path(files: Iterable[File], manifest: str = "") -> str | None:
    """Return the page that a package begins with: what its SCORM manifest names, else `index.html`, else the
    shallowest page; None where it has no page."""
    pages = {file.path for file in files if file.path and _is_html(file)}
    for launch in _LAUNCH.findall(manifest):
        if launch in pages:
            return str(launch)
    return min(
        pages,
        key=lambda path: (path.count("/"), not path.rpartition("/")[2].startswith("index."), path),
        default=None,
    )


def with_shim(html: bytes) -> bytes:
    """Return `html` with the shim before anything else of it runs; the bytes may be in any ASCII-like encoding."""
    if html.startswith((b"\xff\xfe", b"\xfe\xff")):
        return html
    found = _HEAD.search(html[:65536]) or _HTML.search(html[:65536])
    at = found.end() if found else 3 if html.startswith(b"\xef\xbb\xbf") else 0
    return html[:at] + SHIM_TAG + html[at:]


class Packages:
    """A WSGI application for the package port; `count` takes (resource id, event)."""

    def __init__(self, library: Library, blobs: BlobStore, count: Callable[[str, str], None]) -> None:
        self._library = library
        self._blobs = blobs
        self._count = count
        self._shim = (Path(__file__).parent / "static" / "shim.js").read_bytes()
        self._kept: dict[str, tuple[int, Mapping[str, File]]] = {}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")
        if method not in ("GET", "HEAD"):
            return _say(start_response, "405 Method Not Allowed", b"")
        if path == SHIM_PATH:
            headers = [("Content-Type", "text/javascript; charset=utf-8"), *SECURITY]
            start_response("200 OK", [*headers, ("Content-Length", str(len(self._shim)))])
            return [] if method == "HEAD" else [self._shim]
        _, first, resource_id, *rest = [*path.split("/", 3), "", ""][:4]
        inside = "/".join(rest)
        if first != "p" or not is_resource_id(resource_id):
            return _say(start_response, "404 Not Found", b"")
        files = self._files(resource_id)
        if not inside:
            return self._start(resource_id, files, start_response)
        file = files.get(inside) if is_package_path(inside) else None
        if file is None:
            return _say(start_response, "404 Not Found", b"")
        return self._send(file, environ, start_response)

    def start(self, files: Mapping[str, File]) -> str | None:
        """Return the path of the first page of a package."""
        manifest = files.get("imsmanifest.xml")
        text = ""
        if manifest is not None and manifest.size_bytes <= MOST_HTML_BYTES:
            text = self._blobs.path(manifest.sha256).read_bytes().decode("utf-8", "replace")
        return start_path(files.values(), text)

    def _start(self, resource_id: str, files: Mapping[str, File], start_response: Any) -> list[bytes]:
        path = self.start(files)
        if path is None:
            return _say(start_response, "404 Not Found", b"")
        self._count(resource_id, "play")
        return _say(start_response, "302 Found", b"", ("Location", f"/p/{resource_id}/{quote(path)}"))

    def _send(self, file: File, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        try:
            stream = self._blobs.path(file.sha256).open("rb", buffering=0)
        except OSError:
            return _say(start_response, "404 Not Found", b"")
        if _is_html(file) and file.size_bytes <= MOST_HTML_BYTES:
            with stream:
                html = stream.read()
            return _send_html(with_shim(html), file, environ, start_response)
        said = answer(
            environ["REQUEST_METHOD"],
            environ,
            size_bytes=file.size_bytes,
            etag=f'"{file.sha256}"',
            media_type=with_charset(file.media_type),
            extra=SECURITY,
        )
        start_response(said.status, list(said.headers))
        return send(stream, said.body, environ)

    def _files(self, resource_id: str) -> Mapping[str, File]:
        with self._library.reading() as reader:
            content = reader.generation().content
            kept = self._kept.get(resource_id)
            if kept is not None and kept[0] == content:
                return kept[1]
            entry = reader.resource(resource_id)
        files = {file.path: file for file in entry.files_of("package") if file.path} if entry else {}
        if files:
            if len(self._kept) >= KEPT_PACKAGES:
                self._kept.clear()
            self._kept[resource_id] = (content, files)
        return files


def _send_html(html: bytes, file: File, environ: dict[str, Any], start_response: Any) -> list[bytes]:
    etag = f'"{file.sha256}-shim"'
    if etag_matches(environ.get("HTTP_IF_NONE_MATCH"), etag):
        start_response("304 Not Modified", [("ETag", etag), *SECURITY])
        return []
    # No charset: the page's own declaration holds (many are GB 2312).
    headers = [
        ("Content-Type", file.media_type),
        ("Content-Length", str(len(html))),
        ("ETag", etag),
        *SECURITY,
    ]
    start_response("200 OK", headers)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [html]


def _is_html(file: File) -> bool:
    return file.media_type.partition(";")[0] in ("text/html", "application/xhtml+xml")


def _say(start_response: Any, status: str, body: bytes, *headers: tuple[str, str]) -> list[bytes]:
    start_response(status, [("Content-Length", str(len(body))), *headers, *SECURITY])
    return [body] if body else []
