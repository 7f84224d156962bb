"""A lesson's slides, 1280 × 720 pixels: what the video shows and what the courseware looks like.

The places of the parts are shared with `deck`, which writes the same slides as editable PPTX.
"""

from __future__ import annotations

from dataclasses import dataclass

from appliance.demo.lessons import FIGURE_HEIGHT, FIGURE_WIDTH, Lesson, Slide
from appliance.demo.style import (
    CARD,
    INK,
    LINE,
    SANS,
    SERIF,
    SOFT,
    accent,
    balanced,
    document,
    paragraph,
    text,
)

WIDTH, HEIGHT = 1280, 720
COUNTY = "青禾县农村教学点数字教育资源"


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle on the slide, in pixels."""

    x: float
    y: float
    width: float
    height: float


LABEL = Box(76, 48, 800, 34)
TITLE = Box(76, 92, 1100, 84)
BODY = Box(76, 186, 560, 420)
FIGURE = Box(676, 186, FIGURE_WIDTH, FIGURE_HEIGHT)
WIDE = Box(76, 196, 1136, 420)
LINE_SIZE = 34.0
_EDGE = 16


def outset(box: Box) -> Box:
    """Return the card around a figure."""
    return Box(box.x - _EDGE, box.y - _EDGE, box.width + 2 * _EDGE, box.height + 2 * _EDGE)


def inset(box: Box) -> Box:
    """Return where text goes on a card."""
    return Box(box.x + 3 * _EDGE, box.y + _EDGE, box.width - 6 * _EDGE, box.height - 2 * _EDGE)


def label_of(lesson: Lesson) -> str:
    """Return the small line above a title: subject and unit."""
    subjects = {"math": "数学", "chinese": "语文", "science": "科学", "music": "音乐"}
    return f"三年级上册 · {subjects[lesson.subject]} · {lesson.unit}"


def slide_image(lesson: Lesson, number: int) -> bytes:
    """Return slide `number` (from 0; 0 is the cover) of `lesson` as SVG."""
    slide = lesson.slides[number]
    body = _cover(lesson, slide) if number == 0 else _inner(lesson, slide)
    return document(WIDTH, HEIGHT, body + _footer(lesson, number))


def figure_image(figure: str) -> bytes:
    """Return a figure alone on its card as SVG, as the courseware and the printed pages use it."""
    return document(FIGURE_WIDTH, FIGURE_HEIGHT, figure, background=CARD)


def _inner(lesson: Lesson, slide: Slide) -> str:
    colours = accent(lesson.subject)
    parts = [
        f'<rect width="18" height="{HEIGHT}" fill="{colours.deep}"/>',
        text(LABEL.x, LABEL.y + 26, label_of(lesson), 23, fill=colours.deep, weight="500"),
        text(TITLE.x, TITLE.y + 58, slide.title, 50, weight="700"),
        f'<rect x="{TITLE.x}" y="{TITLE.y + 82}" width="72" height="6" rx="3" fill="{colours.middle}"/>',
    ]
    if slide.figure:
        parts += [_card(slide.figure), _body(lesson, slide, BODY, LINE_SIZE)]
    else:
        parts += [_panel(WIDE), _body(lesson, slide, inset(WIDE), LINE_SIZE + 6)]
    return "".join(parts)


def _body(lesson: Lesson, slide: Slide, box: Box, size: float) -> str:
    """Return the lines of `slide` set in the middle of the height of `box`; a poem's lines larger and without dots."""
    rows: list[tuple[float, str, bool, bool]] = []
    down = 0.0
    for line in slide.lines:
        poem = line.startswith("　")
        letter = size + 7 if poem else size
        for place, part in enumerate(balanced(line.strip("　"), (box.width - 34) / letter)):
            down += letter * 1.45
            rows.append((down, part, poem, place == 0))
        down += size * 0.55
    top = box.y + max(0.0, (box.height - down + size * 0.55) / 2) - size * 0.35
    parts = []
    for below, part, poem, first in rows:
        y = top + below
        if first and not poem:
            parts.append(
                f'<circle cx="{box.x + 9}" cy="{y - size * 0.36:.1f}" r="7" fill="{accent(lesson.subject).middle}"/>'
            )
        family, letter = (SERIF, size + 7) if poem else (SANS, size)
        parts.append(text(box.x + 34, y, part, letter, family=family, weight="500" if poem else "400"))
    return "".join(parts)


def _cover(lesson: Lesson, slide: Slide) -> str:
    colours = accent(lesson.subject)
    parts = [
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{colours.wash}"/>',
        f'<circle cx="120" cy="690" r="230" fill="{colours.middle}" opacity="0.14"/>',
        f'<circle cx="600" cy="40" r="150" fill="{colours.middle}" opacity="0.12"/>',
        f'<rect width="18" height="{HEIGHT}" fill="{colours.deep}"/>',
        text(BODY.x, 190, label_of(lesson), 25, fill=colours.deep, weight="500"),
    ]
    shape, y = paragraph(BODY.x, 290, slide.title, 62, 560, leading=1.3, weight="700")
    parts += [
        shape,
        f'<rect x="{BODY.x}" y="{y - 44:.1f}" width="96" height="8" rx="4" fill="{colours.deep}"/>',
    ]
    y += 26
    for line in slide.lines:
        shape, y = paragraph(BODY.x, y, line, 29, 560, fill=SOFT if line.startswith("主讲") else INK)
        parts.append(shape)
    return "".join(parts) + _card(slide.figure)


def _card(figure: str) -> str:
    return _panel(outset(FIGURE)) + f'<g transform="translate({FIGURE.x} {FIGURE.y})">{figure}</g>'


def _panel(box: Box) -> str:
    return (
        f'<rect x="{box.x}" y="{box.y}" width="{box.width}" height="{box.height}" rx="30" '
        f'fill="{CARD}" stroke="{LINE}" stroke-width="2"/>'
    )


def _footer(lesson: Lesson, number: int) -> str:
    return text(76, 686, COUNTY, 18, fill=SOFT) + text(
        1212, 686, f"{number + 1} / {len(lesson.slides)}", 18, fill=SOFT, anchor="end"
    )
