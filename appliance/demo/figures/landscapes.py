"""The landscapes of the poems of this week: flat washes of colour, like a paper-cut over water."""

from __future__ import annotations

_SKY, _WATER, _MIST = "#dbe9ec", "#a9cbd3", "#f4f1e8"


def _scene(body: str, *, sky: str = _SKY) -> str:
    return (
        '<clipPath id="frame"><rect width="520" height="420" rx="22"/></clipPath>'
        f'<g clip-path="url(#frame)"><rect width="520" height="420" fill="{sky}"/>{body}</g>'
    )


def _waves(top: int, *, colour: str = "#8fb9c4", rows: int = 4) -> str:
    body = []
    for row in range(rows):
        y = top + row * 30
        for place in range(5):
            x = -40 + place * 130 + (row % 2) * 60
            body.append(
                f'<path d="M{x} {y} q20 -9 40 0 t40 0" fill="none" stroke="{colour}" stroke-width="3" '
                'stroke-linecap="round" opacity="0.75"/>'
            )
    return "".join(body)


def _boat(x: float, y: float, size: float, *, sail: str = "#fdf8ea") -> str:
    return (
        f'<g transform="translate({x} {y}) scale({size})">'
        f'<path d="M2 -62 C30 -50 38 -24 36 -8 L2 -8 Z" fill="{sail}"/>'
        f'<path d="M-4 -54 C-22 -40 -26 -24 -26 -8 L-4 -8 Z" fill="{sail}" opacity="0.85"/>'
        '<path d="M0 -66 V0" stroke="#6b4a33" stroke-width="3"/>'
        '<path d="M-44 -3 H48 C42 12 30 17 2 17 C-24 17 -38 11 -44 -3 Z" fill="#7d5539"/></g>'
    )


def _cloud(x: float, y: float, size: float, colour: str = "#ffffff") -> str:
    return (
        f'<g transform="translate({x} {y}) scale({size})" fill="{colour}" opacity="0.9">'
        '<ellipse cx="0" cy="0" rx="46" ry="17"/><ellipse cx="-22" cy="-11" rx="22" ry="16"/>'
        '<ellipse cx="10" cy="-18" rx="27" ry="21"/><ellipse cx="34" cy="-7" rx="18" ry="13"/></g>'
    )


def heaven_gate() -> str:
    """Return 天门山: two green cliffs, the river between them, a single sail coming from the sun."""
    return _scene(
        '<circle cx="268" cy="128" r="44" fill="#e07b52"/><circle cx="268" cy="128" r="62" fill="#e07b52" opacity="0.18"/>'
        '<path d="M180 250 C220 200 250 215 275 190 C310 165 350 215 380 250 Z" fill="#b7cfcb"/>'
        f'<rect y="246" width="520" height="180" fill="{_WATER}"/>'
        '<path d="M0 70 C40 40 74 62 96 110 C130 132 150 190 158 246 C166 280 150 306 128 318 L0 330 Z" fill="#5f8f78"/>'
        '<path d="M0 130 C46 110 80 160 96 214 C110 262 96 296 70 318 L0 330 Z" fill="#4b7a66"/>'
        '<path d="M520 40 C486 26 452 60 432 112 C396 138 378 196 366 246 C358 286 378 312 404 322 L520 334 Z" fill="#5f8f78"/>'
        '<path d="M520 110 C480 96 450 150 432 214 C420 266 436 300 466 322 L520 334 Z" fill="#4b7a66"/>'
        + _waves(286)
        + _boat(262, 286, 0.95)
        + _cloud(110, 60, 0.8)
        + _cloud(420, 40, 0.6)
    )


