"""Other clients fetch our torrents from us and give them to us: what a county publishes is plain BitTorrent."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from foreign import client, program
from swarms import HERE, MIB, Shared, fetch, seeder, shared

from catalog.blobs import hash_file

CLIENTS = ["aria2c", "transmission-daemon"]


@pytest.fixture
def big(root: Path) -> Shared:
    return shared(root, 8 * MIB + 77)


@pytest.mark.parametrize("command", [["aria2c", "-S"], ["transmission-show"]])
def test_others_read_the_same_hash(command: list[str], big: Shared, tmp_path: Path) -> None:
    file = tmp_path / "one.torrent"
    file.write_bytes(big.torrent.data)
    shown = subprocess.run(
        [*program(command[0]), *command[1:], str(file)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout
    assert big.file.sha256 in shown
    assert big.torrent.v1 in shown


@pytest.mark.parametrize("name", CLIENTS)
def test_others_fetch_from_us(name: str, big: Shared, tmp_path: Path) -> None:
    got = tmp_path / "got" / big.file.sha256
    with seeder(big) as source, client(name, big, got.parent, has_it=False) as port:
        deadline = time.monotonic() + 180
        while not (got.exists() and got.stat().st_size == big.file.size_bytes and hash_file(got) == got.name):
            assert time.monotonic() < deadline, (tmp_path / f"{name}.log").read_text()[-2000:]
            # They look for nobody by themselves: we call.
            source.connect([(HERE, port)])
            time.sleep(1)


@pytest.mark.parametrize("name", CLIENTS)
def test_others_give_to_us(name: str, big: Shared, tmp_path: Path) -> None:
    with client(name, big, tmp_path / "has", has_it=True) as port:
        came = fetch(tmp_path / "ours", [big], peers=[(HERE, port)], stall_seconds=30.0)
    assert came.right and not came.wrong and not came.missed
    assert set(came.received) == {"lan"}
