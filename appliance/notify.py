"""Telling systemd how the service is: `READY=1`, `WATCHDOG=1`, `STOPPING=1` (sd_notify(3), a datagram to a socket).

Invariant: each ping follows an answer of the serving loop itself, asked over its own socket: a loop that hangs is
restarted, whatever the other threads still do. Without systemd (`NOTIFY_SOCKET` unset) nothing is sent.
"""

from __future__ import annotations

import http.client
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext

from catalog.errors import ShuxiangError

HEALTH = "/healthz"
ASK_SECONDS = 5.0
START_SECONDS = 0.2

_log = logging.getLogger(__name__)


def notify(state: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Send `state` (`READY=1`, several by newlines); return whether there was someone to send it to."""
    address = environment.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    place = "\0" + address[1:] if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to:
            to.connect(place)
            to.sendall(state.encode())
    except OSError:
        return False
    return True


def watchdog_seconds(environment: Mapping[str, str] = os.environ) -> float | None:
    """Return how often systemd wants to hear of us: half of its limit (sd_watchdog_enabled(3)); None for never."""
    limit, process = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not limit.isdigit() or not int(limit) or (process and process != str(os.getpid())):
        return None
    return int(limit) / 1_000_000 / 2


def answers(host: str, port: int, timeout_seconds: float = ASK_SECONDS) -> bool:
    """Return whether the pages answer `/healthz`."""
    connection = http.client.HTTPConnection(host or "127.0.0.1", port, timeout=timeout_seconds)
    try:
        connection.request("GET", HEALTH)
        response = connection.getresponse()
        response.read()
        return response.status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@contextmanager
def notified(
    healthy: Callable[[], bool],
    company: Callable[[], AbstractContextManager[object]] = nullcontext,
    environment: Mapping[str, str] = os.environ,
) -> Iterator[None]:
    """Tell systemd while the block serves: ready after the first healthy answer, alive after each further one.

    What `company` returns is entered after that first answer and left with the block, in the thread that asks. Where it
    fails the pages are served without it.
    """
    ended = threading.Event()
    every = watchdog_seconds(environment)

    def follow() -> None:
        while not healthy():
            if ended.wait(START_SECONDS):
                return
        notify("READY=1\nWATCHDOG=1", environment)
        with ExitStack() as beside:
            try:
                beside.enter_context(company())
            except (OSError, ShuxiangError) as error:
                _log.error("%s", error)
            while not ended.wait(every):
                if healthy():
                    notify("WATCHDOG=1", environment)

    thread = threading.Thread(target=follow, name="notify", daemon=True)
    thread.start()
    try:
        yield
    finally:
        notify("STOPPING=1", environment)
        ended.set()
        thread.join()
