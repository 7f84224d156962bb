"""All benchmarks, one table: what we measure here, what is to be reached, what the peers were measured at.

`make bench` runs it. Each benchmark is a program of its own that prints one JSON value; figures are CPU time, bytes, or
ratios to a baseline of the same run, since machines are shared and noisy.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Line:
    """One row: how the figure is found in a benchmark's JSON, what it should be, what peers reach."""

    what: str
    program: str
    value: Callable[[Any], Any]
    goal: str
    peers: str = ""


LINES = (
    Line("install, .venv, MB", "bench_install.py", lambda v: v["megabytes"], "<= 120", "Kolibri 0.19.5: 350"),
    Line("ingest, small files/s", "bench_ingest.py", lambda v: v["ingest_files_per_second"], "report"),
    Line(
        "ingest / cp -r + sha256sum, wall",
        "bench_ingest.py",
        lambda v: v["ingest_to_copy_and_hash"],
        "report",
    ),
    Line("ingest again, files/s", "bench_ingest.py", lambda v: v["again_files_per_second"], "report"),
    Line("publish, files/s", "bench_ingest.py", lambda v: v["publish_files_per_second"], "report"),
    Line("publish unchanged, CPU s", "bench_ingest.py", lambda v: v["unchanged_cpu_seconds"], "report"),
)


def run(program: str) -> Any:
    """Return the JSON that a benchmark prints, or None where it failed."""
    done = subprocess.run([sys.executable, "-W", "ignore", HERE / program], stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else None


def main() -> None:
    wanted = sys.argv[1:]
    found: dict[str, Any] = {}
    programs = dict.fromkeys(
        [line.program for line in LINES] + [path.name for path in sorted(HERE.glob("bench_*.py"))]
    )
    for program in programs:
        if not wanted or any(name in program for name in wanted):
            print(f"… {program}", file=sys.stderr, flush=True)
            found[program] = run(program)
    rows = [("what", "here", "to reach", "peers")]
    for line in LINES:
        value = found.get(line.program)
        if value is not None:
            rows.append((line.what, str(line.value(value)), line.goal, line.peers))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print(json.dumps(found, ensure_ascii=False, indent=1))


if __name__ == "__main__":
    main()
