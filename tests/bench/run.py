"""All benchmarks, one table: what we measure here, what is to be reached, what the peers were measured at.

`make bench` runs it (`run.py pages sync` runs only those programs); about five minutes. Each benchmark is a program of
its own that prints one JSON value, which `--json` prints too. Figures are CPU time, bytes, or ratios to a baseline of
the same run, since machines are shared and noisy; where wall time stands alone, the line says so.
Figures that a baseline of known size was measured beside are scaled to the machine of the design, and judged so.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poor_line_rows import poor_line_rows

HERE = Path(__file__).parent
ROADS = ("rsync", "directory", "http")


# The design's machine, idle: a bare Flask page, and 1 MiB ranges by waitress's own `wsgi.file_wrapper`.
NOMINAL_FLASK_MS, NOMINAL_MB_PER_SECOND, NOMINAL_MS_PER_MIB = 0.35, 887, 1.28


@dataclass(frozen=True)
class Line:
    """One row: how the figure is found in a benchmark's JSON, what it should be, what peers reach.

    `scaled` is the figure as it would be on the design's machine, and is judged where there is one.
    """

    what: str
    program: str
    value: Callable[[Any], Any]
    at_most: float | None = None
    at_least: float | None = None
    peers: str = ""
    scaled: Callable[[Any], float] | None = None

    def goal(self) -> str:
        """Return what is to be reached as text."""
        if self.at_most is not None:
            return f"≤ {self.at_most:g}"
        return "" if self.at_least is None else f"≥ {self.at_least:g}"

    def verdict(self, value: float) -> str:
        """Return whether it is reached; nothing where there is no goal."""
        if self.at_most is None and self.at_least is None:
            return ""
        low = self.at_least is None or value >= self.at_least
        return "yes" if low and (self.at_most is None or value <= self.at_most) else "NO"


def _pages() -> list[Line]:
    program = "bench_pages.py"

    def page(what: str, name: str, most: float | None, peers: str = "") -> Line:
        return Line(
            what,
            program,
            lambda v: v["page_cpu"][name]["ms"],
            at_most=most,
            peers=peers,
            scaled=lambda v: NOMINAL_FLASK_MS * float(v["page_cpu"][name]["to_plain"]),
        )

    def search(share: str, most: float | None = None, peers: str = "") -> Line:
        def value(found: Any) -> float:
            return float(found["search"]["cpu_ms"][share])

        return Line(
            f"search by API at 20,000, CPU ms {share}",
            program,
            value,
            at_most=most,
            peers=peers,
            scaled=lambda v: value(v) * NOMINAL_FLASK_MS / v["page_cpu"]["flask"]["ms"],
        )

    def ranges(
        what: str,
        way: str,
        name: str,
        nominal: float,
        *,
        least: float | None = None,
        most: float | None = None,
        peers: str = "",
    ) -> Line:
        return Line(
            what,
            program,
            lambda v: v["ranges"][way][name],
            at_least=least,
            at_most=most,
            peers=peers,
            scaled=lambda v: v["ranges"][way][name] * nominal / v["ranges"]["file_wrapper"][name],
        )

    return [
        Line(
            "start to first page, wall s",
            program,
            lambda v: v["start"]["wall_seconds"],
            at_most=1.0,
            peers="Kolibri 1.7 warm, 7.2 first; kiwix-serve 0.1",
        ),
        Line("start to first page, CPU s", program, lambda v: v["start"]["cpu_seconds"]),
        Line(
            "memory after 1,000 requests, MB",
            program,
            lambda v: v["memory"]["after_1000_requests"]["rss_mb"],
            at_most=120,
            peers="Kolibri 449; kiwix-serve 50",
        ),
        Line(
            "threads after 1,000 requests",
            program,
            lambda v: v["memory"]["after_1000_requests"]["threads"],
            at_most=20,
            peers="Kolibri 306",
        ),
        Line(
            "memory after all requests here, 1,000 different searches, MB",
            program,
            lambda v: v["memory"]["after_all"]["rss_mb"],
        ),
        Line(
            "home page with all parts but covers, kB",
            program,
            lambda v: round(v["weight_bytes"]["home"] / 1000, 1),
            at_most=60,
            peers="Kolibri 163 + 724 gzip",
        ),
        Line(
            "browse page with all parts but covers, kB",
            program,
            lambda v: round(v["weight_bytes"]["browse"] / 1000, 1),
            at_most=60,
        ),
        page("a bare Flask page in the same rounds, CPU ms", "flask", None),
        page("home kept, CPU ms", "home kept", 0.4, "Kolibri 2.6; kiwix-serve 0.05-0.1"),
        page("browse kept, CPU ms", "browse kept", 0.4),
        page("home unchanged (304), CPU ms", "home unchanged", 0.3),
        page("browse unchanged (304), CPU ms", "browse unchanged", 0.3),
        page("home anew, CPU ms", "home anew", 2.0),
        page("browse anew, CPU ms", "browse anew", 2.0),
        page("resource page anew, CPU ms", "resource anew", 2.0),
        page("search page anew, 20 hits and facets, its answer known, CPU ms", "search rendered", 2.0),
        # The page and a search, which has a limit of its own.
        page("  with a search that nobody asked before, CPU ms", "search anew", 2.0 + 5.0),
        search("p50", 20, "Kolibri 40-80; kiwix-serve 2.5"),
        search("p95", 20),
        search("p99"),
        Line(
            "search by API, 16 clients, wall ms p99",
            program,
            lambda v: v["search"]["16_clients"]["p99"],
            peers="Kolibri 900-1110; kiwix-serve 48",
        ),
        Line(
            "search by API, 16 clients, requests/s",
            program,
            lambda v: v["search"]["16_clients"]["requests_per_second"],
            at_least=33,
            peers="Kolibri 21-33; kiwix-serve 408",
        ),
        ranges(
            "1 MiB ranges, 8 clients, MB/s",
            "box",
            "mb_per_second",
            NOMINAL_MB_PER_SECOND,
            least=800,
            peers="Kolibri 367-493; kiwix-serve 583",
        ),
        ranges(
            "1 MiB ranges, CPU ms per MiB",
            "box",
            "cpu_ms_per_mib",
            NOMINAL_MS_PER_MIB,
            most=1.3,
            peers="kiwix-serve 1.5-2.0",
        ),
        ranges("  beside it wsgi.file_wrapper, MB/s", "file_wrapper", "mb_per_second", NOMINAL_MB_PER_SECOND),
        ranges(
            "  beside it wsgi.file_wrapper, CPU ms per MiB",
            "file_wrapper",
            "cpu_ms_per_mib",
            NOMINAL_MS_PER_MIB,
        ),
        Line(
            "  beside it Flask's send_file, MB/s",
            program,
            lambda v: v["ranges"]["send_file"]["mb_per_second"],
            peers="294",
        ),
    ]


def _search() -> list[Line]:
    program = "bench_search.py"
    return [
        Line(
            "search in process, CPU ms p50",
            program,
            lambda v: v["cpu_ms_first_touch"]["p50"],
            at_most=20,
        ),
        Line("search in process, CPU ms p95", program, lambda v: v["cpu_ms_first_touch"]["p95"], at_most=20),
        Line("search in process, CPU ms p99", program, lambda v: v["cpu_ms_first_touch"]["p99"], at_most=20),
        Line("  beside it stock Whoosh, CPU ms p95", program, lambda v: v["stock_whoosh_cpu_ms"]["p95"]),
        Line(
            "index, documents per CPU s",
            program,
            lambda v: v["docs_per_cpu_second"],
            peers="stock Whoosh 830",
        ),
        Line("100 changed documents durable, wall s", program, lambda v: v["update_100"]["wall_s"]),
    ]


def _sync() -> list[Line]:
    program = "bench_sync.py"
    lines = []
    for kind, words in (("small", "3,000 small files"), ("large", "5 large files")):
        for road in ROADS:
            most = 2.5 if road == "http" else 1.5

            def ratio(value: Any, name: str, k: str = kind, r: str = road) -> Any:
                return value[k][r][name]

            lines += [
                Line(
                    f"{words}, {road}: time / rsync -a --fsync",
                    program,
                    lambda v, f=ratio: f(v, "time_ratio"),  # type: ignore[misc]
                    at_most=most,
                ),
                Line(
                    f"{words}, {road}: bytes / content",
                    program,
                    lambda v, f=ratio: f(v, "bytes_ratio"),  # type: ignore[misc]
                    at_most=1.2,
                ),
            ]
    return lines


def _hub() -> list[Line]:
    program = "bench_ingest.py"
    return [
        Line("ingest, small files/s", program, lambda v: v["ingest_files_per_second"]),
        Line("ingest, CPU ms per file", program, lambda v: v["ingest_cpu_ms_per_file"]),
        Line("ingest / cp -r + sync + sha256sum, wall", program, lambda v: v["ingest_to_copy_and_hash"]),
        Line("ingest again, unchanged files/s", program, lambda v: v["again_files_per_second"]),
        Line("publish, files/s", program, lambda v: v["publish_files_per_second"]),
        Line("publish unchanged, CPU s", program, lambda v: v["unchanged_cpu_seconds"]),
    ]


def _sticks() -> list[Line]:
    program = "bench_sticks.py"

    def ratio(kind: str, way: str, words: str) -> Line:
        return Line(
            f"stick of {kind}, {words}, x the raw copy",
            program,
            lambda v: v[kind][f"{way}_to_raw"],
            at_least=0.7,
        )

    return [
        ratio(kind, way, words)
        for kind in ("vfat", "exfat", "ext4")
        for way, words in (("export", "export read back"), ("import", "sync from it"))
    ]


def _catalogue() -> list[Line]:
    program = "bench_catalogue.py"

    def wire(value: Any) -> float:
        return round((value["down_bytes"] + value["up_bytes"]) / 1000, 1)

    def rsync(value: Any, form: str) -> float:
        found = value["behind_1"]["rsync"][form]
        return round((found["sent_bytes"] + found["received_bytes"]) / 1000)

    def part(what: str, name: str, most: float | None = None) -> Line:
        return Line(what, program, lambda v: v["behind_1"]["apply"][name], at_most=most)

    return [
        Line(
            "500 of 500,000 records changed, a box's whole sync, kB on the wire",
            program,
            lambda v: wire(v["behind_1"]["sync"]),
            at_most=100,
        ),
        Line("  beside it rsync with zstd, plain manifest, kB", program, lambda v: rsync(v, "plain")),
        Line("  beside it rsync, compressed manifest, kB", program, lambda v: rsync(v, "zst")),
        part("  memory to apply, MB", "extra_memory_mb", 64),
        part("  CPU s to apply", "cpu_seconds"),
        part("  CPU s to compare with the library", "compare_cpu_seconds"),
        part("  beside it the whole manifest compared, CPU s", "compare_whole_cpu_seconds"),
        Line("  publish at the hub, CPU s", program, lambda v: v["behind_1"]["publish"]["cpu_seconds"]),
        Line("  publish at the hub, memory, MB", program, lambda v: v["behind_1"]["publish"]["memory_mb"]),
        Line("the first sync of 500,000 records, kB", program, lambda v: wire(v["sync_first"])),
    ]


LINES = (
    Line(
        "install, .venv, MB",
        "bench_install.py",
        lambda v: v["megabytes"],
        at_most=120,
        peers="Kolibri 0.19.5: 350",
    ),
    *_pages(),
    *_search(),
    *_sync(),
    Line("unchanged poll over HTTP, bytes on the wire", "bench_poll.py", lambda v: v["bytes"], at_most=1000),
    *_catalogue(),
    *_sticks(),
    *poor_line_rows(Line),
    *_hub(),
)


def run(program: str) -> Any:
    """Return the JSON that a benchmark prints, or None where it failed."""
    done = subprocess.run([sys.executable, "-W", "ignore", HERE / program], stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else None


def main() -> None:
    """Run what is asked for and print the table in Markdown."""
    wanted = [word for word in sys.argv[1:] if not word.startswith("--")]
    found: dict[str, Any] = {}
    failed = []
    load = os.getloadavg()[0]
    for program in dict.fromkeys(line.program for line in LINES):
        if not wanted or any(name in program for name in wanted):
            print(f"… {program}", file=sys.stderr, flush=True)
            found[program] = run(program)
            if found[program] is None:
                failed.append(program)
    rows = [
        ("what", "here", "scaled", "to reach", "reached", "peers (measured for the design)"),
        ("---",) * 6,
    ]
    for line in LINES:
        if found.get(line.program) is not None:
            value = line.value(found[line.program])
            judged = line.scaled(found[line.program]) if line.scaled else value
            scaled = f"{judged:.4g}" if line.scaled else ""
            rows.append((line.what, f"{value:g}", scaled, line.goal(), line.verdict(judged), line.peers))
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print(f"| {' | '.join(cells)} |")
    print(
        f"\n{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, {os.uname().machine},"
        f" load {load:.1f} at the start and {os.getloadavg()[0]:.1f} at the end"
    )
    if "--json" in sys.argv:
        print(json.dumps(found, ensure_ascii=False, indent=1))
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
