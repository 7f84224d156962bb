"""Bad input by the commands that people type: one clear line in Chinese, the contract's exit status, nothing lost.

What each part does with such input in detail is tested beside the part; here is the whole table, from outside.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import openpyxl
import pytest
from command import call
from hostile import HostileHub, Misbehaviour
from refusals import CHINESE, FILES, new_box, new_hub, published, said, standing, tree_of
from small_disk import need_root, small_disk
from supplier import HEADER, write_folder, write_list

from appliance.box import Box
from appliance.config import BoxConfig, HubConfig, read_config
from appliance.hub import Hub
from appliance.syncing import run_sync
from catalog.errors import ConfigError, ContentError, ShuxiangError

NOBODY = 65534
AS_NOBODY = f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})"

# -- lists and files -------------------------------------------------------------------------------------------------

PLACE = ("小学", "数学", "人教版", "三年级", "上册", "分数的初步认识", "认识几分之一", "教案")
GOOD = ("好的一行", *PLACE, "好.txt")


def rows(*more: tuple[str, ...], header: tuple[str, ...] = HEADER) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        width = len(header)
        write_list(folder, [tuple((*GOOD, "")[:width]), *more], header)

    return write


def wrong_encoding(folder: Path) -> None:
    sheet = write_list(folder, [GOOD])
    sheet.write_bytes(
        sheet.read_text(encoding="utf-8-sig").encode("gb18030") + "标题".encode()[:2] + b"\xff\n"
    )


def merged_cells(folder: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "清单"
    for row in (HEADER, GOOD, ("", *PLACE, "坏.txt")):
        sheet.append(row)
    sheet.merge_cells("J3:K3")
    sheet["A3"] = "合并的文件格"
    book.save(folder / "资源清单.xlsx")
    book.close()
    (folder / "坏.txt").write_text("正文")


def bad_file(name: str, data: bytes) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).write_bytes(data)
        rows(("坏的一行", *PLACE, name))(folder)

    return write


# How the folder is made, the code, the exit status, whether the good row is taken.
LISTS: dict[str, tuple[Callable[[Path], None], str, int, int]] = {
    "a missing file": (rows(("少文件", *PLACE, "没有.txt")), "E-FILE-MISSING", 0, 1),
    "an unknown column": (rows(("有颜色", *PLACE, "", "红"), header=(*HEADER, "颜色")), "E-COLUMN", 0, 2),
    "an unknown code": (rows(("怪学科", "小学", "炼金术", *PLACE[2:], "")), "E-CODE", 0, 2),
    "two rows with one id": (
        rows(("同号", *PLACE, "", "QH-1"), ("同号二", *PLACE, "", "QH-1"), header=(*HEADER, "资源标识")),
        "E-ID-TWICE", 0, 2,
    ),
    "a wrong encoding": (wrong_encoding, "E-ENCODING", 10, 0),
    "merged cells": (merged_cells, "E-MERGED", 0, 2),
    "a film of no bytes": (bad_file("空.mp4", b""), "E-EMPTY-FILE", 0, 1),
    "a PDF that is none": (bad_file("坏.pdf", b"%PDF-1.7\nnothing more"), "E-PDF", 0, 1),
    "a text called PDF": (bad_file("坏.pdf", "这不是 PDF".encode()), "E-PDF", 0, 1),
    "a name that climbs": (rows(("爬出去", *PLACE, "../../etc/passwd")), "E-NAME", 0, 1),
    "a name with NUL": (rows(("空字符", *PLACE, "a\0b.txt")), "E-NAME", 0, 1),
}  # fmt: skip


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("lists")
    return new_hub(base / "hub", base / "folder")


@pytest.mark.parametrize("name", LISTS)
def test_a_bad_list_is_one_line_and_stops_nothing(name: str, hub: Path, tmp_path: Path) -> None:
    write, code, status, taken = LISTS[name]
    folder = tmp_path / name
    folder.mkdir()
    (folder / "好.txt").write_text(name, encoding="utf-8")
    write(folder)
    with Hub.open(hub) as opened, opened.library.reading() as reader:
        before = {entry.resource.id for entry in reader.entries()}
    tree = tree_of(hub)
    found, line = said(hub, "hub", "ingest", folder, "--dry-run", code=status)
    assert found == code, line
    found, line = said(hub, "hub", "ingest", folder, code=status)
    assert found == code, line
    with Hub.open(hub) as opened, opened.library.reading() as reader:
        after = {entry.resource.id for entry in reader.entries()}
    assert before <= after and len(after - before) == taken
    assert tree_of(hub) == tree


# -- a hub that misbehaves -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Roads:
    """A hub at its second release, the tree of its first, a stranger's tree, and a box at the first."""

    hub: Path
    older: Path
    stranger: Path
    box: Path


