"""A catalogue of 500,000 records of which 500 change: what the next release costs a box, the hub, and their lines.

Run: `python tests/bench/bench_catalogue.py [--work DIR] [--records N] [--changed N] [--behind N …]`; about ten minutes,
most of them to make the catalogue. Prints one JSON object. Real `hub publish`, `hub serve` and `box sync` (which
subscribes to no content), between them a proxy that counts bytes; beside them rsync with zstd over the same manifest.
The records' films are names of empty files: nobody fetches them.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench_poll import Wire
from builders import Store, file_of
from command import call, command, environment, service
from search_corpus import resources

from catalog.manifest import Bundle
from catalog.resource import File, Resource
from sync.formats.release import BundleHead
from sync.trust.heads import current_head

BUNDLE = "main"
FILM_BYTES = 2 << 20
# A file has at most 65,000 names on ext4, and the tree gives each a second one.
_NAMES_PER_FILE = 20_000
_BATCH = 5000
APPLY = """
import json, resource, shutil, sys
from pathlib import Path
from catalog.blobs import Blob, Staged
from catalog.library import Library
from sync.updating.catalogue import compare_release
from sync.trust.heads import current_head
from sync.updating.manifest_door import ManifestDoor
from sync.updating.manifests import manifest_lines, standing
old, public, staging, library = map(Path, sys.argv[1:])
release = current_head(public).release

def memory_mb(name):
    text = Path("/proc/self/status").read_text()
    return int(text.partition(name + ":")[2].split()[0]) / 1024

def cpu_seconds():
    found = resource.getrusage(resource.RUSAGE_SELF)
    return found.ru_utime + found.ru_stime

def bring(files, door):
    for file in files:
        place = staging / file.sha256
        shutil.copyfile(public / file.path, place)
        assert not door([Staged(path=place, blob=Blob(sha256=file.sha256, size_bytes=file.size_bytes))])
    return []

def compare(made):
    before = cpu_seconds()
    with Library.open(library) as held:
        lines = lambda head: manifest_lines(old, head)
        (change,), _ = compare_release(held, release, lines, staging, known=lambda _: False, made=made)
    return change.delta, round(cpu_seconds() - before, 2)

door = ManifestDoor(release, old, staging)
Path("/proc/self/clear_refs").write_text("5")
memory, seconds = memory_mb("VmRSS"), cpu_seconds()
door.run(bring)
memory_after, seconds_after = memory_mb("VmHWM"), cpu_seconds()
assert not door.warnings and len(door.changes) == 1, door.warnings
form = standing(old, release.bundles[0].manifest)
(changed, by_delta), (also, whole) = compare(door.changes), compare({})
assert changed == also
print(json.dumps({
    "cpu_seconds": round(seconds_after - seconds, 2),
    "extra_memory_mb": round(memory_after - memory, 1),
    "kept_compressed": form == release.bundles[0].manifest.zst,
    "compare_cpu_seconds": by_delta,
    "compare_whole_cpu_seconds": whole,
}))
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=Path)
    parser.add_argument("--records", type=int, default=500_000)
    parser.add_argument("--changed", type=int, default=500)
    parser.add_argument("--behind", type=int, nargs="*", default=[1])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.work) as name:
        print(json.dumps(run(Path(name), options), indent=1))


def run(work: Path, options: argparse.Namespace) -> dict[str, Any]:
    hub, box = work / "hub", work / "box"
    fingerprint = call(hub, "hub", "init", "--name", "bench")["fingerprint"]
    fill(hub, options.records)
    found: dict[str, Any] = {"records": options.records, "changed": options.changed}
    found["publish_first"] = measured(hub, "hub", "publish")
    with service(hub, "hub", "serve", "--host", "127.0.0.1", "--port", "0") as answer:
        wire = Wire(urlsplit(answer["address"]).port or 0)
        address = f"http://127.0.0.1:{wire.port}/"
        call(box, "box", "init", "--hub", address, "--fingerprint", fingerprint, "--subscribe", "none")
        found["sync_first"] = sync(box, wire)
        seed = 0
        for behind in options.behind:
            shutil.rmtree(work / "old", ignore_errors=True)
            shutil.copytree(hub / "public", work / "old", ignore=shutil.ignore_patterns("blobs"))
            for _ in range(behind):
                seed += 1
                change(hub, options.records, options.changed, seed)
                published = measured(hub, "hub", "publish")
            part: dict[str, Any] = {"publish": published, "lists": sizes(hub)}
            part["deltas"] = {
                one.source: sum(file.size_bytes for file in one.files()) for one in release(hub).deltas
            }
            if behind <= len(release(hub).deltas):
                part["apply"] = apply(work, hub, box)
            part["sync"] = sync(box, wire)
            part["rsync"] = by_rsync(work, hub)
            found[f"behind_{behind}"] = part
            print(json.dumps({f"behind_{behind}": part}), file=sys.stderr, flush=True)
        wire.close()
    return found


# -- the catalogue ---------------------------------------------------------------------------------------------------


