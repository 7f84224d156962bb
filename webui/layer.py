"""The page layer: a WSGI layer before Flask that keeps rendered public pages with their ETags.

A page is kept under its path, query, language, host, browser class and `state_key()` (library and content generation,
scope, requests, display date): when one of these changes, the old page is never found again and falls out of the
bounded memory. Invariant: only a 200 answer that says `Cache-Control: no-cache` and sets no cookie is kept.
"""

from __future__ import annotations

import gzip
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from webui.i18n import accepted_language, chosen_language

PUBLIC = ("/browse", "/book", "/search", "/r/")
LONGEST_QUERY = 1000
GZIP_LEVEL = 3
SMALLEST_GZIP_BYTES = 400
WECHAT = "MicroMessenger"

# No script within a page runs. `unsafe-eval` is for the tools that drive a browser; no script of ours evaluates text.
_SECURITY = [
    (
        "Content-Security-Policy",
        "default-src 'self'; script-src 'self' 'unsafe-eval'; img-src 'self' data:; frame-src http: https:;"
        " object-src 'none'; base-uri 'none';"
        " form-action 'self'; frame-ancestors 'self'",
    ),
    ("X-UA-Compatible", "IE=edge"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
]

Count = Callable[[str, str], None]


class _Page:
    """A kept page: its body, packed where gzip makes it smaller, and its header lists."""

    __slots__ = ("_body", "_packed", "etag", "headers", "size_bytes")

    def __init__(self, body: bytes, headers: list[tuple[str, str]]) -> None:
        packed = gzip.compress(body, GZIP_LEVEL, mtime=0) if len(body) >= SMALLEST_GZIP_BYTES else body
        self._packed = len(packed) < len(body)
        self._body = packed if self._packed else body
        self.etag = f'W/"{hashlib.blake2b(body, digest_size=9).hexdigest()}"'
        self.headers = [
            *((name, value) for name, value in headers if name not in ("Content-Length", "Vary")),
            ("ETag", self.etag),
            ("Vary", "Accept-Language, Accept-Encoding"),
            *_SECURITY,
        ]
        self.size_bytes = len(self._body) + 1024

    def answer(self, accepted: str) -> tuple[bytes, list[tuple[str, str]]]:
        """Return body and headers for a client that takes these encodings; nearly all take gzip."""
        if not self._packed:
            return self._body, self.headers
        if "gzip" in accepted:
            return self._body, [*self.headers, ("Content-Encoding", "gzip")]
        return gzip.decompress(self._body), self.headers


class PageLayer:
    """WSGI middleware; `state_key` says what pages depend on, `count` takes (resource id, event)."""

    def __init__(
        self,
        application: Any,
        state_key: Callable[[], tuple[Any, ...]],
        count: Count,
        *,
        limit_bytes: int = 6 << 20,
    ) -> None:
        self._application = application
        self._state_key = state_key
        self._count = count
        self._limit_bytes = limit_bytes
        self._kept: OrderedDict[tuple[Any, ...], _Page] = OrderedDict()
        self._kept_bytes = 0
        self._lock = threading.Lock()

    @property
    def kept_bytes(self) -> int:
        """Return how much memory the kept pages take."""
        return self._kept_bytes

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        query = environ.get("QUERY_STRING", "")
        method = environ["REQUEST_METHOD"]
        public = path == "/" or path.startswith(PUBLIC)
        if not public or method not in ("GET", "HEAD") or len(query) > LONGEST_QUERY:
            answer: Iterable[bytes] = self._application(environ, _with_security(start_response))
            return answer
        key = (*_address(environ, path, query), self._state_key())
        page = self._kept.get(key)
        if page is None:
            page_or_answer = self._render(environ, start_response, key)
            if not isinstance(page_or_answer, _Page):
                return page_or_answer
            page = page_or_answer
        else:
            with self._lock:
                if key in self._kept:
                    self._kept.move_to_end(key)
        if method == "GET" and path.startswith("/r/") and "/" not in path[3:]:
            self._count(path[3:], "open")
        return self._answer(page, environ, start_response, method)

    def _answer(
        self, page: _Page, environ: dict[str, Any], start_response: Any, method: str
    ) -> Iterable[bytes]:
        if page.etag in environ.get("HTTP_IF_NONE_MATCH", ""):
            start_response("304 Not Modified", page.headers)
            return []
        body, headers = page.answer(environ.get("HTTP_ACCEPT_ENCODING", ""))
        start_response("200 OK", [*headers, ("Content-Length", str(len(body)))])
        return [] if method == "HEAD" else [body]

    def _render(
        self, environ: dict[str, Any], start_response: Any, key: tuple[Any, ...]
    ) -> _Page | Iterable[bytes]:
        began: list[Any] = []

        def hold(
            status: str, headers: list[tuple[str, str]], exc_info: Any = None
        ) -> Callable[[bytes], None]:
            began[:] = [status, headers]
            return lambda data: None

        if environ["REQUEST_METHOD"] == "HEAD":
            environ = {**environ, "REQUEST_METHOD": "GET"}
        chunks = self._application(environ, hold)
        try:
            body = b"".join(chunks)
        finally:
            if hasattr(chunks, "close"):
                chunks.close()
        status, headers = began
        names = {name.lower(): value for name, value in headers}
        if not status.startswith("200") or names.get("cache-control") != "no-cache" or "set-cookie" in names:
            start_response(status, [*headers, *_SECURITY])
            return [body]
        page = _Page(body, headers)
        self._keep(key, page)
        return page

    def _keep(self, key: tuple[Any, ...], page: _Page) -> None:
        if page.size_bytes > self._limit_bytes // 8:
            return
        with self._lock:
            old = self._kept.pop(key, None)
            self._kept_bytes += page.size_bytes - (old.size_bytes if old else 0)
            self._kept[key] = page
            while self._kept_bytes > self._limit_bytes:
                _, dropped = self._kept.popitem(last=False)
                self._kept_bytes -= dropped.size_bytes


def _address(environ: dict[str, Any], path: str, query: str) -> tuple[Any, ...]:
    language = chosen_language(query) or accepted_language(environ.get("HTTP_ACCEPT_LANGUAGE", ""))
    if not path.startswith("/r/"):
        return (path, query, language)
    # A resource's page names the package port of the host that was asked, and speaks to WeChat's browser.
    return (
        path,
        query,
        language,
        environ.get("HTTP_HOST", ""),
        WECHAT in environ.get("HTTP_USER_AGENT", ""),
    )


def _with_security(start_response: Any) -> Callable[..., Any]:
    def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        return start_response(status, [*headers, *_SECURITY], exc_info)

    return start
