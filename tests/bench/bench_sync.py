"""3,000 small and 5 large files on each road, beside `rsync -a --fsync` in the same run: bytes, wall and CPU time.

Run: `python tests/bench/bench_sync.py [--work DIR] [--small N] [--large-mb N]`. Prints one JSON object. Each road's
time is that of the whole way: connection, road, hash, flush, name, row, for a box that knows from an earlier sync where
at the address the tree is. The baseline, in turn with the roads, copies from a daemon and from a directory.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from builders import sha256

from catalog.blobs import BlobStore
from catalog.library import Library
from catalog.local import Local
from sync import tree
from sync.daemon import DaemonSettings, RsyncDaemon
from sync.formats.release import TreeFile
from sync.roads import RoadSettings
from sync.roads.road import blob_file
from sync.roads.staging import Staging
from sync.updating.carry import TREES, Carrier

SERVER = """
import sys
from pathlib import Path
from waitress.server import create_server
from sync.serve import published_tree
server = create_server(published_tree(Path(sys.argv[1])), host="127.0.0.1", port=0, threads=8)
print(server.effective_port, flush=True)
server.run()
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=Path)
    parser.add_argument("--small", type=int, default=3000)
    parser.add_argument("--large", type=int, default=5)
    parser.add_argument("--large-mb", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        print(json.dumps(run(Path(folder), options), indent=1))


def run(work: Path, options: argparse.Namespace) -> dict[str, Any]:
    root = work / "tree"
    small, large = grow(root, options.small, options.large, options.large_mb << 20)
    port = free_port()
    results: dict[str, Any] = {"rounds": options.rounds}
    daemon = DaemonSettings(port=port, address="127.0.0.1")
    with RsyncDaemon(root, work / "daemon", daemon), http_server(root) as http:
        roads = {"http": http, "rsync": f"rsync://127.0.0.1:{port}/tree/", "directory": str(root)}
        for kind, files in (("small", small), ("large", large)):
            total = sum(file.size_bytes for file in files)
            part: dict[str, Any] = {"files": len(files), "bytes": total}
            runs: dict[str, list[dict[str, float]]] = {}
            for _ in range(options.rounds):
                baselines = {
                    "rsync -a --fsync daemon": roads["rsync"],
                    "rsync -a --fsync directory": f"{root}/",
                }
                for name, source in baselines.items():
                    runs.setdefault(name, []).append(baseline(work, source, files))
                for name, address in roads.items():
                    runs.setdefault(name, []).append(bring(work, address, files))
            best = {name: min(found, key=lambda one: one["seconds"]) for name, found in runs.items()}
            for name, found in best.items():
                beside = "directory" if name == "directory" else "daemon"
                base = best[f"rsync -a --fsync {beside}"]
                if name in roads:
                    found["time_ratio"] = round(found["seconds"] / base["seconds"], 2)
                    found["bytes_ratio"] = round(found["received_bytes"] / total, 3)
                found["mb_per_second"] = round(total / found["seconds"] / 1e6, 1)
                part[name] = found
            results[kind] = part
    return results


def grow(root: Path, small: int, large: int, large_bytes: int) -> tuple[list[TreeFile], list[TreeFile]]:
    noise = random.Random(1)
    (root / "metadata").mkdir(parents=True)
    (root / tree.TIMESTAMP).write_bytes(b"{}")

    def put(data: bytes) -> TreeFile:
        file = blob_file(sha256(data), len(data))
        (root / file.path).parent.mkdir(parents=True, exist_ok=True)
        (root / file.path).write_bytes(data)
        return file

    few = [put(noise.randbytes(noise.randrange(1_000, 40_000))) for _ in range(small)]
    return few, [put(noise.randbytes(large_bytes + number)) for number in range(large)]


def bring(work: Path, address: str, files: list[TreeFile]) -> dict[str, float]:
    box = work / "box"
    for name in ("blobs", "staging"):
        (box / name).mkdir(parents=True)
    os.sync()
    with Library.open(box / "library.db", create=True) as library, Local.open(box / "local.db") as local:
        local.put(TREES, {address: address})
        blobs = BlobStore(box / "blobs", box / "staging", library.add_blobs)
        with (
            measured() as found,
            Staging(box / "staging") as staging,
            closing(Carrier([address], staging, RoadSettings(), local)) as carrier,
        ):
            brought = carrier.bring(files, blobs.admit, lambda _: None)
            found["received_bytes"] = sum(carrier.received().values())
        assert not brought.missed, brought.missed[0]
    shutil.rmtree(box)
    return found


def baseline(work: Path, source: str, files: list[TreeFile]) -> dict[str, float]:
    target = work / "plain"
    target.mkdir()
    listing = work / "files"
    listing.write_text("\n".join(file.path for file in files))
    os.sync()
    with measured() as found:
        subprocess.run(
            ["rsync", "-a", "--fsync", f"--files-from={listing}", source, f"{target}/"], check=True
        )
    shutil.rmtree(target)
    return found


@contextmanager
def measured() -> Iterator[dict[str, float]]:
    """Wall time, and CPU time of this process and its ended children (servers are not in it)."""

    def cpu() -> float:
        own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
        return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime

    found: dict[str, float] = {}
    cpu_before, before = cpu(), time.monotonic()
    yield found
    found["seconds"] = round(time.monotonic() - before, 3)
    found["cpu_seconds"] = round(cpu() - cpu_before, 3)


@contextmanager
def http_server(root: Path) -> Iterator[str]:
    process = subprocess.Popen([sys.executable, "-c", SERVER, str(root)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/"
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