def west_lake() -> str:
    """Return 西湖, one half in the sun and one half in rain and mist."""
    rain = "".join(
        f'<path d="M{290 + 26 * (n % 9) + 8 * (n // 9)} {90 + 34 * (n // 9)} l-7 20" stroke="#8aa6b3" '
        'stroke-width="2.4" stroke-linecap="round"/>'
        for n in range(45)
    )
    return _scene(
        '<rect x="262" width="258" height="420" fill="#cdd6d8"/>'
        '<circle cx="92" cy="84" r="38" fill="#eeb75e"/><circle cx="92" cy="84" r="56" fill="#eeb75e" opacity="0.2"/>'
        '<path d="M0 232 C60 150 110 190 150 172 C210 140 240 200 262 214 V262 H0 Z" fill="#7fa98e"/>'
        '<path d="M262 214 C310 150 352 196 400 168 C450 150 490 196 520 210 V262 H262 Z" fill="#a9b9b8" opacity="0.8"/>'
        '<path d="M262 236 C330 206 380 236 430 216 C470 204 500 226 520 232 V266 H262 Z" fill="#94a9a9" opacity="0.7"/>'
        f'<rect y="252" width="262" height="170" fill="{_WATER}"/><rect x="262" y="252" width="258" height="170" fill="#b4c3c7"/>'
        '<path d="M20 262 l18 8 M60 280 l30 0 M110 268 l26 0 M40 316 l36 0 M120 330 l44 0 M190 290 l34 0 M170 366 l40 0" '
        'stroke="#fdf3d4" stroke-width="5" stroke-linecap="round"/>'
        + _cloud(360, 66, 1.1, "#aebabd")
        + _cloud(450, 50, 0.9, "#a3b0b4")
        + rain
        + '<g transform="translate(236 292)"><path d="M-48 0 H52 C44 18 30 22 0 22 C-28 22 -42 16 -48 0Z" fill="#7d5539"/>'
        '<path d="M-26 0 V-24 C-10 -36 18 -36 30 -24 V0 Z" fill="#c9855a"/><path d="M-34 -22 C-12 -44 20 -44 40 -22 Z" fill="#8e5a3c"/></g>'
        '<path d="M8 420 C30 330 20 250 40 180" stroke="#6b5038" stroke-width="6" fill="none"/>'
        + "".join(
            f'<path d="M{34 + 5 * n} {180 + 6 * n} q{16 + 6 * n} {34 + 8 * n} {10 + 6 * n} {96 + 12 * n}" '
            'stroke="#8fb36d" stroke-width="4" fill="none" stroke-linecap="round"/>'
            for n in range(6)
        )
    )


def dongting() -> str:
    """Return 洞庭 in an autumn night: the moon, the still lake, the green snail of Junshan in a silver plate."""
    return _scene(
        '<circle cx="372" cy="92" r="46" fill="#f6ecc8"/><circle cx="372" cy="92" r="66" fill="#f6ecc8" opacity="0.18"/>'
        '<rect y="220" width="520" height="200" fill="#5d7f96"/>'
        '<ellipse cx="260" cy="310" rx="228" ry="82" fill="#b9ccd6"/><ellipse cx="260" cy="312" rx="204" ry="68" fill="#d8e2e6"/>'
        '<path d="M168 308 C190 262 214 252 236 226 C250 206 276 204 288 228 C312 246 336 266 356 308 C300 326 222 326 168 308 Z" fill="#4f8168"/>'
        '<path d="M196 306 C214 276 236 266 252 240 C262 226 276 232 280 246 C290 266 318 280 332 306 C290 318 236 318 196 306Z" fill="#67997c"/>'
        '<path d="M350 350 l44 0 M338 368 l66 0 M352 386 l40 0" stroke="#f6ecc8" stroke-width="5" stroke-linecap="round" opacity="0.8"/>'
        '<path d="M0 226 C70 206 120 222 170 214 M360 216 C420 206 470 220 520 212" stroke="#465f75" stroke-width="7" fill="none" opacity="0.6"/>'
        + "".join(
            f'<circle cx="{x}" cy="{y}" r="2.2" fill="#f6ecc8"/>'
            for x, y in (
                (60, 60),
                (120, 110),
                (196, 48),
                (250, 120),
                (450, 170),
                (300, 36),
                (90, 160),
                (486, 60),
            )
        ),
        sky="#3f566e",
    )


