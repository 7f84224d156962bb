"""One waitress on both ports: pages and packages are told apart by `SERVER_PORT`.

Threads wait for disks, not for the processor, so a few are enough; connections are many and cheap (a class of phones).
"""

from __future__ import annotations

from typing import Any

import waitress

THREADS = 8
CONNECTIONS = 600


def create_server(app: Any, *, host: str, port: int, package_port: int) -> Any:
    """Return a waitress server that listens on both ports of `host` (`*`: IPv4 and IPv6); call its `run()`."""
    return waitress.create_server(
        app,
        listen=f"{host}:{port} {host}:{package_port}",
        threads=THREADS,
        connection_limit=CONNECTIONS,
        channel_timeout=60,
        cleanup_interval=10,
        max_request_header_size=32 << 10,
        max_request_body_size=64 << 20,
        asyncore_use_poll=True,
        ident=None,
        log_socket_errors=False,
    )
