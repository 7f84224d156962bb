"""Marking found words in text that people see.

Invariant: the result is the text (or a cut of it) escaped, and its only tags are `<mark>` and `</mark>`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from html import escape

from catalog.search.language import WORD_CHARACTER, fold_text, runs

_ELLIPSIS = "…"
_SPECIAL = "&<>\"'"
# No text of a record has it (`E-RECORD`), no word goes over it.
_BETWEEN = "\x00"


def highlight(text: str, words: tuple[str, ...], *, limit: int | None = None) -> str:
    """Return `text` as HTML with the folded `words` marked; with `limit`, about that many characters around the first.

    Chinese is marked where it stands; a word of letters or digits is marked whole, also where it only starts so.
    """
    return _marked(text, find_words(text, words), limit, say=_sayer(text))


def highlight_hit(title: str, parts: Sequence[str], words: tuple[str, ...], *, limit: int) -> tuple[str, str]:
    """Return as `highlight` does a title, and of `parts` the first that has any of `words`, else the first of them.

    The second is at most about `limit` characters, "" for no parts. Both are looked through in one go.
    """
    joined = _BETWEEN.join((title, *parts))
    spans = find_words(joined, words)
    titled = [span for span in spans if span[1] <= len(title)]
    rest = spans[len(titled) :]
    start = len(title) + 1
    if rest:
        start = max(start, joined.rfind(_BETWEEN, start, rest[0][0]) + 1)
    text = joined[start:].partition(_BETWEEN)[0]
    end = start + len(text)
    inside = [(left - start, right - start) for left, right in rest if right <= end]
    say = _sayer(joined)
    return _marked(title, titled, None, say=say), _marked(text, inside, limit, say=say)


def find_words(text: str, words: tuple[str, ...]) -> list[tuple[int, int]]:
    """Return the stretches of `text` that `words` (folded) cover, ascending and apart from each other."""
    patterns = _patterns(words)
    if not patterns:
        return []
    folded, origin = _fold_with_origin(text)
    covered = [match.span() for pattern in patterns for match in pattern.finditer(folded)]
    if len(patterns) > 1:
        covered.sort()
    merged: list[tuple[int, int]] = []
    for left, right in covered:
        if merged and left <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], right))
        else:
            merged.append((left, right))
    if origin is None:
        return merged
    return [(origin[left], origin[right - 1] + 1) for left, right in merged]


def _sayer(text: str) -> Callable[[str], str]:
    """Return what makes HTML of any part of `text`: most have nothing to escape, and five looks are quick."""
    return escape if any(special in text for special in _SPECIAL) else str


def _marked(text: str, spans: list[tuple[int, int]], limit: int | None, *, say: Callable[[str], str]) -> str:
    start, end = 0, len(text)
    if not spans and (limit is None or end <= limit):
        return say(text)
    if limit is not None and len(text) > limit:
        first = spans[0][0] if spans else 0
        start = max(0, min(first - limit // 4, len(text) - limit))
        end = start + limit
    pieces = [_ELLIPSIS] if start else []
    at = start
    for left, right in spans:
        left, right = max(left, at), min(right, end)
        if left < right:
            pieces += (say(text[at:left]), "<mark>", say(text[left:right]), "</mark>")
            at = right
    pieces.append(say(text[at:end]))
    if end < len(text):
        pieces.append(_ELLIPSIS)
    return "".join(pieces)


@lru_cache(maxsize=256)
def _patterns(words: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    """One pattern a word, so that overlapping words are all found: anywhere for Chinese, else from a word's start."""
    return tuple(re.compile(_pattern(word)) for word in words if word)


def _pattern(word: str) -> str:
    parts = runs(word)
    if len(parts) != 1 or parts[0].chinese or parts[0].text != word:
        return re.escape(word)
    rest = f"{WORD_CHARACTER}*" if len(word) > 1 else f"(?!{WORD_CHARACTER})"
    return f"(?<!{WORD_CHARACTER}){re.escape(word)}{rest}"


def _fold_with_origin(text: str) -> tuple[str, list[int] | None]:
    """Return the folded text, and for each of its characters the place in `text`; None where they are the same."""
    folded = fold_text(text)
    if len(folded) == len(text):
        return folded, None
    pieces, origin = [], []
    for place, character in enumerate(text):
        piece = _fold_character(character)
        pieces.append(piece)
        origin += [place] * len(piece)
    return "".join(pieces), origin


@lru_cache(maxsize=4096)
def _fold_character(character: str) -> str:
    return fold_text(character)
