"""The look of everything the sample county draws: paper, ink, one accent colour for each subject, and text.

All drawings are SVG text made here, so a slide on the screen, a printed page and a picture have one hand.
`{3/4}` inside a text is drawn as a stacked fraction, as it stands in a textbook; `plain` gives it back as 3/4.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape

SANS = "Noto Sans CJK SC"
SERIF = "Noto Serif CJK SC"
PAPER = "#f8f5ee"
CARD = "#fffdf8"
INK = "#2f3a3d"
SOFT = "#7c868a"
LINE = "#ddd5c5"

_FRACTION = re.compile(r"\{(\d+)/(\d+)\}")
_TOKEN = re.compile(r"\{\d+/\d+\}|[A-Za-z0-9.,:;%°℃+\-]+|.", re.DOTALL)
_NEVER_FIRST = set("，。、；：？！）》”’…—·%,.;:?!)℃")
_NEVER_LAST = set("（《“‘(")


@dataclass(frozen=True, slots=True)
class Accent:
    """A subject's colours: for headings and marks, for fills, for a wash behind things."""

    deep: str
    middle: str
    wash: str


ACCENTS = {
    "math": Accent("#2f6f82", "#6fa8b5", "#e3eff0"),
    "chinese": Accent("#a8503a", "#d39a80", "#f6e8df"),
    "science": Accent("#4a7a4c", "#8fb584", "#e8f0e1"),
    "music": Accent("#6f5486", "#a893bb", "#eee8f2"),
    "english": Accent("#3f5f9a", "#8ea6d0", "#e6ebf5"),
    "art": Accent("#a86a1f", "#dcae6a", "#f7ecd9"),
}


def accent(subject: str) -> Accent:
    """Return the colours of `subject`; the ones of mathematics where it has none of its own."""
    return ACCENTS.get(subject, ACCENTS["math"])


def plain(text: str) -> str:
    """Return `text` with each stacked fraction written in one line."""
    return _FRACTION.sub(r"\1/\2", text)


def text_width(text: str) -> float:
    """Return the width of `text` in units of the font size, as Noto Sans CJK sets it."""
    return sum(_token_width(token) for token in _TOKEN.findall(text))


def _token_width(token: str) -> float:
    fraction = _FRACTION.fullmatch(token)
    if fraction:
        return 0.30 + 0.42 * max(len(part) for part in fraction.groups())
    return sum(_char_width(char) for char in token)


def _char_width(char: str) -> float:
    if char == " ":
        return 0.224
    if char in ".,:;'!|il":
        return 0.29
    if ord(char) < 0x250:
        return 0.60 if char in "mwMW%" else 0.555
    return 1.0


def wrap(text: str, width: float) -> list[str]:
    """Break `text` into lines of at most `width` em, by the rules of Chinese typesetting (GB/T 15834)."""
    lines: list[list[str]] = [[]]
    used = 0.0
    for token in _TOKEN.findall(text):
        size = _token_width(token)
        if lines[-1] and used + size > width and token not in _NEVER_FIRST:
            carried: list[str] = []
            while len(lines[-1]) > 1 and lines[-1][-1] in _NEVER_LAST:
                carried.insert(0, lines[-1].pop())
            lines.append(carried)
            used = sum(_token_width(part) for part in carried)
        lines[-1].append(token)
        used += size
    return ["".join(line).strip() for line in lines]


def balanced(text: str, width: float) -> list[str]:
    """Break `text` as `wrap` does, with lines of much the same length, so that no single word is left over."""
    lines = wrap(text, width)
    narrower = width
    while len(lines) > 1 and narrower > width / 2:
        narrower -= 0.5
        closer = wrap(text, narrower)
        if len(closer) > len(lines):
            break
        lines = closer
    return lines


def text(
    x: float,
    y: float,
    content: str,
    size: float,
    *,
    fill: str = INK,
    family: str = SANS,
    weight: str = "400",
    anchor: str = "start",
) -> str:
    """Return one line of text with its baseline at (`x`, `y`); fractions in it are stacked."""
    if anchor != "start":
        shift = text_width(content) * size * (0.5 if anchor == "middle" else 1.0)
        if _FRACTION.search(content):
            x, anchor = x - shift, "start"
    style = (
        f'font-family="{family}" font-size="{size:g}" fill="{fill}" font-weight="{weight}" '
        f'text-anchor="{anchor}"'
    )
    parts: list[str] = []
    place = 0
    for match in _FRACTION.finditer(content):
        before = content[place : match.start()]
        if before:
            parts.append(
                f'<text x="{x:.1f}" y="{y:.1f}" {style} xml:space="preserve">{escape(before)}</text>'
            )
            x += text_width(before) * size
        parts.append(stacked(x, y, match.group(1), match.group(2), size, fill=fill, weight=weight))
        x += _token_width(match.group()) * size
        place = match.end()
    rest = content[place:]
    if rest:
        parts.append(f'<text x="{x:.1f}" y="{y:.1f}" {style} xml:space="preserve">{escape(rest)}</text>')
    return "".join(parts)


def stacked(
    x: float, y: float, above: str, below: str, size: float, *, fill: str = INK, weight: str = "400"
) -> str:
    """Return a stacked fraction whose bar lies at the middle of a line of `size` with the baseline `y`."""
    width = (0.30 + 0.42 * max(len(above), len(below))) * size
    small = size * 0.70
    middle, bar = x + width / 2, y - size * 0.34
    style = f'font-family="{SANS}" font-size="{small:.1f}" fill="{fill}" font-weight="{weight}" text-anchor="middle"'
    return (
        f'<text x="{middle:.1f}" y="{bar - size * 0.11:.1f}" {style}>{above}</text>'
        f'<rect x="{x + size * 0.07:.1f}" y="{bar - size * 0.025:.1f}" width="{width - size * 0.14:.1f}" '
        f'height="{max(1.2, size * 0.05):.1f}" fill="{fill}"/>'
        f'<text x="{middle:.1f}" y="{bar + size * 0.66:.1f}" {style}>{below}</text>'
    )


def paragraph(
    x: float,
    y: float,
    content: str,
    size: float,
    width: float,
    *,
    leading: float = 1.6,
    fill: str = INK,
    family: str = SANS,
    weight: str = "400",
) -> tuple[str, float]:
    """Return `content` set in lines of `width` pixels from the baseline `y`, and the baseline after the last."""
    parts = []
    for line in wrap(content, width / size):
        parts.append(text(x, y, line, size, fill=fill, family=family, weight=weight))
        y += size * leading
    return "".join(parts), y


def document(width: float, height: float, body: str, *, background: str = PAPER) -> bytes:
    """Return a whole SVG file of `width` × `height` pixels."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}">'
        f'<rect width="{width:g}" height="{height:g}" fill="{background}"/>{body}</svg>'
    ).encode()
