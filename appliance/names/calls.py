"""LLMNR over TCP 5355 (RFC 4795 section 2.4): one question and one answer, each behind its length in two bytes.

Invariant: few callers at once, none for long: whoever sends slowly or too much is hung up on.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import selectors
import socket
import struct
from collections.abc import Callable

from appliance.names.dns import Address
from appliance.names.sockets import FAMILIES, LLMNR_PORT

MOST_CALLS = 16
CALL_SECONDS = 3.0
MOST_QUESTION_BYTES = 512
# What goes over TCP stays on the link (RFC 4795 section 2.5).
HOPS = 1

# Takes the question and who asks, at which address of ours; gives the answer or None.
Answers = Callable[[bytes, Address, Address], bytes | None]

_log = logging.getLogger("shuxiang.names")


class Calls:
    """The listening sockets and their callers, registered at `selector` with this object and the socket."""

    def __init__(self, families: set[int], selector: selectors.BaseSelector, answers: Answers) -> None:
        self._selector = selector
        self._answers = answers
        self._listening: list[socket.socket] = []
        self._callers: dict[socket.socket, tuple[float, bytes]] = {}
        for family in sorted(families):
            # Where another responder of this machine has the port, it takes the calls, which are rare.
            with contextlib.suppress(OSError):
                self._listen(family)

    def close(self) -> None:
        """Hang up and stop listening."""
        for one in list(self._callers):
            self._hang_up(one)
        for one in self._listening:
            self._selector.unregister(one)
            one.close()
        self._listening.clear()

    def ready(self, one: socket.socket, now: float) -> None:
        """Go on with a socket that has something to say."""
        if one in self._callers:
            self._read(one)
        else:
            self._accept(one, now)

    def sweep(self, now: float) -> None:
        """Hang up on those who took too long."""
        for one, (until, _) in list(self._callers.items()):
            if now > until:
                self._hang_up(one)

    @property
    def busy(self) -> bool:
        """Whether somebody is on the line."""
        return bool(self._callers)

    def _listen(self, family: int) -> None:
        made = socket.socket(FAMILIES[family], socket.SOCK_STREAM)
        try:
            made.setblocking(False)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == 4:
                made.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, HOPS)
            else:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, HOPS)
            made.bind(("", LLMNR_PORT))
            made.listen(MOST_CALLS)
        except BaseException:
            made.close()
            raise
        self._listening.append(made)
        self._selector.register(made, selectors.EVENT_READ, (self, made))

    def _accept(self, listening: socket.socket, now: float) -> None:
        try:
            caller, _ = listening.accept()
        except OSError:
            return
        if len(self._callers) >= MOST_CALLS:
            caller.close()
            return
        caller.setblocking(False)
        self._callers[caller] = (now + CALL_SECONDS, b"")
        self._selector.register(caller, selectors.EVENT_READ, (self, caller))

    def _read(self, caller: socket.socket) -> None:
        until, before = self._callers[caller]
        try:
            more = caller.recv(2 + MOST_QUESTION_BYTES)
            data = before + more
            wanted = 2 + struct.unpack_from("!H", data)[0] if len(data) >= 2 else 2
            if more and len(data) < wanted <= 2 + MOST_QUESTION_BYTES:
                self._callers[caller] = (until, data)
                return
            if len(data) == wanted:
                here, there = (_address(name) for name in (caller.getsockname(), caller.getpeername()))
                answer = self._answers(data[2:], there, here)
                if answer is not None:
                    caller.send(struct.pack("!H", len(answer)) + answer)
        except OSError as error:
            _log.debug("a call ended: %s", error)
        self._hang_up(caller)

    def _hang_up(self, caller: socket.socket) -> None:
        del self._callers[caller]
        self._selector.unregister(caller)
        caller.close()


def _address(name: tuple[str, int]) -> Address:
    return ipaddress.ip_address(name[0].partition("%")[0])
