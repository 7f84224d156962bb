"""What writer and reader of the index agree on: how text is folded and cut into terms.

Chinese (and kana, Hangul) becomes overlapping bigrams, everything else words. Bigrams never cross punctuation, a
space or a change of script; a lone character beside a word is a term of its own, so that `第3课` is found anywhere.
Invariant: `fold_text` is idempotent, and every part of a title of two or more characters can be asked for by terms
that the title has.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from catalog.search.traditional import SIMPLIFIED_OF

MAX_WORD_CHARACTERS = 40

_BIGRAM_SCRIPTS = (
    "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"  # Han
    "\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\uac00-\ud7a3"  # kana, Hangul
)
# Vowel signs and the like are no word characters to `re`: without them a Tibetan or Uyghur word would fall apart.
_MARKS = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06ed"
    "\u0900-\u0963\u0980-\u0dff\u0e31-\u0e4e\u0eb1-\u0ece\u0f18\u0f19\u0f35\u0f37\u0f39\u0f3e-\u0f84\u0f86-\u0fbc"
    "\u1000-\u109f\u180b-\u180e\u1a17-\u1a7f\u1ab0-\u1ac0\u1dc0-\u1dff\u20d0-\u20f0\ufe20-\ufe2f"
)
# Looking for one is many times faster than translating a text that has none.
_TRADITIONAL = re.compile(f"[{''.join(map(chr, SIMPLIFIED_OF))}]")
# What most texts are made of: only this punctuation of theirs folds to something else.
_WIDE = tuple(zip("，：；！？（）％　", ",:;!?()% ", strict=True))
_UNUSUAL = re.compile(
    f"[^\x00-@\\[-\x7f\u4e00-\u9fff、。《》〈〉「」【】“”‘’—·›{''.join(wide for wide, _ in _WIDE)}]"
)
WORD_CHARACTER = rf"(?:[^\W_{_BIGRAM_SCRIPTS}]|[{_MARKS}])"
_RUN = re.compile(rf"([{_BIGRAM_SCRIPTS}]+)|({WORD_CHARACTER}+)")


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch of folded text in one script; `joined` where another run touches it without a gap."""

    text: str
    chinese: bool
    start: int
    joined: bool


def fold_text(text: str) -> str:
    """Return `text` as it is compared: full width to half (NFKC), case folded, traditional to simplified."""
    if text.isascii():
        return text.lower()
    if not _UNUSUAL.search(text) and not _TRADITIONAL.search(text):
        # A third of the work of the tables; it is most of what marking the words of a page takes.
        for wide, narrow in _WIDE:
            text = text.replace(wide, narrow)
        return text
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return folded.translate(SIMPLIFIED_OF) if _TRADITIONAL.search(folded) else folded


def runs(folded: str) -> list[Run]:
    """Return the runs of `folded` in order."""
    found = [(match.start(), match.end(), match[1] is not None) for match in _RUN.finditer(folded)]
    last = len(found) - 1
    return [
        Run(
            folded[start:end] if chinese else folded[start : min(end, start + MAX_WORD_CHARACTERS)],
            chinese,
            start,
            (place > 0 and found[place - 1][1] == start) or (place < last and found[place + 1][0] == end),
        )
        for place, (start, end, chinese) in enumerate(found)
    ]


def bigrams(text: str) -> list[str]:
    """Return the overlapping pairs of `text`; a single character is itself."""
    return [text[at : at + 2] for at in range(len(text) - 1)] or [text]


def terms(folded: str) -> list[str]:
    """Return the terms of `folded` in order, with repetitions: what the field `text` is made of."""
    found: list[str] = []
    for run in runs(folded):
        if not run.chinese:
            found.append(run.text)
            continue
        found += bigrams(run.text)
        if run.joined and len(run.text) > 1:
            found += (run.text[0], run.text[-1])
    return found


def title_grams(folded: str) -> set[str]:
    """Return what finds a title by a single character, and by a cut inside a word: pieces of one and two characters."""
    found: set[str] = set()
    for run in runs(folded):
        found.update(run.text)
        if not run.chinese:
            found.update(bigrams(run.text))
    return found


def chinese_runs(folded: str) -> Iterator[str]:
    """Yield the Chinese runs of `folded`."""
    return (run.text for run in runs(folded) if run.chinese)


def segment(text: str) -> list[str]:
    """Return the words of the Chinese run `text` (jieba's dictionary; loaded at the first call, 33 MB)."""
    import rjieba

    words: list[str] = rjieba.cut(text)
    return words


def segment_finely(text: str) -> list[str]:
    """Return the words of the Chinese run `text`, and the shorter words inside long ones (`三年级`: `年级` too)."""
    import rjieba

    words: list[str] = rjieba.cut_for_search(text)
    return words
