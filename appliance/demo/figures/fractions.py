"""Fractions as a child meets them: a mooncake, a folded sheet, a paper strip, all cut into equal parts."""

from __future__ import annotations

import math
from collections.abc import Sequence

from appliance.demo.style import CARD, INK, SOFT, accent, text

Part = tuple[int, int]
_DEEP, _FILL, _WASH = accent("math").deep, accent("math").middle, accent("math").wash
_CRUST, _CAKE, _TAKEN = "#b98243", "#f1d9a7", "#e0a95c"


def pie(x: float, y: float, radius: float, part: Part, *, label: bool = True) -> str:
    """Return a mooncake around (`x`, `y`) cut into `part[1]` equal parts, of which `part[0]` are taken."""
    taken, parts = part
    body = [f'<circle cx="{x}" cy="{y}" r="{radius}" fill="{_CAKE}" stroke="{_CRUST}" stroke-width="6"/>']
    for place in range(taken if parts > 1 else 0):
        start, end = (2 * math.pi * (place + step) / parts - math.pi / 2 for step in (0, 1))
        large = 1 if parts < 2 else 0
        body.append(
            f'<path d="M{x:.1f} {y:.1f} L{x + radius * math.cos(start):.1f} {y + radius * math.sin(start):.1f} '
            f"A{radius} {radius} 0 {large} 1 "
            f'{x + radius * math.cos(end):.1f} {y + radius * math.sin(end):.1f} Z" fill="{_TAKEN}"/>'
        )
    body.append(
        f'<circle cx="{x}" cy="{y}" r="{radius - 11}" fill="none" stroke="{_CRUST}" stroke-width="1.5" '
        'stroke-dasharray="3 7" stroke-linecap="round"/>'
    )
    for place in range(parts if parts > 1 else 0):
        turn = 2 * math.pi * place / parts - math.pi / 2
        body.append(
            f'<line x1="{x}" y1="{y}" x2="{x + radius * math.cos(turn):.1f}" '
            f'y2="{y + radius * math.sin(turn):.1f}" stroke="{CARD}" stroke-width="4"/>'
        )
    body.append(f'<circle cx="{x}" cy="{y}" r="{radius}" fill="none" stroke="{_CRUST}" stroke-width="6"/>')
    if label:
        name = f"{{{taken}/{parts}}}" if parts > 1 else "1"
        body.append(text(x, y + radius + 62, name, 44, fill=_DEEP, weight="700", anchor="middle"))
    return "".join(body)


def pies(parts: Sequence[Part], *, label: bool = True) -> str:
    """Return up to three mooncakes side by side, each with its fraction under it."""
    radius = {1: 130, 2: 104, 3: 74}[len(parts)]
    gap = 520 / len(parts)
    return "".join(
        pie(gap * (place + 0.5), 180 if label else 210, radius, part, label=label)
        for place, part in enumerate(parts)
    )


def strips(parts: Sequence[Part], *, label: bool = True) -> str:
    """Return paper strips of one length under each other, with the taken parts coloured and named."""
    height = min(58.0, 300 / len(parts))
    gap = 400 / len(parts)
    body = []
    for place, (taken, total) in enumerate(parts):
        top = gap * place + (gap - height) / 2 + 10
        width = 400 / total
        for cell in range(total):
            fill = _FILL if cell < taken else CARD
            body.append(
                f'<rect x="{20 + width * cell:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" '
                f'fill="{fill}" stroke="{_DEEP}" stroke-width="2"/>'
            )
        name = f"{{{taken}/{total}}}" if total > 1 else "1"
        if label and taken:
            body.append(text(468, top + height / 2 + 13, name, 38, fill=_DEEP, weight="700", anchor="middle"))
    return "".join(body)


def wall() -> str:
    """Return the wall of fractions: the strips from 1 down to eighths."""
    body = []
    for row, total in enumerate((1, 2, 3, 4, 5, 6, 8)):
        width = 500 / total
        for cell in range(total):
            fill = _FILL if cell == 0 else (_WASH if row % 2 else CARD)
            left, top = 10 + width * cell, 8 + row * 58
            body.append(
                f'<rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="58" fill="{fill}" '
                f'stroke="{_DEEP}" stroke-width="1.6"/>'
            )
            name = f"{{1/{total}}}" if total > 1 else "1"
            body.append(
                text(left + width / 2, top + 40, name, 28, fill=INK if cell else "#ffffff", anchor="middle")
            )
    return "".join(body)


