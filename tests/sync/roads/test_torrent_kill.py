"""A swarm that is killed: what the next run asks for again is at most a MiB and a piece."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from swarms import MIB, NOWHERE, seeder, shared

from catalog.blobs import hash_file

FETCHER = textwrap.dedent("""
    import sys
    from pathlib import Path
    sys.path[:0] = sys.argv[1].split(":")
    from sync.roads.road import blob_file
    from sync.roads.staging import Staging
    from sync.roads.torrent import Swarm
    from sync.formats.torrentfile import read_torrent
    from swarms import settings
    torrent = read_torrent(Path(sys.argv[2]).read_bytes())
    file = blob_file(torrent.name, torrent.size_bytes)
    with Swarm(settings(stall_seconds=20.0)) as swarm, Staging(Path(sys.argv[3])) as staging:
        print("started", flush=True)
        missed = swarm.fetch(
            [(file, torrent)], staging, lambda batch: None, lambda count: None, peers=[("127.0.0.1", int(sys.argv[4]))]
        )
        print("missed" if missed else "whole", flush=True)
""")


@pytest.mark.slow
def test_a_kill_costs_a_mib_and_a_piece(root: Path, tmp_path: Path) -> None:
    blob = shared(root, 40 * MIB)
    torrent = tmp_path / "one.torrent"
    torrent.write_bytes(blob.torrent.data)
    staging = tmp_path / "staging"
    chance = random.Random(11)
    kills = 0
    # 8 MiB a second, so that a kill falls into the middle.
    with seeder(blob, networks=NOWHERE, education_line=True, up_bytes_per_second=8 * MIB) as source:
        command = [sys.executable, "-c", FETCHER, ":".join(sys.path), torrent, staging, str(source.port)]
        said = ""
        while said != "whole\n":
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            assert process.stdout is not None
            assert process.stdout.readline() == "started\n"
            if kills < 8:
                time.sleep(chance.uniform(0.7, 1.6))
                process.send_signal(signal.SIGKILL)
            said = process.stdout.readline()
            process.wait()
            process.stdout.close()
            kills += said == ""
            assert said != "missed\n"
        [handle] = source._seeds.values()
        sent = handle.status(0).total_payload_upload
    assert kills >= 4
    assert hash_file(staging / blob.file.sha256) == blob.file.sha256
    again = sent - blob.file.size_bytes
    # What the source had handed to its own kernel counts here as well: some hundred kB each time.
    assert again <= kills * (MIB + blob.torrent.piece_length + MIB // 2), again / kills / MIB
