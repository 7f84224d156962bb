"""A box over 20,000 resources: start, CPU per page, weight, search, memory, threads, ranges. Prints one JSON object.

`python tests/bench/bench_pages.py [--records N] [--requests N]`. The box is made by `box init` and served by
`box serve`; beside it in the same run stand a bare Flask page and plain ways to send ranges (`plain_server.py`).
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import json
import os
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

sys.path.insert(0, str(Path(__file__).parent.parent))

import builders
import search_corpus
from bench_search import percentiles, queries
from command import call
from school import School
from serving import HOST, Action, Server, asking, at_once, costs, free_port, get

from catalog.search.query import SearchRequest

BIG_BYTES = 256 << 20
STARTS = 5
ROUNDS = 3
CLIENTS = 16


def fill(directory: Path, records: int) -> str:
    """Make a box with `records` resources and one film of 256 MB; return the film's hash."""
    call(directory, "box", "init", "--hub", "http://127.0.0.1:9/", "--fingerprint", "0" * 64)
    school = School(directory)
    data = os.urandom(1 << 20) * (BIG_BYTES >> 20)
    blob = school.store.add(data)
    items = list(search_corpus.resources(records))
    items[0] = replace(items[0], files=(builders.file_of(data, "大片.mp4"),))
    school.fill(items)
    school.close()
    return blob.sha256


def box(directory: Path) -> Server:
    """Serve the box as a school does."""
    port = free_port()
    command = [sys.executable, "-m", "appliance", "box", "serve", "--state", str(directory)]
    return Server([*command, "--host", HOST, "--port", str(port)], port)


def starts(directory: Path) -> dict[str, float]:
    """Return wall and CPU seconds from the command to the first page, the best of some."""
    found = []
    for _ in range(STARTS):
        server = box(directory)
        found.append((server.start_seconds, server.start_cpu_seconds))
        server.end()
    return {
        "wall_seconds": round(min(wall for wall, _ in found), 2),
        "cpu_seconds": round(min(cpu for _, cpu in found), 2),
    }


def full_pages(server: Server) -> list[str]:
    """Return the addresses of many different searches, in no order: each page has twenty hits and facets."""
    topics = [topic for words in search_corpus.TOPICS.values() for topic in words.split()]
    wider = [("page", str(page)) for page in range(1, 5)] + [("kind", kind) for kind in search_corpus.KINDS]
    asked = [f"/search?{urlencode([('q', topic), more])}" for topic in topics for more in wider]
    random.Random(4).shuffle(asked)
    found = []
    for path in asked:
        text = get(server.port, path)[2].decode()
        if text.count('class="row"') == 20 and 'class="facets"' in text:
            found.append(path)
    return found


def page_costs(
    server: Server, plain: Server, searches: list[str], count: int, records: int
) -> dict[str, dict[str, float]]:
    """Return the CPU of pages from the layer, unchanged, and rendered anew; of the bare page too."""
    pages = {"home": "/", "browse": "/browse?stage=primary&grade=g3"}

    def anew(path_of: Callable[[int], str]) -> tuple[Server, Action]:
        return server, asking(path_of, Accept_Encoding="gzip")

    measured = {
        "flask": (plain, asking(lambda _: "/")),
        # Each a page that was never asked for.
        "search anew": anew(lambda n: searches[n]),
        # The same searches a moment later in an address of their own: only the page is made again.
        "search rendered": anew(lambda n: f"{searches[n]}&n=1"),
        "resource anew": anew(lambda n: f"/r/r{n * 7 % records}"),
    }
    for name, path in pages.items():
        etag = get(server.port, path, Accept_Encoding="gzip")[1]["Etag"]
        # Another query string is another page for the layer, and the same page for everybody else.
        more = f"{path}{'&' if '?' in path else '?'}n="
        measured[f"{name} anew"] = anew(lambda n, m=more: f"{m}{n}")  # type: ignore[misc]
        measured[f"{name} kept"] = anew(lambda _, p=path: p)  # type: ignore[misc]
        measured[f"{name} unchanged"] = server, asking(lambda _, p=path: p, If_None_Match=etag)  # type: ignore[misc]
    found = costs(measured, plain, min(count, len(searches)))
    return {name: asdict(cost) for name, cost in found.items()}


