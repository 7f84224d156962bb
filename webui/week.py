"""The hours of the week in which the box is usually on, drawn as a grid of days and hours. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

DAYS, HOURS = 7, 24
_CELL, _LEFT, _TOP = 26, 92, 28
_SHADES = ("#f3ecdf", "#ecd9b8", "#dcb679", "#c98a2b", "#9c5a1b")
_HOURS_NAMED = (0, 6, 12, 18, 23)


def draw_week(counts: Sequence[float], day_names: Sequence[str], title: str) -> Markup:
    """Return the grid as an SVG picture; `counts[day * 24 + hour]` (Monday first) says how usual an hour is."""
    most = max((*counts, 1.0))
    width, height = _LEFT + HOURS * _CELL, _TOP + DAYS * _CELL
    parts = [
        f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" focusable="false"'
        f' aria-label="{escape(title)}"><title>{escape(title)}</title>'
    ]
    for hour in _HOURS_NAMED:
        x = _LEFT + hour * _CELL + _CELL / 2
        parts.append(f'<text x="{x:.0f}" y="{_TOP - 8}" text-anchor="middle">{hour}</text>')
    for day in range(DAYS):
        y = _TOP + day * _CELL
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 18}" text-anchor="end">{escape(day_names[day])}</text>')
        for hour in range(HOURS):
            shade = _SHADES[round(counts[day * HOURS + hour] / most * (len(_SHADES) - 1))]
            x = _LEFT + hour * _CELL
            parts.append(
                f'<rect x="{x + 1}" y="{y + 1}" width="{_CELL - 2}" height="{_CELL - 2}" rx="3" fill="{shade}"/>'
            )
    parts.append("</svg>")
    return Markup("".join(parts))
