"""The box's pages over 20,000 resources: CPU per page, weight, ranges, memory, threads, start. Prints one JSON object.

`python tests/bench/bench_pages.py [--records N] [--requests N]`. CPU is what the serving process used (user + system, from
`/proc`), so that a busy machine disturbs little; requests go over one kept-alive connection. Beside each figure stands
what DESIGN §7 wants.
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent))

HOST = "127.0.0.1"
BIG_BYTES = 256 << 20
RANGE_BYTES = 1 << 20
TICK = os.sysconf("SC_CLK_TCK")


def fill(directory: Path, records: int) -> str:
    """Make a state with `records` resources and one film of 256 MB; return the film's hash."""
    import builders
    import search_corpus
    from school import School

    school = School(directory)
    data = os.urandom(1 << 20) * (BIG_BYTES >> 20)
    blob = school.store.add(data)
    items = list(search_corpus.resources(records))
    first = items[0]
    fields = {name: getattr(first, name) for name in type(first).__slots__}
    fields["files"] = (builders.file_of(data, "大片.mp4"),)
    items[0] = type(first)(**fields)
    school.fill(items)
    school.close()
    return blob.sha256


def serve(directory: Path, port: int, package_port: int) -> None:
    """Serve the state as a box does, until killed."""
    import waitress

    from catalog.blobs import BlobStore
    from catalog.finder import Finder
    from catalog.library import Library
    from catalog.local import Local
    from webui.app import create_box_app
    from webui.keepalive import keep_alive
    from webui.operations import BoxSettings, DiskSpace, Work

    class Operations:
        def sync_now(self) -> bool:
            return True

        def request_resource(self, resource_id: str) -> None:
            return None

        def set_display_clock(self, shown: object) -> None:
            return None

        def work(self) -> Work:
            return Work()

        def disk(self) -> DiskSpace:
            return DiskSpace(total_bytes=1, free_bytes=1, reserve_bytes=0)

    from datetime import datetime

    from catalog.clock import CHINA

    library = Library.open(directory / "library.db")
    app = create_box_app(
        library,
        Finder(library, directory / "index"),
        BlobStore(directory / "blobs", directory / "staging", library.add_blobs),
        Local.open(directory / "local.db"),
        Operations(),
        BoxSettings(
            box_id="0" * 32,
            name="石门村教学点",
            version="0",
            secret=b"bench",
            package_port=package_port,
            clock=lambda: datetime.now(CHINA),
            clock_mark=lambda: "trusted",
            blobs=directory / "blobs",
        ),
    )
    server = waitress.create_server(
        app, listen=f"{HOST}:{port} {HOST}:{package_port}", threads=8, connection_limit=300, ident=None
    )
    keep_alive(server).run()


class Server:
    """The serving process."""

    def __init__(self, directory: Path) -> None:
        self.port, package_port = free_port(), free_port()
        started = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--serve", str(directory), str(self.port), str(package_port)]
        )
        while True:
            try:
                if get(self.port, "/")[0] == 200:
                    break
            except OSError:
                time.sleep(0.005)
        self.start_seconds = time.perf_counter() - started

    def cpu_seconds(self) -> float:
        """Return user and system time used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def memory_mb(self) -> dict[str, float]:
        """Return resident and private memory in MB, and the number of threads."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        resident = int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1000  # type: ignore[index]
        anonymous = int(re.search(r"RssAnon:\s+(\d+)", text)[1]) / 1000  # type: ignore[index]
        threads = int(re.search(r"Threads:\s+(\d+)", text)[1])  # type: ignore[index]
        return {"rss_mb": round(resident, 1), "anonymous_mb": round(anonymous, 1), "threads": threads}

    def cpu_ms_each(self, count: int, action: Callable[[http.client.HTTPConnection, int], None]) -> float:
        """Return the CPU milliseconds of the server for each of `count` requests on one connection."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=60)
        before = self.cpu_seconds()
        for number in range(count):
            action(connection, number)
        used = self.cpu_seconds() - before
        connection.close()
        return round(used * 1000 / count, 3)


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def get(port: int, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Ask once on a connection of its own."""
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    try:
        connection.request("GET", path, headers={name.replace("_", "-"): v for name, v in headers.items()})
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


