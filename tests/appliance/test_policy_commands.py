"""Pause, policy and assignment as people say them at a terminal."""

from __future__ import annotations

import subprocess
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from command import call, command, environment, refusal, service
from supplier import write_folder

from appliance.steering import rate_line
from catalog.local import Local
from sync.line.rate import METERED


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    hub = tmp_path / "hub"
    write_folder(tmp_path / "folder", files=6)
    call(hub, "hub", "init", "--name", "县")
    call(hub, "hub", "ingest", tmp_path / "folder")
    call(hub, "hub", "bundle", "create", "empty")
    call(hub, "hub", "publish")
    return hub


def new_box(hub: Path, name: str = "box", **more: str) -> tuple[Path, str]:
    box = hub.parent / name
    root = hub / "public" / "metadata" / "1.root.json"
    options = [part for key, value in more.items() for part in (f"--{key}", value)]
    made = call(box, "box", "init", "--hub", str(hub / "public"), "--root", root, *options)
    return box, made["id"]


def test_a_pause_survives_a_restart_and_stops_a_sync_by_hand(hub: Path) -> None:
    box, _ = new_box(hub)
    call(box, "box", "pause", "--hours", 2)
    assert refusal(box, "box", "sync", code=31) == "E-PAUSED"
    assert call(box, "box", "policy")["decision"]["reason"] == "paused"
    call(box, "box", "resume")
    assert call(box, "box", "sync")["fetched_blobs"] == 6
    call(box, "box", "pause")
    assert call(box, "box", "policy")["decision"]["until"] is None
    assert refusal(box, "box", "sync", code=31) == "E-PAUSED"
    call(box, "box", "resume", "--now", 1)
    assert call(box, "box", "policy")["decision"]["reason"] == "now"


def test_by_hand_ignores_windows_and_obeys_the_budget(hub: Path) -> None:
    box, _ = new_box(hub)
    call(box, "box", "policy", "--set", "windows=1 03:00-03:01", "--set", "month_budget_mb=1")
    assert call(box, "box", "policy")["decision"]["reason"] == "window"
    with Local.open(box / "local.db") as local:
        month = call(box, "box", "policy")["month"]
        local.put(METERED, {month: 2_000_000})
    # A folder on this machine is no line; a host far away is.
    assert call(box, "box", "sync")["fetched_blobs"] == 6
    assert refusal(box, "box", "sync", "--from", "http://203.0.113.9/", code=31) == "E-BUDGET"
    assert refusal(box, "box", "policy", "--set", "moon=1", code=3) == "E-CONFIG"


def test_a_box_keeps_what_its_hub_assigns(hub: Path) -> None:
    box, box_id = new_box(hub)
    policy = hub.parent / "policy.toml"
    policy.write_text('[policy]\nrate_kb_per_s = 50\nmetered = true\n[scope]\nstages = ["primary"]\n')
    made = call(hub, "hub", "assign", box_id, "--subscribe", "empty", "--policy", policy)
    assert made["version"] == 1 and made["box"] == box_id
    assert call(box, "box", "sync")["fetched_blobs"] == 0
    shown = call(box, "box", "policy")
    assert (shown["policy"]["rate_kb_per_s"], shown["from"]["rate_kb_per_s"]) == (50, "hub")
    call(box, "box", "policy", "--set", "rate_kb_per_s=9")
    assert call(box, "box", "policy")["from"]["rate_kb_per_s"] == "here"
    call(box, "box", "policy", "--set", "rate_kb_per_s=")
    assert call(box, "box", "policy")["policy"]["rate_kb_per_s"] == 50
    # One field changes, the others stay.
    assert call(hub, "hub", "assign", box_id, "--subscribe", "all")["policy"] == {
        "rate_kb_per_s": 50,
        "metered": True,
    }
    assert call(box, "box", "sync")["fetched_blobs"] == 6


def test_what_a_box_was_told_itself_goes_first(hub: Path) -> None:
    box, box_id = new_box(hub, subscribe="main")
    call(hub, "hub", "assign", box_id, "--subscribe", "none")
    assert call(box, "box", "sync")["fetched_blobs"] == 6


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("A" * 32, "--subscribe", "main"), 2),
        (("0" * 32, "--subscribe", "nowhere"), 3),
        (("0" * 32, "--policy", "wrong.toml"), 3),
    ],
)
def test_a_wrong_assignment_is_refused(hub: Path, arguments: tuple[str, ...], code: int) -> None:
    wrong = hub.parent / "wrong.toml"
    wrong.write_text('[policy]\nwindows = "always"\n')
    options = [str(wrong) if one == "wrong.toml" else one for one in arguments]
    refusal(hub, "hub", "assign", *options, code=code)
    assert not (hub / "public" / "boxes").exists()


def governed(box: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*command(box, "box", "sync"), "--governed", *more], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=environment(), text=True,
    )  # fmt: skip


def ended(process: subprocess.Popen[str]) -> tuple[int, Any, str]:
    said, errors = process.communicate(timeout=120)
    assert "Traceback" not in errors
    return process.returncode, said, errors


def test_a_governed_sync_lives_by_its_standard_input(hub: Path) -> None:
    box, _ = new_box(hub)
    assert ended(governed(box))[0] == 31
    process = governed(box)
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(rate_line(None))
    process.stdin.flush()
    assert '"fetched_blobs": 6' in process.stdout.readline()
    assert ended(process)[0] == 0


def test_the_same_failure_is_kept_once_in_a_while_unless_a_person_asked(hub: Path) -> None:
    box, _ = new_box(hub)
    (hub / "public").rename(hub / "away")

    def kept_after(*more: str) -> int:
        process = governed(box, *more)
        assert process.stdin is not None
        process.stdin.write(rate_line(None))
        process.stdin.flush()
        assert process.wait(120) != 0
        ended(process)
        with Local.open(box / "local.db") as local:
            return len(local.syncs(100))

    assert [kept_after() for _ in range(3)] == [1, 1, 1]
    assert refusal(box, "box", "sync", code=36) == "E-NO-TREE"
    assert kept_after() == 2
    assert kept_after("--from", str(hub / "public")) == 3
    with Local.open(box / "local.db") as local:
        (last,) = local.syncs(1)
        local.record_sync(replace(last, at=last.at - timedelta(hours=7)))
    assert [kept_after() for _ in range(2)] == [5, 5]


def test_a_pause_ends_a_sync_by_hand_that_is_under_way(hub: Path) -> None:
    # Not even this machine is a neighbour: the sync is as slow as the policy says.
    box, _ = new_box(hub)
    with service(hub, "hub", "serve", "--host", "127.0.0.1", "--port", "0") as answer:
        call(box, "box", "policy", "--set", "lan_networks=192.0.2.0/24", "--set", "rate_kb_per_s=1")
        process = subprocess.Popen(
            [*command(box, "box", "sync"), "--from", answer["address"]], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), text=True,
        )  # fmt: skip
        time.sleep(3)
        call(box, "box", "pause")
        code, _, errors = ended(process)
        assert code == 31 and "E-PAUSED" in errors
