"""A week: 2 new films of 50 MB, 30 edited files, 500 edited records of 5,000, for three boxes of one LAN.

Run: `python tests/bench/bench_weekly.py [--film-megabytes 50] [--boxes 3] [--files 30] [--kinds]`. What is edited, and how
often: `edits.py`. Beside ours, in the same run and over the same lines: `rsync -z --zc=zstd` of the plain files (names as
last week's) with the catalogue as one file, and whole files by HTTP. Bytes are those of IP packets: what left the hub,
per box, and what boxes sent to it (an rsync client sends the checksums of what it has). `edits` is all but the films: the
part that patches are for; of it the new photos are bytes that nobody had, which every way has to bring: they count with
the packets' heads that plain HTTP of the same run takes for as many bytes of a film.
`--kinds` tells without any line what each kind of edit costs in a patch and in rsync (mean of its files, application
bytes, down and up), and the CPU seconds of all patches. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from builders import resource as record_of
from builders import sha256
from command import command
from edits import edited_files, new_bytes
from netlab import Lab, Speeds, Towns, one_lan, why_not
from poor_lines import CountyHub, at_once, http_words, measured, plain_http, plain_rsync, rsync_words

from catalog.blobs import Blob
from sync.parcels import patches

RECORDS, EDITED = 5000, 500
FILMS = 2
MBIT = 1_000_000
FAST = Speeds(hub_up=60 * MBIT, hub_down=60 * MBIT, town_down=60 * MBIT, town_up=60 * MBIT, delay_ms=5, queue_bytes=500_000)  # fmt: skip


class Week:
    """Two plain folders, last week's and this week's, and a hub that publishes either."""

    def __init__(self, work: Path, towns: Towns, options: argparse.Namespace) -> None:
        self.work = work
        self.towns = towns
        self.old, self.new, self.films = work / "old", work / "new", work / "films"
        for folder in (self.old, self.new, self.films):
            folder.mkdir()
        self.names = []
        for name, before, after in edited_files(options.files):
            (self.old / name).write_bytes(before)
            (self.new / name).write_bytes(after)
            self.names.append(name)
        for number in range(FILMS):
            film = random.Random(number).randbytes(int(options.film_megabytes * 1_000_000))
            (self.films / f"film{number}.mp4").write_bytes(film)
        for folder, edited in ((self.old, 0), (self.new, EDITED)):
            (folder / "catalogue.jsonl").write_bytes(catalogue(edited))
        self.hub = CountyHub(work / "hub", towns.hub_host)

    def publish(self, folder: Path, edited: int, films: bool) -> None:
        resources = {Path(name).stem.replace("_", "-"): [folder / name] for name in self.names}
        if films:
            resources |= {path.stem: [path] for path in sorted(self.films.iterdir())}
        records: dict[str, list[Path]] = {f"r{number}": [] for number in range(RECORDS)}
        self.hub.publish(resources | records, {f"r{n}": title(n, n < edited) for n in range(RECORDS)})

    def ours(self) -> dict[str, Any]:
        """Bring boxes from last week to this week: first the edits, then the films."""
        self.publish(self.old, 0, films=False)
        boxes = [self.hub.new_box(self.work / f"box-{number}") for number in range(len(self.towns.boxes))]
        jobs = [
            (node, command(state, "box", "sync")) for node, state in zip(self.towns.boxes, boxes, strict=True)
        ]
        found: dict[str, Any] = {}
        with self.hub.running(self.towns.hub):
            at_once(jobs)
            self.publish(self.new, EDITED, films=False)
            found["edits"] = self._measured(lambda: at_once(jobs), said=True)
            self.publish(self.new, EDITED, films=True)
            found["films"] = self._measured(lambda: at_once(jobs), said=True)
        return found

    def rsync(self) -> dict[str, Any]:
        """Bring plain folders from last week to this week."""
        return {
            "edits": self._rsync(self.old, self.new),
            "films": self._rsync(None, self.films),
        }

    def _rsync(self, before: Path | None, now: Path) -> dict[str, Any]:
        targets = [self.work / f"plain-{number}" for number in range(len(self.towns.boxes))]
        for target in targets:
            shutil.copytree(before, target) if before else target.mkdir()
        with plain_rsync(self.towns.hub, now, self.work / "rsyncd"):
            options = ("-z", "--zc=zstd", "--ignore-times")
            jobs = [
                (node, rsync_words(self.towns.hub_host, target, *options))
                for node, target in zip(self.towns.boxes, targets, strict=True)
            ]
            found = self._measured(lambda: at_once(jobs))
        for target in targets:
            for path in now.iterdir():
                assert (target / path.name).read_bytes() == path.read_bytes()
            shutil.rmtree(target)
        return found

    def whole(self) -> dict[str, Any]:
        """Fetch this week's files whole."""
        return {"edits": self._http(self.new), "films": self._http(self.films)}

    def _http(self, folder: Path) -> dict[str, Any]:
        listing = self.work / "names"
        listing.write_text("\n".join(sorted(path.name for path in folder.iterdir())))
        targets = [self.work / f"plain-{number}" for number in range(len(self.towns.boxes))]
        with plain_http(self.towns.hub, folder) as port:
            jobs = [
                (node, http_words(self.towns.hub_host, port, listing, target, 4))
                for node, target in zip(self.towns.boxes, targets, strict=True)
            ]
            found = self._measured(lambda: at_once(jobs))
        for target in targets:
            shutil.rmtree(target)
        return found

    def _measured(self, work: Callable[[], Iterable[Any]], *, said: bool = False) -> dict[str, Any]:
        boxes = len(self.towns.boxes)
        before = self.towns.hub_line.carried()[1].size_bytes
        run = measured(self.towns, work)
        found: dict[str, Any] = {
            "hub_bytes": run.hub_bytes,
            "box_bytes": run.hub_bytes // boxes,
            "box_sent_bytes": (self.towns.hub_line.carried()[1].size_bytes - before) // boxes,
            "seconds": round(run.seconds, 1),
        }
        if said:
            values = [json.loads(text) for text in run.each]
            found["roads"] = [value["roads"] for value in values]
            found["saved"] = [value.get("saved") for value in values]
        return found


