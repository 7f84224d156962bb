"""Printed extras: a poem with its pinyin on a decorated page, and sheets of mental arithmetic."""

from __future__ import annotations

import random
from collections.abc import Sequence

from appliance.demo.figures.landscapes import SCENES
from appliance.demo.handouts import HEIGHT, WIDTH, Sheet
from appliance.demo.style import INK, LINE, SERIF, SOFT, accent, document, text
from appliance.demo.term import Poem

_PUNCTUATION = "，。？！；："
# Readings that a dictionary of words gets wrong in these poems (as the textbooks teach them).
_READINGS = {
    "似剪刀": ("sì", "jiǎn", "dāo"),
    "人未还": ("rén", "wèi", "huán"),
    "将在": ("jiàng", "zài"),
    "上头": ("shàng", "tóu"),
    "飞燕子": ("fēi", "yàn", "zǐ"),
    "不见": ("bù", "jiàn"),
}


def poem_card(poem: Poem) -> list[bytes]:
    """Return the page of `poem`: pinyin over every character, a landscape under it."""
    colours = accent("chinese")
    middle = WIDTH / 2
    body = [
        f'<rect x="36" y="36" width="{WIDTH - 72}" height="{HEIGHT - 72}" rx="22" fill="#fffdf8" stroke="{colours.middle}" stroke-width="2"/>',
        f'<rect x="46" y="46" width="{WIDTH - 92}" height="{HEIGHT - 92}" rx="16" fill="none" stroke="{LINE}"/>',
        text(middle, 150, poem.title, 50, family=SERIF, weight="700", anchor="middle"),
        text(middle, 200, f"〔{poem.dynasty}〕{poem.author}", 23, fill=SOFT, family=SERIF, anchor="middle"),
    ]
    row = min(112.0, 440 / len(poem.lines))
    step = min(72.0, 560 / max(len(line) for line in poem.lines), row * 0.74)
    for number, line in enumerate(poem.lines):
        y = 310 + row * number
        left = middle - step * (len(line) - 0.5) / 2 + step / 2 - step / 4
        for place, (char, reading) in enumerate(zip(line, pinyin_of_line(line), strict=True)):
            x = left + step * place
            if char in _PUNCTUATION:
                body.append(text(x - step * 0.45, y, char, step * 0.62, family=SERIF))
                continue
            body.append(text(x, y - step * 0.78, reading, step * 0.29, fill=colours.deep, anchor="middle"))
            body.append(text(x, y, char, step * 0.66, fill=INK, family=SERIF, weight="500", anchor="middle"))
    scene = list(SCENES.values())[len(poem.title + poem.author) % len(SCENES)]()
    body.append(f'<g transform="translate({middle - 208} 760) scale(0.8 0.6)">{scene}</g>')
    body.append(
        text(
            middle,
            1050,
            f"{poem.grade}{poem.volume} · 古诗诵读 · 青禾县农村教学点",
            16,
            fill=SOFT,
            anchor="middle",
        )
    )
    return [document(WIDTH, HEIGHT, "".join(body), background=colours.wash)]


def pinyin_of_line(line: str) -> list[str]:
    """Return the reading of each character of `line`; empty for punctuation. Changes of tone are not written."""
    from pypinyin import Style, lazy_pinyin

    readings: list[str] = []
    for char in line:
        readings.append("" if char in _PUNCTUATION else lazy_pinyin(char, style=Style.TONE)[0])
    place = 0
    for phrase in "".join(char if char not in _PUNCTUATION else " " for char in line).split():
        place = line.index(phrase, place)
        readings[place : place + len(phrase)] = lazy_pinyin(phrase, style=Style.TONE)
    for words, sounds in _READINGS.items():
        at = line.find(words)
        if at >= 0:
            readings[at : at + len(sounds)] = sounds
    return readings


def arithmetic(grade: int, part: int) -> list[bytes]:
    """Return a sheet of 54 sums for `grade` (1 to 6), different for each `part`, with the answers."""
    draw = random.Random(f"口算 {grade} {part}")
    sums = [_sum(grade, draw) for _ in range(54)]
    sheet = Sheet("math", "口算练习", f"{'一二三四五六'[grade - 1]}年级上册 · 数学")
    sheet.title(f"口算天天练（{part}）", "姓名：＿＿＿＿＿＿　用时：＿＿＿＿　做对：＿＿＿＿ 题")
    _columns(sheet, [f"{question} ＝" for question, _ in sums], 43)
    sheet.next_page()
    sheet.title("参考答案", f"口算天天练（{part}）")
    _columns(sheet, [f"{question} ＝ {answer}" for question, answer in sums], 36)
    return sheet.pages()


def _columns(sheet: Sheet, cells: Sequence[str], height: float) -> None:
    for start in range(0, len(cells), 3):
        row = "".join(
            text(12 + 220 * place, 22, cell, 19) for place, cell in enumerate(cells[start : start + 3])
        )
        sheet.drawing(row, height)


def _sum(grade: int, draw: random.Random) -> tuple[str, str]:
    if grade == 1:
        a, b = draw.randint(1, 9), draw.randint(0, 9)
        return (f"{a} ＋ {b}", str(a + b)) if draw.random() < 0.6 else (f"{a + b} － {b}", str(a))
    if grade == 2:
        a, b = draw.randint(2, 6), draw.randint(1, 9)
        if draw.random() < 0.5:
            return f"{a} × {b}", str(a * b)
        a, b = draw.randint(11, 60), draw.randint(5, 38)
        return (f"{a} ＋ {b}", str(a + b)) if draw.random() < 0.5 else (f"{a + b} － {b}", str(a))
    if grade == 3:
        choice = draw.randint(0, 2)
        if choice == 0:
            a, b = draw.randint(2, 9), 10 * draw.randint(1, 9)
            return f"{b} × {a}", str(a * b)
        if choice == 1:
            parts = draw.randint(3, 9)
            a = draw.randint(1, parts - 2)
            b = draw.randint(1, parts - a - 1)
            return f"{{{a}/{parts}}} ＋ {{{b}/{parts}}}", f"{{{a + b}/{parts}}}"
        a, b = draw.randint(2, 9), draw.randint(2, 9)
        return f"{a * b} ÷ {b}", str(a)
    if grade == 4:
        a, b = 10 * draw.randint(2, 9), draw.randint(11, 40)
        return (f"{b} × {a}", str(a * b)) if draw.random() < 0.6 else (f"{a * b} ÷ {a}", str(b))
    if grade == 5:
        a, b = draw.randint(2, 9), draw.randint(2, 9)
        if draw.random() < 0.5:
            return f"{a / 10:g} × {b}", f"{a * b / 10:g}"
        return f"{a * b / 100:g} ÷ {b / 10:g}", f"{a / 10:g}"
    parts, times = draw.randint(3, 9), draw.randint(2, 8)
    if draw.random() < 0.5:
        return f"{parts * times} × {{1/{parts}}}", str(times)
    return f"{times} ÷ {{1/{parts}}}", str(times * parts)
