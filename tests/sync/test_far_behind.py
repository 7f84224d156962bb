"""A box that is far behind, or was filled by hand: what is here already helps, whatever the hub still remembers."""

from __future__ import annotations

import random
import socket
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import pytest
from builders import file_of, sha256
from county import DAY, NOW, County
from syncing_box import QUICK, SyncingBox
from wsgi import address_of

from catalog.errors import RoadError
from sync.daemon import DaemonSettings, RsyncDaemon
from sync.line.rate import Governor
from sync.roads import find_tree
from sync.roads.road import RoadSettings
from sync.serve import published_tree
from sync.updating.explain import plan_text
from sync.updating.plan import DIFFERENCES, PACK, PATCH, WHOLE

MIB = 1 << 20


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_rsync_sends_what_differs_from_the_edition_that_serves(tmp_path: Path) -> None:
    noise = random.Random(3)
    old = noise.randbytes(5 * MIB)
    new = old[:700_000] + noise.randbytes(4_321) + old[700_000 : 4 * MIB] + old[4 * MIB + 50_000 :]
    with County(tmp_path / "hub") as county, SyncingBox(tmp_path / "box", county) as box:
        county.add("r1", old)
        county.add("r2", noise.randbytes(50_000))
        county.publish()
        settings = DaemonSettings(port=free_port(), address="127.0.0.1")
        with RsyncDaemon(county.public, tmp_path / "daemon", settings):
            address = f"rsync://127.0.0.1:{settings.port}/tree/"
            box.update(address)
            county.add("r1", new)
            county.publish(NOW + DAY)
            result = box.update(address, now=NOW + DAY)
        assert result.failure is None and result.fetched_blobs >= 1
        assert result.fetched_bytes < 100_000
        assert sha256(box.blobs.path(sha256(new)).read_bytes()) == sha256(new)
        box.check()
        assert sha256(old) not in box.held()


class Hub:
    """A hub that gives its tree over HTTP and hints at an rsync daemon, as `hub run` does."""

    def __init__(self, county: County, directory: Path, **daemon: object) -> None:
        self.county = county
        self.port = free_port()
        settings = DaemonSettings(port=self.port, address="127.0.0.1", **daemon)  # type: ignore[arg-type]
        self.daemon = RsyncDaemon(county.public, directory, settings)

    def add_document(self, resource_id: str, data: bytes) -> None:
        document = file_of(data, "课.pdf", role="source", media_type="application/pdf")
        self.county.add(resource_id, data, files=(document,))

    def publish(self, now: datetime) -> None:
        self.county.publish(now, roads=[f"rsync://{{host}}:{self.port}/tree/"])


FAR = RoadSettings(timeout_seconds=3, retry_pause_seconds=0.02, governor=Governor(lan=lambda _: False))
"""Loopback counts as a shared line here: to a neighbour nothing is spared."""
RELEASES = 6


def fall_behind(hub: Hub, noise: random.Random, update: Callable[[datetime], object]) -> dict[str, bytes]:
    """Let a box follow the first release and miss some, each of which edits a document and adds a film."""
    documents = {f"r{number}": noise.randbytes(300_000) for number in range(RELEASES)}
    for name, data in documents.items():
        hub.add_document(name, data)
    hub.publish(NOW)
    update(NOW)
    for release in range(RELEASES):
        data = documents[f"r{release}"]
        edited = data[:150_000] + noise.randbytes(500) + data[150_100:]
        documents[f"r{release}"] = edited
        hub.add_document(f"r{release}", edited)
        documents[f"film{release}"] = noise.randbytes(200_000)
        hub.county.add(f"film{release}", documents[f"film{release}"])
        hub.publish(NOW + (release + 1) * DAY)
    return documents


def test_one_run_takes_patches_differences_and_whole_files(tmp_path: Path) -> None:
    with County(tmp_path / "hub") as county, SyncingBox(tmp_path / "box", county) as box:
        hub = Hub(county, tmp_path / "daemon")
        later = NOW + RELEASES * DAY
        with hub.daemon, address_of(published_tree(county.public)) as address:
            documents = fall_behind(hub, random.Random(5), lambda now: box.update(address, now=now, road=FAR))
            plan = box.preview(address, now=later, road=FAR)
            result = box.update(address, now=later, road=FAR)
        assert result.failure is None and not result.warnings
        ways = Counter(step.way.kind for step in plan.steps)
        # Patches lead here from the last four releases; what is older is compared.
        assert ways[PATCH] == 4 and ways[DIFFERENCES] == 2
        assert {step.way.road for step in plan.steps if step.way.kind == DIFFERENCES} == {"rsync"}
        assert "与本机旧版比对" in plan_text(plan, "zh-CN") and "older edition" in plan_text(plan, "en")
        assert result.ways[DIFFERENCES] == sum(
            step.file.size_bytes for step in plan.steps if step.way.kind == DIFFERENCES
        )
        assert result.roads["rsync"] < 20_000 and result.saved[DIFFERENCES] > 580_000
        # The films have to come whole; nothing else does.
        assert result.fetched_bytes < RELEASES * 200_000 + 40_000
        assert result.fetched_bytes < plan.haul.line_bytes + 20_000
        assert {sha256(data) for data in documents.values()} <= box.held()
        box.check()


