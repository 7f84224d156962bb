"""What a lesson needs on paper: lesson plan, task sheet, exercise with its answers; A4 pages, black print friendly.

A sheet is a flow of blocks that fills pages from the top; the text stays text in the PDF.
"""

from __future__ import annotations

from collections.abc import Sequence

from appliance.demo.lessons import FIGURE_HEIGHT, FIGURE_WIDTH, Lesson, Question
from appliance.demo.slides import COUNTY, label_of
from appliance.demo.style import LINE, SOFT, accent, document, paragraph, text, wrap

WIDTH, HEIGHT = 794, 1123
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 722, 128, 1046
_SIZE, _LEADING = 17.0, 1.72
_ROW = _SIZE * _LEADING


class Sheet:
    """Pages of one document, filled block by block."""

    def __init__(self, subject: str, heading: str, label: str) -> None:
        self._colours = accent(subject)
        self._heading = heading
        self._label = label
        self._pages: list[list[str]] = [[]]
        self._y = float(_TOP)

    def pages(self) -> list[bytes]:
        """Return the finished pages as SVG."""
        return [
            document(WIDTH, HEIGHT, self._margin(number) + "".join(body), background="#ffffff")
            for number, body in enumerate(self._pages, 1)
        ]

    def title(self, name: str, below: str = "") -> None:
        """Set the document's name, and one line under it."""
        for line in wrap(name, (_RIGHT - _LEFT) / 30):
            self._add(text(_LEFT, self._y + 30, line, 30, weight="700"), 42)
        if below:
            self._add(text(_LEFT, self._y + 14, below, 15, fill=SOFT), 26)
        self._add(
            f'<rect x="{_LEFT}" y="{self._y + 4}" width="64" height="5" rx="2" fill="{self._colours.middle}"/>',
            30,
        )

    def heading(self, name: str, *, keep: float = 2 * _ROW) -> None:
        """Begin a section; never left alone at the foot of a page: `keep` pixels of what follows come with it."""
        self._room(42 + keep)
        self._add(
            f'<rect x="{_LEFT}" y="{self._y + 8}" width="5" height="20" fill="{self._colours.deep}"/>'
            + text(_LEFT + 15, self._y + 25, name, 19, fill=self._colours.deep, weight="700"),
            42,
        )

    def words(self, content: str, *, indent: float = 0, mark: str = "") -> None:
        """Set a paragraph; `mark` stands in front of it, in the indent."""
        self._room(2 * _ROW)
        if mark:
            self._add(text(_LEFT + indent - 8, self._y + _SIZE, mark, _SIZE, weight="500", anchor="end"), 0)
        for line in wrap(content, (_RIGHT - _LEFT - indent) / _SIZE):
            self._room(_ROW)
            shape, _ = paragraph(_LEFT + indent, self._y + _SIZE, line, _SIZE, 10_000)
            self._add(shape, _ROW)
        self._y += 6

    def figure(self, drawing: str, *, width: float = 300) -> None:
        """Set a figure in the middle of the line."""
        scale = width / FIGURE_WIDTH
        height = FIGURE_HEIGHT * scale
        self._room(height + 20)
        left = (_LEFT + _RIGHT - width) / 2
        self._add(
            f'<g transform="translate({left:.1f} {self._y + 6:.1f}) scale({scale:.4f})">{drawing}</g>',
            height + 22,
        )

    def board(self, lesson: Lesson) -> None:
        """Draw what shall stand on the blackboard: the lesson's name, its figure, the main lines of its slides."""
        width, height = _RIGHT - _LEFT, 236
        body = [
            f'<rect width="{width}" height="{height}" rx="10" fill="#3f5f52" stroke="#8a6a4b" stroke-width="8"/>',
            text(width / 2, 48, lesson.name, 24, fill="#ffffff", weight="500", anchor="middle"),
            '<g transform="translate(24 70) scale(0.36)"><rect x="-8" y="-8" width="536" height="436" rx="20" '
            f'fill="#fffdf8"/>{lesson.slides[0].figure}</g>',
        ]
        y = 88.0
        for line in [line.strip("　") for slide in lesson.slides[1:] for line in slide.lines]:
            shape, below = paragraph(250, y, line, 16, width - 280, leading=1.75, fill="#f3efe2")
            if below > height + 8:
                break
            body.append(shape)
            y = below
        self.drawing("".join(body), height + 20)

    def lines(self, count: int, *, indent: float = 34) -> None:
        """Set `count` lines to write on."""
        for _ in range(count):
            self._room(36)
            y = self._y + 28
            self._add(f'<path d="M{_LEFT + indent} {y} H{_RIGHT}" stroke="{LINE}" stroke-width="1.4"/>', 36)
        self._y += 8

    def drawing(self, shape: str, height: float) -> None:
        """Set a drawing of the page's width whose origin is the left margin at the present height."""
        self._room(height)
        self._add(f'<g transform="translate({_LEFT} {self._y:.1f})">{shape}</g>', height)

    def table(self, rows: Sequence[tuple[str, str]], *, first: float = 132) -> None:
        """Set a table of two columns: a name and what belongs to it."""
        for name, content in rows:
            broken = wrap(content, (_RIGHT - _LEFT - first - 24) / _SIZE)
            labels = [part for line in name.split("\n") for part in wrap(line, (first - 20) / 16)]
            height = max(len(broken) * _ROW, len(labels) * 25) + 16
            self._room(height)
            top = self._y
            body = [
                f'<rect x="{_LEFT}" y="{top:.1f}" width="{first}" height="{height:.1f}" fill="{self._colours.wash}" stroke="{LINE}"/>',
                f'<rect x="{_LEFT + first}" y="{top:.1f}" width="{_RIGHT - _LEFT - first}" height="{height:.1f}" fill="none" stroke="{LINE}"/>',
            ]
            for place, part in enumerate(labels):
                body.append(text(_LEFT + 12, top + 27 + place * 25, part, 16, weight="500"))
            shape, _ = paragraph(
                _LEFT + first + 12, top + 27, content, _SIZE, _RIGHT - _LEFT - first - 24, leading=_LEADING
            )
            self._add("".join(body) + shape, height)
        self._y += 14

    def next_page(self) -> None:
        """Begin a new page."""
        self._pages.append([])
        self._y = float(_TOP)

    def _room(self, height: float) -> None:
        if self._y + height > _BOTTOM and self._pages[-1]:
            self.next_page()

    def _add(self, shape: str, height: float) -> None:
        self._pages[-1].append(shape)
        self._y += height

    def _margin(self, number: int) -> str:
        return (
            f'<rect width="{WIDTH}" height="10" fill="{self._colours.deep}"/>'
            + text(_LEFT, 74, self._label, 14, fill=self._colours.deep)
            + text(_RIGHT, 74, self._heading, 14, fill=SOFT, anchor="end")
            + f'<path d="M{_LEFT} 90 H{_RIGHT}" stroke="{LINE}" stroke-width="1.2"/>'
            + text(_LEFT, 1086, COUNTY, 13, fill=SOFT)
            + text(_RIGHT, 1086, f"第 {number} 页 / 共 {len(self._pages)} 页", 13, fill=SOFT, anchor="end")
        )


