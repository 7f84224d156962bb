"""Answers: totals and facets as stock Whoosh counts them, ranking, and the ways in which people type."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench.search_corpus import TOPICS, resources
from whoosh import index as stock_index
from whoosh import query as stock

from catalog.resource import Resource
from catalog.search.index import build, records_of
from catalog.search.language import fold_text
from catalog.search.matching import Leaf
from catalog.search.plans import plans
from catalog.search.query import NumberSet, Searcher, SearchRequest
from catalog.search.record import FACETS, IndexRecord, text_of

COUNT = 1200


@pytest.fixture(scope="module")
def catalogue() -> dict[int, Resource]:
    return dict(enumerate(resources(COUNT), 1))


@pytest.fixture(scope="module")
def directory(catalogue: dict[int, Resource], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("index") / "1"
    build(path, records_of(catalogue.items()))
    return path


@pytest.fixture(scope="module")
def searcher(directory: Path) -> Searcher:
    return Searcher(directory)


@pytest.fixture(scope="module")
def whoosh(directory: Path) -> Iterator[object]:
    with stock_index.open_dir(str(directory)).searcher() as opened:
        yield opened


def confirm_in(catalogue: dict[int, Resource]):
    def confirm(numbers: list[int], phrases: tuple[str, ...]) -> set[int]:
        return {n for n in numbers if all(phrase in text_of(catalogue[n]) for phrase in phrases)}

    return confirm


def stock_query(clauses: tuple[tuple[Leaf, ...], ...]) -> stock.Query:
    return stock.And(
        [
            stock.Or(
                [(stock.Prefix if leaf.prefix else stock.Term)(leaf.field, leaf.text) for leaf in clause]
            )
            for clause in clauses
        ]
    )


def test_totals_and_facets_equal_stock_whoosh(searcher: Searcher, whoosh, catalogue) -> None:
    """Random queries with random filters: the same documents, and each facet under all other filters."""
    dice = random.Random(11)
    topics = [topic for words in TOPICS.values() for topic in words.split()]
    columns = {name: list(whoosh.reader().column_reader(name)) for name in FACETS}
    codes = {
        name: sorted({c for v in columns[name] for c in v.decode().split("\x1f") if c}) for name in FACETS
    }
    for _ in range(100):
        text = " ".join(
            dice.choice((*topics, "年级", "数学", "三年级", "fs", "unit", "le", "分", "的认识"))
            for _ in range(dice.choice((0, 1, 1, 2)))
        )
        filters = {
            name: frozenset(dice.sample(codes[name], min(len(codes[name]), dice.randint(1, 3))))
            for name in dice.sample(FACETS, dice.choice((0, 0, 1, 2, 3)))
        }
        answer = searcher.search(SearchRequest(text=text, filters=filters, per_page=COUNT))
        documents: set[int] = set()
        if text:
            for plan in plans(text, searcher._known):
                documents = set(whoosh.docs_for_query(stock_query(plan.clauses)))
                if documents:
                    break
        else:
            documents = set(range(COUNT))

        def passes(document: int, but: str = "", filters=filters) -> bool:
            return all(
                name == but or codes & set(columns[name][document].decode().split("\x1f"))
                for name, codes in filters.items()
            )

        expected = {document for document in documents if passes(document)}
        numbers = whoosh.reader().column_reader("number")
        assert answer.total == len(expected), text
        assert {*answer.numbers} == {numbers[document] for document in expected}, text
        for name in FACETS:
            counts = Counter(
                code
                for document in documents
                if passes(document, name)
                for code in columns[name][document].decode().split("\x1f")
                if code
            )
            assert dict(answer.facets[name]) == dict(counts), (text, name)


def test_every_part_of_every_title_finds_it(searcher: Searcher, catalogue) -> None:
    dice = random.Random(2)
    confirm = confirm_in(catalogue)
    for number in dice.sample(sorted(catalogue), 150):
        title = catalogue[number].title
        start = dice.randrange(len(title) - 1)
        part = title[start : dice.randint(start + 2, len(title))]
        answer = searcher.search(SearchRequest(text=part, per_page=COUNT), confirm)
        if fold_text(part).isascii() and not part[:1].isspace():
            # A cut inside an English word may itself be a word of other titles: then those are the answer.
            assert number in answer.numbers or answer.total
        elif any(character.isalnum() for character in part):
            assert number in answer.numbers or any(character.isascii() for character in part), part


@pytest.mark.parametrize(
    ("typed", "title"),
    [
        ("分数的初步", "分数的初步认识"),
        ("数的初", "分数的初步认识"),
        ("三年级数学分数", "分数的初步认识"),
        ("三年级上册数学", "分数的初步认识"),
        ("數學 分數", "分数的初步认识"),
        ("分数，认识", "分数的初步认识"),
        ("分数的初步认识微课人教版", "分数的初步认识"),
        ("fenshu", "分数的初步认识"),
        ("fens", "分数的初步认识"),
        ("fen shu", "分数的初步认识"),
        ("fenshurenshi", "分数的初步认识"),
        ("renshifenshu", "分数的初步认识"),
        ("FS", "分数的初步认识"),
        ("fsdcb", "分数的初步认识"),
        ("cq", "重庆的山水"),
        ("chongqing", "重庆的山水"),
        ("cd", "长度的测量"),
        ("zd", "长度的测量"),
        ("changdu", "长度的测量"),
        ("庆", "重庆的山水"),
        ("Ｍｙ　ｆａｍ", "My family（第2课时）"),
        ("amily", "My family（第2课时）"),
        ("第2课", "My family（第2课时）"),
        ("2课时", "My family（第2课时）"),
    ],
)
def test_the_ways_people_type(tmp_path_factory, typed: str, title: str) -> None:
    from builders import resource

    titles = ("分数的初步认识", "重庆的山水", "长度的测量", "My family（第2课时）")
    path = tmp_path_factory.getbasetemp() / "typed"
    if not path.exists():
        made = [resource("r1", titles[0])] + [
            resource(f"s{n}", name, subject="science", path=(), grades=("g5",))
            for n, name in enumerate(titles[1:])
        ]
        build(path, records_of(enumerate(made, 1)))
    answer = Searcher(path).search(SearchRequest(text=typed))
    assert answer.numbers[:1] == (titles.index(title) + 1,), answer


def test_a_phrase_must_stand_in_one_piece(tmp_path: Path) -> None:
    """资源共享 has the bigrams of 资源, 源共 and 共享: a text with all three apart is no hit, nor counted."""
    texts = {1: "资源共享平台", 2: "资源，源共与共享", 3: "共享资源"}
    build(tmp_path / "1", [IndexRecord(number=n, title=text) for n, text in texts.items()])

    def confirm(numbers: list[int], phrases: tuple[str, ...]) -> set[int]:
        return {n for n in numbers if all(phrase in texts[n] for phrase in phrases)}

    answer = Searcher(tmp_path / "1").search(SearchRequest(text="资源共享"), confirm)
    assert (answer.total, answer.numbers, answer.exact) == (1, (1,), True)


def test_where_every_strict_hit_is_false_the_words_are_asked(tmp_path: Path) -> None:
    texts = {1: "分数，数面，面积", 2: "面积与分数", 3: "面积"}
    build(tmp_path / "1", [IndexRecord(number=n, title=text) for n, text in texts.items()])
    answer = Searcher(tmp_path / "1").search(
        SearchRequest(text="分数面积"),
        lambda numbers, phrases: {n for n in numbers if all(phrase in texts[n] for phrase in phrases)},
    )
    assert set(answer.numbers) == {1, 2} and answer.words == ("分数", "面积")


def test_with_many_hits_the_page_is_checked_and_the_total_says_so(tmp_path: Path) -> None:
    texts = {n: "资源共享" if n % 2 else "资源，源共，共享" for n in range(1, 301)}
    build(tmp_path / "1", [IndexRecord(number=n, title=text) for n, text in texts.items()])
    answer = Searcher(tmp_path / "1").search(
        SearchRequest(text="资源共享", per_page=20),
        lambda numbers, phrases: {n for n in numbers if phrases[0] in texts[n]},
    )
    assert all(n % 2 for n in answer.numbers)
    assert not answer.exact and answer.total == 300 - (20 - len(answer.numbers))


def test_titles_rank_before_bodies_and_whole_words_before_beginnings(tmp_path: Path) -> None:
    made = [
        IndexRecord(number=1, title="练习", body="分数\n分数\n分数", quality=9),
        IndexRecord(number=2, title="分数", body="练习", quality=1),
        IndexRecord(number=3, title="schooling", quality=9),
        IndexRecord(number=4, title="school", quality=1),
    ]
    build(tmp_path / "1", made)
    searcher = Searcher(tmp_path / "1")
    assert searcher.search(SearchRequest(text="分数")).numbers == (2, 1)
    assert searcher.search(SearchRequest(text="school")).numbers == (4, 3)
    assert searcher.search(SearchRequest(text="fs")).numbers == (2,)


def test_pages_of_a_common_word_neither_repeat_nor_miss(searcher: Searcher) -> None:
    pages = [searcher.search(SearchRequest(text="年级", page=page, per_page=100)) for page in range(1, 14)]
    numbers = [number for page in pages for number in page.numbers]
    assert len(numbers) == len(set(numbers)) == pages[0].total == COUNT


def test_number_sets_narrow_total_and_facets(searcher: Searcher) -> None:
    some = NumberSet(range(1, 101))
    answer = searcher.search(SearchRequest(numbers=(some,), per_page=100))
    assert answer.total == 100 and set(answer.numbers) == set(range(1, 101))
    assert sum(answer.facets["kind"].values()) == 100
    both = searcher.search(SearchRequest(text="unit", numbers=(some, NumberSet(range(50, 300)))))
    assert set(both.numbers) <= set(range(50, 101))


def test_only_signs_find_nothing_and_blank_browses(searcher: Searcher) -> None:
    assert searcher.search(SearchRequest(text="？！。")).total == 0
    assert searcher.search(SearchRequest(text="  ")).total == COUNT
    assert searcher.search(SearchRequest(text="年级", filters={"kind": frozenset(["nothing"])})).numbers == ()


def test_threads_share_a_searcher(directory: Path) -> None:
    shared, wrong = Searcher(directory), []
    asked = ["数学", "分数", "三年级数学", "unit", "fs", "练习课", "weather", ""]
    expected = {text: Searcher(directory).search(SearchRequest(text=text)) for text in asked}

    def ask(seed: int) -> None:
        for text in random.Random(seed).choices(asked, k=60):
            if shared.search(SearchRequest(text=text)) != expected[text]:
                wrong.append(text)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
