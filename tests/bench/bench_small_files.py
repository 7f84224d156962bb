"""300 small files over a line of 600 ms round trip: ours beside rsync, parallel HTTP and one file after the other.

Run: `python tests/bench/bench_small_files.py [--files 300] [--kilobytes 16] [--in-turn 30]`. Files do not compress. One
after the other (a kept connection) is measured for the first `--in-turn` files and scaled up, as said in its name.
Prints one JSON object: wall seconds of whole programs, bytes of IP packets down the line.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from command import command
from netlab import Lab, Speeds, Towns, one_lan, why_not
from poor_lines import (
    Content,
    CountyHub,
    Run,
    at_once,
    http_words,
    measured,
    plain_http,
    plain_rsync,
    rsync_words,
    write_content,
)

MBIT = 1_000_000
ROUND_TRIP_MS = 600
# Two lines of the lab lie between hub and box. The queue holds what is on the way, as a satellite's modem does.
SPEEDS = Speeds(
    hub_up=20 * MBIT, hub_down=20 * MBIT, town_down=8 * MBIT, town_up=8 * MBIT,
    delay_ms=ROUND_TRIP_MS / 4, queue_bytes=1_000_000,
)  # fmt: skip


def plain(towns: Towns, words: list[object]) -> Run:
    """Run one program on the one box."""
    return measured(towns, lambda: at_once([(towns.boxes[0], words)]))


def plain_ways(towns: Towns, content: Content, work: Path, in_turn: int) -> dict[str, Any]:
    """Bring the files by rsync and by plain HTTP."""
    names, first = work / "names", work / "first"
    names.write_text("\n".join(content.names))
    first.write_text("\n".join(content.names[:in_turn]))
    found: dict[str, Any] = {}
    with plain_rsync(towns.hub, content.folder, work / "rsyncd"):
        found["rsync --files-from"] = figures(
            plain(towns, rsync_words(towns.hub_host, work / "a", f"--files-from={names}"))
        )
    with plain_http(towns.hub, content.folder) as port:

        def http(listing: Path, target: str, connections: int) -> dict[str, float]:
            return figures(
                plain(towns, http_words(towns.hub_host, port, listing, work / target, connections))
            )

        found["16 parallel HTTP"] = http(names, "b", 16)
        scale = len(content.names) / in_turn
        some = http(first, "c", 1)
        found[f"HTTP in turn, {in_turn} files x {scale:g}"] = {
            name: round(value * scale, 1) for name, value in some.items()
        }
    return found


def ours(towns: Towns, content: Content, work: Path) -> dict[str, Any]:
    """Sync boxes that know the hub and have an earlier release of one lesson: one as it is, one without a swarm."""
    hub = CountyHub(work / "hub", towns.hub_host)
    hub.publish({"first": [content.folder / content.names[0]]})
    ways: dict[str, tuple[object, ...]] = {"ours": (), "ours, no swarm": ("upload_lan=false",)}
    states = {way: hub.new_box(work / f"box{number}") for number, way in enumerate(ways)}
    box, found = towns.boxes[0], {}
    for way, rules in ways.items():
        for rule in rules:
            at_once([(box, command(states[way], "box", "policy", "--set", rule))])
    with hub.running(towns.hub):
        for state in states.values():
            at_once([(box, command(state, "box", "sync"))])
        hub.publish({Path(name).stem: [content.folder / name] for name in content.names})
        for way, state in states.items():
            run = measured(towns, lambda state=state: at_once([(box, command(state, "box", "sync"))]))  # type: ignore[misc]
            said = json.loads(run.each[0])
            found[way] = {
                **figures(run),
                "in_the_run": said["seconds"],
                "roads": said["roads"],
                "saved": said.get("saved"),
            }
    return found


def figures(run: Run) -> dict[str, float]:
    """Return seconds and bytes of a run."""
    return {"seconds": round(run.seconds, 2), "bytes": run.hub_bytes}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=300)
    parser.add_argument("--kilobytes", type=float, default=16)
    parser.add_argument("--in-turn", type=int, default=30)
    options = parser.parse_args()
    if reason := why_not():
        sys.exit(reason)
    with tempfile.TemporaryDirectory() as name, Lab() as lab:
        work = Path(name)
        total_bytes = int(options.files * options.kilobytes * 1000)
        content = write_content(work / "content", total_bytes=total_bytes, files=options.files, large=0)
        towns = one_lan(lab, boxes=1, speeds=SPEEDS)
        ways: dict[str, Callable[[], dict[str, Any]]] = {
            "ours": lambda: ours(towns, content, work),
            "plain": lambda: plain_ways(towns, content, work, options.in_turn),
        }
        found: dict[str, Any] = {"files": options.files, "content_bytes": content.size_bytes}
        for way in ways.values():
            found.update(way())
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
