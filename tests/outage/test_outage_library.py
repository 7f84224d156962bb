"""Power cuts around the one commit point: rows and the index they name are one whole published state.

The index directory comes first, durably; one transaction of the library then writes the rows and names it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from builders import resource
from outage_harness import Acknowledge, Outage

from catalog import durable
from catalog.library import Library
from catalog.manifest import Bundle
from catalog.resource import Resource
from catalog.search.index import build, records_of, update
from catalog.search.query import Searcher, SearchRequest

BUNDLE = "main"
STATES = 12
ADDED = 5
WORDS = [
    "分数",
    "小数",
    "面积",
    "周长",
    "方程",
    "比例",
    "圆柱",
    "角度",
    "统计",
    "概率",
    "乘法",
    "除法",
    "加法",
]


def title(number: int, state: int) -> str:
    """The title that resource `number` bears in `state`: every third is renamed once, two states after it came."""
    came = number // ADDED + 1
    return f"{WORDS[came]}第{number}课{'（修订）' if number % 3 == 0 and state >= came + 2 else ''}"


def state_of(state: int) -> dict[str, Resource]:
    """The resources of a published state; each state adds some, renames some and takes one away."""
    numbers = range(max(0, state - 3), state * ADDED)
    return {f"r{n:03}": resource(f"r{n:03}", title(n, state), path=(), quality=float(n % 7)) for n in numbers}


def turn_to(root: Path, library: Library, state: int) -> None:
    """Bring library and index from the state they are in to `state`, as a sync does."""
    held = library.generation().index
    before, after = state_of(held) if held else {}, state_of(state)
    directory = root / "index" / str(state)
    with library.writing() as writer:
        writer.put_bundle(Bundle(id=BUNDLE, version=state, title="全部", publisher="县"))
        changed = [record for record in after.values() if before.get(record.id) != record]
        added = [(writer.put_resource(record, BUNDLE), record) for record in changed]
        gone = writer.remove_resources(BUNDLE, before.keys() - after.keys())
        if held:
            update(root / "index" / str(held), directory, gone, records_of(added))
        else:
            build(directory, records_of(added))
        writer.set_index(state)
        writer.set_release(state, f"2026-11-{state:02}")
    for old in (root / "index").iterdir():
        if int(old.name) < held:
            shutil.rmtree(old)


def publish_states(root: Path, acknowledge: Acknowledge) -> None:
    with Library.open(root / "library.db", create=True) as library:
        for state in range(library.generation().index + 1, STATES + 1):
            turn_to(root, library, state)
            acknowledge(str(state))


def whole_state(root: Path) -> int:
    """Return the published state that the library shows; fail unless rows and index are wholly in it."""
    with Library.open(root / "library.db", create=True) as library, library.reading() as reader:
        generation = reader.generation()
        state = generation.index
        assert generation.release == state
        expected = state_of(state) if state else {}
        assert {entry.resource.id: entry.resource for entry in reader.entries()} == expected
        if state:
            assert [bundle.version for bundle in reader.bundles()] == [state]
            numbers = reader.numbers_of(expected)
            check_index(root / "index" / str(state), {numbers[i]: r.title for i, r in expected.items()})
    return state


def check_index(directory: Path, titles: dict[int, str]) -> None:
    """Everything is found by browsing, and by each word exactly what has it in its title."""
    searcher = Searcher(directory)
    try:
        for text in ("", *WORDS, "修订"):
            found = searcher.search(SearchRequest(text=text, per_page=100))
            assert set(found.numbers) == {number for number, one in titles.items() if text in one}, text
    finally:
        searcher.close()


def check(root: Path, acknowledged: tuple[str, ...]) -> None:
    assert whole_state(root) >= max(map(int, acknowledged), default=0)


def test_library_and_index_are_one_whole_state_after_a_cut(outage: Outage) -> None:
    log = outage.record(publish_states)
    for cut in log.cuts(40, seed=31):
        with outage.mounted(cut) as root:
            check(root, cut.acknowledged)
            publish_states(root, lambda _: None)
            assert whole_state(root) == STATES


# Whoosh leaves a file open where it stumbles over a damaged index.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_an_index_that_is_not_synced_before_it_is_named_is_caught(
    outage: Outage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for flush in ("sync_file", "sync_directory", "sync_filesystem", "sync_all", "sync_data"):
        monkeypatch.setattr(durable, flush, lambda _: None)
    log = outage.record(publish_states)
    monkeypatch.undo()
    caught = 0
    for cut in log.cuts(12, seed=32):
        with outage.mounted(cut) as root:
            try:
                check(root, cut.acknowledged)
            except Exception:  # noqa: BLE001 - whatever a damaged index makes Whoosh raise
                caught += 1
    assert caught


@pytest.mark.slow
def test_library_and_index_survive_five_hundred_cuts(outage: Outage) -> None:
    for seed in range(5):
        log = outage.record(publish_states, seed=seed)
        for cut in log.cuts(100, seed):
            with outage.mounted(cut) as root:
                check(root, cut.acknowledged)