def folded_squares() -> str:
    """Return one square folded into quarters in three ways: each quarter has the same size."""
    body = []
    for place in range(3):
        left, top, side = 20 + place * 168, 110, 144
        x, y = left + side / 2, top + side / 2
        shapes = (
            (
                f"{left},{top} {x},{top} {x},{y} {left},{y}",
                [(x, top, x, top + side), (left, y, left + side, y)],
            ),
            (
                f"{left},{top} {left + side / 4},{top} {left + side / 4},{top + side} {left},{top + side}",
                [(left + side * k / 4, top, left + side * k / 4, top + side) for k in (1, 2, 3)],
            ),
            (
                f"{left},{top} {x},{y} {left + side},{top}",
                [(left, top, left + side, top + side), (left + side, top, left, top + side)],
            ),
        )
        points, folds = shapes[place]
        body.append(f'<rect x="{left}" y="{top}" width="{side}" height="{side}" fill="{CARD}"/>')
        body.append(f'<polygon points="{points}" fill="{_FILL}"/>')
        for x1, y1, x2, y2 in folds:
            body.append(
                f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{_DEEP}" stroke-width="1.8" '
                'stroke-dasharray="7 6"/>'
            )
        body.append(
            f'<rect x="{left}" y="{top}" width="{side}" height="{side}" fill="none" stroke="{_DEEP}" '
            'stroke-width="3"/>'
        )
    body.append(text(260, 322, "三种折法，涂色部分都是 {1/4}", 29, fill=_DEEP, weight="500", anchor="middle"))
    return "".join(body)


def sharing(groups: int, each: int, taken: int, *, label: bool = True) -> str:
    """Return a set of apples in `groups` equal groups, of which `taken` are framed in colour."""
    width = 480 / groups
    body = []
    for place in range(groups):
        left = 20 + width * place
        fill, stroke = (_WASH, _DEEP) if place < taken else (CARD, SOFT)
        body.append(
            f'<rect x="{left + 6:.1f}" y="70" width="{width - 12:.1f}" height="220" rx="18" fill="{fill}" '
            f'stroke="{stroke}" stroke-width="3" stroke-dasharray="9 7"/>'
        )
        for number in range(each):
            x = left + width / 2 + (0 if each == 1 else (-26 if number % 2 == 0 else 26))
            y = 130 + 62 * (number // 2)
            body.append(apple(x, y, 24))
    total = groups * each
    if label:
        words = f"{total} 个的 {{{taken}/{groups}}} 是 {taken * each} 个"
        body.append(text(260, 356, words, 34, fill=_DEEP, weight="700", anchor="middle"))
    return "".join(body)


def apple(x: float, y: float, radius: float) -> str:
    """Return an apple around (`x`, `y`)."""
    return (
        f'<path d="M{x} {y - radius * 0.7} q{radius * 0.1} {-radius * 0.5} {radius * 0.4} {-radius * 0.6}" '
        'fill="none" stroke="#7a5a36" stroke-width="3" stroke-linecap="round"/>'
        f'<path d="M{x} {y - radius * 0.65} c{-radius * 0.5} {-radius * 0.5} {-radius * 1.1} {-radius * 0.1} {-radius} {radius * 0.7} '
        f"c{radius * 0.1} {radius * 0.8} {radius * 0.6} {radius * 1.1} {radius} {radius * 0.85} "
        f"c{radius * 0.4} {radius * 0.25} {radius * 0.9} {-radius * 0.05} {radius} {-radius * 0.85} "
        f'c{radius * 0.1} {-radius * 0.8} {-radius * 0.5} {-radius * 1.2} {-radius} {-radius * 0.7} Z" fill="#c8594a"/>'
        f'<ellipse cx="{x + radius * 0.45:.1f}" cy="{y - radius * 1.05:.1f}" rx="{radius * 0.34:.1f}" '
        f'ry="{radius * 0.17:.1f}" fill="#7da262" transform="rotate(-28 {x + radius * 0.45:.1f} {y - radius * 1.05:.1f})"/>'
    )
