"""Work that goes on in a thread of its own while its results are used: a disk is read while the door hashes.

Invariant: results come in order, at most `depth` of them wait, and when the block is left, however it is left, the
thread has ended.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from queue import Empty, Full, Queue
from typing import TypeVar

_T = TypeVar("_T")
_WAIT_SECONDS = 0.1


class _End:
    """The last thing in the queue, with what the work failed with."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


@contextmanager
def ahead(work: Callable[[], Generator[_T, None, None]], depth: int) -> Iterator[Iterator[_T]]:
    """Run the generator `work` in a thread and give what it yields; what it raises is raised where that is read."""
    queue: Queue[_T | _End] = Queue(depth)
    stopped = threading.Event()

    def put(one: _T | _End) -> bool:
        while not stopped.is_set():
            try:
                queue.put(one, timeout=_WAIT_SECONDS)
            except Full:
                continue
            return True
        return False

    def run() -> None:
        error: BaseException | None = None
        try:
            with closing(work()) as results:
                for one in results:
                    if not put(one):
                        return
        except BaseException as raised:  # noqa: BLE001 - it is raised where the results are read
            error = raised
        put(_End(error))

    def results() -> Iterator[_T]:
        while True:
            one = queue.get()
            if isinstance(one, _End):
                if one.error is not None:
                    raise one.error
                return
            yield one

    thread = threading.Thread(target=run, name="ahead", daemon=True)
    thread.start()
    try:
        yield results()
    finally:
        stopped.set()
        while thread.is_alive():
            try:
                queue.get_nowait()
            except Empty:
                thread.join(_WAIT_SECONDS)
