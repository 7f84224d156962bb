"""A week of edits in a county: what its people do to course files, ten kinds in turn, each a tenth of the week.

| kind | what is done | the file |
|---|---|---|
| word | a word on one slide is corrected | deck |
| order | two slides change places; the number at the foot of both changes | deck |
| dates | the date and the class at the foot of every slide are changed | deck |
| slide | a slide is put in the middle; "3 / 21" changes on every slide | deck |
| picture | a photo is replaced by another of 90 kB: these bytes are new to everybody | deck |
| other_program | a deck changes hands: every text is written in other words of XML and packed anew, a word is corrected | deck |
| pdf_word | a word is corrected in the source of a handout, which is exported again | PDF |
| pdf_dates | the date at the head of every page is changed, exported again | PDF |
| exercise | one exercise of an H5P package is exchanged, the package is exported again | ZIP |
| script | three answers in the script of a loose HTML5 package are corrected, a line is added | JS |

So six in ten are decks, two PDF, two HTML5; one in ten brings a new photo. A third of the decks is saved by each program
of `course_files.py`, where it is said how the files are made.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from bench.course_files import (
    LAST_WEEK,
    LIBREOFFICE,
    POWERPOINT,
    THIS_WEEK,
    WPS,
    Deck,
    Program,
    deck,
    exercises,
    handout,
    lines,
    package,
    photo,
)

NEW_PHOTO_BYTES = 90_000
_T = TypeVar("_T")


def word(seed: int) -> tuple[bytes, bytes]:
    """A word on one slide is corrected."""
    before = deck(seed)
    words = list(before.slides[3])
    words[2] = "订正" + words[2][2:]
    return _saved(seed, before, replace(before, slides=_with(before.slides, 3, tuple(words))))


def order(seed: int) -> tuple[bytes, bytes]:
    """Two slides change places."""
    before = deck(seed)
    slides = _with(_with(before.slides, 11, before.slides[4]), 4, before.slides[11])
    return _saved(seed, before, replace(before, slides=slides))


def dates(seed: int) -> tuple[bytes, bytes]:
    """The foot of every slide is changed."""
    before = deck(seed)
    return _saved(seed, before, replace(before, foot="2026年11月16日 三年级（2）班"))


def slide(seed: int) -> tuple[bytes, bytes]:
    """A slide is put in the middle: all after it get other names, all of them another count."""
    before = deck(seed)
    new = tuple(lines(random.Random(seed + 1), 7))
    return _saved(seed, before, replace(before, slides=(*before.slides[:8], new, *before.slides[8:])))


def picture(seed: int) -> tuple[bytes, bytes]:
    """A photo takes the place of another."""
    before = deck(seed)
    return _saved(seed, before, replace(before, photos={**before.photos, "p1": new_photo(seed)}))


def other_program(seed: int) -> tuple[bytes, bytes]:
    """A deck is saved last week by one program, this week by another."""
    before = deck(seed)
    after = replace(before, slides=_with(before.slides, 1, ("重新保存", *before.slides[1][1:])), dialect=1)
    return before.save(_program(seed), LAST_WEEK), after.save(_program(seed + 10), THIS_WEEK)


def pdf_word(seed: int) -> tuple[bytes, bytes]:
    """A word is corrected in a handout."""
    before = handout(seed)
    after = replace(before, paragraphs=_with(before.paragraphs, 25, "订正：" + before.paragraphs[25]))
    return before.export(LAST_WEEK), after.export(THIS_WEEK)


def pdf_dates(seed: int) -> tuple[bytes, bytes]:
    """The head of every page is changed."""
    before = handout(seed)
    return before.export(LAST_WEEK), replace(before, head="三年级上册 2026年11月16日").export(THIS_WEEK)


def exercise(seed: int) -> tuple[bytes, bytes]:
    """One exercise is exchanged."""
    before = exercises(seed)
    new = lines(random.Random(seed + 1), 1)[0]
    return before.export(LAST_WEEK), replace(before, questions=_with(before.questions, 30, new)).export(
        THIS_WEEK
    )


def corrected_script(seed: int) -> tuple[bytes, bytes]:
    """Three answers in an exercise are corrected, a line is added."""
    before = package(seed)
    rows = before.split(b"\n")
    for row in (5, 40, 200):
        rows[row] = rows[row].replace(b"a:0.", b"a:1.")
    rows.insert(90, b"exercise.note('\xe8\xae\xa2\xe6\xad\xa3');")
    return before, b"\n".join(rows)


EDITS: dict[str, tuple[str, Callable[[int], tuple[bytes, bytes]]]] = {
    "word": ("pptx", word),
    "order": ("pptx", order),
    "dates": ("pptx", dates),
    "slide": ("pptx", slide),
    "picture": ("pptx", picture),
    "other_program": ("pptx", other_program),
    "pdf_word": ("pdf", pdf_word),
    "pdf_dates": ("pdf", pdf_dates),
    "exercise": ("h5p", exercise),
    "script": ("js", corrected_script),
}
"""Name -> the file's extension, and the function that returns it before and after by a seed."""


def edited_files(count: int, seed: int = 1) -> list[tuple[str, bytes, bytes]]:
    """Return `count` files as (file name, before, after), the kinds of edit in turn."""
    kinds = list(EDITS.items())
    found = []
    for number in range(count):
        name, (extension, make) = kinds[number % len(kinds)]
        found.append((f"{name}-{number}.{extension}", *make(seed * 1000 + number)))
    return found


def new_bytes(count: int, seed: int = 1) -> int:
    """Return how many bytes of `edited_files` are new to everybody: the photos that took the place of others."""
    kinds = list(EDITS)
    seeds = (seed * 1000 + number for number in range(count) if kinds[number % len(kinds)] == "picture")
    return sum(len(new_photo(one)) for one in seeds)


def new_photo(seed: int) -> bytes:
    """Return the photo that `picture` brings."""
    return photo(seed, NEW_PHOTO_BYTES)


def _program(seed: int) -> Program:
    """Return who saves: another one for each ten of files."""
    return (WPS, LIBREOFFICE, POWERPOINT)[seed // 10 % 3]


def _saved(seed: int, before: Deck, after: Deck) -> tuple[bytes, bytes]:
    return before.save(_program(seed), LAST_WEEK), after.save(_program(seed), THIS_WEEK)


def _with(some: tuple[_T, ...], number: int, one: _T) -> tuple[_T, ...]:
    return (*some[:number], one, *some[number + 1 :])
