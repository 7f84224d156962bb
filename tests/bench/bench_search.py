"""Search at 20,000 records: CPU per query of our evaluation, and of stock Whoosh on the same index files.

`python tests/bench/bench_search.py [--records N] [--queries N] [--no-stock]` prints one JSON object. All requests differ,
so no answer comes from the cache of answers. Each returns 20 numbers, the exact total and the counts of six facets.
Stock Whoosh gets the terms ready-made, no pinyin and its filters as ready sets of documents, which is in its favour.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import search_corpus
from whoosh import index as stock_index
from whoosh.qparser import QueryParser
from whoosh.query import Every
from whoosh.searching import Searcher as StockSearcher

from catalog.curriculum import VOCABULARIES
from catalog.search.index import build, records_of, update
from catalog.search.language import fold_text, terms
from catalog.search.pinyin import pinyin_of
from catalog.search.query import Searcher, SearchRequest
from catalog.search.record import FACETS

TOPICS = [topic for words in search_corpus.TOPICS.values() for topic in words.split()]
CHINESE = [topic for topic in TOPICS if not topic.isascii()]
ENGLISH = search_corpus.TOPICS["english"].lower().split()


def queries(count: int, titles: list[str], seed: int = 7) -> list[SearchRequest]:
    """Return `count` different requests in fifteen classes."""
    dice = random.Random(seed)
    long_titles = [title for title in titles if not title.isascii() and len(title) > 5]

    def cut() -> str:
        title = dice.choice(long_titles)
        start = dice.randrange(len(title) - 3)
        return title[start : start + dice.randint(2, 6)]

    def syllables() -> list[str]:
        return sorted(word for word in pinyin_of(dice.choice(CHINESE)) if len(word) > 1)

    def grade() -> str:
        return dice.choice("一二三四五六七八九") + "年级"

    def subject() -> str:
        return dice.choice(("数学", "语文", "英语", "科学", "音乐", "物理", "历史", "道德与法治"))

    def codes(*fields: str) -> dict[str, frozenset[str]]:
        return {name: frozenset(dice.choices(tuple(VOCABULARIES[name])[:9], k=2)) for name in fields}

    classes: list[Callable[[], SearchRequest]] = [
        lambda: SearchRequest(text=subject(), page=dice.randint(1, 5)),
        lambda: SearchRequest(text=dice.choice(TOPICS), page=dice.randint(1, 2)),
        lambda: SearchRequest(text=f"{grade()} {dice.choice(TOPICS)}"),
        lambda: SearchRequest(text=f"{grade()}{subject()}{dice.choice(CHINESE)}"),
        lambda: SearchRequest(text=subject(), filters=codes("grade", "kind")),
        lambda: SearchRequest(text=dice.choice(ENGLISH)[: dice.randint(2, 4)]),
        lambda: SearchRequest(filters=codes("stage", "subject")),
        lambda: SearchRequest(text="年级", page=dice.randint(20, 100)),
        lambda: SearchRequest(text=cut()),
        lambda: SearchRequest(text=f"{dice.choice(ENGLISH)} {dice.randint(1, 9)}"),
        lambda: SearchRequest(text=max(syllables(), key=len)),
        lambda: SearchRequest(text=dice.choice(syllables())),
        lambda: SearchRequest(text=dice.choice(dice.choice(long_titles))),
        lambda: SearchRequest(text=f"{dice.choice(('數學', '語文', '練習課', '資源共享'))} {grade()}"),
        lambda: SearchRequest(text=f"量子色动力学{dice.choice(TOPICS)}"),
    ]
    requests: list[SearchRequest] = []
    while len(requests) < count:
        request = classes[len(requests) % len(classes)]()
        for _ in range(20):
            if request not in requests:
                break
            request = classes[len(requests) % len(classes)]()
        else:  # this class has no more different requests
            request = SearchRequest(text=cut())
        requests.append(request)
    return requests


def cpu_ms(action: Callable[[], object]) -> float:
    """Return the CPU milliseconds of one call."""
    started = time.process_time()
    action()
    return (time.process_time() - started) * 1000


def percentiles(values: list[float]) -> dict[str, float]:
    """Return p50, p95, p99, the mean and the largest of `values`."""
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    named = {
        "p50": cuts[49],
        "p95": cuts[94],
        "p99": cuts[98],
        "mean": statistics.fmean(values),
        "max": max(values),
    }
    return {name: round(value, 3) for name, value in named.items()}


def stock_answers(searcher: StockSearcher, parser: QueryParser) -> Callable[[SearchRequest], object]:
    """Return a function that answers a request as stock Whoosh does: parse, search, total, facets."""
    sets = documents_by_code(searcher)

    def answer(request: SearchRequest) -> object:
        found = terms(fold_text(request.text))
        if found:
            last = f"{found[-1]}*" if found[-1].isascii() else found[-1]
            query = parser.parse(" ".join([*found[:-1], last]))
        else:
            query = Every()
        allowed = None
        for name, codes in request.filters.items():
            either = set().union(*(sets.get((name, code), set()) for code in codes))
            allowed = either if allowed is None else allowed & either
        results = searcher.search(query, limit=request.page * 20, filter=allowed, groupedby=list(FACETS))
        return len(results), [results.groups(name) for name in FACETS]

    return answer


def documents_by_code(searcher: StockSearcher) -> dict[tuple[str, str], set[int]]:
    """Return (field, code) -> documents, for stock Whoosh's filters."""
    sets: dict[tuple[str, str], set[int]] = {}
    for name in FACETS:
        for document, value in enumerate(searcher.reader().column_reader(name)):
            for code in value.decode().split("\x1f"):
                sets.setdefault((name, code), set()).add(document)
    return sets


