"""The sample county: its words, its files in the formats they claim, and a list that an ingest takes."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import wave
import zipfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import load_workbook

from appliance.demo import county, deck, film, handouts, melody, render
from appliance.demo.cards import arithmetic, pinyin_of_line, poem_card
from appliance.demo.county import FOLDER, SHEET, write_county
from appliance.demo.extras import game
from appliance.demo.holding import Job
from appliance.demo.listing import Row, write_list
from appliance.demo.slides import figure_image, slide_image
from appliance.demo.style import balanced, plain, text_width, wrap
from appliance.demo.term import poems
from appliance.demo.week import WEEK
from catalog.curriculum import code_of, grades_of
from catalog.resource import is_file_name, is_resource_id

PRESENTATION = "{http://schemas.openxmlformats.org/package/2006/relationships}Relationship"
DRAWING_TEXT = "{http://schemas.openxmlformats.org/drawingml/2006/main}t"


@pytest.fixture(scope="module")
def contents() -> tuple[list[tuple[str, list[Row]]], list[Job]]:
    return county.contents()


def pdf_text(pdf: bytes, tmp_path: Path) -> str:
    path = tmp_path / "page.pdf"
    path.write_bytes(pdf)
    done = subprocess.run(["pdftotext", str(path), "-"], capture_output=True, timeout=60, check=True)
    return done.stdout.decode()


def probed(path: Path) -> dict[str, object]:
    command = ["ffprobe", "-v", "error", "-show_format", "-show_streams", "-of", "json", str(path)]
    answer: dict[str, object] = json.loads(
        subprocess.run(command, capture_output=True, timeout=60, check=True).stdout
    )
    return answer


def test_the_list_is_large_and_every_word_of_it_is_known(
    contents: tuple[list[tuple[str, list[Row]]], list[Job]],
) -> None:
    sheets, jobs = contents
    rows = [row for _, part in sheets for row in part]
    assert len(rows) >= 300
    assert len({row.id for row in rows}) == len(rows)
    assert len({row.grade for row in rows}) >= 7
    assert len({row.edition for row in rows}) >= 6
    for row in rows:
        assert is_resource_id(row.id)
        assert grades_of(row.grade), row
        for field, word in (
            ("stage", row.stage),
            ("subject", row.subject),
            ("edition", row.edition),
            ("volume", row.volume),
            ("kind", row.kind),
            ("origin", row.origin),
            ("licence", row.licence),
        ):
            assert code_of(field, word), (field, word)
    named = [path for row in rows for path in (row.file, row.subtitle) if path]
    made = [path for job in jobs for path in job.paths]
    assert sorted(named) == sorted(made)
    assert len(set(made)) == len(made)
    assert all(is_file_name(part) for path in made for part in path.split("/"))


def test_the_week_has_five_items_for_every_lesson(
    contents: tuple[list[tuple[str, list[Row]]], list[Job]],
) -> None:
    week = contents[0][0][1]
    assert {lesson.weekday for lesson in WEEK} == {0, 1, 2, 3, 4}
    assert {lesson.subject for lesson in WEEK} == {"math", "chinese", "science", "music"}
    five = {"视频课程", "课件", "教案", "学习任务单", "课后练习"}
    for lesson in WEEK:
        items = {row.kind for row in week if row.lesson == lesson.name and row.file}
        assert five <= items, lesson.name
        assert sum(step.minutes for step in lesson.steps) == 40, lesson.name


def test_the_workbook_reads_back_with_its_merged_cells(
    contents: tuple[list[tuple[str, list[Row]]], list[Job]],
) -> None:
    sheets = contents[0]
    book = load_workbook(io.BytesIO(write_list(sheets)))
    assert book.sheetnames == [name for name, _ in sheets]
    first = book.worksheets[0]
    header = [cell.value for cell in first[3]]
    assert {"资源标识", "年级", "学科", "版本", "册次", "单元", "课", "标题", "类型", "文件", "字幕"} <= set(
        header
    )
    assert first.max_row == 3 + len(sheets[0][1])
    assert len(first.merged_cells.ranges) > 3
    book.close()


def test_a_film_speaks_and_its_subtitles_fit(tmp_path: Path) -> None:
    lesson = min(WEEK, key=lambda lesson: len(lesson.speech))
    made = film.make_film(lesson)
    path = tmp_path / "film.mp4"
    path.write_bytes(made.mp4)
    facts = probed(path)
    streams = {stream["codec_name"]: stream for stream in facts["streams"]}  # type: ignore[attr-defined]
    assert (streams["h264"]["width"], streams["h264"]["height"]) == (1280, 720)
    assert streams["h264"]["pix_fmt"] == "yuv420p"
    assert "aac" in streams
    assert abs(float(facts["format"]["duration"]) - made.seconds) < 1.5  # type: ignore[index]
    assert made.mp4.index(b"moov") < made.mp4.index(b"mdat")
    assert 15 < made.seconds < 70
    assert "".join(cue.text for cue in made.cues).startswith(lesson.slides[0].speech[:5])
    ends = [0.0] + [cue.end for cue in made.cues]
    assert all(before <= cue.start + 1e-6 < cue.end for before, cue in zip(ends, made.cues, strict=False))
    vtt = film.webvtt(made.cues).decode()
    assert vtt.startswith("WEBVTT\n\n00:00:00.000 --> ")
    srt = film.subrip(made.cues).decode()
    assert re.match(r"1\r\n00:00:00,000 --> \d\d:\d\d:\d\d,\d{3}\r\n", srt)


def test_courseware_is_a_whole_package_of_open_xml() -> None:
    lesson = WEEK[0]
    figures = {slide.figure for slide in lesson.slides if slide.figure}
    pictures = {figure: render.png(figure_image(figure), width=260) for figure in figures}
    data = deck.write_deck(lesson, pictures, render.jpeg(slide_image(lesson, 0), width=256))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        names = set(archive.namelist())
        assert archive.namelist()[0] == "[Content_Types].xml"
        words = ""
        for name in names:
            if name.endswith((".xml", ".rels")):
                root = ElementTree.fromstring(archive.read(name))
                words += "".join(part.text or "" for part in root.iter(DRAWING_TEXT))
            if name.endswith(".rels"):
                base = Path(name).parent.parent
                for link in ElementTree.fromstring(archive.read(name)).iter(PRESENTATION):
                    target = os.path.normpath(base / link.attrib["Target"])
                    assert target in names, (name, target)
        types = archive.read("[Content_Types].xml").decode()
        for name in names:
            assert f'"/{name}"' in types or f'Extension="{name.rsplit(".", 1)[-1]}"' in types, name
    slides = [name for name in names if re.fullmatch(r"ppt/slides/slide\d+\.xml", name)]
    assert len(slides) == len(lesson.slides)
    for slide in lesson.slides:
        assert plain(slide.title) in words


def test_papers_hold_real_text(tmp_path: Path) -> None:
    lesson = next(lesson for lesson in WEEK if lesson.name == "望洞庭")
    plan = pdf_text(render.pdf(handouts.plan(lesson)), tmp_path)
    assert "教学目标" in plan and "望洞庭" in plan
    tasks = pdf_text(render.pdf(handouts.task_sheet(lesson)), tmp_path)
    assert "学习任务单" in tasks
    pages = handouts.exercise(lesson)
    assert len(pages) >= 2
    exercise = pdf_text(render.pdf(pages), tmp_path)
    assert exercise.index("课后练习") < exercise.index("参考答案")
    assert "白银盘里一青螺" in "".join(exercise.split())
    assert len(arithmetic(3, 1)) == 2
    assert arithmetic(3, 1) == arithmetic(3, 1) != arithmetic(3, 2)


def test_every_drawing_is_well_formed() -> None:
    for lesson in WEEK:
        for number in range(len(lesson.slides)):
            ElementTree.fromstring(slide_image(lesson, number))
        for page in (*handouts.plan(lesson), *handouts.task_sheet(lesson), *handouts.exercise(lesson)):
            ElementTree.fromstring(page)
            assert b"{" not in page, lesson.name  # a fraction that was not set
    for poem in poems():
        ElementTree.fromstring(poem_card(poem)[0])


def test_pinyin_of_poems_follows_the_textbook() -> None:
    assert pinyin_of_line("春风花草香。") == ["chūn", "fēng", "huā", "cǎo", "xiāng", ""]
    assert pinyin_of_line("二月春风似剪刀。")[4] == "sì"
    assert pinyin_of_line("万里长征人未还。")[6] == "huán"
    assert pinyin_of_line("早有蜻蜓立上头。")[6] == "tóu"


def test_the_exercise_needs_nothing_from_outside() -> None:
    row, job = game()
    assert code_of("kind", row.kind) == "interactive"
    [data] = job.make()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        assert "index.html" in names
        page = archive.read("index.html").decode()
        for reference in re.findall(r'(?:src|href)="([^"]+)"', page):
            assert reference in names
        script = archive.read("game.js").decode()
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", page + script)
    assert not re.search(r"=>|\blet\b|\bconst\b|`|localStorage|cookie|fetch\(|XMLHttp", script)


def test_a_tune_lasts_as_long_as_its_beats() -> None:
    song = melody.Song(title="音阶", notes=melody.SCALE, tempo=120)
    assert sum(length for _, length, _ in song.notes) == 9
    wav = render.wav_of(melody.play(song))
    with wave.open(io.BytesIO(wav)) as reader:
        assert reader.getnframes() / reader.getframerate() == pytest.approx(9 * 0.5 + 1.2, abs=0.01)
    assert melody.phrase("1_ 5, 2'- 0 3.", "叮当咚啊") == (
        (0, 0.5, "叮"),
        (-3, 1.0, "当"),
        (8, 2.0, "咚"),
        (99, 1.0, ""),
        (2, 1.5, "啊"),
    )
    assert sum(length for _, length, _ in melody.FRERE_JACQUES) == 32
    assert sum(length for _, length, _ in melody.TWINKLE) == 48


@given(st.text(alphabet="天地人1234567890，。！（）“”abc {}/ ", max_size=60), st.floats(3, 30))
def test_wrapping_keeps_every_character_and_the_width(words: str, width: float) -> None:
    for lines in (wrap(words, width), balanced(words, width)):
        assert "".join("".join(lines).split()) == "".join(words.split())
        for line in lines[1:]:
            assert not line or line[0] not in "，。！）”"


def test_text_width_counts_a_stacked_fraction_once() -> None:
    assert text_width("{1/2}") < text_width("1/2")
    assert plain("是 {3/4} 吗") == "是 3/4 吗"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[county.County]:
    yield write_county(tmp_path_factory.mktemp("county"))


@pytest.mark.slow
def test_the_county_is_written_once_and_goes_on_where_it_stopped(written: county.County) -> None:
    made: list[str] = []
    directory = written.source.parent
    again = write_county(directory, lambda item, done, total: made.append(item))
    assert again == written and made == []
    victim = next(written.source.rglob("*教学课件.pptx"))
    before = victim.read_bytes()
    victim.unlink()
    write_county(directory, lambda item, done, total: made.append(item))
    assert made == [victim.relative_to(written.source).as_posix()]
    assert victim.read_bytes() == before
    assert written.sheet == directory / FOLDER / SHEET
    files = [path for path in written.source.rglob("*") if path.is_file() and path != written.sheet]
    assert len(files) >= written.with_files
    assert all(path.stat().st_size > 100 for path in files)


@pytest.mark.slow
def test_an_interactive_page_answers_to_touch_and_keys(written: county.County, tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    with zipfile.ZipFile(next(written.source.rglob("*.zip"))) as archive:
        archive.extractall(tmp_path)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 360, "height": 640}, has_touch=True)
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto((tmp_path / "index.html").as_uri())
        above, below = (int(part) for part in page.locator("#task .fraction").inner_text().split())
        assert page.locator(".part").count() == below
        for place in range(above):
            page.locator(".part").nth(place).tap()
        page.locator("#check").tap()
        assert page.locator("#score").inner_text() == "★ 1"
        page.keyboard.press("3")
        assert page.locator("#answers button").count() == 3
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        assert page.locator("#word").inner_text() != ""
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert errors == []
        browser.close()