def fill(hub: Path, records: int) -> None:
    """Put the records into the hub's library, each with a film whose hash is random and whose file is empty."""
    dice = random.Random(1)
    folder = hub / "films"
    folder.mkdir()
    with Store(hub) as store:
        batch: list[Resource] = []
        for number, record in enumerate(resources(records)):
            name = dice.randbytes(32).hex()
            film = folder / str(number // _NAMES_PER_FILE)
            if not film.exists():
                film.touch(0o644)
                os.truncate(film, FILM_BYTES)
            place = store.blobs.path(name)
            place.parent.mkdir(exist_ok=True)
            place.hardlink_to(film)
            batch.append(replace(record, id=f"r{number:06}", files=(_film(record, name),)))
            if len(batch) == _BATCH or number == records - 1:
                with store.library.writing() as writer:
                    writer.put_bundle(Bundle(id=BUNDLE, version=1, title="全县资源", publisher="bench"))
                    for one in batch:
                        writer.put_resource(one, BUNDLE)
                batch.clear()
    shutil.rmtree(folder)


def _film(record: Resource, sha256: str) -> File:
    name = f"{record.title.replace('/', '-')[:40]}.mp4"
    return File(role="play", name=name, media_type="video/mp4", size_bytes=FILM_BYTES, sha256=sha256)


def change(hub: Path, records: int, count: int, seed: int) -> None:
    """Change `count` records: half get another title, a quarter other words, a tenth each a new file, come, or go."""
    dice = random.Random(seed)
    numbers = dice.sample(range(records), count)
    with Store(hub) as store:
        with store.library.reading() as reader:
            entries = reader.resources(f"r{number:06}" for number in numbers)
        changed, gone = [], []
        for number, entry in enumerate(entries):
            record, share = entry.resource, number / count
            if share < 0.5:
                changed.append(replace(record, title=f"{record.title}（修订{seed}）"))
            elif share < 0.7:
                words = record.description or ""
                changed.append(replace(record, description=f"{words[:20]}更新{seed}{words[24:]}"))
            elif share < 0.9:
                data = dice.randbytes(dice.randrange(2000, 40_000))
                store.add(data)
                files = (file_of(data, "学习单.pdf", role="source", media_type="application/pdf"),)
                fresh = share < 0.8
                changed.append(replace(record, files=files, id=f"n{seed}-{number}" if fresh else record.id))
            else:
                gone.append(record.id)
        with store.library.writing() as writer:
            for one in changed:
                writer.put_resource(one, BUNDLE)
            writer.remove_resources(BUNDLE, gone)


def release(hub: Path) -> BundleHead:
    head = current_head(hub / "public")
    assert head is not None
    return head.release.bundles[0]


def sizes(hub: Path) -> dict[str, int]:
    head = release(hub)
    return {
        "manifest": head.manifest.plain.size_bytes,
        "manifest_zst": head.manifest.zst.size_bytes,
        "transport_zst": head.transport.zst.size_bytes,
    }


# -- measuring -------------------------------------------------------------------------------------------------------


def measured(state: Path, *arguments: object) -> dict[str, Any]:
    """Run a command; return its wall and CPU seconds, the most memory that it had, and what it said."""
    started = time.monotonic()
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            command(state, *arguments), stdout=said, env=environment(), stdin=subprocess.DEVNULL
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, arguments
        said.seek(0)
        value = json.load(said)
    return {
        "seconds": round(time.monotonic() - started, 1),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "memory_mb": round(used.ru_maxrss / 1024),
        "said": value,
    }


def sync(box: Path, wire: Wire) -> dict[str, Any]:
    wire.reset()
    found = measured(box, "box", "sync")
    said = found.pop("said")
    assert not said.get("warnings"), said
    return {**found, "down_bytes": wire.down_bytes, "up_bytes": wire.up_bytes, "release": said["release"]}


def apply(work: Path, hub: Path, box: Path) -> dict[str, Any]:
    """Apply the deltas in a process of its own, beside the box: what that alone takes, and the comparison after it."""
    staging = work / "staging"
    staging.mkdir(exist_ok=True)
    arguments = [sys.executable, "-c", APPLY, work / "old", hub / "public", staging, box / "library.db"]
    done = subprocess.run(list(map(str, arguments)), check=True, capture_output=True, text=True)
    value: dict[str, Any] = json.loads(done.stdout)
    return value


def by_rsync(work: Path, hub: Path) -> dict[str, Any]:
    """Bring the same manifest from its old state to its new one by rsync with zstd, plain and as `.zst`."""
    served, kept = work / "served", work / "kept"
    old = current_head(work / "old")
    assert old is not None
    # Our own daemon refuses to compress: a remote shell that stays here starts the other end.
    shell = work / "shell"
    shell.write_text('#!/bin/sh\nshift\nexec "$@"\n')
    shell.chmod(0o755)
    found = {}
    for form in ("plain", "zst"):
        for folder, root, head in (
            (served, hub / "public", release(hub)),
            (kept, work / "old", old.release.bundles[0]),
        ):
            folder.mkdir(exist_ok=True)
            shutil.copyfile(root / getattr(head.manifest, form).path, folder / "manifest")
        done = subprocess.run(
            ["rsync", "-z", "--zc=zstd", "--ignore-times", "--no-whole-file", "--stats", f"--rsh={shell}",
             f"there:{served}/manifest", f"{kept}/"], check=True, capture_output=True, text=True,
        )  # fmt: skip
        assert filecmp.cmp(kept / "manifest", served / "manifest", shallow=False)
        counts = dict(re.findall(r"Total bytes (sent|received): ([\d,]+)", done.stdout))
        found[form] = {f"{way}_bytes": int(count.replace(",", "")) for way, count in counts.items()}
    for folder in (served, kept):
        shutil.rmtree(folder)
    return found


if __name__ == "__main__":
    main()