def plan(lesson: Lesson) -> list[bytes]:
    """Return the lesson plan 教学设计."""
    sheet = Sheet(lesson.subject, "教学设计", label_of(lesson))
    sheet.title(
        lesson.name, f"执教：{lesson.author}　课时：1 课时（40 分钟）　适用：三年级（教学点复式班可用）"
    )
    sheet.heading("教学目标")
    for number, goal in enumerate(lesson.goals, 1):
        sheet.words(goal, indent=30, mark=f"{number}.")
    sheet.table(
        (("教学重点", lesson.focus), ("教学难点", lesson.difficulty), ("教学准备", lesson.preparation))
    )
    sheet.heading("教学过程")
    sheet.table([(f"{step.name}\n{step.minutes} 分钟", step.text) for step in lesson.steps])
    sheet.heading("板书设计", keep=240)
    sheet.board(lesson)
    sheet.heading("教学反思", keep=110)
    sheet.lines(3, indent=0)
    return sheet.pages()


def task_sheet(lesson: Lesson) -> list[bytes]:
    """Return the pupils' task sheet 学习任务单."""
    sheet = Sheet(lesson.subject, "学习任务单", label_of(lesson))
    sheet.title(f"{lesson.name} 学习任务单", "班级：＿＿＿＿＿＿　姓名：＿＿＿＿＿＿　日期：＿＿＿＿＿＿")
    sheet.heading("学习目标")
    for goal in lesson.goals:
        sheet.words(goal, indent=24, mark="☐")
    sheet.heading("课前准备")
    sheet.words(lesson.preparation)
    sheet.heading("学习任务")
    _questions(sheet, lesson.tasks, "任务")
    sheet.heading("我的收获", keep=110)
    sheet.words("这节课我学会了什么？还有什么问题想问老师？")
    sheet.lines(2, indent=0)
    return sheet.pages()


def exercise(lesson: Lesson) -> list[bytes]:
    """Return the exercise 课后练习, the answers on a page of their own."""
    sheet = Sheet(lesson.subject, "课后练习", label_of(lesson))
    sheet.title(f"{lesson.name} 课后练习", "班级：＿＿＿＿＿＿　姓名：＿＿＿＿＿＿　得分：＿＿＿＿＿＿")
    _questions(sheet, lesson.questions, "")
    sheet.next_page()
    sheet.title("参考答案", "供教师和家长使用")
    for number, question in enumerate(lesson.questions, 1):
        sheet.words(question.answer, indent=34, mark=f"{number}.")
    return sheet.pages()


def _questions(sheet: Sheet, questions: Sequence[Question], word: str) -> None:
    for number, question in enumerate(questions, 1):
        mark = f"{word}{number}" if word else f"{number}."
        indent = 62 if word else 34
        sheet.words(question.text, indent=indent, mark=mark)
        if question.figure:
            sheet.figure(question.figure, width=310)
        if question.space:
            sheet.lines(question.space, indent=indent)
