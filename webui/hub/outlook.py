"""What publishing now would do, and which box sizes hold it: worked out once per state of the library, off the request.

Invariant: a page shows the outlook of the very state that it names; an older one is never shown as the present.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass
from datetime import date, datetime

from catalog.clock import term_of
from catalog.errors import ShuxiangError
from catalog.library import Library
from catalog.resource import Resource
from webui.hub.capacity import Holding, holdings
from webui.hub.operations import HubOperations, Preview

_Key = tuple[int, int, date]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One outlook; `key` names the state it was made from."""

    key: str
    preview: Preview | None
    holdings: tuple[Holding, ...]
    error: ShuxiangError | None = None


class Outlook:
    """Computes `View`s on a thread of its own and keeps the last one."""

    def __init__(self, library: Library, operations: HubOperations, clock: Callable[[], datetime]) -> None:
        self._library = library
        self._operations = operations
        self._clock = clock
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="hub-outlook")
        self._lock = threading.Lock()
        self._made: tuple[_Key, Future[View]] | None = None

    def close(self) -> None:
        """End the thread."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def key(self) -> str:
        """Return the name of the present state."""
        return _text(self._key())

    def view(self, wait_seconds: float) -> View | None:
        """Return the outlook of the present state, or None where it is not ready after `wait_seconds`."""
        key = self._key()
        with self._lock:
            if self._made is None or self._made[0] != key or _failed(self._made[1]):
                self._made = (key, self._pool.submit(self._make, key))
            future = self._made[1]
        try:
            return future.result(timeout=wait_seconds)
        except NotYet:
            return None

    def _key(self) -> _Key:
        generation = self._library.generation()
        return (generation.library, generation.release, self._clock().date())

    def _make(self, key: _Key) -> View:
        try:
            preview = self._operations.preview()
        except ShuxiangError as error:
            return View(key=_text(key), preview=None, holdings=(), error=error)
        with self._library.reading() as reader:
            listed = reader.members([bundle.id for bundle in reader.bundles()])
            published = (
                (number, resource)
                for number, resource in reader.stored()
                if number in listed and _goes_out(resource, key[2])
            )
            found = holdings(published, term_of(key[2]))
        return View(key=_text(key), preview=preview, holdings=tuple(found))


def _failed(future: Future[View]) -> bool:
    return future.done() and (
        future.cancelled() or future.exception() is not None or future.result().error is not None
    )


def _text(key: _Key) -> str:
    return f"{key[0]}.{key[1]}.{key[2]:%Y%m%d}"


def _goes_out(resource: Resource, today: date) -> bool:
    """Return whether a release takes the record: published, licensed, not past its end (as in `sync.publishing.survey`)."""
    return (
        resource.state == "published"
        and resource.licence not in (None, "unknown")
        and (not resource.valid_to or resource.valid_to >= today.isoformat())
    )