@pytest.fixture(scope="module")
def roads(tmp_path_factory: pytest.TempPathFactory) -> Roads:
    base = tmp_path_factory.mktemp("roads")
    hub = new_hub(base / "hub", base / "folder")
    box = new_box(base / "box", hub)
    older = base / "older"
    shutil.copytree(hub / "public", older)
    assert published(hub, base / "folder", seed=2) == 2
    return Roads(hub, older, new_hub(base / "stranger", base / "other") / "public", box)


@pytest.fixture
def box(roads: Roads, tmp_path: Path) -> Path:
    """A box at the first release."""
    return Path(shutil.copytree(roads.box, tmp_path / "box"))


BLOBS = "blobs/"
HUBS: dict[str, tuple[Misbehaviour, str, int]] = {
    "stops in mid-file": (Misbehaviour(BLOBS, stop_after=100), "E-ROAD-SHORT", 33),
    "stops in mid-catalogue": (Misbehaviour("bundles/", stop_after=0), "E-ROAD-SHORT", 33),
    "says a length that is too long": (Misbehaviour(BLOBS, lie_length=7), "E-SIZE", 14),
    "says a length that is too short": (Misbehaviour(BLOBS, lie_length=-7), "E-SIZE", 14),
    "serves another blob's bytes": (Misbehaviour(BLOBS, swap=b"other"), "E-HASH", 14),
    "serves another catalogue": (Misbehaviour("bundles/", swap=b"other"), "E-HASH", 14),
    "answers a portal's page": (Misbehaviour(".", portal=True), "E-PORTAL", 34),
    "sends to a portal": (Misbehaviour(".", redirect="http://127.0.0.1:9/login"), "E-PORTAL", 34),
    "answers a portal's page for lessons": (Misbehaviour(BLOBS, portal=True), "E-PORTAL", 34),
    "has no tree": (Misbehaviour(".", status=404), "E-NO-TREE", 36),
}


@pytest.mark.parametrize("name", HUBS)
def test_a_hub_that(name: str, roads: Roads, box: Path) -> None:
    wrong, code, status = HUBS[name]
    wrong = Misbehaviour(**{key: value for key, value in vars(wrong).items() if key != "used"})
    before = standing(box)
    with HostileHub(roads.hub / "public", wrong) as hub:
        found, line = said(box, "box", "sync", "--from", hub.address, code=status)
        assert found == code, line
        now = standing(box)
        assert now.served == before.served and now.content_release == 1 and now.found == before.found
        hub.wrong.clear()
        assert call(box, "box", "sync", "--from", hub.address)["content_release"] == 2
    assert standing(box).served != before.served


@pytest.mark.parametrize(
    ("which", "code", "status"),
    [
        ("down", "E-ROAD", 32),
        ("older", "E-ROLLBACK", 12),
        ("stranger", "E-STICK-OTHER", 11),
        ("cut", "E-SIGNATURE", 11),
    ],
)
def test_a_state_that_is_not_taken(
    which: str, code: str, status: int, roads: Roads, box: Path, tmp_path: Path
) -> None:
    source: object = {"down": "http://127.0.0.1:9", "older": roads.older, "stranger": roads.stranger}.get(
        which
    )
    if which == "older":
        assert call(box, "box", "sync")["release"] == 2
    if which == "cut":
        # The newest timestamp, its signature altered by one digit.
        source = shutil.copytree(roads.hub / "public", tmp_path / "cut")
        timestamp = tmp_path / "cut" / "metadata" / "timestamp.json"
        text = timestamp.read_text()
        place = text.index('"sig":"') + 12 if '"sig":"' in text else text.index('"sig": "') + 12
        timestamp.write_text(text[:place] + ("0" if text[place] != "0" else "1") + text[place + 1 :])
    before = standing(box)
    found, line = said(box, "box", "sync", "--from", source, code=status)
    assert found == code, line
    assert standing(box) == before
    assert call(box, "box", "sync")["content_release"] == 2


# -- a clock that is wrong -------------------------------------------------------------------------------------------


def at(year: int) -> Callable[[], datetime]:
    return lambda: datetime(year, 1, 1, 8, tzinfo=UTC)


def test_a_box_whose_clock_is_wrong(roads: Roads, box: Path) -> None:
    config = read_config(box / "config.toml")
    assert isinstance(config, BoxConfig)
    before = standing(box)
    with Box(box, config, at(2099)) as opened:
        try:
            failure: ShuxiangError | None = run_sync(opened, None).failure
        except ContentError as error:
            failure = error
        assert failure is not None and (failure.code, failure.exit_code) == ("E-EXPIRED", 13)
        assert CHINESE.search(failure.line("zh-CN"))
    assert standing(box).served == before.served
    # At 1970 the newest signed time counts, and the run is an ordinary one.
    with Box(box, config, at(1970)) as opened:
        result = run_sync(opened, None)
        assert result.failure is None and result.content_release == 2
    assert standing(box).content_release == 2