def kinds(files: int) -> dict[str, Any]:
    """Return what each kind of edit costs: bytes of the patch, and of rsync with zstd, down and up; and CPU seconds."""
    make_cpu = apply_cpu = 0.0
    found: dict[str, list[tuple[str, int, int, int]]] = {}
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (work / "had").mkdir()
        for file, before, after in edited_files(files):
            paths = (work / "had" / "file", work / "file")
            blobs = []
            for path, data in zip(paths, (before, after), strict=True):
                path.write_bytes(data)
                blobs.append(Blob(sha256=sha256(data), size_bytes=len(data)))
            began = cpu_seconds()
            made = patches.make(blobs[0], paths[0], blobs[1], paths[1], work, release=1)
            make_cpu += cpu_seconds() - began
            assert made is not None, file
            began = cpu_seconds()
            patches.apply(made.patch, paths[0], made.path, work / "made")
            apply_cpu += cpu_seconds() - began
            command = ["rsync", "-a", "-z", "--zc=zstd", "--ignore-times", "--no-whole-file", "--stats"]
            said = subprocess.run(
                [*command, paths[1], f"{work / 'had'}/"], capture_output=True, text=True, check=True
            ).stdout
            down, up = (
                int(number.replace(",", ""))
                for number in re.findall(r"Total bytes (?:sent|received): ([\d,]+)", said)
            )
            kind = file.rpartition("-")[0]
            found.setdefault(kind, []).append((made.patch.method, made.patch.file.size_bytes, down, up))
    each = {
        kind: {
            "methods": sorted({row[0] for row in rows}),
            "patch": round(statistics.mean(row[1] for row in rows)),
            "rsync_down": round(statistics.mean(row[2] for row in rows)),
            "rsync_up": round(statistics.mean(row[3] for row in rows)),
        }
        for kind, rows in found.items()
    }
    return {
        "kinds": each,
        "make_cpu_seconds": round(make_cpu, 1),
        "apply_cpu_seconds": round(apply_cpu, 1),
    }


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of the programs it ran."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def title(number: int, edited: bool) -> str:
    return f"第{number}课 认识几分之一" + ("（修订）" if edited else "")


def catalogue(edited: int) -> bytes:
    """Return the records as the hub's manifest writes them: what rsync has to compare."""
    lines = [record_of(f"r{n}", title=title(n, n < edited)).canonical_line() for n in range(RECORDS)]
    return b"".join(line + b"\n" for line in lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--film-megabytes", type=float, default=50)
    parser.add_argument("--boxes", type=int, default=3)
    parser.add_argument("--files", type=int, default=30)
    parser.add_argument("--kinds", action="store_true")
    options = parser.parse_args()
    if options.kinds:
        print(json.dumps(kinds(options.files), indent=1))
        return
    if reason := why_not():
        sys.exit(reason)
    with tempfile.TemporaryDirectory() as name, Lab() as lab:
        week = Week(Path(name), one_lan(lab, boxes=options.boxes, speeds=FAST), options)
        found: dict[str, Any] = {
            "new_photo_bytes": new_bytes(options.files),
            "edited_bytes": sum((week.new / name).stat().st_size for name in week.names),
            "ours": week.ours(),
            "rsync -z --zc=zstd": week.rsync(),
            "whole files": week.whole(),
        }
        films_bytes = FILMS * options.film_megabytes * 1e6
        on_the_line = found["whole files"]["films"]["box_bytes"] / films_bytes
        photos = found["new_photo_line_bytes"] = round(found["new_photo_bytes"] * on_the_line)
        ours, theirs = found["ours"]["edits"], found["rsync -z --zc=zstd"]["edits"]
        for name, keys in (("", ("box_bytes",)), ("_both_ways", ("box_bytes", "box_sent_bytes"))):
            mine, other = (sum(way[key] for key in keys) for way in (ours, theirs))
            found[f"edits_to_rsync{name}"] = round(mine / other, 3)
            found[f"edits_to_rsync_but_photos{name}"] = round((mine - photos) / (other - photos), 3)
        found["films_egress"] = round(found["ours"]["films"]["hub_bytes"] / films_bytes, 3)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
