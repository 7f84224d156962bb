"""Listening sockets of a service: both families on one socket where the kernel allows it."""

from __future__ import annotations

import socket

from catalog.errors import ConfigError


def listen(host: str, port: int) -> socket.socket:
    """Return a socket bound to `port` (0: a free one) at `host` ("" = every address, IPv4 and IPv6).

    Raises `ConfigError` E-PORT where the port is taken, not allowed or none.
    """
    if not 0 <= port <= 65535:
        raise ConfigError("E-PORT", where=port, expected="1-65535")
    try:
        if host:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            return _bind(family, host, port)
        try:
            return _bind(socket.AF_INET6, "::", port, both=True)
        except OSError as error:
            if error.errno in (13, 98):
                raise
            return _bind(socket.AF_INET, "0.0.0.0", port)
    except OSError as error:
        raise ConfigError("E-PORT", where=port, found=error.strerror or error) from error


def listen_near(host: str, wanted: int | None, page_port: int) -> socket.socket:
    """Return the socket of the package port: the one that is wanted, else `page_port` + 1, else a free one."""
    if wanted is not None:
        return listen(host, wanted)
    try:
        return listen(host, page_port + 1 if page_port < 65535 else 0)
    except ConfigError:
        return listen(host, 0)


def port_of(listening: socket.socket) -> int:
    """Return the port that the socket has."""
    port: int = listening.getsockname()[1]
    return port


def _bind(family: int, host: str, port: int, *, both: bool = False) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if both:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        made.bind((host, port))
        # From here on callers wait in the queue instead of being refused while the pages are still loading.
        made.listen(socket.SOMAXCONN)
    except BaseException:
        made.close()
        raise
    return made
