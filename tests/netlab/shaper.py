"""One line between two namespaces: a program that carries frames between two TAP interfaces at a rate, with a delay.

Run: `shaper.py PID_A NAME_A PID_B NAME_B BITS_AB BITS_BA DELAY_MS QUEUE_BYTES`; it makes interface NAME_A in the network
namespace of process PID_A and NAME_B in that of PID_B, says `ready`, and answers each line on its input with one line
of JSON: `carried`, `cut`, `join`, or `rates BITS_AB BITS_BA`. It ends with its input, and the interfaces with it.

Invariant: a TAP interface without offloads gets frames no longer than its MTU with whole checksums, so what the line
counts is what a modem would send. Bytes are those of IP packets, without the Ethernet header.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import select
import struct
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

_CLONE_NEWNET = 0x40000000
_TUNSETIFF = 0x400454CA
_IFF_TAP, _IFF_NO_PI = 0x0002, 0x1000
_TUN = Path("/dev/net/tun")
_ETHERNET_BYTES = 14
_MOST_FRAME_BYTES = 65_536
_FRAMES_AT_ONCE = 64
_IDLE_SECONDS = 1.0


@dataclass
class Direction:
    """One way of the line. A frame waits for those before it and its own time on the wire, then travels `delay`."""

    bits_per_second: float
    delay_seconds: float
    queue_bytes: int
    free_at: float = 0.0
    travelling: deque[tuple[float, bytes]] = field(default_factory=deque)
    carried_bytes: int = 0
    carried_frames: int = 0
    dropped_frames: int = 0

    def take(self, frame: bytes, now: float) -> None:
        """Let a frame in, or drop it where the queue before the wire is full."""
        size_bytes = len(frame) - _ETHERNET_BYTES
        waiting_bytes = max(0.0, self.free_at - now) * self.bits_per_second / 8
        if waiting_bytes + size_bytes > self.queue_bytes:
            self.dropped_frames += 1
            return
        self.free_at = max(self.free_at, now) + size_bytes * 8 / self.bits_per_second
        self.travelling.append((self.free_at + self.delay_seconds, frame))

    def due(self, now: float) -> list[bytes]:
        """Return the frames that have arrived by now."""
        found = []
        while self.travelling and self.travelling[0][0] <= now:
            frame = self.travelling.popleft()[1]
            self.carried_bytes += len(frame) - _ETHERNET_BYTES
            self.carried_frames += 1
            found.append(frame)
        return found


class Shaper:
    """Both ends and both directions."""

    def __init__(self, ends: tuple[int, int], there: Direction, back: Direction) -> None:
        self.ends = ends
        self.ways = (there, back)
        self.joined = True

    def run(self) -> None:
        """Carry frames until standard input ends."""
        while True:
            soonest = min((way.travelling[0][0] for way in self.ways if way.travelling), default=None)
            now = time.monotonic()
            wait = _IDLE_SECONDS if soonest is None else max(0.0, soonest - now)
            ready, _, _ = select.select([*self.ends, 0], [], [], wait)
            if 0 in ready and not self._obey():
                return
            for end, way in zip(self.ends, self.ways, strict=True):
                if end in ready:
                    self._read(end, way)
            now = time.monotonic()
            for way, target in zip(self.ways, reversed(self.ends), strict=True):
                for frame in way.due(now):
                    try:
                        os.write(target, frame)
                    except OSError:
                        # The interface is down: a modem without its cable loses frames too.
                        way.dropped_frames += 1

    def _read(self, end: int, way: Direction) -> None:
        for _ in range(_FRAMES_AT_ONCE):
            try:
                frame = os.read(end, _MOST_FRAME_BYTES)
            except BlockingIOError:
                return
            if self.joined:
                way.take(frame, time.monotonic())

    def _obey(self) -> bool:
        line = sys.stdin.readline()
        if not line:
            return False
        word, *numbers = line.split()
        if word == "cut":
            self.joined = False
            for way in self.ways:
                way.travelling.clear()
        elif word == "join":
            self.joined = True
        elif word == "rates":
            for way, bits in zip(self.ways, numbers, strict=True):
                way.bits_per_second = float(bits)
        counts = [
            {"bytes": way.carried_bytes, "frames": way.carried_frames, "dropped": way.dropped_frames}
            for way in self.ways
        ]
        print(json.dumps(counts), flush=True)
        return True


def tap_in(pid: int, name: str) -> int:
    """Make the TAP interface `name` in the network namespace of process `pid`; return its frames' handle."""
    libc = ctypes.CDLL(None, use_errno=True)
    namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        if libc.setns(namespace, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(namespace)
    handle = os.open(_TUN, os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(handle, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TAP | _IFF_NO_PI))
    return handle


def main() -> None:
    """Make the line and carry."""
    pid_a, name_a, pid_b, name_b, bits_there, bits_back, delay_ms, queue_bytes = sys.argv[1:]
    ends = (tap_in(int(pid_a), name_a), tap_in(int(pid_b), name_b))
    there, back = (
        Direction(float(bits), float(delay_ms) / 1000, int(queue_bytes)) for bits in (bits_there, bits_back)
    )
    # What is measured waits for us: ahead of those who measure.
    os.nice(-15)
    print("ready", flush=True)
    Shaper(ends, there, back).run()


if __name__ == "__main__":
    main()
