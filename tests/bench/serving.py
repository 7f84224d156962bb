"""A serving process as benchmarks see it: how long it takes to its first page, the CPU, memory and threads it uses.

CPU is user and system time of the process by its own account in `/proc` (nanoseconds, all threads), so that what else
runs on the machine disturbs little; what is asked goes over one kept-alive connection.
"""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
RANGE_BYTES = 1 << 20
TICK = os.sysconf("SC_CLK_TCK")

Action = Callable[[http.client.HTTPConnection, int], None]


class Server:
    """A serving process, started by `command`, that answers `/` at `port`."""

    def __init__(self, command: list[str], port: int) -> None:
        self.port = port
        started = time.perf_counter()
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while True:
            try:
                status, _, _ = get(port, "/")
                break
            except OSError:
                if self.process.poll() is not None:
                    raise SystemExit(f"{command}: ended with {self.process.returncode}") from None
                time.sleep(0.005)
        assert status == 200, status
        self.start_seconds = time.perf_counter() - started
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        self.start_cpu_seconds = (int(fields[11]) + int(fields[12])) / TICK

    def end(self) -> None:
        """End the process as Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def cpu_seconds(self) -> float:
        """Return the CPU time of all living threads so far."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9

    def memory(self) -> dict[str, float]:
        """Return resident and private memory in MB, and the number of threads."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()

        def number(name: str) -> int:
            found = re.search(rf"{name}:\s+(\d+)", text)
            assert found is not None
            return int(found[1])

        return {
            "rss_mb": round(number("VmRSS") * 1024 / 1e6, 1),
            "anonymous_mb": round(number("RssAnon") * 1024 / 1e6, 1),
            "threads": number("Threads"),
        }

    def cpu_ms(self, count: int, action: Action) -> list[float]:
        """Return the server's CPU milliseconds for each of `count` requests, one after the other."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=60)
        found = []
        for number in range(count):
            before = self.cpu_seconds()
            action(connection, number)
            found.append((self.cpu_seconds() - before) * 1000)
        connection.close()
        return found

    def mean_ms(self, action: Action, numbers: range) -> float:
        """Return the server's mean CPU milliseconds for the requests of these numbers."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=60)
        before = self.cpu_seconds()
        for number in numbers:
            action(connection, number)
        mean = (self.cpu_seconds() - before) * 1000 / len(numbers)
        connection.close()
        return mean

    def ranges(self, path: str, file_bytes: int, clients: int, total: int) -> dict[str, float]:
        """Return MB/s and CPU per MiB of `total` ranges of 1 MiB, asked by `clients` at once, each on a connection."""

        def client(first: int) -> None:
            buffer = bytearray(RANGE_BYTES + 4096)
            with socket.create_connection((HOST, self.port)) as connection:
                for number in range(first, total, clients):
                    start = (number * RANGE_BYTES) % file_bytes
                    wanted = f"bytes={start}-{start + RANGE_BYTES - 1}"
                    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nRange: {wanted}\r\n\r\n".encode())
                    got = connection.recv_into(buffer)
                    end = buffer.find(b"\r\n\r\n", 0, got)
                    assert buffer.startswith(b"HTTP/1.1 206"), bytes(buffer[:200])
                    left = RANGE_BYTES - (got - end - 4)
                    while left:
                        left -= connection.recv_into(buffer, min(left, len(buffer)))

        cpu = self.cpu_seconds()
        seconds = at_once(client, clients)
        return {
            "mb_per_second": round(total * RANGE_BYTES / 1e6 / seconds),
            "cpu_ms_per_mib": round((self.cpu_seconds() - cpu) * 1000 / total, 2),
        }


@dataclass(frozen=True)
class Cost:
    """What a request costs the server: CPU milliseconds in the best round, and how many times a plain page's."""

    ms: float
    to_plain: float


def costs(
    measured: Mapping[str, tuple[Server, Action]], plain: Server, count: int, *, rounds: int = 8
) -> dict[str, Cost]:
    """Return the cost of each action over `count` requests, no number twice.

    Rounds are interleaved, and each stands beside a round of `/` of `plain` just before it, since a shared machine
    changes its speed within seconds; of these ratios the median counts.
    """
    each = max(1, count // rounds)
    means: dict[str, list[float]] = {name: [] for name in measured}
    ratios: dict[str, list[float]] = {name: [] for name in measured}
    for first in range(0, rounds * each, each):
        for name, (server, action) in measured.items():
            beside = plain.mean_ms(asking(lambda _: "/"), range(each))
            means[name].append(server.mean_ms(action, range(first, first + each)))
            ratios[name].append(means[name][-1] / beside)
    return {
        name: Cost(round(min(means[name]), 3), round(statistics.median(ratios[name]), 3)) for name in measured
    }


def at_once(client: Callable[[int], None], clients: int) -> float:
    """Run `client(0)` … `client(clients - 1)` side by side and return the seconds it took."""
    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - started


def asking(path_of: Callable[[int], str], **headers: str) -> Action:
    """Return an action that asks for `path_of(number)` and reads the answer."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}

    def ask(connection: http.client.HTTPConnection, number: int) -> None:
        connection.request("GET", path_of(number), headers=sent)
        response = connection.getresponse()
        response.read()
        assert response.status in (200, 304), (path_of(number), response.status)

    return ask


def get(port: int, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Ask once on a connection of its own."""
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    try:
        connection.request("GET", path, headers={name.replace("_", "-"): v for name, v in headers.items()})
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
