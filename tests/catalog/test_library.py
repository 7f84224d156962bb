"""The library: one whole state for each reader, and content that turns over in one step."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import Store, file_of, resource

from catalog.errors import ConfigError
from catalog.library import Library
from catalog.manifest import Bundle
from catalog.resource import Edition


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path) as opened:
        yield opened


def test_a_record_comes_back_as_it_was_put(store: Store) -> None:
    record = resource(keywords=("分数",), files=(file_of(b"a"),), raw={"学科": "数学"})
    with store.library.writing() as writer:
        writer.put_bundle(Bundle(id="main", version=1, title="全部", publisher="县"))
        writer.put_resource(record, "main")
    with store.library.reading() as reader:
        entry = reader.resource("r1")
        assert entry is not None and entry.resource == record
        assert not entry.cached
        assert list(reader.lines("main")) == [record.canonical_line()]
        assert reader.bundles()[0].resources == 1


def test_content_makes_a_resource_current_and_counts_on_its_shelf(store: Store) -> None:
    record = resource(files=(file_of(b"a"), file_of(b"b", role="source")))
    with store.library.writing() as writer:
        writer.put_resource(record)
    store.add(b"a")
    with store.library.reading() as reader:
        assert not reader.resource("r1").current
        assert reader.shelves()[0].cached == 0
    before = store.library.generation()
    store.add(b"b")
    with store.library.reading() as reader:
        entry = reader.resource("r1")
        assert entry.current and entry.serving == record.files
        assert reader.shelves()[0].cached == 1
        assert reader.cached_numbers() == [entry.number]
        assert [found.resource.id for found in reader.newest(5)] == ["r1"]
    after = store.library.generation()
    assert after.content == before.content + 1 and after.library == before.library


def test_old_files_serve_until_all_new_ones_are_here(store: Store) -> None:
    old, new = file_of(b"old"), file_of(b"new")
    page = file_of(b"page", role="page", name="1.jpg", media_type="image/jpeg")
    with store.library.writing() as writer:
        writer.put_resource(resource(files=(old,)))
    store.add(b"old")
    with store.library.writing() as writer:
        writer.put_resource(resource(title="新题名", files=(new, page)))
    with store.library.reading() as reader:
        entry = reader.resource("r1")
        assert entry.resource.title == "新题名"
        assert entry.serving == (old,) and not entry.current and entry.cached
        assert list(reader.unused_blobs()) == []
    store.add(b"new")
    with store.library.reading() as reader:
        assert reader.resource("r1").serving == (old,)
    store.add(b"page")
    with store.library.reading() as reader:
        assert reader.resource("r1").serving == (new, page)
        assert [blob.sha256 for blob in reader.unused_blobs()] == [old.sha256]


def test_a_blob_that_is_gone_takes_its_resource_off_the_shelf(store: Store) -> None:
    with store.library.writing() as writer:
        writer.put_resource(resource(files=(file_of(b"a"),)))
    blob = store.add(b"a")
    with store.library.writing() as writer:
        writer.remove_blobs([blob.sha256])
    with store.library.reading() as reader:
        assert not reader.resource("r1").cached
        assert reader.newest(5) == []


def test_roles_that_were_left_out_are_not_waited_for(store: Store) -> None:
    with store.library.writing() as writer:
        number = writer.put_resource(resource(files=(file_of(b"a"), file_of(b"b", role="source"))))
        writer.set_left_out({number: ["source"]})
    store.add(b"a")
    with store.library.reading() as reader:
        entry = reader.resource("r1")
        assert entry.current and [file.role for file in entry.serving] == ["play"]
    before = store.library.generation().content
    store.add(b"b")
    with store.library.reading() as reader:
        assert [file.role for file in reader.resource("r1").serving] == ["play", "source"]
    assert store.library.generation().content > before, "kept pages must turn"


def test_removal_leaves_what_another_bundle_lists(store: Store) -> None:
    with store.library.writing() as writer:
        for bundle in ("a", "b"):
            writer.put_bundle(Bundle(id=bundle, version=1, title=bundle, publisher="县"))
            writer.put_resource(resource(), bundle)
    with store.library.writing() as writer:
        assert writer.remove_resources("a", ["r1"]) == []
    with store.library.writing() as writer:
        assert len(writer.remove_resources("b", ["r1"])) == 1
    with store.library.reading() as reader:
        assert reader.resource("r1") is None and reader.shelves() == []


def test_a_failed_transaction_leaves_nothing(store: Store) -> None:
    with pytest.raises(RuntimeError), store.library.writing() as writer:
        writer.put_resource(resource())
        raise RuntimeError
    with store.library.reading() as reader:
        assert reader.counts().resources == 0
    assert store.library.generation().library == 0


def test_a_reader_keeps_its_state_while_another_commits(store: Store) -> None:
    with store.library.reading() as reader:
        assert reader.counts().resources == 0
        other = Library.open(store.library.path)
        with other.writing() as writer:
            writer.put_resource(resource())
        other.close()
        assert reader.counts().resources == 0
    with store.library.reading() as reader:
        assert reader.counts().resources == 1


def test_lessons_stand_in_the_order_of_the_book(store: Store) -> None:
    with store.library.writing() as writer:
        for number, (unit, lesson) in enumerate(
            [
                ("第十单元 总复习", "复习"),
                ("第二单元 加减法", "减法"),
                ("第二单元 加减法", "加法"),
                ("第二单元 加减法", ""),
            ]
        ):
            path = (unit, lesson) if lesson else (unit,)
            lesson_no = {"加法": 1, "减法": 2}.get(lesson)
            writer.put_resource(resource(f"r{number}", path=path, lesson_no=lesson_no, kind="video"))
            writer.put_resource(resource(f"p{number}", path=path, lesson_no=lesson_no, kind="plan"))
    with store.library.reading() as reader:
        units = reader.units(reader.shelves())
        mates = reader.lesson_mates(resource(path=("第二单元 加减法", "加法")))
    assert [unit.name for unit in units] == ["第二单元 加减法", "第十单元 总复习"]
    assert [lesson.name for lesson in units[0].lessons] == ["", "加法", "减法"]
    assert [entry.resource.kind for entry in units[0].lessons[1].entries] == ["video", "plan"]
    assert [entry.resource.id for entry in mates] == ["r2", "p2"]


def test_a_resource_of_two_grades_stands_on_two_shelves(store: Store) -> None:
    with store.library.writing() as writer:
        writer.put_resource(resource(grades=("g5", "g6")))
    with store.library.reading() as reader:
        assert sorted(shelf.grade for shelf in reader.shelves()) == ["g5", "g6"]
    with store.library.writing() as writer:
        writer.put_resource(resource(grades=("g5",), edition=Edition(code="bnu")))
    with store.library.reading() as reader:
        assert [(shelf.grade, shelf.edition) for shelf in reader.shelves()] == [("g5", "bnu")]


def test_a_database_of_a_newer_version_is_refused(store: Store) -> None:
    with sqlite3.connect(store.library.path) as connection:
        connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('library', '9999-later', '')"
        )
    connection.close()
    with pytest.raises(ConfigError, match="E-STATE-VERSION"):
        Library.open(store.library.path)


def test_a_missing_database_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="E-STATE-MISSING"):
        Library.open(tmp_path / "library.db")


def test_a_torrent_is_kept_with_its_blob_and_goes_with_it(store: Store) -> None:
    record = resource(files=(file_of(b"a"), file_of(b"b", role="source")))
    a, b = (file.sha256 for file in record.files)
    stray = file_of(b"stray").sha256
    with store.library.writing() as writer:
        writer.put_resource(record)
        for sha256 in (a, b, stray):
            writer.put_torrent(sha256, sha256.encode())
    store.add(b"a")
    with store.library.reading() as reader:
        # One that is on its way has its torrent too, but cannot be shared yet.
        assert reader.torrent(b) == b.encode()
        assert list(reader.torrents()) == [(a, a.encode())]
    store.add(b"a")
    with store.library.writing() as writer:
        assert writer.drop_stray_torrents({stray}) == 0
        assert writer.drop_stray_torrents() == 1
        writer.remove_blobs([a])
    with store.library.reading() as reader:
        assert [reader.torrent(sha256) for sha256 in (a, b, stray)] == [None, b.encode(), None]


def test_what_a_new_file_replaces_is_known(store: Store) -> None:
    slides, renamed = file_of(b"slides"), file_of(b"plan", role="source", name="a.docx")
    page = file_of(b"page", role="page", name="1.jpg")
    with store.library.writing() as writer:
        writer.put_resource(resource(files=(slides, renamed, page)))
    with store.library.reading() as reader:
        assert reader.predecessors() == {}
    for data in (b"slides", b"plan", b"page"):
        store.add(data)
    new = (
        file_of(b"slides 2"),
        file_of(b"plan 2", role="source", name="b.docx"),
        file_of(b"page", role="page", name="1.jpg"),
        file_of(b"page 2", role="page", name="2.jpg"),
    )
    with store.library.writing() as writer:
        writer.put_resource(resource(title="新", files=new))
    expected = {new[0].sha256: slides.sha256, new[1].sha256: renamed.sha256}
    with store.library.reading() as reader:
        # The second page is new: the first is no older edition of it.
        assert reader.predecessors() == expected
    for data in (b"slides 2", b"plan 2", b"page 2"):
        store.add(data)
    with store.library.reading() as reader:
        assert reader.predecessors() == {}


def test_blobs_are_listed_behind_a_cursor(store: Store) -> None:
    for number in range(5):
        store.add(b"%d" % number)
    with store.library.reading() as reader:
        found = list(reader.blobs())
        assert list(reader.blobs(found[1].sha256)) == found[2:]
        assert list(reader.blobs(found[-1].sha256)) == []