@pytest.mark.parametrize("closed", ["gone", "a password", "not for us"])
def test_where_the_daemon_is_closed_the_rest_comes_by_http(closed: str, tmp_path: Path) -> None:
    settings: dict[str, dict[str, object]] = {
        "gone": {},
        "a password": {"password": "secret"},
        "not for us": {"hosts_allow": ("10.99.0.0/16",)},
    }
    with County(tmp_path / "hub") as county, SyncingBox(tmp_path / "box", county) as box:
        hub = Hub(county, tmp_path / "daemon", **settings[closed])
        later = NOW + RELEASES * DAY
        with address_of(published_tree(county.public)) as address, ExitStack() as stack:
            if closed != "gone":
                stack.enter_context(hub.daemon)
            documents = fall_behind(hub, random.Random(6), lambda now: box.update(address, now=now, road=FAR))
            result = box.update(address, now=later, road=FAR)
        assert result.failure is None
        # rsync does not own up to a module that it keeps from us.
        codes = {"gone": "E-ROAD", "a password": "E-ROAD-AUTH", "not for us": "E-NO-TREE"}
        assert [one.code for one in result.warnings] == [codes[closed]]
        assert DIFFERENCES not in result.ways and result.ways[WHOLE] + result.ways.get(PACK, 0) >= 600_000
        assert {sha256(data) for data in documents.values()} <= box.held()
        box.check()


def test_a_neighbour_gives_whole_files_rather_than_the_line_differences(tmp_path: Path) -> None:
    with County(tmp_path / "hub") as county, SyncingBox(tmp_path / "box", county) as box:
        hub = Hub(county, tmp_path / "daemon")
        later = NOW + RELEASES * DAY
        with hub.daemon, address_of(published_tree(county.public)) as address:
            fall_behind(hub, random.Random(7), lambda now: box.update(address, now=now))
            plan = box.preview(address, now=later)
        assert DIFFERENCES not in {step.way.kind for step in plan.steps}


def test_blobs_laid_into_the_store_by_hand_are_not_fetched(tmp_path: Path) -> None:
    noise = random.Random(4)
    contents = [noise.randbytes(300_000 + number) for number in range(6)]
    with County(tmp_path / "hub") as county, SyncingBox(tmp_path / "box", county) as box:
        for number, data in enumerate(contents):
            county.add(f"r{number}", data)
        county.publish()
        for number, data in enumerate(contents[:5]):
            path = box.blobs.path(sha256(data))
            path.parent.mkdir(parents=True, exist_ok=True)
            # One was copied badly: it is told from the others by its hash and comes over the road.
            path.write_bytes(data if number else data[:-1] + b"?")
        settings = DaemonSettings(port=free_port(), address="127.0.0.1")
        with RsyncDaemon(county.public, tmp_path / "daemon", settings):
            result = box.update(f"rsync://127.0.0.1:{settings.port}/tree/")
        assert result.failure is None
        assert len(box.held()) == 6
        assert 600_000 < result.fetched_bytes < 700_000
        box.check()


def test_a_folder_of_plain_files_is_named_as_such(tmp_path: Path) -> None:
    folder = tmp_path / "stick"
    (folder / "三年级").mkdir(parents=True)
    (folder / "三年级" / "分数.mp4").write_bytes(b"film")
    with pytest.raises(RoadError) as refusal:
        find_tree(str(folder), QUICK)
    assert refusal.value.code == "E-PLAIN-FOLDER"
    assert "三年级" in refusal.value.line("zh-CN") and "hub ingest" in refusal.value.line("zh-CN")
    # Half a tree is not plain files, and neither is nothing.
    for folder in (tmp_path / "half", tmp_path / "empty"):
        folder.mkdir()
        if folder.name == "half":
            (folder / "metadata").mkdir()
        with pytest.raises(RoadError) as refusal:
            find_tree(str(folder), QUICK)
        assert refusal.value.code == "E-NO-TREE"
