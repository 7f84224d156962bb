"""The month's syncs as figures and as a drawn chart: bytes received by day and road, and what was saved. Pure.

Invariant: a day's bar is the sum of what the runs of that day (in the school's zone) say they received; a run that says
nothing of a road counts as nothing, so an older history draws as well as a newer one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta, tzinfo

from markupsafe import Markup, escape

from catalog.local import SyncRun

ROADS = ("lan", "torrent", "http", "rsync", "directory")
"""In the order in which they are stacked: what costs the school nothing stands at the foot."""
FREE_ROADS = frozenset(("lan", "directory"))
_COLOURS = {
    "lan": "#3f7d5a",
    "directory": "#8a9a5b",
    "torrent": "#c98a2b",
    "http": "#a83a27",
    "rsync": "#6b4a86",
}
_OTHER_COLOUR = "#8d8478"
# The drawing's own units; the page scales it to its width.
_WIDTH, _HEIGHT, _LEFT, _TOP, _FOOT = 760, 230, 92, 24, 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What came on one day: bytes by kind of road."""

    day: date
    roads: Mapping[str, int]

    @property
    def size_bytes(self) -> int:
        return sum(self.roads.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """The days of one month up to today, what they sum up to, and how many runs failed."""

    days: tuple[Day, ...]
    last_day: date
    saved: Mapping[str, int] = field(default_factory=dict)
    runs: int = 0
    failed: int = 0

    @property
    def roads(self) -> dict[str, int]:
        """Bytes of the month by kind of road, those that came by none left out, in the order of the chart."""
        counts: Counter[str] = Counter()
        for day in self.days:
            counts.update(day.roads)
        return {road: counts[road] for road in _in_order(counts) if counts[road]}

    @property
    def line_bytes(self) -> int:
        """Bytes that went over the school's line: not from neighbours, not from a stick."""
        return sum(count for road, count in self.roads.items() if road not in FREE_ROADS)


def month_of(runs: Iterable[SyncRun], today: date, zone: tzinfo) -> Month:
    """Return the month of `today` as the history `runs` tells it."""
    first = today.replace(day=1)
    roads: dict[date, Counter[str]] = {}
    saved: Counter[str] = Counter()
    counted = failed = 0
    for run in runs:
        day = run.at.astimezone(zone).date()
        if not first <= day <= today:
            continue
        counted += 1
        failed += run.result == "failed"
        roads.setdefault(day, Counter()).update(_bytes_by_name(run.details.get("roads")))
        saved.update(_bytes_by_name(run.details.get("saved")))
    days = (first + timedelta(days=number) for number in range((today - first).days + 1))
    following = (first + timedelta(days=32)).replace(day=1)
    return Month(
        days=tuple(Day(day=day, roads=dict(roads.get(day, Counter()))) for day in days),
        last_day=following - timedelta(days=1),
        saved=dict(saved),
        runs=counted,
        failed=failed,
    )


def draw(month: Month, size: Callable[[int], str], day_text: Callable[[date], str], title: str) -> Markup:
    """Return the month as an SVG picture: a stacked bar for each day, a scale at the left, `title` for screen readers.

    `size` and `day_text` put bytes and days into the page's language.
    """
    most = _round_up(max((day.size_bytes for day in month.days), default=0))
    inner = _HEIGHT - _TOP - _FOOT
    step = (_WIDTH - _LEFT) / month.last_day.day
    parts = [
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" focusable="false"'
        f' aria-label="{escape(title)}"><title>{escape(title)}</title>'
    ]
    for share in (0.0, 0.5, 1.0):
        y = _TOP + inner * (1 - share)
        parts.append(
            f'<path d="M{_LEFT} {y:.1f}H{_WIDTH}" stroke="#e6dccb"/>'
            f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{escape(size(int(most * share)))}</text>'
        )
    for day in month.days:
        parts.append(_bar(day, most, step, inner, f"{day_text(day.day)} {size(day.size_bytes)}"))
    for number in (1, 10, 20, month.last_day.day):
        x = _LEFT + (number - 0.5) * step
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - 8}" text-anchor="middle">{number}</text>')
    parts.append("</svg>")
    return Markup("".join(parts))


def colour(road: str) -> str:
    """Return the colour in which the chart draws a road."""
    return _COLOURS.get(road, _OTHER_COLOUR)


def _bar(day: Day, most: int, step: float, inner: float, said: str) -> str:
    if not day.size_bytes:
        return ""
    x = _LEFT + (day.day.day - 1) * step + step * 0.15
    y = _TOP + inner
    pieces = [f"<g><title>{escape(said)}</title>"]
    for road in _in_order(day.roads):
        # A day on which something came is seen, however little that was.
        height = max(1.0, inner * day.roads[road] / most) if day.roads[road] else 0.0
        y -= height
        pieces.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{step * 0.7:.1f}" height="{height:.1f}" fill="{colour(road)}"/>'
        )
    return "".join((*pieces, "</g>"))


def _in_order(names: Iterable[str]) -> Sequence[str]:
    return sorted(names, key=lambda name: (ROADS.index(name) if name in ROADS else len(ROADS), name))


def _round_up(most: int) -> int:
    """Return the end of the scale: 1, 2 or 5 times a power of ten, at least a megabyte."""
    end = 1_000_000
    while end < most:
        for factor in (2, 5, 10):
            if end * factor >= most or factor == 10:
                end *= factor
                break
    return end


def _bytes_by_name(value: object) -> dict[str, int]:
    if not isinstance(value, Mapping):
        return {}
    return {str(name): count for name, count in value.items() if type(count) is int and count > 0}
