"""Namespaces, cables and lines, made when asked for and gone with the block, or with the test's process."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

_SHAPER = Path(__file__).with_name("shaper.py")
_CLONE_NEWNET = 0x40000000
_START_SECONDS = 10.0
_PROGRAMS = ("ip", "unshare", "nsenter")


def why_not(*, nat: bool = False) -> str:
    """Return why there can be no lab here, "" where there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for program in (*_PROGRAMS, "nft") if nat else _PROGRAMS:
        if shutil.which(program) is None:
            return f"the program `{program}` is not installed"
    if not Path("/dev/net/tun").exists():
        return "there is no /dev/net/tun"
    made = subprocess.run(["unshare", "--net", "true"], capture_output=True, text=True)
    return made.stderr.strip()


class LabError(Exception):
    """The lab could not be built."""


@dataclass(frozen=True)
class Node:
    """A machine of the lab: a network namespace, kept by the process `pid`."""

    name: str
    pid: int

    def command(self, arguments: Sequence[object]) -> list[str]:
        """Return the command that runs `arguments` on this machine; the process is the program itself."""
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net", *map(str, arguments)]

    def run(self, arguments: Sequence[object], **options: Any) -> str:
        """Run a program to its end and return what it printed; raise `LabError` where it fails."""
        done = subprocess.run(
            self.command(arguments), capture_output=True, text=True, timeout=options.pop("timeout", 30), **options
        )  # fmt: skip
        if done.returncode != 0:
            raise LabError(f"{self.name}: {' '.join(map(str, arguments))}: {done.stderr}")
        said: str = done.stdout
        return said

    def ip(self, arguments: str) -> None:
        """Run `ip` with these words."""
        self.run(["ip", *arguments.split()])

    def set_kernel(self, name: str, value: object) -> None:
        """Set a network option of the kernel for this machine: `net.ipv4.ip_forward`."""
        path = f"/proc/sys/{name.replace('.', '/')}"
        self.run(["sh", "-c", f"echo {value} > {path}"])

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Let this thread open its sockets on this machine while the block lasts."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            _set_namespace(f"/proc/{self.pid}/ns/net")
            try:
                yield
            finally:
                _set_namespace(f"/proc/self/fd/{before}")
        finally:
            os.close(before)


@dataclass(frozen=True)
class Carried:
    """What a direction of a line has carried: bytes of IP packets, and frames; `dropped` for want of room."""

    size_bytes: int
    frames: int
    dropped: int


class Line:
    """A shaped line; the first direction is from its first end to its second."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def carried(self) -> tuple[Carried, Carried]:
        """Return what both directions have carried so far."""
        return self._ask("carried")

    def cut(self) -> None:
        """Lose every frame from now on, those on the way too."""
        self._ask("cut")

    def join(self) -> None:
        """Carry again."""
        self._ask("join")

    def set_rates(self, there_bits: float, back_bits: float) -> None:
        """Give both directions another rate, in bits per second."""
        self._ask(f"rates {there_bits} {back_bits}")

    def _ask(self, words: str) -> tuple[Carried, Carried]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(words + "\n")
        self._process.stdin.flush()
        there, back = json.loads(self._process.stdout.readline())
        return _carried(there), _carried(back)


class Lab:
    """A network under construction; what it made ends with the block."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._made = 0

    def node(self, name: str) -> Node:
        """Add a machine."""
        holder = self._start(["unshare", "--net", "cat"])
        ours = Path("/proc/self/ns/net").readlink()
        deadline = time.monotonic() + _START_SECONDS
        while Path(f"/proc/{holder.pid}/ns/net").readlink() == ours:
            if holder.poll() is not None or time.monotonic() > deadline:
                raise LabError(f"{name}: no network namespace")
            time.sleep(0.002)
        node = Node(name, holder.pid)
        node.ip("link set lo up")
        return node

    def cable(self, near: Node, near_name: str, far: Node, far_name: str) -> None:
        """Join two machines without any limit (veth)."""
        near.ip(f"link add {near_name} type veth peer name {far_name} netns {far.pid}")
        near.ip(f"link set {near_name} up")
        far.ip(f"link set {far_name} up")

    def line(
        self,
        near: Node,
        near_name: str,
        far: Node,
        far_name: str,
        *,
        there_bits: float,
        back_bits: float,
        delay_ms: float,
        queue_bytes: int = 64_000,
    ) -> Line:
        """Join two machines by a line of these rates (bits per second) and delay each way."""
        words = (near.pid, near_name, far.pid, far_name, there_bits, back_bits, delay_ms, queue_bytes)
        process = self._start([sys.executable, "-S", str(_SHAPER), *map(str, words)])
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise LabError(f"{near.name}-{far.name}: the line did not start")
        near.ip(f"link set {near_name} up")
        far.ip(f"link set {far_name} up")
        return Line(process)

    def close(self) -> None:
        """End everything."""
        self._stack.close()

    def __enter__(self) -> Lab:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self, command: Sequence[str]) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self._stack.callback(_end, process)
        return process


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


def _carried(value: dict[str, int]) -> Carried:
    return Carried(size_bytes=value["bytes"], frames=value["frames"], dropped=value["dropped"])


def _set_namespace(path: str) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(handle, _CLONE_NEWNET) != 0:
            raise LabError(f"{path}: {os.strerror(ctypes.get_errno())}")
    finally:
        os.close(handle)
