"""Content that a card was made with, on a Debian 13: the unit takes it in and frees its room."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from debian_machine import Machine, debian_machine, need_machine
from package_material import Unpacked, packed

from images.package.target import Arch

pytestmark = pytest.mark.slow

RECORD = {"title": "分数的初步认识", "stage": "primary", "grade": 3, "subject": "math", "kind": "document", "file": "a.txt"}  # fmt: skip


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Unpacked:
    need_machine()
    return packed(Arch["arm64" if os.uname().machine == "aarch64" else "amd64"], tmp_path_factory)


@pytest.fixture
def machine(package: Unpacked, tmp_path: Path) -> Iterator[Machine]:
    with debian_machine(tmp_path / "machine") as started:
        started.put(package.path, "/tmp/shuxiang.deb")
        started.must("dpkg", "--install", "/tmp/shuxiang.deb")
        yield started


def make_card(machine: Machine) -> str:
    """Lay out a data partition that was made with a hub's content; return the hub's fingerprint."""

    def hub(*words: str) -> str:
        return machine.must("shuxiang", "hub", *words, "--state", "/tmp/hub", "--json")

    machine.must("sh", "-c", "mkdir -p /tmp/batch /data/preload; echo 几分之一 > /tmp/batch/a.txt")
    machine.run("sh", "-c", "cat > /tmp/batch/list.jsonl", give=json.dumps(RECORD).encode())
    fingerprint: str = json.loads(hub("init", "--name", "青禾县"))["fingerprint"]
    hub("ingest", "/tmp/batch/list.jsonl")
    hub("publish")
    hub("export", "/data/preload", "--bundle", "main")
    return fingerprint


def test_the_content_is_taken_in_once_and_needs_no_line(machine: Machine) -> None:
    fingerprint = make_card(machine)
    assert machine.must("systemctl", "is-enabled", "shuxiang-preload").strip() == "enabled"
    # Not a box yet: what is there waits.
    machine.must("systemctl", "start", "shuxiang-preload")
    assert machine.run("ls", "/data/preload").returncode == 0
    machine.must("shuxiang", "box", "init", "--hub", "http://192.0.2.1", "--fingerprint", fingerprint)
    machine.must("systemctl", "start", "shuxiang", "shuxiang-preload")
    status = json.loads(machine.must("shuxiang", "box", "status", "--json"))
    assert (status["resources"], status["cached"]) == (1, 1)
    assert not machine.must("ls", "/data").split()


def test_the_content_of_an_older_release_still_saves_the_line(machine: Machine) -> None:
    fingerprint = make_card(machine)
    machine.must("shuxiang", "box", "init", "--hub", "http://192.0.2.1", "--fingerprint", fingerprint)
    # The box has heard by line what was published since, and has none of the content.
    newer = json.dumps(RECORD | {"id": "r2", "title": "几分之几"})
    machine.run("sh", "-c", "cat >> /tmp/batch/list.jsonl", give=f"\n{newer}\n".encode())
    for words in ("ingest /tmp/batch/list.jsonl", "publish"):
        machine.must("shuxiang", "hub", *words.split(), "--state", "/tmp/hub")
    machine.must("sh", "-c", "cp -r /tmp/hub/public /tmp/line && rm -r /tmp/line/blobs")
    assert machine.run("shuxiang", "box", "sync", "--from", "/tmp/line").returncode != 0
    before = json.loads(machine.must("shuxiang", "box", "status", "--json"))
    assert (before["resources"], before["cached"]) == (2, 0)
    machine.must("systemctl", "start", "shuxiang-preload")
    after = json.loads(machine.must("shuxiang", "box", "status", "--json"))
    assert after["cached"] >= 1 and after["release"] == before["release"]
    assert not machine.must("ls", "/data").split()


def test_content_of_another_county_stays_out(machine: Machine) -> None:
    make_card(machine)
    machine.must("shuxiang", "box", "init", "--hub", "http://192.0.2.1", "--fingerprint", "ab" * 32)
    machine.must("systemctl", "start", "shuxiang")
    assert machine.run("systemctl", "start", "shuxiang-preload").returncode != 0
    status = json.loads(machine.must("shuxiang", "box", "status", "--json"))
    assert status["resources"] == 0
    machine.must("systemctl", "is-active", "shuxiang")