def white_emperor() -> str:
    """Return 白帝城 in coloured clouds, and the light boat that has passed ten thousand mountains."""
    return _scene(
        '<path d="M0 190 L60 90 L120 170 L190 60 L270 180 L330 110 L400 190 L470 70 L520 140 V420 H0 Z" fill="#c3b3b0"/>'
        '<path d="M0 250 L70 160 L150 240 L210 170 L250 262 L290 420 H0 Z" fill="#8a9a86"/>'
        '<path d="M520 210 L450 140 L390 220 L340 180 L300 268 L260 420 H520 Z" fill="#7b8f7c"/>'
        '<g transform="translate(196 62)"><path d="M-26 0 H26 L20 -22 H-20 Z" fill="#a8503a"/><path d="M-34 -20 C-16 -26 -8 -36 0 -46 C8 -36 16 -26 34 -20 Z" fill="#7d3d2d"/><rect x="-18" y="0" width="36" height="16" fill="#d8a988"/></g>'
        '<path d="M0 420 C140 300 190 300 250 268 L300 268 C330 310 400 330 520 420 Z" fill="#a9cbd3"/>'
        '<path d="M214 330 q34 -12 60 0 M190 372 q60 -18 120 0" fill="none" stroke="#8fb9c4" stroke-width="4"/>'
        + _cloud(120, 98, 1.0, "#f0c7a4")
        + _cloud(286, 88, 1.15, "#f3d2b3")
        + _cloud(420, 128, 0.85, "#f0c7a4")
        + _boat(268, 352, 1.0),
        sky="#f5e3cf",
    )


def beautiful_place() -> str:
    """Return a village by a brook in autumn: what a child may describe in 这儿真美."""
    trees = "".join(
        f'<rect x="{x - 4}" y="{y}" width="8" height="42" fill="#7a5a3c"/><circle cx="{x}" cy="{y - 10}" r="{r}" fill="{c}"/>'
        f'<circle cx="{x - r * 0.6}" cy="{y + 6}" r="{r * 0.62}" fill="{c}"/><circle cx="{x + r * 0.6}" cy="{y + 6}" r="{r * 0.62}" fill="{c}"/>'
        for x, y, r, c in (
            (74, 196, 36, "#dba544"),
            (142, 210, 28, "#c86f3d"),
            (446, 190, 40, "#d98d3f"),
            (392, 214, 24, "#8da857"),
        )
    )
    return _scene(
        '<circle cx="420" cy="70" r="34" fill="#eeb75e"/>'
        '<path d="M0 220 C90 120 160 190 240 160 C330 120 430 180 520 150 V300 H0 Z" fill="#9dbb9a"/>'
        '<path d="M0 262 C120 210 220 250 320 232 C400 220 470 236 520 226 V420 H0 Z" fill="#c9d39a"/>'
        '<g transform="translate(256 214)"><rect x="-46" y="0" width="92" height="52" fill="#f6efe2"/><path d="M-60 4 L0 -38 L60 4 Z" fill="#8c5a45"/>'
        '<rect x="-9" y="18" width="20" height="34" fill="#8a6a4b"/><rect x="-36" y="14" width="18" height="16" fill="#9bb9c0"/><rect x="20" y="14" width="18" height="16" fill="#9bb9c0"/></g>'
        '<path d="M300 268 C250 300 330 326 260 352 C210 372 230 400 200 420 H330 C330 392 372 372 372 346 C372 318 330 296 340 266 Z" fill="#8fc0cc"/>'
        '<path d="M292 330 q16 -7 32 0 M258 378 q20 -8 40 0" fill="none" stroke="#e5f1f2" stroke-width="4" stroke-linecap="round"/>'
        + trees
        + _cloud(110, 66, 0.9)
        + _cloud(250, 46, 0.6)
        + "".join(
            f'<g transform="translate({x} {y})"><path d="M0 0 V26" stroke="#6f8f4f" stroke-width="3"/><circle r="8" fill="{c}"/><circle r="3" fill="#f7edc8"/></g>'
            for x, y, c in (
                (50, 330, "#c4687a"),
                (92, 356, "#e2a23b"),
                (132, 322, "#b97fb0"),
                (420, 330, "#e2a23b"),
                (466, 356, "#c4687a"),
                (408, 380, "#b97fb0"),
            )
        )
    )


SCENES = {
    "天门山": heaven_gate,
    "西湖": west_lake,
    "洞庭湖": dongting,
    "白帝城": white_emperor,
    "小溪边的村庄": beautiful_place,
}
