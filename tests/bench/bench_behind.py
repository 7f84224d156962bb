"""A box that missed ten releases: bytes to catch up, beside rsync with zstd over the plain files and whole files.

Run: `python tests/bench/bench_behind.py [--releases 10] [--files 30]`. Each release edits a tenth of the files (each file
once, by the kinds of `edits.py`) and fifty records of 5,000 and adds a lesson of 1 MB; the hub keeps four releases. Ours
over what the box would take by itself, and told to use the hub's rsync daemon. Prints one JSON object; bytes are those of
IP packets from the hub.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench_weekly import FAST, RECORDS, catalogue, title
from command import command
from edits import edited_files
from netlab import Lab, Towns, one_lan, why_not
from poor_lines import (
    RSYNC_PORT,
    CountyHub,
    Run,
    at_once,
    http_words,
    measured,
    plain_http,
    plain_rsync,
    rsync_words,
)

EDITED_RECORDS = 50
LESSON_BYTES = 1_000_000


class Behind:
    """A hub's plain files release by release."""

    def __init__(self, work: Path, towns: Towns, files: int, releases: int) -> None:
        self.work = work
        self.towns = towns
        self.releases = releases
        self.edits = edited_files(files)
        self.plain = work / "plain"
        self.plain.mkdir()
        self.hub = CountyHub(work / "hub", towns.hub_host)
        self.titles = {f"r{n}": title(n, False) for n in range(RECORDS)}
        for name, before, _ in self.edits:
            (self.plain / name).write_bytes(before)
        self._publish(list(self.plain.iterdir()), 0)

    def go_on(self) -> None:
        """Publish the releases that the boxes miss."""
        for release in range(self.releases):
            changed = []
            for name, _, after in self.edits[release :: self.releases]:
                (self.plain / name).write_bytes(after)
                changed.append(self.plain / name)
            lesson = self.plain / f"lesson{release}.mp4"
            lesson.write_bytes(random.Random(release).randbytes(LESSON_BYTES))
            self._publish([*changed, lesson], (release + 1) * EDITED_RECORDS)

    def _publish(self, paths: list[Path], edited: int) -> None:
        resources = {path.stem.replace("_", "-"): [path] for path in paths}
        records: dict[str, list[Path]] = {f"r{n}": [] for n in range(RECORDS)}
        self.titles |= {f"r{n}": title(n, n < edited) for n in range(RECORDS)}
        self.hub.publish(resources | records, self.titles)

    def catch_up(self, state: Path, *options: object) -> dict[str, Any]:
        run = measured(
            self.towns, lambda: at_once([(self.towns.boxes[0], command(state, "box", "sync", *options))])
        )
        said = json.loads(run.each[0])
        return {**figures(run), "roads": said["roads"], "saved": said.get("saved")}

    def plain_ways(self, before: Path) -> dict[str, Any]:
        """Bring a folder of `before` up to date by rsync, and fetch what changed whole."""
        (self.plain / "catalogue.jsonl").write_bytes(catalogue(self.releases * EDITED_RECORDS))
        box, found = self.towns.boxes[0], {}
        names = [
            path.name
            for path in self.plain.iterdir()
            if not (before / path.name).exists() or (before / path.name).read_bytes() != path.read_bytes()
        ]
        (self.work / "names").write_text("\n".join(names))
        target = Path(shutil.copytree(before, self.work / "target"))
        with plain_rsync(self.towns.hub, self.plain, self.work / "rsyncd"):
            words = rsync_words(self.towns.hub_host, target, "-z", "--zc=zstd", "--ignore-times")
            found["rsync -z --zc=zstd"] = figures(measured(self.towns, lambda: at_once([(box, words)])))
        with plain_http(self.towns.hub, self.plain) as port:
            words = http_words(self.towns.hub_host, port, self.work / "names", self.work / "whole", 4)
            found["whole changed files"] = figures(measured(self.towns, lambda: at_once([(box, words)])))
        return found


def figures(run: Run) -> dict[str, Any]:
    """Return bytes and seconds of a run."""
    return {"bytes": run.hub_bytes, "seconds": round(run.seconds, 1)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--releases", type=int, default=10)
    parser.add_argument("--files", type=int, default=30)
    options = parser.parse_args()
    if reason := why_not():
        sys.exit(reason)
    with tempfile.TemporaryDirectory() as name, Lab() as lab:
        work = Path(name)
        behind = Behind(work, one_lan(lab, boxes=1, speeds=FAST), options.files, options.releases)
        before = Path(shutil.copytree(behind.plain, work / "before"))
        (before / "catalogue.jsonl").write_bytes(catalogue(0))
        ways: dict[str, tuple[object, ...]] = {
            "ours": (),
            "ours by rsync": ("--from", f"rsync://{behind.towns.hub_host}:{RSYNC_PORT}/tree"),
        }
        found: dict[str, Any] = {"releases": options.releases}
        with behind.hub.running(behind.towns.hub):
            boxes = {way: behind.hub.new_box(work / way.replace(" ", "-")) for way in ways}
            for state in boxes.values():
                behind.catch_up(state)
            behind.go_on()
            for way, words in ways.items():
                found[way] = behind.catch_up(boxes[way], *words)
        found |= behind.plain_ways(before)
        found["to_rsync"] = round(found["ours"]["bytes"] / found["rsync -z --zc=zstd"]["bytes"], 2)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
