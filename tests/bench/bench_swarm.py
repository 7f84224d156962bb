"""Six boxes and one hub behind 8 Mbit/s: what the hub sends and how long all take, beside rsync, HTTP and BitTorrent.

Run: `python tests/bench/bench_swarm.py [--megabytes 60] [--files 300] [--networks routed nat lan] [--ways …]`.
Networks: two towns of three boxes that reach each other (the line marked 专网), the same behind NAT, and one LAN of six. rsync and HTTP, which
only the hub's uplink bounds, are measured in the first of them. Every way carries
the same files to empty boxes in the same run: three quarters of the bytes in files of 5.6 MB, the rest small. `egress` is what left the hub over its uplink, headers and all, divided
by the content; `time_to_bound` divides by the seconds that one copy takes on that uplink; `line_to_bound` is the same from
the moment that 600 kB have left the hub: six boxes begin on one machine, which is slow where the machine has other
work, and bare libtorrent begins with all its programs loaded. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from command import call
from netlab import Lab, Speeds, Towns, one_lan, two_towns, why_not
from poor_lines import (
    Content,
    CountyHub,
    Run,
    all_peers,
    at_once,
    http_words,
    plain_http,
    plain_rsync,
    plain_torrent,
    rsync_words,
    syncs,
    write_content,
)

NETWORKS: dict[str, Callable[[Lab], Towns]] = {
    "routed": lambda lab: two_towns(lab),
    "nat": lambda lab: two_towns(lab, nat=True),
    "lan": lambda lab: one_lan(lab),
}
LARGE_BYTES, LARGE_PART = 5_600_000, 0.75
FIRST_BYTES = 600_000


def measured(towns: Towns, work: Callable[[], Iterable[Any]]) -> Run:
    """Run `work` and count; see when it begins to use the hub's uplink."""
    before, began, ended = towns.hub_sent_bytes(), time.monotonic(), threading.Event()
    first = began

    def watch() -> None:
        nonlocal first
        while not ended.wait(0.2) and towns.hub_sent_bytes() - before < FIRST_BYTES:
            first = time.monotonic()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        each = tuple(work())
        seconds = time.monotonic() - began
    finally:
        ended.set()
        watcher.join()
    return Run(seconds, towns.hub_sent_bytes() - before, each, line_seconds=seconds - (first - began))


class Bench:
    """One network, one content, each way once."""

    def __init__(self, towns: Towns, content: Content, work: Path, *, marked: bool) -> None:
        self.towns = towns
        self.marked = marked
        self.content = content
        self.work = work
        self.hub = CountyHub(work / "hub", towns.hub_host)
        self.hub.publish(
            {Path(name).stem: [content.folder / name] for name in content.names},
            {Path(name).stem: f"第{Path(name).stem}课" for name in content.names},
        )
        self.names = work / "names"
        self.names.write_text("\n".join(content.names))

    def rsync_in_turn(self) -> Run:
        return self._rsync(lambda jobs: [text for job in jobs for text in at_once([job])])

    def rsync_at_once(self) -> Run:
        return self._rsync(at_once)

    def _rsync(self, run: Callable[[Any], list[str]]) -> Run:
        with plain_rsync(self.towns.hub, self.content.folder, self.work / "rsyncd"):
            return self._plain(run, lambda target: rsync_words(self.towns.hub_host, target))

    def http_at_once(self) -> Run:
        with plain_http(self.towns.hub, self.content.folder) as port:
            return self._plain(
                at_once, lambda target: http_words(self.towns.hub_host, port, self.names, target, 4)
            )

    def _plain(self, run: Callable[[Any], list[str]], words: Callable[[Path], list[object]]) -> Run:
        targets = [self.work / f"plain-{number}" for number in range(len(self.towns.boxes))]
        for target in targets:
            target.mkdir()
        jobs = [(node, words(target)) for node, target in zip(self.towns.boxes, targets, strict=True)]
        try:
            return measured(self.towns, lambda: run(jobs))
        finally:
            for target in targets:
                assert len(list(target.iterdir())) == len(self.content.names), target
                shutil.rmtree(target)

    def bittorrent(self) -> Run:
        with plain_torrent(self.towns, self.content, self.work) as peers:
            return measured(self.towns, lambda: all_peers(peers))

    def ours(self) -> Run:
        states = [self.hub.new_box(self.work / f"box-{number}") for number in range(len(self.towns.boxes))]
        for state in states if self.marked else ():
            call(state, "box", "policy", "--set", "education_line=true")
        try:
            with self.hub.running(self.towns.hub):
                return measured(self.towns, lambda: syncs(self.towns, states))
        finally:
            for state in states:
                shutil.rmtree(state)


FROM_THE_HUB = ("rsync in turn", "rsync at once", "HTTP at once")
WAYS: dict[str, Callable[[Bench], Run]] = {
    "rsync in turn": Bench.rsync_in_turn,
    "rsync at once": Bench.rsync_at_once,
    "HTTP at once": Bench.http_at_once,
    "BitTorrent": Bench.bittorrent,
    "ours": Bench.ours,
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=float, default=60)
    parser.add_argument("--files", type=int, default=300)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    options = parser.parse_args()
    if reason := why_not(nat=True):
        sys.exit(reason)
    found: dict[str, Any] = {"megabytes": options.megabytes, "files": options.files}
    for network in options.networks:
        with tempfile.TemporaryDirectory() as name, Lab() as lab:
            work = Path(name)
            total_bytes = int(options.megabytes * 1e6)
            large = max(1, int(total_bytes * LARGE_PART / LARGE_BYTES))
            content = write_content(
                work / "content", total_bytes=total_bytes, files=options.files, large=large
            )
            bench = Bench(NETWORKS[network](lab), content, work, marked=network != "nat")
            bound_seconds = content.size_bytes * 8 / Speeds().hub_up
            found[network] = {"bound_seconds": round(bound_seconds, 1)}
            first = network == options.networks[0]
            for way in [way for way in options.ways if first or way not in FROM_THE_HUB]:
                run = WAYS[way](bench)
                found[network][way] = run.figures(content.size_bytes, bound_seconds)
                print(f"… {network}, {way}: {found[network][way]}", file=sys.stderr, flush=True)
                if way == "ours":
                    found[network][way]["roads"] = [one["roads"] for one in run.each]
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