def asking(
    path_of: Callable[[int], str], **headers: str
) -> Callable[[http.client.HTTPConnection, int], None]:
    """Return an action that asks for `path_of(number)`."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}

    def ask(connection: http.client.HTTPConnection, number: int) -> None:
        connection.request("GET", path_of(number), headers=sent)
        response = connection.getresponse()
        response.read()
        assert response.status in (200, 304), (path_of(number), response.status)

    return ask


def page_costs(server: Server, count: int, records: int) -> dict[str, Any]:
    """Return the CPU of a page from the layer, unchanged, and rendered anew."""
    pages = {
        "home": "/",
        "browse": "/browse?stage=primary&grade=g3",
        "search": f"/search?q={quote('分数')}",
        "resource": "/r/r17",
    }
    figures: dict[str, Any] = {}
    for name, path in pages.items():
        etag = get(server.port, path, Accept_Encoding="gzip")[1]["Etag"]
        same = path
        figures[name] = {
            "kept_ms": server.cpu_ms_each(count, asking(lambda n, p=same: p, Accept_Encoding="gzip")),  # type: ignore[misc]
            "unchanged_ms": server.cpu_ms_each(
                count,
                asking(lambda n, p=same: p, If_None_Match=etag),  # type: ignore[misc]
            ),
            # Another query string is another page for the layer, and the same page for everybody else.
            "anew_ms": server.cpu_ms_each(
                min(count, 400),
                asking(
                    lambda n, p=same: f"{p}{'&' if '?' in p else '?'}n={n}",  # type: ignore[misc]
                    Accept_Encoding="gzip",
                ),
            ),
        }
    figures["resources_one_by_one_ms"] = server.cpu_ms_each(
        min(count, 1000), asking(lambda n: f"/r/r{n * 7 % records}", Accept_Encoding="gzip")
    )
    return figures


def weights(server: Server) -> dict[str, int]:
    """Return the bytes on the wire of pages with all their parts but covers."""
    found = {}
    for name, path in {"home": "/", "browse": "/browse", "search": "/search"}.items():
        _, _, page = get(server.port, path, Accept_Encoding="gzip")
        text = gzip.decompress(page).decode()
        parts = set(re.findall(r'(?:href|src)="(/static/[^"#]+)', text))
        found[name] = len(page) + sum(
            len(get(server.port, part, Accept_Encoding="gzip")[2]) for part in parts
        )
    return found


def ranges(server: Server, sha256: str, clients: int, total: int) -> dict[str, float]:
    """Return MB/s and CPU per MiB of 1 MiB ranges asked by `clients` at once over kept-alive connections."""

    def client(first: int) -> None:
        buffer = bytearray(RANGE_BYTES + 4096)
        with socket.create_connection((HOST, server.port)) as connection:
            for number in range(first, total, clients):
                start = (number * RANGE_BYTES) % BIG_BYTES
                connection.sendall(
                    f"GET /files/{sha256}/a.mp4 HTTP/1.1\r\nHost: x\r\nRange: bytes={start}-{start + RANGE_BYTES - 1}\r\n\r\n".encode()
                )
                got = connection.recv_into(buffer)
                end = buffer.find(b"\r\n\r\n", 0, got)
                assert buffer.startswith(b"HTTP/1.1 206"), bytes(buffer[:200])
                left = RANGE_BYTES - (got - end - 4)
                while left:
                    left -= connection.recv_into(buffer, min(left, len(buffer)))

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    cpu, started = server.cpu_seconds(), time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    used = server.cpu_seconds() - cpu
    return {
        "mb_per_second": round(total * RANGE_BYTES / 1e6 / seconds),
        "cpu_ms_per_mib": round(used * 1000 / total, 2),
    }


def main() -> None:
    """Run the benchmark, or serve for it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--requests", type=int, default=2_000)
    parser.add_argument("--serve", nargs=3)
    options = parser.parse_args()
    if options.serve:
        serve(Path(options.serve[0]), int(options.serve[1]), int(options.serve[2]))
        return
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        sha256 = fill(directory, options.records)
        starts = []
        for _ in range(3):
            server = Server(directory)
            starts.append(server.start_seconds)
            server.process.kill()
            server.process.wait()
        server = Server(directory)
        try:
            figures = {
                "records": options.records,
                "start_to_first_page_seconds": {"best": round(min(starts), 2), "want": 1.0},
                "page_cpu": page_costs(server, options.requests, options.records),
                "page_cpu_want": {"kept_ms": 0.4, "unchanged_ms": 0.3, "anew_ms": 2.0},
                "weight_bytes": {**weights(server), "want": 60_000},
                "after_requests": {**server.memory_mb(), "want": {"rss_mb": 120, "threads": 20}},
                "ranges_1mib_8_clients": {
                    **ranges(server, sha256, 8, 4096),
                    "want": {"mb_per_second": 800, "cpu_ms_per_mib": 1.3},
                },
            }
        finally:
            server.process.kill()
            server.process.wait()
    print(json.dumps(figures, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
