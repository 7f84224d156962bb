"""Weather and plants: instruments with honest scales, symbols of the weather report, the parts of a plant."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.demo.style import CARD, INK, LINE, SOFT, accent, text

_DEEP, _FILL, _WASH = accent("science").deep, accent("science").middle, accent("science").wash
_RED = "#c8503f"


def thermometer(x: float, degrees: float, *, low: int = -20, high: int = 50, label: bool = True) -> str:
    """Return a thermometer whose column stands at `degrees` Celsius; a line for each 2 ℃, a number for each 10."""
    top, bottom = 30.0, 330.0
    step = (bottom - top) / (high - low)

    def level(value: float) -> float:
        return bottom - (value - low) * step

    body = [
        f'<rect x="{x - 46}" y="8" width="92" height="396" rx="20" fill="{CARD}" stroke="{LINE}" stroke-width="3"/>',
        f'<rect x="{x - 8}" y="{top - 10}" width="16" height="{bottom - top + 40}" rx="8" fill="#eef2f2" stroke="{SOFT}"/>',
        f'<rect x="{x - 4}" y="{level(degrees):.1f}" width="8" height="{bottom + 40 - level(degrees):.1f}" fill="{_RED}"/>',
        f'<circle cx="{x}" cy="372" r="21" fill="{_RED}" stroke="{SOFT}"/>',
        text(x + 26, 26, "℃", 19, fill=SOFT, anchor="middle"),
    ]
    for value in range(low, high + 1, 2):
        long = value % 10 == 0
        y = level(value)
        body.append(
            f'<path d="M{x - 12} {y:.1f} h{-14 if long else -8} M{x + 12} {y:.1f} h{14 if long else 8}" '
            f'stroke="{INK}" stroke-width="{1.8 if long else 1}"/>'
        )
        if long:
            body.append(text(x - 29, y + 5, str(abs(value)), 14, anchor="end"))
    if label:
        y = level(degrees)
        name = f"{degrees:g} ℃" if degrees >= 0 else f"−{-degrees:g} ℃"
        body.append(
            f'<path d="M{x + 50} {y:.1f} l14 -9 v18 z" fill="{_DEEP}"/>'
            + text(x + 70, y + 11, name, 30, fill=_DEEP, weight="700")
        )
    return "".join(body)


def two_thermometers(first: float, second: float) -> str:
    """Return two thermometers for reading."""
    return thermometer(90, first) + thermometer(345, second)


def week_of_temperatures(degrees: Sequence[int], names: Sequence[str]) -> str:
    """Return the column chart of one day's or week's temperatures."""
    body = []
    high = 30
    for value in range(0, high + 1, 5):
        y = 350 - value * 10.4
        body.append(f'<path d="M60 {y:.1f} H500" stroke="{LINE}" stroke-width="1.5"/>')
        body.append(text(50, y + 6, str(value), 18, fill=SOFT, anchor="end"))
    body.append(text(26, 24, "℃", 18, fill=SOFT))
    gap = 430 / len(degrees)
    for place, (value, name) in enumerate(zip(degrees, names, strict=True)):
        x, height = 72 + gap * (place + 0.5), value * 10.4
        body.append(
            f'<rect x="{x - gap * 0.3:.1f}" y="{350 - height:.1f}" width="{gap * 0.6:.1f}" height="{height:.1f}" '
            f'rx="5" fill="{_FILL}"/>'
        )
        body.append(text(x, 342 - height, str(value), 22, fill=_DEEP, weight="700", anchor="middle"))
        body.append(text(x, 384, name, 20, anchor="middle"))
    body.append(f'<path d="M60 350 H506" stroke="{INK}" stroke-width="2.5"/>')
    return "".join(body)


def weather_symbols() -> str:
    """Return the six symbols of the weather report that pupils learn, with their names."""
    cloud = "M-40 14 a20 20 0 0 1 6 -39 a27 27 0 0 1 52 -6 a22 22 0 0 1 20 45 z"
    sun = '<circle r="20" fill="#eeb04e"/>' + "".join(
        f'<path d="M0 -28 v-12" stroke="#eeb04e" stroke-width="5" stroke-linecap="round" transform="rotate({45 * n})"/>'
        for n in range(8)
    )
    grey, white = f'<path d="{cloud}" fill="#a7b4b8"/>', f'<path d="{cloud}" fill="#c9d4d7"/>'
    drop = "".join(
        f'<path d="M{x} 24 l-6 18" stroke="#5d93b0" stroke-width="5" stroke-linecap="round"/>'
        for x in (-20, 2, 24)
    )
    flake = "".join(
        f'<g transform="translate({x} {y})" stroke="#6d9fb8" stroke-width="3" stroke-linecap="round"><path d="M-8 0 H8 M-4 -7 L4 7 M-4 7 L4 -7"/></g>'
        for x, y in ((-22, 32), (2, 40), (26, 32))
    )
    wind = "".join(
        f'<path d="M{-44 + 8 * n} {-16 + 18 * n} h{56 - 10 * n} a11 11 0 1 0 -11 -11" fill="none" stroke="#6f8f9a" '
        'stroke-width="6" stroke-linecap="round"/>'
        for n in range(3)
    )
    symbols = (
        ("晴", sun),
        ("多云", f'<g transform="translate(22 -20) scale(0.8)">{sun}</g>{white}'),
        ("阴", grey),
        ("雨", grey + drop),
        ("雪", white + flake),
        ("大风", wind),
    )
    body = []
    for place, (name, shape) in enumerate(symbols):
        x, y = 95 + 165 * (place % 3), 100 + 200 * (place // 3)
        body.append(
            f'<rect x="{x - 74}" y="{y - 82}" width="148" height="182" rx="18" fill="{_WASH}"/>'
            f'<g transform="translate({x} {y - 8})">{shape}</g>'
            + text(x, y + 80, name, 27, weight="500", anchor="middle")
        )
    return "".join(body)


def plant() -> str:
    """Return a plant with flower and fruit, and the names of its six organs."""
    leaf = '<path d="M0 0 C24 -34 70 -36 104 -14 C74 16 32 22 0 0 Z" fill="#7da262"/><path d="M0 0 C34 -10 68 -14 104 -14" stroke="#5f8449" stroke-width="2.5" fill="none"/>'
    petals = "".join(
        f'<ellipse cx="0" cy="-22" rx="12" ry="20" fill="#e2a5ab" transform="rotate({60 * n})"/>'
        for n in range(6)
    )
    return (
        '<path d="M0 300 H520 V420 H0 Z" fill="#e9dcc3"/><path d="M0 300 H520" stroke="#c4ab80" stroke-width="3"/>'
        '<path d="M210 304 V96" stroke="#6b9150" stroke-width="11" stroke-linecap="round"/>'
        '<path d="M210 190 C250 170 268 150 276 128" stroke="#6b9150" stroke-width="7" fill="none" stroke-linecap="round"/>'
        f'<g transform="translate(212 258) rotate(-8)">{leaf}</g><g transform="translate(208 226) rotate(8) scale(-1 1)">{leaf}</g>'
        f'<g transform="translate(210 84)">{petals}<circle r="12" fill="#eec25e"/></g>'
        '<circle cx="282" cy="116" r="25" fill="#cf6d4c"/><path d="M282 92 q2 -10 10 -13" stroke="#6b9150" stroke-width="5" fill="none"/>'
        '<path d="M210 304 C208 340 212 370 206 402 M210 318 C190 336 176 350 150 372 M210 322 C232 340 246 352 270 380 M208 350 C196 366 186 376 178 396 M212 350 C226 366 232 380 240 396" '
        'stroke="#a9865a" stroke-width="5" fill="none" stroke-linecap="round"/>'
        + "".join(
            f'<path d="M{x1} {y1} L{x2} {y2}" stroke="{SOFT}" stroke-width="1.6"/><circle cx="{x1}" cy="{y1}" r="4" fill="{_DEEP}"/>'
            + text(
                x2 + (8 if x2 > x1 else -8),
                y2 + 9,
                name,
                27,
                fill=_DEEP,
                weight="700",
                anchor="start" if x2 > x1 else "end",
            )
            for name, x1, y1, x2, y2 in (
                ("花", 196, 66, 120, 66),
                ("果实", 300, 110, 380, 96),
                ("种子", 284, 124, 380, 156),
                ("叶", 290, 238, 380, 238),
                ("茎", 206, 160, 110, 160),
                ("根", 176, 352, 96, 352),
            )
        )
    )


def water_cycle() -> str:
    """Return how water goes round between sea, cloud and land."""
    drops = "".join(
        f'<path d="M{x} {y} l-6 17" stroke="#5d93b0" stroke-width="4" stroke-linecap="round"/>'
        for x, y in ((112, 128), (142, 132), (172, 128), (126, 158), (158, 160))
    )
    return (
        '<clipPath id="pane"><rect width="520" height="420" rx="22"/></clipPath><g clip-path="url(#pane)">'
        '<rect width="520" height="420" fill="#e4eff1"/><circle cx="440" cy="70" r="36" fill="#eeb04e"/>'
        '<path d="M0 300 L90 190 L170 270 L230 220 L330 330 V420 H0 Z" fill="#93b189"/>'
        '<path d="M200 420 C250 330 330 316 520 320 V420 Z" fill="#8fc0cc"/>'
        '<path d="M110 236 C150 280 190 290 240 344" fill="none" stroke="#6aa5b5" stroke-width="8" stroke-linecap="round"/>'
        '<g fill="#b8c5c9"><ellipse cx="140" cy="92" rx="76" ry="26"/><circle cx="112" cy="76" r="28"/><circle cx="156" cy="68" r="36"/><circle cx="196" cy="84" r="22"/></g>'
        + drops
        + "".join(
            f'<path d="M{x} 306 q-12 -18 0 -36 t0 -36 m-7 9 l7 -12 l8 11" fill="none" stroke="{_RED}" stroke-width="4" stroke-linecap="round" opacity="0.7"/>'
            for x in (400, 440, 480)
        )
        + '<path d="M408 150 C360 96 300 82 236 84 m14 -10 l-15 10 l15 11" fill="none" stroke="#5d7f8c" stroke-width="4" stroke-linecap="round"/>'
        + text(440, 214, "蒸发", 25, weight="500", anchor="middle")
        + text(330, 82, "凝结成云", 25, weight="500", anchor="middle")
        + text(62, 168, "降水", 25, weight="500", anchor="middle")
        + text(136, 340, "汇入江河", 25, fill="#ffffff", weight="500", anchor="middle")
        + "</g>"
    )
