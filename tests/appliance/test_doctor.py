"""`shuxiang doctor`: each finding where it belongs, and exit status 4 where one is an error."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from command import call
from supplier import write_folder


def codes(state: Path, code: int = 0) -> list[str]:
    found = call(state, "doctor", code=code)
    for line in found:
        assert set(line) == {"code", "level", "message", "hint"}
        assert line["message"].startswith(line["code"] + ": ")
    return [line["code"] for line in found]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("doctor")
    call(base / "hub", "hub", "init", "--name", "青禾县")
    write_folder(base / "folder", files=2)
    call(base / "hub", "hub", "ingest", base / "folder")
    call(base / "hub", "hub", "publish")
    return base / "hub"


def new_box(hub: Path, state: Path, *more: str) -> Path:
    public = hub / "public"
    call(state, "box", "init", "--hub", public, "--root", public / "metadata" / "1.root.json", *more)
    return state


def test_no_state_is_an_error(tmp_path: Path) -> None:
    assert codes(tmp_path / "nothing", code=4) == ["D-STATE"]


def test_a_hub_is_told_to_put_its_recovery_file_away(hub: Path) -> None:
    assert codes(hub) == ["D-RECOVERY"]


def test_a_box_from_its_first_day_to_a_lost_index(hub: Path, tmp_path: Path) -> None:
    box = new_box(hub, tmp_path / "box")
    assert codes(box) == ["D-NEVER-SYNCED"]
    call(box, "box", "sync")
    assert codes(box) == ["D-FINE"]
    call(box, "box", "sync", "--from", tmp_path / "nothing", code=36)
    assert codes(box) == ["D-SYNC-FAILED"]
    shutil.rmtree(box / "index")
    assert codes(box, code=4) == ["D-INDEX", "D-SYNC-FAILED"]
    call(box, "box", "reindex")
    call(box, "box", "sync")
    assert codes(box) == ["D-FINE"]


def test_a_subscription_to_a_bundle_that_is_not_there_is_told(hub: Path, tmp_path: Path) -> None:
    box = new_box(hub, tmp_path / "box", "--subscribe", "main,mian")
    call(box, "box", "sync")
    assert codes(box) == ["D-SUBSCRIPTION"]
