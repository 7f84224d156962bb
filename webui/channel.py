"""Where waitress meets the socket: files go by sendfile(2), and a connection outlives an answer without a body.

Waitress reads a file into memory and sends it from there; the kernel sends it without either. It also closes the
connection after each 304: that has no content and may not carry the length of nothing (RFC 9110 §15.4.5, §8.6), so its
end is known and HTTP/1.1 keeps the connection (RFC 9112 §6.3, §9.3). A page that has not changed then costs no new
connection, and a poll of the published tree stays on one.
Invariant: an answer that must close (asked for, HTTP/1.0, an error, a file that ends before its length) still closes.
"""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import dataclass
from typing import Any, BinaryIO

from waitress.buffers import ReadOnlyFileBasedBuffer
from waitress.channel import HTTPChannel
from waitress.task import WSGITask

_BODILESS = ("304", "204")
# Not every filesystem can (sendfile(2)): the bytes are then read first.
_NO_SENDFILE = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
READ_BYTES = 256 << 10


@dataclass(frozen=True, slots=True)
class FilePart:
    """`length_bytes` bytes from `start` of an open file, named instead of read."""

    descriptor: int
    start: int
    length_bytes: int

    def send(self, to: socket.socket) -> int:
        """Send what the socket takes and return how much that was; raise `OSError` where the file has ended."""
        try:
            sent = os.sendfile(to.fileno(), self.descriptor, self.start, self.length_bytes)
        except OSError as error:
            if error.errno not in _NO_SENDFILE:
                raise
            sent = to.send(os.pread(self.descriptor, min(self.length_bytes, READ_BYTES), self.start))
        if not sent:
            raise OSError(errno.ENODATA, "the file is shorter than the length that was announced")
        return sent


class _FileBody(ReadOnlyFileBasedBuffer):  # type: ignore[misc]
    """The file of an answer, from where it stands: waitress asks it for parts and hands those to the channel."""

    def prepare(self, size: int | None = None) -> int:
        self._at = self.file.tell()
        left: int = max(0, os.fstat(self.file.fileno()).st_size - self._at)
        length = left if size is None else min(left, size)
        self.remain = length
        return length

    def get(self, numbytes: int = -1, skip: bool = False) -> FilePart:
        length = self.remain if numbytes < 0 else min(numbytes, self.remain)
        return FilePart(self.file.fileno(), self._at, length)

    def skip(self, numbytes: int, allow_prune: bool = False) -> None:
        self._at += numbytes
        self.remain -= numbytes


def wrap_file(stream: BinaryIO, block_size: int = READ_BYTES) -> ReadOnlyFileBasedBuffer:
    """Return `stream` as a body (PEP 3333, `wsgi.file_wrapper`): by sendfile(2) where it is a file on a disk."""
    try:
        stream.fileno()
        seekable = stream.seekable()
    except (AttributeError, OSError):
        seekable = False
    return (_FileBody if seekable else ReadOnlyFileBasedBuffer)(stream, block_size)


class _Task(WSGITask):  # type: ignore[misc]
    close_on_finish: bool

    def get_environment(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environment()
        environ["wsgi.file_wrapper"] = wrap_file
        return environ

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
    _flushing = False

    def writable(self) -> bool:
        # While a thread sends, the socket has room: to wait for that room too would be to turn round and round.
        return not self._flushing and bool(super().writable())

    def _flush_some(self, do_close: bool = True) -> bool:
        self._flushing = True
        try:
            return bool(super()._flush_some(do_close))
        finally:
            # Before waitress wakes the loop for what is left.
            self._flushing = False

    def send(self, data: bytes | FilePart, do_close: bool = True) -> int:
        if not isinstance(data, FilePart):
            sent: int = super().send(data, do_close)
            return sent
        try:
            return data.send(self.socket)
        except BlockingIOError:
            return 0
        except ConnectionError:
            if do_close:
                self.handle_close()
            return 0


def use_channels(server: Any) -> Any:
    """Let every listening socket of a waitress server answer through these channels; return the server."""
    for listener in (server, *getattr(server, "map", {}).values()):
        if hasattr(listener, "channel_class"):
            listener.channel_class = _Channel
    return server
