"""Who is watching: the application of a box, with a note of when a lesson was last sent to somebody.

Invariant: a page costs nothing for it; covers and small pictures of pages are no lesson.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

FILES = "/files/"
# A part of a film, or a whole file at least as long: someone is at a lesson, not at a list.
LESSON_BYTES = 512 << 10
PARTIAL = "206"


class Watched:
    """A WSGI application; `streamed_seconds` says how long ago it last sent a lesson file or a package."""

    def __init__(
        self, application: Any, package_port: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._application = application
        self._package_port = str(package_port)
        self._clock = clock
        self._last: float | None = None
        self.close: Callable[[], None] = application.close

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        answer: Iterable[bytes]
        if environ["SERVER_PORT"] == self._package_port:
            self._last = self._clock()
        elif environ["PATH_INFO"].startswith(FILES):
            answer = self._application(environ, self._noting(start_response))
            return answer
        answer = self._application(environ, start_response)
        return answer

    def streamed_seconds(self) -> float | None:
        """Return the seconds since someone last watched something; None for never."""
        return None if self._last is None else self._clock() - self._last

    def _noting(self, start_response: Any) -> Any:
        def noted(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            length = next((int(value) for name, value in headers if name == "Content-Length"), 0)
            if status.startswith(PARTIAL) or (status.startswith("200") and length >= LESSON_BYTES):
                self._last = self._clock()
            return start_response(status, headers, *more)

        return noted
