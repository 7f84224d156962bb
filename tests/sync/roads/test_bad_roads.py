"""Roads that fail again and again: each run says so in one code, loses nothing, and the next goes on inside the file."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from bad_roads import MIB, BadRoad, Wrong
from county import County
from hostile import HostileHub, Misbehaviour
from syncing_box import SyncingBox
from wsgi import address_of

from catalog.errors import ShuxiangError
from sync.daemon import DaemonSettings, RsyncDaemon
from sync.roads import RoadSettings
from sync.serve import published_tree

from .conftest import free_port

SMALL, LARGE_BYTES = 20, 5 * MIB + 4321
IMPATIENT = RoadSettings(timeout_seconds=0.6, retry_pause_seconds=0.01)
# Metadata, manifests, heads of answers and lists of files, for one run.
OVERHEAD_BYTES = 120_000
MOST_RUNS = 20


@pytest.fixture
def county(tmp_path: Path) -> Iterator[County]:
    with County(tmp_path / "hub") as county:
        noise = random.Random(11)
        for number in range(SMALL):
            county.add(f"r{number}", noise.randbytes(noise.randrange(500, 30_000)), title=f"第{number}课")
        county.add("film", noise.randbytes(LARGE_BYTES), title="长江")
        county.publish()
        yield county


@dataclass(frozen=True)
class Server:
    """A server of the county's tree, and how the address of a line before it is written."""

    port: int
    form: str

    def address(self, line: BadRoad) -> str:
        return self.form.format(port=line.port)


@pytest.fixture(params=["http", "rsync"])
def server(request: pytest.FixtureRequest, county: County, tmp_path: Path) -> Iterator[Server]:
    with ExitStack() as stack:
        if request.param == "http":
            address = stack.enter_context(address_of(published_tree(county.public)))
            port = int(address.rstrip("/").rpartition(":")[2])
            yield Server(port, "http://127.0.0.1:{port}/")
        else:
            port = free_port()
            settings = DaemonSettings(port=port, address="127.0.0.1")
            stack.enter_context(RsyncDaemon(county.public, tmp_path / "daemon", settings))
            yield Server(port, "rsync://127.0.0.1:{port}/tree/")


def refusal(box: SyncingBox, source: str | Path) -> ShuxiangError | None:
    """Run once; return what kept the run from its end, which is one line in both languages."""
    try:
        error = box.update(source, road=IMPATIENT).failure
    except ShuxiangError as refused:
        error = refused
    box.check()
    for language in ("zh-CN", "en") if error else ():
        line = error.line(language) if error else ""
        assert error and line.startswith(f"{error.code}: ") and "\n" not in line and len(line) < 600
    return error


def content_bytes(county: County) -> int:
    return sum(path.stat().st_size for path in (county.public / "blobs").rglob("*") if path.is_file())


def film(county: County) -> str:
    return max((county.public / "blobs").rglob("*"), key=lambda path: path.stat().st_size).name


@pytest.mark.parametrize("wrong", [Wrong.RESET, Wrong.END, Wrong.STALL], ids=lambda one: one.value)
def test_a_line_that_fails_each_mebibyte(
    wrong: Wrong, server: Server, county: County, tmp_path: Path
) -> None:
    runs, error = 0, None
    with SyncingBox(tmp_path / "box", county) as box, BadRoad(server.port, wrong) as line:
        while runs < MOST_RUNS:
            runs += 1
            before = line.down_bytes
            error = refusal(box, server.address(line))
            if error is None:
                break
            assert error.code in ("E-ROAD-SHORT", "E-ROAD"), error
            # Each run brings what the line let through: it never begins anew.
            assert line.down_bytes - before > 0.9 * MIB
        assert error is None, f"not done after {runs} runs: {error}"
        assert box.entry("film").current and len(box.held()) == SMALL + 1
        again = line.down_bytes - content_bytes(county)
        assert line.faults >= LARGE_BYTES // MIB
        assert again <= line.faults * MIB // 4 + runs * OVERHEAD_BYTES, (again, line.faults, runs)


