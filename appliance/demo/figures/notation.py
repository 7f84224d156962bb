"""Music on paper: five lines with notes, and numbered notation 简谱, both from the same list of notes."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.demo.style import INK, SOFT, accent, text

Note = tuple[int, float, str]
"""Step above the middle C of the major key (0 = do), length in beats, the syllable sung."""

_DEEP, _FILL, _WASH = accent("music").deep, accent("music").middle, accent("music").wash
_NAMES = ("do", "re", "mi", "fa", "sol", "la", "si")


def staff(
    x: float, y: float, width: float, notes: Sequence[Note], *, gap: float = 13.0, names: bool = True
) -> str:
    """Return `notes` on a staff in C major whose lowest line lies at `y`; each under it what is sung."""
    body = [
        f'<path d="M{x} {y - gap * line:.1f} h{width}" stroke="{INK}" stroke-width="1.5"/>'
        for line in range(5)
    ]
    body.append(_clef(x + 20, y, gap))
    usable = width - 70
    beats = sum(length for _, length, _ in notes)
    at = x + 58
    for step, length, syllable in notes:
        space = usable * length / beats
        middle = at + min(space / 2, 22)
        body.append(_note(middle, y - gap * (step - 2) / 2, step, length, gap))
        if names and syllable:
            body.append(
                text(middle, y + gap * 3.6, syllable, gap * 1.6, fill=_DEEP, weight="500", anchor="middle")
            )
        at += space
    body.append(f'<path d="M{x + width} {y} v{-gap * 4}" stroke="{INK}" stroke-width="3"/>')
    return "".join(body)


def _clef(x: float, y: float, gap: float) -> str:
    size = gap / 13
    return (
        f'<g transform="translate({x} {y}) scale({size})" fill="none" stroke="{INK}" stroke-linecap="round">'
        '<path d="M1 -13 C-9 -13 -10 -26 1 -27 C15 -27 17 -6 1 -2 C-17 0 -22 -22 -6 -34 C6 -44 12 -54 9 -66 '
        'C6 -76 -4 -66 -3 -52 L6 8 C8 22 -8 24 -9 13" stroke-width="3.4"/><circle cx="-6" cy="14" r="3.4" '
        f'fill="{INK}"/></g>'
    )


def _note(x: float, y: float, step: int, length: float, gap: float) -> str:
    body = ""
    if step <= 0:
        body += f'<path d="M{x - gap * 1.1} {y} h{gap * 2.2}" stroke="{INK}" stroke-width="1.5"/>'
    hollow = length >= 2
    head = (
        f'<ellipse cx="{x:.1f}" cy="{y:.1f}" rx="{gap * 0.66:.1f}" ry="{gap * 0.48:.1f}" transform="rotate(-20 {x:.1f} {y:.1f})" '
        f'fill="{"none" if hollow else INK}" stroke="{INK}" stroke-width="{2.4 if hollow else 1}"/>'
    )
    up = step < 6
    side = x + gap * (0.62 if up else -0.62)
    end = y - gap * 3.3 if up else y + gap * 3.3
    stem = (
        f'<path d="M{side:.1f} {y:.1f} V{end:.1f}" stroke="{INK}" stroke-width="2.2"/>' if length < 4 else ""
    )
    flag = ""
    if length < 1:
        bend = 1 if up else -1
        flag = (
            f'<path d="M{side:.1f} {end:.1f} c2 {10 * bend} 13 {12 * bend} 9 {26 * bend}" fill="none" stroke="{INK}" '
            'stroke-width="3" stroke-linecap="round"/>'
        )
    return body + head + stem + flag


def numbered(x: float, y: float, width: float, notes: Sequence[Note], *, size: float = 34) -> str:
    """Return `notes` in numbered notation, the syllables under it; half notes with a dash, eighths underlined."""
    beats = sum(length for _, length, _ in notes)
    body = []
    at = x
    for step, length, syllable in notes:
        space = width * length / beats
        middle = at + min(space / 2, size * 0.7)
        body.append(text(middle, y, str(step % 7 + 1), size, weight="500", anchor="middle"))
        if step >= 7:
            body.append(f'<circle cx="{middle:.1f}" cy="{y - size:.1f}" r="3.2" fill="{INK}"/>')
        if step < 0:
            body.append(f'<circle cx="{middle:.1f}" cy="{y + size * 0.3:.1f}" r="3.2" fill="{INK}"/>')
        if length < 1:
            body.append(
                f'<path d="M{middle - size * 0.4:.1f} {y + size * 0.16:.1f} h{size * 0.8:.1f}" stroke="{INK}" stroke-width="2.4"/>'
            )
        for dash in range(int(length) - 1):
            body.append(text(middle + space / length * (dash + 1), y, "–", size, anchor="middle"))
        body.append(text(middle, y + size * 1.35, syllable, size * 0.72, fill=_DEEP, anchor="middle"))
        at += space
    return "".join(body)


def scale_on_staff() -> str:
    """Return the scale of C major with its names."""
    notes = [(step, 1.0, _NAMES[step % 7]) for step in range(8)]
    return (
        text(260, 84, "C 大调音阶", 34, fill=_DEEP, weight="700", anchor="middle")
        + staff(22, 236, 476, notes, gap=15)
        + numbered(82, 372, 420, [(step, 1.0, "") for step in range(8)], size=32)
    )


def bell(x: float, y: float, size: float) -> str:
    """Return a bronze bell hanging at (`x`, `y`)."""
    return (
        f'<g transform="translate({x} {y}) scale({size})"><path d="M-14 0 a14 14 0 0 1 28 0" fill="none" stroke="#8b6a35" stroke-width="7"/>'
        '<path d="M-58 116 C-50 90 -50 20 -26 2 H26 C50 20 50 90 58 116 Z" fill="#c79a4b"/>'
        '<path d="M-66 116 H66 V130 H-66 Z" fill="#a97c33"/><circle cy="142" r="13" fill="#8b6a35"/>'
        '<path d="M-40 60 H40 M-45 84 H45" stroke="#e2c07c" stroke-width="5"/></g>'
    )


def bells() -> str:
    """Return three bells that ring one after the other: a round."""
    return (
        '<path d="M30 66 H490" stroke="#7a5a3c" stroke-width="14" stroke-linecap="round"/>'
        + bell(120, 86, 1.0)
        + bell(260, 86, 1.25)
        + bell(400, 86, 1.0)
        + text(260, 376, "一个接一个：轮唱", 32, fill=_DEEP, weight="700", anchor="middle")
    )


def round_entries(parts: Sequence[str]) -> str:
    """Return how the voices of a round enter, each a phrase after the one before."""
    body = []
    width = 108
    for voice in range(3):
        y = 60 + voice * 104
        body.append(text(10, y + 44, f"第{'一二三'[voice]}组", 24, fill=_DEEP, weight="700"))
        for place, part in enumerate(parts):
            left = 96 + (place + voice) * 66
            if left + 62 > 520:
                break
            fill = _FILL if (place + voice) % 2 == 0 else _WASH
            body.append(f'<rect x="{left}" y="{y}" width="62" height="68" rx="10" fill="{fill}"/>')
            body.append(text(left + 31, y + 44, part, 25, anchor="middle"))
    body.append(f'<path d="M96 376 H500 m-14 -9 l15 9 l-15 9" fill="none" stroke="{SOFT}" stroke-width="3"/>')
    body.append(text(96 + width, 408, "时间", 21, fill=SOFT))
    return "".join(body)
