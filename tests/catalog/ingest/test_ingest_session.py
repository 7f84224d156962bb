"""An ingest as a county lives it: bad rows beside good ones, again, edited, cut off, sent back."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from builders import Store
from hypothesis import given, settings
from hypothesis import strategies as st
from ingest_material import session, workbook
from openpyxl import load_workbook

from catalog.errors import ContentError, UsageError
from catalog.ingest.drafts import DraftMaker, Rejected
from catalog.ingest.headers import FIELDS
from catalog.ingest.locate import Locator
from catalog.ingest.rejected import write_rejected
from catalog.ingest.session import IngestSession
from catalog.resource import Resource

COLUMNS = ["编号", "标题", "学科", "年级", "册次", "单元", "课", "资源类型", "文件"]


def records(store: Store) -> dict[str, Resource]:
    with store.library.reading() as reader:
        return {entry.resource.title: entry.resource for entry in reader.entries()}


def county(tmp_path: Path, media: Path, rows: list[list[object]]) -> Path:
    source = tmp_path / "county"
    (source / "files").mkdir(parents=True)
    for name in ("fast.mp4", "sound.ogg", "picture.png", "paper.pdf"):
        shutil.copy(media / name, source / "files" / name)
    workbook(source / "清单.xlsx", ("三上", [COLUMNS, *rows], []))
    return source


PLACE = ["数学", "三年级", "上册", "第一单元 时分秒", "秒的认识"]


def test_one_bad_row_never_stops_the_others(tmp_path: Path, media_folder: Path, store: Store) -> None:
    source = county(
        tmp_path,
        media_folder,
        [
            ["k-001", "好", *PLACE, "微课", "files/fast.mp4"],
            ["k-002", "缺", *PLACE, "微课", "files/nowhere.mp4"],
            ["k-001", "重", *PLACE, "微课", "files/sound.ogg"],
            ["k-004", "空", *PLACE, "微课", "files/empty.mp4"],
            ["k-005", "假", *PLACE, "教案", "files/fake.pdf"],
            ["k-006", "逃", *PLACE, "教案", "../../etc/passwd"],
            ["k-007", None, *PLACE, "教案", None],
            ["k-008", "奥", "奥数", *PLACE[1:], "微课", "files\\sound.ogg"],
            ["k-009", "只有目录", *PLACE, "微课", None],
            ["", "无号", *PLACE, "图片", "D:\\资源\\files\\picture.png"],
            ["k-011", "坏片", *PLACE, "微课", "files/broken.mp4"],
            ["k-012", "坏文", *PLACE, "教案", "files/broken.pdf"],
            ["k-013", "坏图", *PLACE, "图片", "files/broken.png"],
            ["k-014", "坏音", *PLACE, "音频", "files/broken.mp3"],
        ],
    )
    (source / "files" / "empty.mp4").touch()
    (source / "files" / "fake.pdf").write_text("this is no pdf")
    # What the first bytes promise, and the rest does not keep.
    for whole, broken in (
        ("fast.mp4", "broken.mp4"),
        ("paper.pdf", "broken.pdf"),
        ("picture.png", "broken.png"),
    ):
        data = (media_folder / whole).read_bytes()
        (source / "files" / broken).write_bytes(data[:40])
    (source / "files" / "broken.mp3").write_bytes(b"ID3\x04\x00\x00\x00\x00\x00\x00" + bytes(2000))
    packed = tmp_path / "county.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(source.rglob("*.*")):
            archive.write(path, path.relative_to(source))
    with session(store, packed) as ingest:
        packed_scan = ingest.scan()
    with session(store, source) as ingest:
        scan = ingest.scan()
        result = ingest.run()
        again = ingest.run()
    rejected = [(item.sheet, item.row, item.code) for item in result.rejected]
    assert sorted(rejected) == [
        ("三上", 3, "E-FILE-MISSING"),
        ("三上", 4, "E-ID-TWICE"),
        ("三上", 5, "E-EMPTY-FILE"),
        ("三上", 6, "E-PDF"),
        ("三上", 7, "E-NAME"),
        ("三上", 8, "E-TITLE"),
        ("三上", 12, "E-VIDEO"),
        ("三上", 13, "E-PDF"),
        ("三上", 14, "E-PICTURE"),
        ("三上", 15, "E-AUDIO"),
    ]
    for looked in (scan, packed_scan):
        assert sorted((item.sheet, item.row, item.code) for item in looked.errors) == sorted(rejected)
    assert (result.rows, result.added, result.exit_code) == (14, 4, 0)
    # Where the copy lay that a program refused says nothing to who reads the reason.
    assert not [
        item.found for done in (result.rejected, scan.errors) for item in done if str(tmp_path) in item.found
    ]
    assert next((item.code, item.found) for item in result.warnings) == ("E-CODE", "奥数")
    found = records(store)
    assert set(found) == {"好", "奥", "只有目录", "无号"}
    assert found["奥"].subject == "raw:奥数" and found["只有目录"].files == ()
    assert found["好"].id == "k-001" and found["好"].licence == "own"
    assert (again.added, again.changed, again.unchanged) == (0, 0, 4)


def test_a_lesson_is_taken_without_its_broken_cover_and_subtitles(
    tmp_path: Path, media_folder: Path, store: Store
) -> None:
    lesson = tmp_path / "小学" / "数学" / "人教版" / "三年级上册" / "第一单元 时分秒" / "01 秒的认识"
    lesson.mkdir(parents=True)
    shutil.copy(media_folder / "fast.mp4", lesson / "微课.mp4")
    (lesson / "微课.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    (lesson / "微课.srt").write_bytes(b"no cues")
    with session(store, tmp_path / "小学") as ingest:
        scan = ingest.scan()
        result = ingest.run()
    assert (scan.resources, result.added, result.rejected) == (1, 1, ())
    warned = sorted((item.code, item.level) for item in result.warnings)
    assert warned == [("E-PICTURE", "warning"), ("E-SUBTITLE", "warning")]
    assert sorted((item.code, item.level) for item in scan.findings) == warned


def test_an_edited_row_is_an_update_and_costs_no_file(
    tmp_path: Path, media_folder: Path, store: Store
) -> None:
    row = ["", "秒的认识", *PLACE, "微课", "files/fast.mp4"]
    source = county(tmp_path, media_folder, [row])
    with session(store, source) as ingest:
        ingest.run()
    before = records(store)["秒的认识"]
    row[1] = "认识秒"
    workbook(source / "清单.xlsx", ("换了表名", [COLUMNS, row], []))
    with session(store, source) as ingest:
        result = ingest.run()
    after = records(store)["认识秒"]
    assert (result.added, result.changed, result.unchanged) == (0, 1, 0)
    assert after.id == before.id and after.files == before.files


def test_dates_and_order_numbers_are_no_change_of_meaning(tmp_path: Path, store: Store) -> None:
    """Platforms renumber and redate by the thousand: that is no news, but a corrected order is followed."""
    source = tmp_path / "feed.jsonl"
    record = {"id": "r1", "title": "秒的认识", "licence": "own", "lesson_no": 3, "updated": "2026-09-01"}
    counts = []
    for change in ({}, {"updated": "2026-10-01"}, {"lesson_no": 4, "quality": 2.0}, {"title": "认识秒"}):
        record.update(change)
        source.write_text(json.dumps(record, ensure_ascii=False) + "\n", encoding="utf-8")
        with session(store, source) as ingest:
            result = ingest.run()
        counts.append((result.added, result.changed, result.unchanged))
    assert counts == [(1, 0, 0), (0, 0, 1), (0, 0, 1), (0, 1, 0)]
    assert records(store)["认识秒"].lesson_no == 4


def test_a_new_file_under_the_old_name_is_taken(tmp_path: Path, media_folder: Path, store: Store) -> None:
    source = county(tmp_path, media_folder, [["k-001", "图", *PLACE, "图片", "files/picture.png"]])
    with session(store, source) as ingest:
        ingest.run()
    before = records(store)["图"]
    shutil.copy(media_folder / "picture.jpg", source / "files" / "picture.png")
    with session(store, source) as ingest:
        assert ingest.run().changed == 1
    assert records(store)["图"].files != before.files
    assert records(store)["图"].files[0].media_type == "image/jpeg"


def test_no_licence_is_a_finding_and_an_unknown_one_waits_for_review(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "list.csv"
    path.write_text(
        "标题,学科,授权\n甲,数学,\n乙,数学,未知\n丙,数学,CC BY\n丁,数学,某社特许\n", encoding="utf-8"
    )
    with session(store, path, licence=None) as ingest:
        result = ingest.run()
    assert [(item.row, item.code) for item in result.rejected] == [(2, "E-LICENCE")]
    found = records(store)
    assert {title: (found[title].licence, found[title].state) for title in found} == {
        "乙": ("unknown", "review"),
        "丙": ("CC-BY", "published"),
        "丁": ("raw:某社特许", "review"),
    }


def test_a_state_that_staff_set_survives_an_unchanged_list(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "list.csv"
    path.write_text("标题,学科\n甲,数学\n", encoding="utf-8")

    def ingest() -> tuple[int, int]:
        with IngestSession(
            store.library,
            store.blobs,
            path,
            None,
            "main",
            "own",
            "review",
            work=store.directory / "staging" / "w",
        ) as opened:
            result = opened.run()
        return result.changed, result.unchanged

    ingest()
    accepted = replace(records(store)["甲"], state="published")
    with store.library.writing() as writer:
        writer.put_resource(accepted, "main")
    assert ingest() == (0, 1)
    path.write_text("标题,学科,简介\n甲,数学,新\n", encoding="utf-8")
    assert ingest() == (1, 0) and records(store)["甲"].state == "review"


def test_json_lines_with_labels_codes_and_file_objects(
    tmp_path: Path, media_folder: Path, store: Store
) -> None:
    shutil.copy(media_folder / "fast.mp4", tmp_path / "a.mp4")
    shutil.copy(media_folder / "picture.png", tmp_path / "封面.png")
    lines = [
        {
            "id": "a",
            "title": "甲",
            "stage": "primary",
            "grades": ["g3"],
            "edition": "人教版",
            "files": ["a.mp4"],
        },
        {
            "id": "b",
            "题名": "乙",
            "subject": "数学",
            "edition": {"code": "bnu"},
            "path": ["一单元", "第2课 分"],
            "files": [{"role": "source", "path": "a.mp4"}, {"role": "thumb", "path": "封面.png"}],
        },
    ]
    path = tmp_path / "records.jsonl"
    path.write_text("\n".join(json.dumps(line, ensure_ascii=False) for line in lines), encoding="utf-8")
    with session(store, path) as ingest:
        result = ingest.run()
    assert (result.added, result.rejected) == (2, ())
    found = records(store)
    assert found["甲"].edition_code == "pep" and found["乙"].lesson_no == 2
    assert [file.role for file in found["甲"].files] == ["source", "play", "thumb"]
    covers = [found[title].files_of("thumb")[0].sha256 for title in ("甲", "乙")]
    assert covers[0] != covers[1]


def test_what_was_ingested_can_be_exported_and_ingested_again(
    tmp_path: Path, media_folder: Path, store: Store
) -> None:
    source = county(tmp_path, media_folder, [["k-001", "甲", *PLACE, "微课", "files/fast.mp4"]])
    with session(store, source) as ingest:
        ingest.run()
    exported = tmp_path / "export.jsonl"
    exported.write_bytes(b"".join(item.canonical_line() for item in records(store).values()))
    with session(store, exported) as ingest:
        result = ingest.run()
    assert (result.unchanged, result.added, result.changed, result.rejected) == (1, 0, 0, ())


def test_rejected_rows_go_back_as_a_list_that_can_be_corrected(
    tmp_path: Path, media_folder: Path, store: Store
) -> None:
    source = county(tmp_path, media_folder, [["k-001", "缺", *PLACE, "微课", "files/nowhere.mp4"]])
    with session(store, source) as ingest:
        result = ingest.run()
    back = tmp_path / "退回.xlsx"
    assert write_rejected(result.rejected_rows, back) == 1
    book = load_workbook(back)
    rows = [[cell.value for cell in row] for row in book["三上"].iter_rows()]
    assert rows[0] == [*COLUMNS, "退回原因", "原行号"]
    assert "E-FILE-MISSING" in rows[1][9] and rows[1][10] == "2"
    shutil.copy(media_folder / "fast.mp4", source / "files" / "nowhere.mp4")
    with session(store, source, back) as ingest:
        corrected = ingest.run()
    assert (corrected.added, corrected.rejected) == (1, ())


def test_a_returned_cell_is_never_a_formula(tmp_path: Path) -> None:
    row = Rejected(sheet="a/b", row=2, headers=("标题",), cells=("=1+1\x00",), reasons=())
    write_rejected([row], tmp_path / "back.xlsx")
    cell = load_workbook(tmp_path / "back.xlsx")["ab"]["A2"]
    assert (cell.value, cell.data_type) == ("=1+1", "s")


def test_files_are_found_as_lists_name_them(tmp_path: Path, media_folder: Path, store: Store) -> None:
    source = county(
        tmp_path,
        media_folder,
        [
            ["a-1", "只写文件名", *PLACE, "微课", "FAST.MP4"],
            ["a-2", "没有扩展名", *PLACE, "听力", "sound"],
            ["a-3", "两个同名", *PLACE, "图片", "x.png"],
            ["a-4", "同名之一", *PLACE, "图片", "files/x.png"],
        ],
    )
    shutil.copy(media_folder / "picture.png", source / "files" / "x.png")
    shutil.copy(media_folder / "picture.png", source / "x.png")
    (source / "link.png").symlink_to("x.png")
    with session(store, source) as ingest:
        result = ingest.run()
    # A bare name that lies beside the list is that file.
    assert result.added == 4 and result.rejected == ()
    assert {item.code for item in result.warnings} == {"E-LINK", "E-FILE-UNLISTED"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=6), part, max_size=3),
    max_leaves=6,
)


ODD = st.dictionaries(st.sampled_from(sorted(FIELDS)), JSON, max_size=8)


@settings(deadline=None)
@given(st.lists(ODD | ODD.map(lambda record: {**record, "title": "甲"}), max_size=8))
def test_no_record_however_odd_stops_the_others(
    tmp_path_factory: pytest.TempPathFactory, odd: list[dict[str, object]]
) -> None:
    path = tmp_path_factory.mktemp("odd") / "list.jsonl"
    path.write_text(
        "".join(json.dumps(line) + "\n" for line in [*odd, {"title": "好好学习天天向上"}]), encoding="utf-8"
    )
    maker = DraftMaker(
        locator=Locator({}, "odd"), files={}, source_name="odd", licence="own", default_state="published"
    )
    drafts = list(maker.from_list(path, ""))
    assert drafts[-1].resource.title == "好好学习天天向上"
    assert len(drafts) + len(maker.rejected) == len(odd) + 1
    for draft in drafts:
        draft.resource.canonical_line()


def test_names_with_nul_are_refused(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "list.jsonl"
    path.write_bytes(b'{"title":"a","files":["a\\u0000.mp4"]}\n{"title":"b\\u0000"}\n')
    with session(store, path) as ingest:
        result = ingest.run()
    assert [(item.row, item.code) for item in result.rejected] == [(1, "E-NAME"), (2, "E-RECORD")]


def test_a_source_that_is_not_there(tmp_path: Path, store: Store) -> None:
    with pytest.raises(UsageError) as caught:
        session(store, tmp_path / "nothing")
    assert caught.value.code == "E-SOURCE"


@pytest.mark.parametrize("name", ["broken.zip", "other.rar"])
def test_an_archive_that_cannot_be_read_is_refused_as_a_whole(
    tmp_path: Path, store: Store, name: str
) -> None:
    (tmp_path / name).write_bytes(b"PK\x03\x04 nothing more")
    with pytest.raises(ContentError) as caught:
        session(store, tmp_path / name)
    assert (caught.value.code, caught.value.exit_code) == ("E-ARCHIVE", 10)


def test_two_sessions_leave_each_others_files_alone(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "list.csv"
    path.write_text("标题,学科\n甲,数学\n", encoding="utf-8")
    (tmp_path / "a.txt").write_text("文字")
    with session(store, tmp_path) as one:
        with session(store, tmp_path) as other:
            other.scan()
        assert one.run().added == 1
    assert not any((store.directory / "staging" / "ingest").iterdir())


KILLED = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from builders import Store
from hypothesis import given, settings
from hypothesis import strategies as st
from ingest_material import session
with session(Store(Path(sys.argv[1])), Path(sys.argv[2])) as ingest:
    print("go", flush=True)
    ingest.run()
"""


@pytest.mark.slow
def test_killed_at_ten_moments_it_goes_on_and_loses_nothing(tmp_path: Path, media_folder: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for number in range(60):
        data = (media_folder / "picture.png").read_bytes() + b"\0" * number
        (source / f"{number:02} 图.png").write_bytes(data)
        if number % 5 == 0:
            shutil.copy(media_folder / "film.flv", source / f"film {number}.flv")
    state = tmp_path / "state"
    for cut in range(10):
        command = [sys.executable, "-c", KILLED, str(state), str(source), str(Path(__file__).parents[2])]
        with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
            assert process.stdout and process.stdout.readline() == b"go\n"
            time.sleep(0.15 * cut)
            os.killpg(process.pid, signal.SIGKILL)
        store = Store(state)
        with store.library.reading() as reader:
            for entry in reader.entries():
                assert entry.cached and all(reader.has(file.sha256) for file in entry.resource.files)
            assert all(store.blobs.verify(blob) for blob in reader.blobs())
        store.close()
    store = Store(state)
    with session(store, source) as ingest:
        result = ingest.run()
    assert result.rejected == () and result.added + result.unchanged == 72
    assert not any((state / "staging" / "ingest").iterdir())
    store.close()
