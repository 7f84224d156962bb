"""What the county has beside the lessons: songs, recitations, poem cards, mental arithmetic, pictures, a game."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from importlib import resources
from importlib.resources.abc import Traversable

from appliance.demo import cards, melody, render
from appliance.demo.figures import fractions, landscapes, nature, notation
from appliance.demo.holding import Job, row_of
from appliance.demo.listing import Row
from appliance.demo.style import INK, SANS, document, text
from appliance.demo.term import Poem, poems
from appliance.demo.week import WEEK
from appliance.demo.week.music import ROUND, SCALE, TUNE, song_sheet


def game() -> tuple[Row, Job]:
    """Return the interactive exercise: its folder as a ZIP with index.html."""
    path = "三年级上册/数学（人教版）/分数的初步认识/分数乐园（互动练习）.zip"
    row = row_of(
        "三年级",
        "数学",
        "人教版",
        "分数的初步认识",
        "几分之一的大小比较",
        "分数乐园",
        "互动课件",
        path,
        number=2,
        words=("分数", "互动练习", "涂一涂", "比一比", "算一算"),
        note="互动练习：涂一涂、认一认、比一比、算一算四关，触屏、鼠标、键盘都能用，不需要网络。",
    )
    return row, Job((path,), lambda: (_packed(resources.files("appliance.demo") / "fraction_game"),))


def _packed(folder: Traversable) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir(), key=lambda file: file.name):
            if file.is_file():
                member = zipfile.ZipInfo(file.name, (2026, 9, 1, 8, 0, 0))
                member.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(member, file.read_bytes())
    return out.getvalue()


def songs() -> Iterator[tuple[Row, Job]]:
    """Yield the songs, each as MP3."""
    songs = (
        ("三年级", "钟声", "学唱《雅克兄弟》", 1, "《雅克兄弟》伴奏", TUNE),
        ("三年级", "钟声", "轮唱《雅克兄弟》", 2, "《雅克兄弟》三声部轮唱", ROUND),
        ("三年级", "钟声", "学唱《雅克兄弟》", 1, "发声练习：音阶", SCALE),
        (
            "二年级",
            "跳起来",
            "快乐的音乐会",
            1,
            "《小星星》旋律",
            melody.Song(title="小星星", notes=melody.TWINKLE),
        ),
        (
            "五年级",
            "可爱的家",
            "我怎样长大",
            1,
            "《茉莉花》旋律",
            melody.Song(title="茉莉花", notes=melody.JASMINE, tempo=92, tonic=63),
        ),
        (
            "六年级",
            "古典名曲",
            "欢乐颂",
            1,
            "《欢乐颂》旋律",
            melody.Song(title="欢乐颂", notes=melody.ODE_TO_JOY, tempo=116, tonic=62),
        ),
    )
    for grade, unit, lesson, number, title, song in songs:
        path = f"{grade}上册/音乐（人音版）/{unit}/音频/{title.replace('：', ' ')}.mp3"

        def make(song: melody.Song = song, title: str = title) -> Sequence[bytes]:
            return (render.mp3(render.wav_of(melody.play(song)), title=title, artist="青禾县电教馆"),)

        row = row_of(
            grade,
            "音乐",
            "人音版",
            unit,
            lesson,
            title,
            "听力/朗读",
            path,
            number=number,
            words=("音乐", "音频", "伴奏", song.title),
            note=f"{title}，公有领域曲调，由程序合成演奏。",
        )
        yield row, Job((path,), make)


def readings() -> Iterator[tuple[Row, Job]]:
    """Yield the recitation of each poem of the week."""
    for lesson in WEEK:
        verses = [
            line.strip("　") for slide in lesson.slides for line in slide.lines if line.startswith("　")
        ]
        if lesson.subject != "chinese" or len(verses) != 4:
            continue
        name = lesson.name.split("：")[-1]
        path = f"三年级上册/语文（统编版）/{lesson.unit}/音频/{name} 朗读.mp3"

        def make(name: str = name, verses: list[str] = verses) -> Sequence[bytes]:
            return (_recited(name, verses),)

        row = row_of(
            "三年级",
            "语文",
            "统编版",
            lesson.unit,
            lesson.name,
            f"《{name}》朗读",
            "听力/朗读",
            path,
            number=lesson.number,
            words=("古诗", "朗读", name),
            note=f"古诗《{name}》朗读音频。",
            author=lesson.author,
        )
        yield row, Job((path,), make)


def _recited(name: str, verses: Sequence[str]) -> bytes:
    pause = bytes(22050)
    sound = render.samples(render.speech(name, words_per_minute=150)) + pause
    for verse in verses:
        sound += render.samples(render.speech(verse, words_per_minute=150)) + pause
    return render.mp3(render.wav_of(sound), title=f"{name} 朗读", artist="青禾县电教馆")


def poem_holdings() -> tuple[list[Row], list[Job]]:
    """Return the poems of all grades: a card with pinyin, and a recitation."""
    rows, jobs = [], []
    for poem in poems():
        folder = f"古诗诵读/{poem.grade}{poem.volume}"
        note = f"{poem.dynasty}代诗人{poem.author}《{poem.title}》，{''.join(poem.lines)}"
        pairs: tuple[tuple[str, str, Callable[[Poem], bytes]], ...] = (
            ("素材", f"{folder}/{poem.title} 注音诵读卡.pdf", lambda poem: render.pdf(cards.poem_card(poem))),
            ("听力/朗读", f"{folder}/{poem.title} 朗读.mp3", lambda poem: _recited(poem.title, poem.lines)),
        )
        for kind, path, draw in pairs:
            title = f"《{poem.title}》{'注音诵读卡' if kind == '素材' else '朗读'}"
            rows.append(
                row_of(
                    poem.grade,
                    "语文",
                    "统编版",
                    poem.unit,
                    poem.title,
                    title,
                    kind,
                    path,
                    words=("古诗", "诵读", poem.title, poem.author),
                    note=note,
                    volume=poem.volume,
                )
            )

            def make(poem: Poem = poem, draw: Callable[[Poem], bytes] = draw) -> Sequence[bytes]:
                return (draw(poem),)

            jobs.append(Job((path,), make))
    return rows, jobs


def practice_holdings() -> tuple[list[Row], list[Job]]:
    """Return the sheets of mental arithmetic and the pictures."""
    rows, jobs = [], []
    for grade in range(1, 7):
        name = f"{'一二三四五六'[grade - 1]}年级"
        for part in (1, 2, 3):
            path = f"口算练习/{name}上册/口算天天练（{part}）.pdf"

            def make(grade: int = grade, part: int = part) -> Sequence[bytes]:
                return (render.pdf(cards.arithmetic(grade, part)),)

            rows.append(
                row_of(
                    name,
                    "数学",
                    "人教版",
                    "口算天天练",
                    f"口算天天练（{part}）",
                    f"{name}口算天天练（{part}）",
                    "习题",
                    path,
                    number=part,
                    words=("口算", "计算", "练习"),
                    note="每天一页口算，54 题，附参考答案。",
                )
            )
            jobs.append(Job((path,), make))
    for row, svg in _pictures():

        def draw(svg: bytes = svg, path: str = row.file) -> Sequence[bytes]:
            return (render.png(svg, width=1560) if path.endswith(".png") else render.jpeg(svg, width=1600),)

        rows.append(row)
        jobs.append(Job((row.file,), draw))
    return rows, jobs


def _pictures() -> Iterator[tuple[Row, bytes]]:
    scenes = landscapes.SCENES
    hours, day = ("8时", "10时", "12时", "14时", "16时", "18时"), (9, 14, 17, 18, 15, 11)
    pictures = (
        (
            "三年级",
            "数学",
            "人教版",
            "分数的初步认识",
            "几分之一的大小比较",
            "分数墙",
            "png",
            fractions.wall(),
        ),
        (
            "三年级",
            "数学",
            "人教版",
            "分数的初步认识",
            "几分之一",
            "四分之一的三种折法",
            "png",
            fractions.folded_squares(),
        ),
        (
            "六年级",
            "数学",
            "人教版",
            "分数乘法",
            "分数乘整数",
            "分数圆片图",
            "png",
            fractions.pies([(1, 2), (3, 4), (5, 8)]),
        ),
        ("一年级", "科学", "教科版", "周围的植物", "观察一棵植物", "植物的六种器官", "jpg", nature.plant()),
        ("三年级", "科学", "教科版", "水", "水到哪里去了", "水的循环", "jpg", nature.water_cycle()),
        ("三年级", "科学", "教科版", "天气", "观察云", "常用天气符号", "png", nature.weather_symbols()),
        (
            "三年级",
            "科学",
            "教科版",
            "天气",
            "认识气温计",
            "气温计读数图",
            "png",
            nature.two_thermometers(12, -6),
        ),
        (
            "三年级",
            "科学",
            "教科版",
            "天气",
            "测量气温",
            "一天气温柱状图",
            "png",
            nature.week_of_temperatures(day, hours),
        ),
        (
            "二年级",
            "音乐",
            "人音版",
            "问声好",
            "早上好",
            "C 大调音阶五线谱",
            "png",
            notation.scale_on_staff(),
        ),
        ("三年级", "音乐", "人音版", "钟声", "学唱《雅克兄弟》", "《雅克兄弟》歌谱", "png", song_sheet()),
        *(
            ("三年级", "语文", "统编版", "第六单元 祖国河山", lesson, f"{place}图", "jpg", scenes[place]())
            for lesson, place in (
                ("望天门山", "天门山"),
                ("饮湖上初晴后雨", "西湖"),
                ("望洞庭", "洞庭湖"),
                ("语文园地：早发白帝城", "白帝城"),
                ("习作：这儿真美", "小溪边的村庄"),
            )
        ),
    )
    for grade, subject, edition, unit, lesson, title, kind, figure in pictures:
        caption = text(280, 466, title, 24, fill=INK, family=SANS, anchor="middle")
        svg = document(
            560, 490, f'<g transform="translate(20 18)">{figure}</g>{caption}', background="#fffdf8"
        )
        row = row_of(
            grade,
            subject,
            edition,
            unit,
            lesson,
            title,
            "图片",
            f"图片素材/{subject}/{title}.{kind}",
            words=("图片", "挂图", title),
            note=f"{title}，可投影、可打印的教学图片。",
        )
        yield row, svg
