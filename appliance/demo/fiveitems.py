"""The five items 五件套 of each lesson of the week: video, courseware, plan, task sheet, exercise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from appliance.demo import deck, film, handouts, render
from appliance.demo.extras import game, readings, songs
from appliance.demo.holding import Job
from appliance.demo.lessons import Lesson
from appliance.demo.listing import Row
from appliance.demo.slides import figure_image, slide_image
from appliance.demo.term import resource_id
from appliance.demo.week import WEEK
from appliance.demo.week.music import FILM_MUSIC

_SUBJECTS = {"math": "数学", "chinese": "语文", "science": "科学", "music": "音乐"}
_ORIGINS = {"math": "县级", "chinese": "县级", "science": "校级", "music": "校级"}


def week_holdings() -> tuple[list[Row], list[Job]]:
    """Return the rows of the week, in the order of its lessons, and the jobs that make their files."""
    rows, jobs = [], []
    for lesson in WEEK:
        for row, job in _lesson(lesson):
            rows.append(row)
            jobs.append(job)
    for row, job in (game(), *songs(), *readings()):
        rows.append(row)
        jobs.append(job)
    order = {key: place for place, key in enumerate(dict.fromkeys((row.subject, row.unit) for row in rows))}
    return sorted(rows, key=lambda row: (order[(row.subject, row.unit)], row.lesson_no or 0)), jobs


def _lesson(lesson: Lesson) -> Iterator[tuple[Row, Job]]:
    """Yield the five items of a lesson."""
    subject = _SUBJECTS[lesson.subject]
    name = lesson.name.replace("：", " ")
    folder = f"三年级上册/{subject}（{lesson.edition}）/{lesson.unit}/{lesson.number} {name}"
    caption = ".vtt" if lesson.subject == "math" else ".srt"

    def row(kind: str, title: str, path: str, *, audience: str, subtitle: str = "", note: str = "") -> Row:
        return Row(
            id=resource_id("三年级", subject, lesson.edition, lesson.unit, lesson.name, kind),
            grade="三年级",
            subject=subject,
            edition=lesson.edition,
            volume="上册",
            unit=lesson.unit,
            lesson=lesson.name,
            lesson_no=lesson.number,
            title=title,
            kind=kind,
            file=path,
            subtitle=subtitle,
            keywords=lesson.keywords,
            knowledge=lesson.knowledge,
            description=note + lesson.summary,
            author=lesson.author,
            origin=_ORIGINS[lesson.subject],
            audience=audience,
        )

    video, captions = f"{folder}/{name}.mp4", f"{folder}/{name}{caption}"

    def make_film() -> Sequence[bytes]:
        made = film.make_film(lesson, FILM_MUSIC.get(lesson.name, ()))
        return made.mp4, film.webvtt(made.cues) if caption == ".vtt" else film.subrip(made.cues)

    yield (
        row("视频课程", lesson.name, video, audience="学生、教师", subtitle=captions),
        Job((video, captions), make_film),
    )
    slides = f"{folder}/{name} 教学课件.pptx"

    def make_deck() -> Sequence[bytes]:
        figures = {slide.figure for slide in lesson.slides if slide.figure}
        pictures = {figure: render.png(figure_image(figure), width=1040) for figure in figures}
        cover = render.jpeg(slide_image(lesson, 0), width=512)
        return (deck.write_deck(lesson, pictures, cover),)

    yield (
        row("课件", f"{lesson.name} 教学课件", slides, audience="教师", note="可编辑的课堂课件。"),
        Job((slides,), make_deck),
    )
    papers: tuple[tuple[str, str, str, Callable[[Lesson], list[bytes]]], ...] = (
        ("教案", "教学设计", "教师", handouts.plan),
        ("学习任务单", "学习任务单", "学生", handouts.task_sheet),
        ("课后练习", "课后练习", "学生、家长", handouts.exercise),
    )
    for kind, word, audience, draw in papers:
        path = f"{folder}/{name} {word}.pdf"

        def make_paper(draw: Callable[[Lesson], list[bytes]] = draw) -> Sequence[bytes]:
            return (render.pdf(draw(lesson)),)

        yield row(kind, f"{lesson.name} {word}", path, audience=audience), Job((path,), make_paper)
