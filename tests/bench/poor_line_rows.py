"""The rows of poor lines in the table of `run.py`: swarm, small files, a week, catching up, cuts, memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

NETWORKS = {
    "routed": ("two towns that reach each other", 1.5),
    "nat": ("two towns behind NAT", 2.2),
    "lan": ("one LAN", 1.5),
}
FIRST = "routed"
PLAIN = ("HTTP at once", "rsync at once")


def poor_line_rows(line: Callable[..., Any]) -> list[Any]:
    """Return the rows, each made by `line` (`run.Line`)."""
    return [*_swarm(line), *_small_files(line), *_weekly(line), *_behind(line), *_cuts(line), *_memory(line)]


def _swarm(line: Callable[..., Any]) -> list[Any]:
    program = "bench_swarm.py"
    rows = []
    for network, (words, most) in NETWORKS.items():

        def of(way: str, name: str, where: str = network) -> Callable[[Any], Any]:
            return lambda value: value[where][way][name]

        rows += [
            line(f"6 boxes, {words}: hub egress / content", program, of("ours", "hub_egress"), at_most=most),
            line("  time to all / content on the uplink", program, of("ours", "time_to_bound"), at_most=most),
            line("  beside it BitTorrent: egress", program, of("BitTorrent", "hub_egress")),
            line("  beside it BitTorrent: time", program, of("BitTorrent", "time_to_bound")),
        ]
        for way in PLAIN if network == FIRST else ():
            rows += [
                line(f"  beside it {way}: egress", program, of(way, "hub_egress")),
                line(f"  beside it {way}: time", program, of(way, "time_to_bound")),
            ]
    return rows


def _small_files(line: Callable[..., Any]) -> list[Any]:
    program = "bench_small_files.py"

    def in_turn(value: Any) -> Any:
        return next(found["seconds"] for name, found in value.items() if name.startswith("HTTP in turn"))

    return [
        line(
            "300 small files at 600 ms round trip, wall s",
            program,
            lambda v: v["ours"]["seconds"],
            peers="pack by hand 10.7; a process per file 2632",
        ),
        line("  the same without a swarm", program, lambda v: v["ours, no swarm"]["seconds"]),
        line("  beside it rsync --files-from", program, lambda v: v["rsync --files-from"]["seconds"]),
        line("  beside it 16 parallel HTTP", program, lambda v: v["16 parallel HTTP"]["seconds"]),
        line("  beside it HTTP in turn (a tenth, x 10)", program, in_turn),
    ]


def _weekly(line: Callable[..., Any]) -> list[Any]:
    program = "bench_weekly.py"

    def kilobytes(way: str) -> Callable[[Any], Any]:
        return lambda value: round(value[way]["edits"]["box_bytes"] / 1000)

    return [
        line("a week's 30 edited files and 500 records, kB per box", program, kilobytes("ours")),
        line("  beside it rsync -z --zc=zstd", program, kilobytes("rsync -z --zc=zstd")),
        line("  beside it whole files", program, kilobytes("whole files")),
        line("  of it new photos, which nobody had", program, lambda v: round(v["new_photo_bytes"] / 1000)),
        line("  ours / rsync, both ways", program, lambda v: v["edits_to_rsync_both_ways"], at_most=0.1),
        line(
            "  the same but the new photos",
            program,
            lambda v: v["edits_to_rsync_but_photos_both_ways"],
            at_most=0.1,
        ),
        line("its 2 new films, 3 boxes of a LAN: egress / content", program, lambda v: v["films_egress"]),
    ]


def _behind(line: Callable[..., Any]) -> list[Any]:
    program = "bench_behind.py"

    def megabytes(way: str) -> Callable[[Any], Any]:
        return lambda value: round(value[way]["bytes"] / 1e6, 2)

    return [
        line("ten missed releases, MB", program, megabytes("ours")),
        line("  the same by our rsync road", program, megabytes("ours by rsync")),
        line("  beside it rsync -z --zc=zstd", program, megabytes("rsync -z --zc=zstd")),
        line("  beside it whole changed files", program, megabytes("whole changed files")),
    ]


def _cuts(line: Callable[..., Any]) -> list[Any]:
    program = "bench_cuts.py"

    def again(way: str) -> Callable[[Any], Any]:
        return lambda value: round(value[way]["again_bytes_per_kill"] / 1e6, 2)

    return [
        line("kill -9 over HTTP and the swarm: MB sent again", program, again("ours, http"), at_most=1.2),
        line("kill -9 over rsync: MB sent again", program, again("ours, rsync"), at_most=1.2),
        line("  beside it rsync -a --partial", program, again("rsync -a --partial")),
    ]


def _memory(line: Callable[..., Any]) -> list[Any]:
    program = "bench_memory.py"
    return [
        line("sharing 2,000 torrents, MB", program, lambda v: v["ours"]["after_fetches"]),
        line("  of it before the first torrent", program, lambda v: v["ours"]["session"]),
        line("  beside it bare libtorrent", program, lambda v: v["bare libtorrent"]["after_fetches"]),
    ]
