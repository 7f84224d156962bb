"""The finder: hits resolved through the library, what is here, a school's scope, and a state that moves on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import Store, file_of, resource

from catalog.errors import StorageError
from catalog.finder import Finder
from catalog.library import Library
from catalog.manifest import Bundle
from catalog.resource import Edition, Resource
from catalog.scope import EditionRule, Scope
from catalog.search.index import build, records_of, update


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path) as opened:
        yield opened


def fill(library: Library, root: Path, *records: Resource) -> None:
    """Put `records` into library and index as one new state."""
    with library.writing() as writer:
        writer.put_bundle(Bundle(id="main", version=1, title="资源", publisher="县"))
        changed = [writer.put_resource(record, "main") for record in records]
        reader = writer.reader()
        held = reader.generation().index
        if held:
            made = records_of(reader.wanted(changed))
            update(root / str(held), root / str(held + 1), changed, made)
        else:
            build(root / "1", records_of(reader.stored()))
        writer.set_index(held + 1)


def test_hits_carry_the_entry_and_marked_texts(store: Store, tmp_path: Path) -> None:
    fill(
        store.library,
        tmp_path / "index",
        resource("a", "分数的<初步>认识", description="把一个月饼平均分成两份 & 认识分数。"),
        resource("b", "面积", path=("第一单元", "面积")),
    )
    found = Finder(store.library, tmp_path / "index").search("分數")
    assert [hit.entry.resource.id for hit in found.hits] == ["a"] and found.total == 1
    assert found.hits[0].title_html == "<mark>分数</mark>的&lt;初步&gt;认识"
    assert found.hits[0].excerpt_html == "把一个月饼平均分成两份 &amp; 认识<mark>分数</mark>。"
    assert found.facets["subject"] == {"math": 1} and found.words == ("分数",)
    assert found.took_ms > 0


def test_no_index_yet_finds_nothing(store: Store, tmp_path: Path) -> None:
    found = Finder(store.library, tmp_path / "index").search("分数")
    assert (found.total, found.hits) == (0, ())
    assert found.facets == {name: {} for name in ("stage", "grade", "subject", "edition", "volume", "kind")}


def test_what_is_here_and_a_schools_scope_narrow_everything(store: Store, tmp_path: Path) -> None:
    data = b"video"
    fill(
        store.library,
        tmp_path / "index",
        resource("here", "分数一", files=(file_of(data),)),
        resource("away", "分数二", files=(file_of(b"other"),)),
        resource("bnu", "分数三", edition=Edition(code="bnu")),
        resource("open", "分数四", edition=None, grades=(), stage=None, path=(), subject=None),
    )
    finder = Finder(store.library, tmp_path / "index")
    assert finder.search("分数", cached=True).total == 0
    store.add(data)
    assert [hit.entry.resource.id for hit in finder.search("分数", cached=True).hits] == ["here"]
    assert "here" not in {hit.entry.resource.id for hit in finder.search("分数", cached=False).hits}
    scope = Scope(grades=frozenset(["g3"]), editions=(EditionRule(subject="math", edition="pep"),))
    found = finder.search("分数", scope=scope)
    assert {hit.entry.resource.id for hit in found.hits} == {"here", "away", "open"}
    assert found.facets["edition"] == {"pep": 2}


def test_a_new_state_is_seen_and_the_old_index_may_go(store: Store, tmp_path: Path) -> None:
    root = tmp_path / "index"
    fill(store.library, root, resource("a", "分数", path=()), resource("b", "面积", path=()))
    finder = Finder(store.library, root)
    assert finder.search("分数").total == 1
    fill(store.library, root, resource("a", "小数的意义", path=("小数",)))
    shutil.rmtree(root / "1")
    assert finder.search("分数").total == 0
    assert [hit.entry.resource.id for hit in finder.search("小数的意义").hits] == ["a"]


def test_drafts_and_recalled_resources_are_not_found(store: Store, tmp_path: Path) -> None:
    fill(
        store.library,
        tmp_path / "index",
        resource("a", "分数"),
        resource("b", "分数", state="draft"),
        resource("c", "分数", state="recalled"),
    )
    assert Finder(store.library, tmp_path / "index").search("分数").total == 1


def test_a_missing_or_damaged_index_is_one_clear_error(store: Store, tmp_path: Path) -> None:
    root = tmp_path / "index"
    fill(store.library, root, resource("a", "分数"))
    segment = next((root / "1").glob("*.seg"))
    segment.write_bytes(segment.read_bytes()[:100])
    with pytest.raises(StorageError, match="E-INDEX"):
        Finder(store.library, root).search("分数")
    shutil.rmtree(root / "1")
    with pytest.raises(StorageError, match="E-INDEX"):
        Finder(store.library, root).search("分数")


def test_scattered_bigrams_are_no_hit(store: Store, tmp_path: Path) -> None:
    fill(
        store.library,
        tmp_path / "index",
        resource("true", "资源共享平台"),
        resource("false", "资源", description="源共，共享"),
    )
    found = Finder(store.library, tmp_path / "index").search("资源共享")
    assert [hit.entry.resource.id for hit in found.hits] == ["true"]
    assert found.total == 1 and found.exact and found.facets["kind"] == {"video": 1}


@pytest.mark.parametrize("away", [3, 1500])
def test_what_is_here_comes_first_among_title_hits(store: Store, tmp_path: Path, away: int) -> None:
    """Few hits are scored, many stand in static order: in both, a class can open the first."""
    records = [resource(f"away{number:04}", f"分数 {number}", quality=1.0) for number in range(away)]
    here = resource("here", "这一课讲分数的意义", files=(file_of(b"video"),))
    mentioned = resource("body", "面积", description="分数", path=(), files=(file_of(b"video"),))
    fill(store.library, tmp_path / "index", *records, here, mentioned)
    finder = Finder(store.library, tmp_path / "index")
    assert finder.search("分数").hits[0].entry.resource.id != "here"
    store.add(b"video")
    found = finder.search("分数", per_page=100)
    assert found.hits[0].entry.resource.id == "here" and found.total == away + 2
    assert all(hit.entry.resource.id != "body" for hit in found.hits[: min(away, 50)])
