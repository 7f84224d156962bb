"""Publishing as the catalogue grows: a week of 500 edited records and 30 edited files, from 10,000 to 500,000 records.

Run: `python tests/bench/bench_publish.py [--records 10000 100000 500000]`. For each size a hub of its own, in a process of its
own: the first release, the same again (nothing may be published), then the week. CPU seconds are those of the process
and of the programs it runs (patches); `carry` is what 100,000 lines of torrents cost when a transport file is carried
over. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent))

from builders import file_of, sha256
from county import DAY, NOW, County
from edits import edited_files
from search_corpus import resources

from catalog.manifest import Bundle
from sync.formats.torrentfile import LEAST_BYTES
from sync.formats.transport import (
    Patch,
    Torrent,
    line_id,
    offer_line,
    read_offers,
    read_transport,
    transport_blob,
)
from sync.publishing.offering import transport_lines
from sync.trust.heads import current_head

SIZES = (10_000, 100_000, 500_000)
EDITED_RECORDS = 500
EDITED_FILES = 30
SHARED_BLOBS = 200
CARRIED_LINES = 100_000
_T = TypeVar("_T")


def cpu() -> tuple[float, float]:
    """Return the CPU seconds of this process, and of the programs it ran."""
    own, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime, others.ru_utime + others.ru_stime


def measured(work: Callable[[], _T]) -> tuple[_T, dict[str, float]]:
    """Return what `work` returns, and its CPU and wall seconds."""
    own, others = cpu()
    began = time.perf_counter()
    result = work()
    own_after, others_after = cpu()
    return result, {
        "cpu_seconds": round(own_after - own, 2),
        "patch_cpu_seconds": round(others_after - others, 2),
        "wall_seconds": round(time.perf_counter() - began, 2),
    }


def fill(county: County, records: int, files: list[tuple[str, bytes, bytes]]) -> None:
    """Put the catalogue into the library: most records share some small blobs, the first have a course file each."""
    shared = [b"%d " % number * 300 for number in range(SHARED_BLOBS)]
    for data in (*shared, *(before for _, before, _ in files)):
        county.store.add(data)
    with county.store.library.writing() as writer:
        writer.put_bundle(Bundle(id="main", version=1, title="全县资源", publisher=county.name))
        for number, record in enumerate(resources(records)):
            name, data = (
                files[number][:2] if number < len(files) else ("课.jpg", shared[number % SHARED_BLOBS])
            )
            writer.put_resource(replace(record, files=(file_of(data, name),)), "main")


def edit(county: County, files: list[tuple[str, bytes, bytes]]) -> None:
    """A week: new titles, and new bytes for the course files."""
    with county.store.library.reading() as reader:
        found = [entry.resource for entry in reader.by_numbers(list(range(1, EDITED_RECORDS + 1)))]
    for _, _, after in files:
        county.store.add(after)
    by_hash = {sha256(before): (name, after) for name, before, after in files}
    with county.store.library.writing() as writer:
        for record in found:
            named = by_hash.get(record.files[0].sha256)
            new = (file_of(named[1], named[0]),) if named else record.files
            writer.put_resource(replace(record, title=record.title + "（修订）", files=new), "main")


def measure(records: int) -> dict[str, Any]:
    """Return the figures of one size."""
    files = edited_files(EDITED_FILES)
    with tempfile.TemporaryDirectory() as name, County(Path(name) / "hub") as county:
        fill(county, records, files)
        _, first = measured(county.publish)
        again, unchanged = measured(lambda: county.publish(NOW + DAY / 2))
        edit(county, files)
        week, edited = measured(lambda: county.publish(NOW + DAY))
        assert not again.published and week.published and week.changed == EDITED_RECORDS
        head = current_head(county.public)
        assert head is not None
        (bundle,) = head.release.bundles
        lines = (county.public / bundle.transport.plain.path).read_bytes().splitlines()
        patches = [one for one in read_transport(lines, where="transport") if isinstance(one, Patch)]
        return {
            "records": records,
            "first": first,
            "unchanged": unchanged,
            "week": edited,
            "patches": len(patches),
            "patch_bytes": sum(one.file.size_bytes for one in patches),
            "patched_bytes": sum(one.target_bytes for one in patches),
            "bytes_for_a_box": week.bytes_new
            - sum(one.target_bytes - one.file.size_bytes for one in patches),
            "transport_zst_bytes": bundle.transport.zst.size_bytes,
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
        }


def carried() -> dict[str, Any]:
    """Return what 100,000 torrents in a transport file cost the hub that carries them over and a box that wants few."""

    def torrent(number: int) -> bytes:
        name = sha256(b"%d" % number)
        made = Torrent(
            blob=name,
            size_bytes=LEAST_BYTES + number,
            piece_length=1 << 16,
            pieces_root=name,
            v1=name[:40],
            v2=name,
            file=transport_blob(name, 9000),
        )
        return offer_line(made)

    head = b'{"bundle":"main","format":1,"manifest":"%s","version":1}\n' % sha256(b"").encode()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "transport.jsonl"
        path.write_bytes(head + b"".join(sorted(map(torrent, range(CARRIED_LINES)), key=line_id)))
        _, hub = measured(lambda: sum(line_id(line) != "" for line in transport_lines(path)))
        wanted = {sha256(b"%d" % number) for number in range(10)}

        def read() -> int:
            stream = io.BytesIO(path.read_bytes())
            offers = read_offers(stream, where="t", wanted=wanted.__contains__, has=wanted.__contains__)
            return len(offers.torrents)

        found, box = measured(read)
        assert found == len(wanted)
        return {
            "lines": CARRIED_LINES,
            "bytes": path.stat().st_size,
            "hub_cpu_seconds": hub["cpu_seconds"],
            "box_cpu_seconds": box["cpu_seconds"],
        }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, nargs="*", default=list(SIZES))
    parser.add_argument("--one", type=int, help="measure one size in this process")
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(given.one)))
        return
    sizes = []
    for records in given.records:
        command = [sys.executable, __file__, "--one", str(records)]
        sizes.append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))
    few, many = sizes[0], sizes[-1]
    cost = {
        name: round(
            many[name]["cpu_seconds"] / many["records"] * few["records"] / few[name]["cpu_seconds"], 2
        )
        for name in ("first", "unchanged")
    }
    # A week's edits cost the same whatever else there is; what grows is one reading of all records.
    more = [
        (after["week"]["cpu_seconds"] - before["week"]["cpu_seconds"])
        / (after["records"] - before["records"])
        for before, after in pairwise(sizes)
    ]
    growth = {
        "records": round(many["records"] / few["records"], 1),
        "cost_of_a_record": cost,
        "week_us_for_each_more_record": [round(one * 1e6, 1) for one in more],
        "week_cpu": round(
            sum(many["week"][name] for name in ("cpu_seconds", "patch_cpu_seconds"))
            / sum(few["week"][name] for name in ("cpu_seconds", "patch_cpu_seconds")),
            2,
        ),
        "bytes_for_a_box": round(many["bytes_for_a_box"] / few["bytes_for_a_box"], 2),
    }
    print(json.dumps({"sizes": sizes, "growth": growth, "carried": carried()}))


if __name__ == "__main__":
    main()
