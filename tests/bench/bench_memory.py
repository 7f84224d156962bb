"""Memory of a process that shares 2,000 big blobs, beside a bare libtorrent session with the same torrents.

Run: `python tests/bench/bench_memory.py [--torrents 2000] [--megabytes 8]`. Each measures itself in a process of its own:
resident memory with Python and what the swarm imports, with the session, with all torrents, and after eight peers
have fetched eight blobs of it. Blobs are sparse files, each with a beginning of its own. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

PEERS, LIMIT_SECONDS = 8, 120.0


def rss_mb() -> float:
    """Return the resident memory of this process in MB."""
    found = re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return round(int(found[1]) * 1024 / 1e6, 1)


def write_blobs(folder: Path, count: int, size_bytes: int) -> None:
    """Write `count` sparse files and their torrents, named by their hashes."""
    from catalog.blobs import hash_file
    from sync.formats.torrentfile import make_torrent

    place = folder / "new"
    for number in range(count):
        with place.open("wb") as stream:
            stream.write(b"%d" % number)
            stream.truncate(size_bytes)
        sha256 = hash_file(place)
        (folder / f"{sha256}.torrent").write_bytes(make_torrent(place, sha256).data)
        place.rename(folder / sha256)


def ours(folder: Path) -> dict[str, float]:
    """Share everything in `folder` as a box does."""
    from sync.formats.torrentfile import read_torrent
    from sync.roads.swarmsettings import SwarmSettings
    from sync.roads.torrent import Swarm

    found = {"imported": rss_mb()}
    began = time.process_time()
    with Swarm(SwarmSettings(listen=("127.0.0.1",))) as swarm:
        found["session"] = rss_mb()
        for path in folder.glob("*.torrent"):
            swarm.seed(read_torrent(path.read_bytes()), path.with_suffix(""))
        time.sleep(2)
        found["all_torrents"] = rss_mb()
        found["cpu_seconds"] = round(time.process_time() - began, 1)
        fetch_some(folder, swarm.port)
        found["after_fetches"] = rss_mb()
    return found


def bare(folder: Path) -> dict[str, float]:
    """Share everything in `folder` by libtorrent with its defaults."""
    import libtorrent

    found = {"imported": rss_mb()}
    began = time.process_time()
    session = libtorrent.session({"listen_interfaces": "127.0.0.1:0"})
    found["session"] = rss_mb()
    for path in folder.glob("*.torrent"):
        parameters = libtorrent.load_torrent_file(str(path))
        parameters.save_path = str(folder)
        # All at once, as ours: by default five would seed and the others wait.
        flags = libtorrent.torrent_flags
        parameters.flags = (parameters.flags | flags.seed_mode) & ~flags.auto_managed & ~flags.paused
        session.add_torrent(parameters)
    time.sleep(2)
    found["all_torrents"] = rss_mb()
    found["cpu_seconds"] = round(time.process_time() - began, 1)
    fetch_some(folder, session.listen_port())
    found["after_fetches"] = rss_mb()
    return found


def fetch_some(folder: Path, port: int) -> None:
    """Let a foreign peer, in a process of its own, fetch some of the blobs."""
    torrents = sorted(folder.glob("*.torrent"))[:PEERS]
    with tempfile.TemporaryDirectory() as target:
        words = [sys.executable, __file__, "--peer", target, str(port), *map(str, torrents)]
        subprocess.run(words, check=True, timeout=LIMIT_SECONDS)


def peer(target: str, port: str, *torrents: str) -> None:
    """Fetch these torrents from the local port."""
    import libtorrent

    session = libtorrent.session(
        {"listen_interfaces": "127.0.0.1:0", "allow_multiple_connections_per_ip": True}
    )
    handles = []
    for torrent in torrents:
        parameters = libtorrent.load_torrent_file(torrent)
        parameters.save_path = target
        handles.append(session.add_torrent(parameters))
        handles[-1].connect_peer(("127.0.0.1", int(port)))
    while not all(handle.status().is_seeding for handle in handles):
        time.sleep(0.05)


WAYS: dict[str, Callable[[Path], dict[str, float]]] = {"ours": ours, "bare libtorrent": bare}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--torrents", type=int, default=2000)
    parser.add_argument("--megabytes", type=float, default=8)
    parser.add_argument("--way", choices=WAYS)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--peer", nargs="+")
    options = parser.parse_args()
    if options.peer:
        peer(*options.peer)
        return
    if options.way:
        print(json.dumps(WAYS[options.way](options.folder)))
        return
    found: dict[str, Any] = {"torrents": options.torrents, "blob_megabytes": options.megabytes}
    with tempfile.TemporaryDirectory() as name:
        write_blobs(Path(name), options.torrents, int(options.megabytes * 1e6))
        for way in WAYS:
            words = [sys.executable, "-W", "ignore", __file__, "--way", way, "--folder", name]
            done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
            found[way] = json.loads(done.stdout)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