@pytest.mark.parametrize("wrong", [Wrong.PAGE, Wrong.REDIRECT], ids=lambda one: one.value)
def test_a_portal_that_closes_in_the_middle(
    wrong: Wrong, server: Server, county: County, tmp_path: Path
) -> None:
    with SyncingBox(tmp_path / "box", county) as box, BadRoad(server.port) as line:
        line.turn_after(3 * MIB, wrong)
        first = refusal(box, server.address(line))
        assert first is not None and 30 <= first.exit_code < 40
        assert len(box.ids()) == SMALL + 1 and not box.entry("film").cached
        # Whoever comes now meets only the portal.
        second = refusal(box, server.address(line))
        assert second is not None and (second.code, second.exit_code) == ("E-PORTAL", 34)
        line.heal()
        before = line.down_bytes
        assert refusal(box, server.address(line)) is None
        assert line.down_bytes - before <= content_bytes(county) - 2 * MIB
        assert box.entry("film").current


def test_bits_that_flip_are_never_shown(server: Server, county: County, tmp_path: Path) -> None:
    with SyncingBox(tmp_path / "box", county) as box, BadRoad(server.port, Wrong.FLIP) as line:
        for _ in range(2):
            error = refusal(box, server.address(line))
            # rsync checks by itself; either way what is shown has its hash.
            assert error is None or 10 <= error.exit_code < 20 or 30 <= error.exit_code < 40
        line.heal()
        assert refusal(box, server.address(line)) is None
        assert len(box.held()) == SMALL + 1


@pytest.mark.parametrize("lie", [5000, -5000], ids=["longer", "shorter"])
def test_a_length_that_is_always_wrong(lie: int, county: County, tmp_path: Path) -> None:
    wrong = Misbehaviour(film(county), lie_length=lie)
    with HostileHub(county.public, wrong) as hub, SyncingBox(tmp_path / "box", county) as box:
        error = refusal(box, hub.address)
        assert error is not None and (error.code, error.exit_code) == ("E-SIZE", 14)
        assert len(box.held()) == SMALL
        hub.wrong.clear()
        assert refusal(box, hub.address) is None


@pytest.mark.parametrize("source", ["http://hub.invalid:8088/", "rsync://hub.invalid/tree/"])
def test_a_name_that_no_longer_resolves(source: str, county: County, tmp_path: Path) -> None:
    with SyncingBox(tmp_path / "box", county) as box:
        assert refusal(box, county.public) is None
        error = refusal(box, source)
        assert error is not None and (error.code, error.exit_code) == ("E-ROAD", 32)
        assert "hub.invalid" in error.line("zh-CN")
        assert box.entry("film").current
        # Another source in the list is asked all the same.
        assert box.update(source, county.public, road=IMPATIENT).failure is None


def test_a_hub_that_moved_goes_on_inside_the_file(server: Server, county: County, tmp_path: Path) -> None:
    with SyncingBox(tmp_path / "box", county) as box:
        with BadRoad(server.port) as old:
            old.every_bytes = 0
            old.turn_after(3 * MIB, Wrong.RESET)
            assert refusal(box, server.address(old)) is not None
        # The old address is dead, the hub answers at another one, and there is a tree that was known at the old.
        with BadRoad(server.port) as new:
            gone = refusal(box, server.address(old))
            assert gone is not None and gone.code == "E-ROAD"
            assert refusal(box, server.address(new)) is None
            assert new.down_bytes <= content_bytes(county) - 2 * MIB


def test_a_stick_with_links_pipes_and_folders_in_place_of_files(county: County, tmp_path: Path) -> None:
    """A link out of the tree brings bytes that are refused, a pipe does not hang: the rest comes."""
    stick, secret = tmp_path / "stick", tmp_path / "secret"
    secret.write_bytes(b"root:x:0:0")
    shutil.copytree(county.public, stick)
    linked, piped, folder = sorted(path for path in (stick / "blobs").rglob("*") if path.is_file())[:3]
    for path in (linked, piped, folder):
        path.unlink()
    linked.symlink_to(secret)
    os.mkfifo(piped)
    folder.mkdir()
    with SyncingBox(tmp_path / "box", county) as box:
        error = refusal(box, stick)
        assert error is not None and error.exit_code in (14, 32, 35)
        assert len(box.held()) == SMALL + 1 - 3
        left = (path for path in (box.state / "staging").iterdir() if path.is_file())
        assert not any(b"root:x" in path.read_bytes() for path in left)
        assert box.update(stick, county.public).failure is None
