"""The pinyin terms of a title: full (`fenshu`) and initials (`fs`), with the other readings of 多音字.

Used by the index writer only: pypinyin's phrases take 55 MB, so nothing that serves pages may import this module.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import islice, product

from pypinyin import Style, lazy_pinyin, pinyin

from catalog.search.language import chinese_runs, fold_text, segment_finely

MAX_READINGS_OF_CHARACTER = 3
MAX_READINGS_OF_WORD = 9
MAX_INITIALS = 8


def pinyin_of(title: str) -> set[str]:
    """Return the pinyin terms of `title`: each word in full and by initials, each tail of a run by initials.

    The tails (from every word's start) let the initials of several words be typed together; for full pinyin the
    query is cut into words instead.
    """
    return set().union(*map(_run_terms, chinese_runs(fold_text(title))))


@lru_cache(maxsize=16384)
def _run_terms(run: str) -> frozenset[str]:
    found: set[str] = set()
    starts = set()
    at = 0
    for word in segment_finely(run):
        found |= _word_terms(word)
        at = run.find(word, max(0, at - len(word)))
        starts.add(at)
    initials = "".join(syllable[:1] for syllable in _syllables(run))
    found.update(tail for at in starts if len(tail := initials[at : at + MAX_INITIALS]) > 1)
    return frozenset(found)


@lru_cache(maxsize=16384)
def _word_terms(word: str) -> frozenset[str]:
    readings = [
        list(dict.fromkeys((likely, *_readings(character))))[:MAX_READINGS_OF_CHARACTER]
        for character, likely in zip(word, _syllables(word), strict=True)
    ]
    found = set()
    for syllables in islice(product(*readings), MAX_READINGS_OF_WORD):
        found.add("".join(syllables))
        if len(syllables) > 1:
            found.add("".join(syllable[:1] for syllable in syllables))
    found.discard("")
    return frozenset(found)


def _syllables(run: str) -> list[str]:
    """Return one syllable per character of `run`, the likely reading in its phrase; empty where there is none."""
    syllables = lazy_pinyin(run, errors="ignore")
    return syllables if len(syllables) == len(run) else [_readings(character)[0] for character in run]


@lru_cache(maxsize=8192)
def _readings(character: str) -> list[str]:
    found = pinyin(character, heteronym=True, style=Style.NORMAL, errors="ignore")
    return found[0] if found else [""]
