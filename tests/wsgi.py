"""A WSGI application behind a real waitress for the length of a test."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from waitress.server import BaseWSGIServer, MultiSocketServer, create_server


@contextmanager
def address_of(application: Any, *, threads: int = 4) -> Iterator[str]:
    """Serve `application` at the yielded address."""
    server = create_server(application, host="127.0.0.1", port=0, threads=threads)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.effective_port}/"
    finally:
        stop(server, thread)


def stop(server: Any, thread: threading.Thread) -> None:
    """End a waitress server, of one socket or several, and the thread that runs it."""
    listeners = server.map.values() if isinstance(server, MultiSocketServer) else [server]
    listener = next(one for one in listeners if isinstance(one, BaseWSGIServer))
    # The loop ends when its map is empty; only its own thread may change that map.
    with listener.trigger.lock:
        # Under the lock: a loop that wakes for another reason would close the trigger before it is pulled.
        listener.trigger.thunks.append(server.close)
        listener.trigger.pull_trigger()
    thread.join(5)
    server.task_dispatcher.shutdown()


@contextmanager
def served(application: Any) -> Iterator[http.client.HTTPConnection]:
    """Serve `application` and give a connection to it."""
    with address_of(application) as address:
        connection = http.client.HTTPConnection(address.removeprefix("http://").rstrip("/"), timeout=5)
        try:
            yield connection
        finally:
            connection.close()
