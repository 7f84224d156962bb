"""What a typed query asks of the index: a few plans, from the strictest to the most forgiving.

The first plan that finds something is the answer. Punctuation and spaces only separate, in either width. A run of
Chinese is asked by all its bigrams; if nothing has them, cut into words (`三年级数学分数`). Letters are a word, the
beginning of one at the end of the query, and pinyin in full or by initials.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from catalog.search.language import Run, bigrams, fold_text, runs, segment
from catalog.search.matching import Clause, Leaf

MAX_QUERY_CHARACTERS = 160
MAX_CLAUSES = 64
MAX_PIECES = 12

_LETTERS = re.compile("[a-z]{2,}")


@dataclass(frozen=True, slots=True)
class Plan:
    """All `clauses` must hold; then each of `phrases` must stand in the text in one piece (bigrams alone do not tell).

    `words` are what to highlight.
    """

    clauses: tuple[Clause, ...]
    phrases: tuple[str, ...] = ()
    words: tuple[str, ...] = ()


@dataclass(slots=True)
class _Draft:
    clauses: dict[Clause, None]
    phrases: dict[str, None]
    words: dict[str, None]

    def add_chinese(self, text: str) -> None:
        if len(text) == 1:
            self.clauses[Leaf("text", text), Leaf("gram", text)] = None
        else:
            self.clauses.update(dict.fromkeys((Leaf("text", pair),) for pair in bigrams(text)))
        if len(text) > 2:
            self.phrases[text] = None
        self.words[text] = None

    def add_word(self, text: str, *, open_end: bool) -> None:
        self.clauses[_word(text, open_end=open_end)] = None
        self.words[text] = None

    def add_grams(self, text: str) -> None:
        self.clauses.update(dict.fromkeys((Leaf("gram", pair),) for pair in bigrams(text)))
        if len(text) > 2:
            self.phrases[text] = None
        self.words[text] = None

    def plan(self) -> Plan:
        return Plan(tuple(self.clauses)[:MAX_CLAUSES], tuple(self.phrases), tuple(self.words))


def plans(text: str, known: Callable[[Leaf], bool]) -> Iterator[Plan]:
    """Yield the plans for `text`, strictest first, each only when asked for; none where there is nothing to ask.

    `known` tells whether any document has a term; it is used to cut pinyin into syllable groups.
    """
    found = runs(fold_text(text[:MAX_QUERY_CHARACTERS]))
    if not found:
        return
    tried = set()
    for make in (_strict, _by_pinyin, _by_title_pieces, _by_words):
        plan = make(found, known)
        if plan is not None and plan not in tried:
            tried.add(plan)
            yield plan


def _strict(found: list[Run], known: Callable[[Leaf], bool]) -> Plan:
    draft = _Draft({}, {}, {})
    for place, run in enumerate(found):
        if run.chinese:
            draft.add_chinese(run.text)
        else:
            draft.add_word(run.text, open_end=place == len(found) - 1)
    return draft.plan()


def _by_pinyin(found: list[Run], known: Callable[[Leaf], bool]) -> Plan | None:
    """Neighbouring words of letters are one stretch of pinyin (`fen shu`), cut where the index knows the pieces."""
    draft = _Draft({}, {}, {})
    if not _add_pinyin(draft, found, known):
        return None
    for run in found:
        if run.chinese:
            draft.add_chinese(run.text)
    return draft.plan()


def _by_words(found: list[Run], known: Callable[[Leaf], bool]) -> Plan | None:
    """Chinese cut into words, which may stand in different fields; single characters between them are left out."""
    if not any(run.chinese and len(run.text) > 2 for run in found):
        return None
    draft = _Draft({}, {}, {})
    if not _add_pinyin(draft, found, known):
        for place, run in enumerate(found):
            if not run.chinese:
                draft.add_word(run.text, open_end=place == len(found) - 1)
    for run in found:
        if run.chinese:
            for word in _words_of(run.text):
                draft.add_chinese(word)
    return draft.plan()


def _words_of(text: str) -> list[str]:
    """Return the words of a Chinese run: neighbouring single characters are one unknown word, lone ones are left out."""
    words: list[str] = []
    grows = False
    for word in segment(text):
        if len(word) == 1 and grows:
            words[-1] += word
        else:
            words.append(word)
        grows = len(word) == 1
    return [word for word in words if len(word) > 1] or words


def _by_title_pieces(found: list[Run], known: Callable[[Leaf], bool]) -> Plan | None:
    """A title cut in the middle of a word of letters or digits: asked by the title's pieces of one and two characters."""
    if all(run.chinese for run in found):
        return None
    draft = _Draft({}, {}, {})
    for run in found:
        if run.chinese:
            draft.add_chinese(run.text)
        else:
            draft.add_grams(run.text)
    return draft.plan()


def _add_pinyin(draft: _Draft, found: list[Run], known: Callable[[Leaf], bool]) -> bool:
    """Add the words of `found`, pinyin cut into known pieces; return False where there is nothing to cut."""
    stretches: list[tuple[str, bool]] = []
    changed = False
    for place, run in enumerate(found):
        last = place == len(found) - 1
        if run.chinese:
            continue
        pieces = place > 0 and not found[place - 1].chinese and stretches
        if pieces and _LETTERS.fullmatch(run.text) and _LETTERS.fullmatch(stretches[-1][0]):
            stretches[-1] = (stretches[-1][0] + run.text, last)
            changed = True
        else:
            stretches.append((run.text, last))
    for text, last in stretches:
        cut = _cut(text, last, known) if _LETTERS.fullmatch(text) else None
        if cut is None:
            draft.add_word(text, open_end=last)
            continue
        changed = changed or len(cut) > 1
        for at, piece in enumerate(cut):
            ends = at == len(cut) - 1
            leaf = Leaf("pinyin", piece)
            draft.clauses[(leaf, Leaf("pinyin", piece, prefix=True)) if last and ends else (leaf,)] = None
    return changed


def _cut(text: str, open_end: bool, known: Callable[[Leaf], bool]) -> list[str] | None:
    """Return `text` as pieces that are pinyin of some title, the longest first; None where there are none."""

    @cache
    def rest(start: int) -> tuple[str, ...] | None:
        for end in range(len(text), start + 1, -1):
            piece = text[start:end]
            if end == len(text):
                if known(Leaf("pinyin", piece)) or (open_end and known(Leaf("pinyin", piece, prefix=True))):
                    return (piece,)
            elif known(Leaf("pinyin", piece)):
                after = rest(end)
                if after is not None and len(after) < MAX_PIECES:
                    return (piece, *after)
        return None

    found = rest(0)
    return None if found is None else list(found)


def _word(text: str, *, open_end: bool) -> Clause:
    """Return the clause of a word: itself, its pinyin meaning, and at the open end what starts with it."""
    fields = ("text", "pinyin") if _LETTERS.fullmatch(text) else ("text",)
    leaves = [Leaf(field, text) for field in fields]
    if open_end and len(text) > 1:
        leaves += [Leaf(field, text, prefix=True) for field in fields]
    return tuple(leaves)