def test_a_hub_whose_clock_is_wrong(hub: Path) -> None:
    config = read_config(hub / "config.toml")
    assert isinstance(config, HubConfig)
    tree = tree_of(hub)
    with Hub(hub, config, at(1970)) as opened, pytest.raises(ConfigError) as refusal:
        opened.publish()
    assert (refusal.value.code, refusal.value.exit_code) == ("E-CLOCK", 3)
    assert tree_of(hub) == tree


# -- a full disk -----------------------------------------------------------------------------------------------------


def fill(disk: Path, name: str = "filler") -> Path:
    """Fill the filesystem to its last block."""
    filler = disk / name
    with filler.open("wb", buffering=0) as stream:
        for block in (1 << 16, 1 << 12):
            with contextlib.suppress(OSError):
                while True:
                    stream.write(bytes(block))
    return filler


def test_a_full_disk_at_the_hub(tmp_path: Path) -> None:
    with small_disk(24 << 20) as disk:
        hub = new_hub(disk / "hub", tmp_path / "folder")
        tree = tree_of(hub)
        write_folder(tmp_path / "large", files=40, size_bytes=1 << 20)
        found, line = said(hub, "hub", "ingest", tmp_path / "large", code=21)
        assert found == "E-DISK-FULL", line
        assert tree_of(hub) == tree
        write_folder(tmp_path / "folder", files=FILES, size_bytes=4000, seed=2)
        call(hub, "hub", "ingest", tmp_path / "folder")
        filler = fill(disk)
        found, line = said(hub, "hub", "publish", code=21)
        assert found == "E-DISK-FULL", line
        box = new_box(tmp_path / "box", hub)
        assert standing(box).content_release == 1
        filler.unlink()
        assert call(hub, "hub", "publish")["release"] == 2
        assert call(box, "box", "sync")["content_release"] == 2


@pytest.mark.parametrize("held", [True, False])
def test_a_full_disk_of_a_box(held: bool, tmp_path: Path) -> None:
    hub = new_hub(tmp_path / "hub", tmp_path / "folder")
    with small_disk(24 << 20) as disk:
        box = new_box(disk / "box", hub)
        config = box / "config.toml"
        config.write_text(config.read_text().replace("# reserve_mb = 64", "reserve_mb = 2"))
        call(box, "box", "sync")
        before = standing(box)
        assert len(before.served) == FILES
        if not held:
            (box / "reserve").unlink()
        published(hub, tmp_path / "folder", size_bytes=400_000, seed=2)
        filler = fill(disk)
        if held:
            # What was held back is let go: a full box still opens, says what it has and finds it.
            assert call(box, "box", "status")["cached"] == FILES
            assert call(box, "box", "search", "认识几分之几")["total"] == before.found
            assert standing(box) == before
            fill(disk, name="again")
        found, line = said(box, "box", "sync", code=21)
        assert found == "E-DISK-FULL", line
        filler.unlink()
        now = standing(box)
        assert now.served == before.served and now.content_release == 1
        assert call(box, "box", "sync")["content_release"] == 2
        assert standing(box).served != before.served


# -- a state of another version or user ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["library", "local"])
@pytest.mark.parametrize("arguments", [("box", "status"), ("box", "sync"), ("box", "serve")])
def test_a_state_of_a_newer_version(name: str, arguments: tuple[str, ...], roads: Roads, box: Path) -> None:
    before = standing(box)
    database = sqlite3.connect(box / f"{name}.db")
    newer = (name, "9999-of-the-future", "2030-01-01")
    database.execute(
        "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES (?, ?, ?)", newer
    )
    database.commit()
    found, line = said(box, *arguments, code=3)
    assert found == "E-STATE-VERSION", line
    database.execute("DELETE FROM _sqlite_migrations WHERE name = ?", newer[1:2])
    database.commit()
    database.close()
    assert standing(box) == before


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A directory that every user of the machine may enter."""
    need_root("changing the user")
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize("arguments", [("box", "status"), ("box", "sync")])
def test_a_state_of_another_user(arguments: tuple[str, ...], roads: Roads, open_place: Path) -> None:
    box = Path(shutil.copytree(roads.box, open_place / "box"))
    before = standing(box)
    found, line = said(box, *arguments, code=3, preloaded=AS_NOBODY)
    assert found == "E-STATE-USER" and "nobody" in line
    open_place.chmod(0o700)
    assert said(box, *arguments, code=3, preloaded=AS_NOBODY)[0] == "E-STATE-USER"
    assert standing(box) == before


def test_root_goes_on_as_the_owner(roads: Roads, open_place: Path) -> None:
    box = Path(shutil.copytree(roads.box, open_place / "box"))
    tree = shutil.copytree(roads.hub / "public", open_place / "tree")
    for path in (box, *box.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    said(box, "box", "sync", "--from", tree, code=0, preloaded="", ours=0)
    assert {path.stat().st_uid for path in (box, *box.rglob("*"))} == {NOBODY}
    for path in (box, *box.rglob("*")):
        os.chown(path, 0, 0)
    assert standing(box).content_release == 2
