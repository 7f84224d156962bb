"""Waitress closes the connection after each answer without a body; this keeps it open.

A 304 has no content and may not carry the length of nothing (RFC 9110 §15.4.5, §8.6), so its end is known: HTTP/1.1
keeps such a connection (RFC 9112 §6.3, §9.3). A page that has not changed then costs no new connection, and a poll of
the published tree stays on one. Invariant: an answer that must close (asked for, HTTP/1.0, an error) still closes.
"""

from __future__ import annotations

from typing import Any

from waitress.channel import HTTPChannel
from waitress.task import WSGITask

_BODILESS = ("304", "204")


class _Task(WSGITask):  # type: ignore[misc]
    close_on_finish: bool

    def build_response_header(self) -> bytes:
        asked_to_close = self.request.headers.get("CONNECTION", "").lower() == "close"
        must_close = (
            self.close_on_finish
            or asked_to_close
            or self.version != "1.1"
            or not self.status.startswith(_BODILESS)
        )
        header: bytes = super().build_response_header()
        if must_close:
            return header
        self.close_on_finish = False
        return header.replace(b"\r\nConnection: close\r\n", b"\r\n", 1)


class _Channel(HTTPChannel):  # type: ignore[misc]
    task_class = _Task


def keep_alive(server: Any) -> Any:
    """Let every listening socket of a waitress server keep connections after a 304; return the server."""
    for listener in getattr(server, "map", {}).values():
        if hasattr(listener, "channel_class"):
            listener.channel_class = _Channel
    if hasattr(server, "channel_class"):
        server.channel_class = _Channel
    return server
