"""The index on disk: stock Whoosh reads it, an update equals a rebuild, a cut leaves the previous one."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bench.search_corpus import resources
from whoosh import index as stock_index
from whoosh import query as stock

from catalog.errors import StorageError
from catalog.search.index import build, records_of, update
from catalog.search.query import Searcher, SearchRequest
from catalog.search.record import FACETS, IndexRecord

QUESTIONS = (
    "",
    "数学",
    "分数的",
    "三年级数学",
    "unit",
    "fs",
    "fenshu",
    "分",
    "年级 练习",
    "weather",
    "资源共享",
    "没有这个",
)


def records(count: int, seed: int = 1) -> list[IndexRecord]:
    return list(records_of((number + 1, item) for number, item in enumerate(resources(count, seed=seed))))


def answers(directory: Path) -> list[tuple[int, set[int], object]]:
    searcher = Searcher(directory)
    found = [searcher.search(SearchRequest(text=text, per_page=5000)) for text in QUESTIONS]
    return [(answer.total, set(answer.numbers), answer.facets) for answer in found]


def fingerprint(directory: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in directory.iterdir()}


def test_stock_whoosh_reads_the_index(tmp_path: Path) -> None:
    build(tmp_path / "1", records(300))
    with stock_index.open_dir(str(tmp_path / "1")).searcher() as searcher:
        assert searcher.doc_count() == 300
        found = searcher.search(stock.Term("text", "数学"), limit=None)
        ours = Searcher(tmp_path / "1").search(SearchRequest(text="数学", per_page=300))
        column = searcher.reader().column_reader("number")
        assert {column[hit.docnum] for hit in found} == set(ours.numbers)


def test_documents_stand_in_descending_quality_whatever_the_order_they_came_in(tmp_path: Path) -> None:
    shuffled = records(200)
    random.Random(3).shuffle(shuffled)
    build(tmp_path / "1", shuffled)
    build(tmp_path / "2", sorted(shuffled, key=lambda record: -record.quality))
    assert answers(tmp_path / "1") == answers(tmp_path / "2")
    by_number = {record.number: record.quality for record in shuffled}
    qualities = [by_number[n] for n in Searcher(tmp_path / "1").search(SearchRequest(per_page=200)).numbers]
    assert qualities == sorted(qualities, reverse=True)


def test_an_update_equals_a_rebuild_and_leaves_the_previous_index_alone(tmp_path: Path) -> None:
    first = records(200)
    build(tmp_path / "1", first)
    before, answered = fingerprint(tmp_path / "1"), answers(tmp_path / "1")
    changed = {record.number: record for record in records(40, seed=5)}
    new = [
        IndexRecord(number=200 + n, title=f"新的一课{n}", facets={"subject": ("math",)}) for n in range(1, 9)
    ]
    removed = set(range(100, 130))
    update(tmp_path / "1", tmp_path / "2", removed, [*changed.values(), *new])
    kept = [record for record in first if record.number not in changed | dict.fromkeys(removed)]
    build(tmp_path / "3", [*kept, *changed.values(), *new])
    assert answers(tmp_path / "2") == answers(tmp_path / "3")
    assert fingerprint(tmp_path / "1") == before and answers(tmp_path / "1") == answered


def test_many_small_updates_are_merged_and_still_equal_a_rebuild(tmp_path: Path) -> None:
    held = {record.number: record for record in records(80)}
    build(tmp_path / "0", held.values())
    dice = random.Random(4)
    for step in range(1, 13):
        fresh = {record.number: record for record in dice.sample(records(80, seed=step), 7)}
        gone = set(dice.sample(sorted(held), 3))
        update(tmp_path / str(step - 1), tmp_path / str(step), gone, fresh.values())
        held = {number: record for number, record in held.items() if number not in gone} | fresh
    build(tmp_path / "new", held.values())
    assert answers(tmp_path / "12") == answers(tmp_path / "new")
    assert len(list((tmp_path / "12").glob("*.seg"))) <= 9


def test_everything_removed_is_an_empty_index(tmp_path: Path) -> None:
    build(tmp_path / "1", records(20))
    update(tmp_path / "1", tmp_path / "2", range(1, 21), [])
    assert Searcher(tmp_path / "2").search(SearchRequest(text="数学")).total == 0
    build(tmp_path / "3", [])
    answer = Searcher(tmp_path / "3").search(SearchRequest())
    assert (answer.total, answer.numbers, set(answer.facets)) == (0, (), set(FACETS))


def test_a_searcher_keeps_what_it_unpacked_of_segments_that_stay(tmp_path: Path) -> None:
    build(tmp_path / "1", records(300))
    old = Searcher(tmp_path / "1")
    old.search(SearchRequest(text="数学"))
    update(tmp_path / "1", tmp_path / "2", [1], [])
    new = Searcher(tmp_path / "2", previous=old)
    assert new._evaluator.segments[0].files is old._evaluator.segments[0].files
    assert new.search(SearchRequest()).total == 299 and old.search(SearchRequest()).total == 300


_UPDATE = """
import sys, warnings
from pathlib import Path
sys.path[:0] = [{tests!r}]
from bench.search_corpus import resources
from catalog.search.index import records_of, update
root = Path({root!r})
import catalog.search.pinyin, rjieba
rjieba.cut("学")
print("ready", flush=True)
update(root / "1", root / "2", range(1, 50), records_of((n + 1, r) for n, r in enumerate(resources(200, seed=2))))
print("done", flush=True)
"""


@pytest.mark.parametrize("delay_ms", [2, 80, 200])
def test_a_kill_during_an_update_leaves_the_previous_index_usable(tmp_path: Path, delay_ms: int) -> None:
    build(tmp_path / "1", records(100))
    before, answered = fingerprint(tmp_path / "1"), answers(tmp_path / "1")
    tests = str(Path(__file__).parents[2])
    child = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _UPDATE.format(tests=tests, root=str(tmp_path))],
        stdout=subprocess.PIPE,
    )
    with child:
        assert child.stdout is not None and child.stdout.readline() == b"ready\n"
        time.sleep(delay_ms / 1000)
        os.kill(child.pid, signal.SIGKILL)
    assert fingerprint(tmp_path / "1") == before and answers(tmp_path / "1") == answered
    update(tmp_path / "1", tmp_path / "2", [], records(200, seed=2))
    assert Searcher(tmp_path / "2").search(SearchRequest()).total == 200
    assert not [file for file in (tmp_path / "2").iterdir() if file.is_dir()]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small filesystem needs root")
def test_a_full_disk_is_one_clear_error_and_leaves_the_previous_index(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)]
    if subprocess.run(mount, check=False).returncode:
        pytest.skip("no mount here")
    try:
        build(small / "1", records(20))
        answered = answers(small / "1")
        (small / "filling").write_bytes(bytes(500_000))
        with pytest.raises(StorageError, match="E-DISK-FULL"):
            update(small / "1", small / "2", [], records(400, seed=3))
        assert not (small / "2").exists() and answers(small / "1") == answered
        (small / "filling").unlink()
        update(small / "1", small / "2", [1], [])
        assert Searcher(small / "2").search(SearchRequest()).total == 19
    finally:
        subprocess.run(["umount", "--lazy", str(small)], check=True)