def weights(server: Server) -> dict[str, int]:
    """Return the bytes of pages with all their parts but covers, as they come over the wire (gzip)."""
    found = {}
    for name, path in {"home": "/", "browse": "/browse", "search": "/search"}.items():
        _, _, page = get(server.port, path, Accept_Encoding="gzip")
        text = gzip.decompress(page).decode()
        parts = set(re.findall(r'(?:href|src)="(/static/[^"#]+)', text))
        found[name] = len(page) + sum(
            len(get(server.port, part, Accept_Encoding="gzip")[2]) for part in parts
        )
    return found


def search_address(request: SearchRequest) -> str:
    """Return the address of the API that asks what `request` does."""
    pairs = [("q", request.text), ("page", str(request.page))]
    pairs += [(name, code) for name, codes in request.filters.items() for code in sorted(codes)]
    return f"/api/v1/search?{urlencode(pairs)}"


def memory(server: Server, records: int) -> dict[str, Any]:
    """Return what a day of a school leaves: 1,000 requests by eight clients, half of them different pages."""
    titles = [item.title for item in search_corpus.resources(2000)]
    asked = [f"/search?{urlencode({'q': request.text})}" for request in queries(100, titles, seed=9)]

    def path_of(number: int) -> str:
        grade = f"g{number % 9 + 1}"
        return (
            "/",
            f"/browse?stage={'primary' if number % 9 < 6 else 'junior'}&grade={grade}",
            f"/r/r{number * 7 % records}",
            asked[number // 10 % len(asked)],
            f"/r/r{number * 13 % records}",
        )[number % 5]

    def client(first: int) -> None:
        connection = http.client.HTTPConnection(HOST, server.port, timeout=60)
        for number in range(first, 1000, 8):
            asking(path_of, Accept_Encoding="gzip")(connection, number)
        connection.close()

    at_start = server.memory()
    at_once(client, 8)
    return {"at_start": at_start, "after_1000_requests": server.memory()}


def searches(server: Server, count: int) -> dict[str, Any]:
    """Return the CPU of `count` different searches by the API, and how 16 clients fare that ask at once."""
    titles = [item.title for item in search_corpus.resources(2000)]
    addresses = [search_address(request) for request in queries(count, titles)]
    figures: dict[str, Any] = {"cpu_ms": percentiles(server.cpu_ms(count, asking(lambda n: addresses[n])))}
    # Other searches than before, so that none comes from what was kept.
    others = [search_address(request) for request in queries(2 * count, titles, seed=8)]
    waited: list[float] = []

    def client(first: int) -> None:
        connection = http.client.HTTPConnection(HOST, server.port, timeout=60)
        for number in range(first, len(others), CLIENTS):
            started = time.perf_counter()
            asking(lambda n: others[n])(connection, number)
            waited.append((time.perf_counter() - started) * 1000)
        connection.close()

    seconds = at_once(client, CLIENTS)
    figures["16_clients"] = {**percentiles(waited), "requests_per_second": round(len(others) / seconds)}
    return figures


def plain_server(file: Path) -> Server:
    """Serve the bare page and the plain ways to send ranges of `file`."""
    port = free_port()
    return Server(
        [sys.executable, str(Path(__file__).with_name("plain_server.py")), str(port), str(file)], port
    )


def ranges(server: Server, plain: Server, sha256: str) -> dict[str, dict[str, float]]:
    """Return the ranges of the box and those of the plain server, in turn, the best of each."""
    ways: dict[str, tuple[Server, str, int]] = {
        "box": (server, f"/files/{sha256}/a.mp4", 2048),
        "file_wrapper": (plain, "/wrapped", 2048),
        "send_file": (plain, "/send", 512),
    }
    best: dict[str, dict[str, float]] = {}
    for _ in range(ROUNDS):
        for name, (asked, path, total) in ways.items():
            found = asked.ranges(path, BIG_BYTES, 8, total)
            if name not in best or found["cpu_ms_per_mib"] < best[name]["cpu_ms_per_mib"]:
                best[name] = found
    return best


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--requests", type=int, default=1_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name) / "box"
        sha256 = fill(directory, options.records)
        figures: dict[str, Any] = {"records": options.records, "start": starts(directory)}
        server = box(directory)
        asked = full_pages(server)
        server.end()
        plain = plain_server(directory / "blobs" / sha256[:2] / sha256)
        server = box(directory)
        try:
            figures["memory"] = memory(server, options.records)
            figures["search"] = searches(server, 300)
            figures["page_cpu"] = page_costs(server, plain, asked, options.requests, options.records)
            figures["weight_bytes"] = weights(server)
            figures["memory"]["after_all"] = server.memory()
            figures["ranges"] = ranges(server, plain, sha256)
        finally:
            server.end()
            plain.end()
    print(json.dumps(figures, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
