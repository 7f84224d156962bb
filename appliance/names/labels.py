"""Host names that people type: one ASCII label that fits DNS and NetBIOS alike.

A label has at most 15 characters (RFC 1001 section 14: 15 and a suffix), so that one word works on every system.
"""

from __future__ import annotations

import re

BOX_WORD, HUB_WORD = "shuxiang", "shuxiang-hub"
LONGEST = 15
# Of a word that is set by hand: `-99` must still fit behind it.
LONGEST_WORD = LONGEST - 3
LAST_NUMBER = 99

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,13}[a-z0-9])?")


def is_word(text: str) -> bool:
    """Return whether `text` can be typed as a host name everywhere, and leaves room for a number."""
    return len(text) <= LONGEST_WORD and bool(_LABEL.fullmatch(text)) and not text.isdecimal()


def own_word(name: str, id: str) -> str:
    """Return the word for a box or hub called `name`: the name itself where it is one, else `sx-` and its id's start."""
    folded = name.strip().lower()
    return folded if is_word(folded) else f"sx-{id[:8]}"


def numbered(word: str, number: int) -> str:
    """Return the word as the `number`-th of its kind is called: `word`, `word-2`, `word-3` …"""
    return word if number < 2 else f"{word}-{number}"


def number_of(word: str, label: str) -> int:
    """Return which of its kind `label` is, 1 for the word itself or where it is none of this word's."""
    rest = label.removeprefix(f"{word}-")
    return int(rest) if rest != label and rest.isdecimal() and 2 <= int(rest) <= LAST_NUMBER else 1