def measure(directory: Path, records: int, count: int, with_stock: bool) -> dict[str, object]:
    """Return all figures."""
    titles = [item.title for item in search_corpus.resources(min(records, 2000))]
    started = time.process_time()
    build(
        directory / "1", records_of((n + 1, item) for n, item in enumerate(search_corpus.resources(records)))
    )
    build_seconds = time.process_time() - started
    changed = list(search_corpus.resources(100, seed=9))
    started, wall = time.process_time(), time.perf_counter()
    update(directory / "1", directory / "2", [], records_of((n + 1, item) for n, item in enumerate(changed)))
    update_cpu, update_wall = time.process_time() - started, time.perf_counter() - wall
    requests = queries(count, titles)
    opened = cpu_ms(lambda: Searcher(directory / "2"))
    searcher = Searcher(directory / "2")
    first = [cpu_ms(lambda request=request: searcher.search(request)) for request in requests]
    warm = Searcher(directory / "2", previous=searcher)
    again = [cpu_ms(lambda request=request: warm.search(request)) for request in requests]
    figures: dict[str, object] = {
        "records": records,
        "queries": len(requests),
        "docs_per_cpu_second": round(records / build_seconds),
        "index_mb": round(sum(file.stat().st_size for file in (directory / "1").iterdir()) / 1e6, 1),
        "update_100": {"cpu_s": round(update_cpu, 3), "wall_s": round(update_wall, 3)},
        "open_cpu_ms": round(opened, 2),
        "cpu_ms_first_touch": percentiles(first),
        "cpu_ms_terms_warm": percentiles(again),
        "peak_rss_mb_with_writer": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }
    if with_stock:
        index = stock_index.open_dir(str(directory / "2"))
        with index.searcher() as stock:
            ask = stock_answers(stock, QueryParser("text", index.schema))
            figures["stock_whoosh_cpu_ms"] = percentiles(
                [cpu_ms(lambda request=request: ask(request)) for request in requests]
            )
    return figures


def main() -> None:
    """Build, search, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument(
        "--no-stock", action="store_true", help="leave out stock Whoosh (slow at many records)"
    )
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        figures = measure(Path(directory), chosen.records, chosen.queries, not chosen.no_stock)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
