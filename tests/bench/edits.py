"""A week of edits in a county: what its people do to course files, ten kinds in turn, each a tenth of the week.

| kind | what is done | the file |
|---|---|---|
| word | a word on one slide is corrected, saved in WPS | deck |
| word_powerpoint | the same in a program whose deflate is not zlib's | deck |
| dates | the date and the class at the foot of every slide are changed, WPS | deck |
| slide | a slide is put in the middle with LibreOffice; "3 / 21" changes on every slide | deck |
| picture | a photo is replaced by another of 90 kB, WPS: these bytes are new to everybody | deck |
| other_program | a deck from PowerPoint is saved in LibreOffice: every text is written in other words of XML and packed anew | deck |
| pdf_word | a word is corrected in the source of a handout, which is exported again | PDF |
| pdf_dates | the date at the head of every page is changed, exported again | PDF |
| exercise | one exercise of an H5P package is exchanged, the package is exported again | ZIP |
| script | three answers in the script of a loose HTML5 package are corrected, a line is added | JS |

So six in ten are decks, two PDF, two HTML5; one in ten brings a new photo. How the files are made: `course_files.py`.
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


def word(seed: int, program: Program = WPS) -> tuple[bytes, bytes]:
    """A word on one slide is corrected."""
    before = deck(seed)
    words = list(before.slides[3])
    words[2] = "订正" + words[2][2:]
    after = replace(before, slides=_with(before.slides, 3, tuple(words)))
    return before.save(program, LAST_WEEK), after.save(program, THIS_WEEK)


def word_powerpoint(seed: int) -> tuple[bytes, bytes]:
    """A word on one slide is corrected, in a program whose deflate nobody else has."""
    return word(seed, POWERPOINT)


def dates(seed: int) -> tuple[bytes, bytes]:
    """The foot of every slide is changed."""
    before = deck(seed)
    return before.save(WPS, LAST_WEEK), replace(before, foot="2026年11月16日 三年级（2）班").save(
        WPS, THIS_WEEK
    )


def slide(seed: int) -> tuple[bytes, bytes]:
    """A slide is put in the middle: all after it get other names, all of them another count."""
    before = deck(seed)
    new = tuple(lines(random.Random(seed + 1), 7))
    after = replace(before, slides=(*before.slides[:8], new, *before.slides[8:]))
    return before.save(LIBREOFFICE, LAST_WEEK), after.save(LIBREOFFICE, THIS_WEEK)


def picture(seed: int) -> tuple[bytes, bytes]:
    """A photo takes the place of another."""
    before = deck(seed)
    after = replace(before, photos={**before.photos, "p1": photo(seed, NEW_PHOTO_BYTES)})
    return before.save(WPS, LAST_WEEK), after.save(WPS, THIS_WEEK)


def other_program(seed: int) -> tuple[bytes, bytes]:
    """A deck changes hands: saved last week by one program, this week by another, a word corrected."""
    before = deck(seed)
    after = replace(before, slides=_with(before.slides, 1, ("重新保存", *before.slides[1][1:])), dialect=1)
    return before.save(POWERPOINT, LAST_WEEK), after.save(LIBREOFFICE, THIS_WEEK)


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
    "word_powerpoint": ("pptx", word_powerpoint),
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


def new_bytes(names: list[str]) -> int:
    """Return how many bytes of the edits with these file names are new to everybody: photos."""
    return sum(NEW_PHOTO_BYTES for name in names if name.startswith("picture-"))


def _with(some: tuple[_T, ...], number: int, one: _T) -> tuple[_T, ...]:
    return (*some[:number], one, *some[number + 1 :])
