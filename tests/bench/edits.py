"""Course files as teachers make them, and what an edit does to them: made by number, so that each run has the same.

A PPTX is a ZIP of slides (XML, deflated) and pictures (stored as they are in effect); saving it writes the whole
archive again, in the order and with the times of the program that saved it. A PDF keeps its pictures and text streams
and moves all of its offsets. An HTML5 package is loose text files. Pictures are random bytes: nothing shrinks them.
"""

from __future__ import annotations

import io
import random
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

_WORDS = (
    "分数 认识 几分之一 小数 乘法 观察 比较 练习 例题 同学们 想一想 做一做 课堂 小结 作业 图形 面积 "
    "周长 单位 换算 估算 应用 问题 解决 数学 语文 生字 朗读 课文 段落 理解 探究 实验 现象 结论"
)
WORDS = tuple(_WORDS.split(" "))
OFFICE_TIME = (1980, 1, 1, 0, 0, 0)


@dataclass
class Deck:
    """A slide deck before it is saved: texts per slide, pictures by name."""

    slides: list[list[str]]
    pictures: dict[str, bytes]
    saved: tuple[int, int, int, int, int, int] = OFFICE_TIME
    order: list[str] = field(default_factory=list)

    def save(self, *, level: int = 6) -> bytes:
        """Return the deck as PPTX."""
        members = {"[Content_Types].xml": b"<Types>" + b"<Override/>" * len(self.slides) + b"</Types>"}
        for number, lines in enumerate(self.slides, start=1):
            members[f"ppt/slides/slide{number}.xml"] = _slide(number, lines)
            members[f"ppt/slides/_rels/slide{number}.xml.rels"] = b"<Relationships Id='%d'/>" % number * 9
        members.update({f"ppt/media/{name}": data for name, data in self.pictures.items()})
        members["docProps/app.xml"] = b"<Properties><Slides>%d</Slides></Properties>" % len(self.slides)
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as archive:
            for name in self.order or members:
                archive.writestr(zipfile.ZipInfo(name, self.saved), members[name], zipfile.ZIP_DEFLATED)
        return out.getvalue()


@dataclass
class Pages:
    """A PDF before it is saved: a text per page, pictures, and when it was saved."""

    texts: list[list[str]]
    pictures: list[bytes]
    stamp: str = "20261101080000"

    def save(self) -> bytes:
        """Return the pages as PDF: all objects in order, then their offsets."""
        objects = [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Count %d>>" % len(self.texts)]
        for lines in self.texts:
            body = zlib.compress("\n".join(f"BT ({line}) Tj ET" for line in lines).encode(), 6)
            objects.append(_stream(body, b"/Filter/FlateDecode"))
        objects += [_stream(picture, b"/Subtype/Image/Filter/DCTDecode") for picture in self.pictures]
        objects.append(b"<</ModDate(D:%s)>>" % self.stamp.encode())
        out = io.BytesIO(b"%PDF-1.7\n")
        out.seek(0, io.SEEK_END)
        offsets = []
        for number, body in enumerate(objects, start=1):
            offsets.append(out.tell())
            out.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
        place = out.tell()
        out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(offsets) + 1))
        out.write(b"".join(b"%010d 00000 n \n" % offset for offset in offsets))
        out.write(b"trailer<</Size %d>>\nstartxref\n%d\n%%%%EOF\n" % (len(offsets) + 1, place))
        return out.getvalue()


def deck(seed: int, size_bytes: int = 3 << 20) -> Deck:
    """Return a deck of about `size_bytes` with twenty slides."""
    chance = random.Random(seed)
    slides = [lines(chance, 12) for _ in range(20)]
    pictures: dict[str, bytes] = {}
    while sum(map(len, pictures.values())) < size_bytes:
        pictures[f"image{len(pictures) + 1}.jpeg"] = chance.randbytes(
            min(chance.randint(60_000, 400_000), size_bytes)
        )
    return Deck(slides, pictures)


def pages(seed: int, size_bytes: int = 2 << 20) -> Pages:
    """Return a PDF's pages of about `size_bytes`."""
    chance = random.Random(seed)
    pictures = [
        chance.randbytes(chance.randint(50_000, 300_000)) for _ in range(max(1, size_bytes // 175_000))
    ]
    return Pages([lines(chance, 30) for _ in range(24)], pictures)


def package(seed: int, size_bytes: int = 300_000) -> bytes:
    """Return the script of an interactive exercise, about `size_bytes` of text."""
    chance = random.Random(seed)
    text = []
    while sum(map(len, text)) * 3 < size_bytes:
        text.append(
            f"exercise.add({{id:{chance.randint(1, 10**6)},q:{lines(chance, 1)[0]!r},a:{chance.random():.4f}}});"
        )
    return "\n".join(text).encode()


def lines(chance: random.Random, count: int) -> list[str]:
    """Return `count` lines of lesson text."""
    return ["".join(chance.choices(WORDS, k=chance.randint(6, 18))) for _ in range(count)]


def typo(seed: int) -> tuple[bytes, bytes]:
    """A word on one slide is corrected; saved by the same program."""
    before, after = deck(seed), deck(seed)
    after.slides[3][2] = after.slides[3][2].replace(after.slides[3][2][:2], "订正", 1)
    return before.save(), after.save()


def new_slide(seed: int) -> tuple[bytes, bytes]:
    """A slide is put in the middle: all after it get other names."""
    before, after = deck(seed), deck(seed)
    after.slides.insert(8, lines(random.Random(seed + 1), 12))
    return before.save(), after.save()


def new_picture(seed: int) -> tuple[bytes, bytes]:
    """A picture of 90 kB takes the place of another: these bytes must travel."""
    before, after = deck(seed), deck(seed)
    after.pictures["image2.jpeg"] = random.Random(seed + 1).randbytes(90_000)
    return before.save(), after.save()


def other_program(seed: int) -> tuple[bytes, bytes]:
    """Saved by another program: other times, another order, a word changed; the same deflate."""
    before, after = deck(seed), deck(seed)
    after.slides[1][1] = "重新保存"
    after.saved = (2026, 11, 20, 9, 30, 12)
    with zipfile.ZipFile(io.BytesIO(before.save())) as archive:
        after.order = sorted(archive.namelist())
    return before.save(), after.save()


def other_level(seed: int) -> tuple[bytes, bytes]:
    """Saved with another effort of deflate: every text is packed anew, pictures only pass through."""
    before, after = deck(seed), deck(seed)
    after.slides[1][1] = "重新保存"
    return before.save(), after.save(level=1)


def corrected_pages(seed: int) -> tuple[bytes, bytes]:
    """A PDF exported again after a correction on one page: every offset moves."""
    before, after = pages(seed), pages(seed)
    after.texts[5][3] += "（订正）"
    after.stamp = "20261120093012"
    return before.save(), after.save()


def inserted_page(seed: int) -> tuple[bytes, bytes]:
    """A page more in a PDF."""
    before, after = pages(seed), pages(seed)
    after.texts.insert(6, lines(random.Random(seed + 1), 30))
    return before.save(), after.save()


def corrected_script(seed: int) -> tuple[bytes, bytes]:
    """Three answers in an exercise are corrected, a line is added."""
    before = package(seed)
    rows = before.split(b"\n")
    for row in (5, 40, 200):
        rows[row] = rows[row].replace(b"a:0.", b"a:1.")
    rows.insert(90, b"exercise.note('\xe8\xae\xa2\xe6\xad\xa3');")
    return before, b"\n".join(rows)


def restyled_script(seed: int) -> tuple[bytes, bytes]:
    """A tool writes the same exercises again with another name in every line."""
    before = package(seed)
    return before, before.replace(b"exercise.add", b"lesson.append")


EDITS: dict[str, tuple[str, Callable[[int], tuple[bytes, bytes]]]] = {
    "typo": ("pptx", typo),
    "new_slide": ("pptx", new_slide),
    "new_picture": ("pptx", new_picture),
    "other_program": ("pptx", other_program),
    "other_level": ("pptx", other_level),
    "corrected_pages": ("pdf", corrected_pages),
    "inserted_page": ("pdf", inserted_page),
    "corrected_script": ("js", corrected_script),
    "restyled_script": ("js", restyled_script),
}
"""Name -> the file's extension, and the function that returns it before and after by a seed."""


def edited_files(count: int, seed: int = 1) -> list[tuple[str, bytes, bytes]]:
    """Return `count` files as (file name, before, after), the kinds of edit in turn."""
    kinds = list(EDITS.items())
    found = []
    for number in range(count):
        name, (extension, make) = kinds[number % len(kinds)]
        found.append((f"{name}-{number}.{extension}", *make(seed * 1000 + number)))
    return found


def _slide(number: int, texts: list[str]) -> bytes:
    """Return a slide's XML, as wordy as such files are."""
    shapes = (
        f'<p:sp><p:nvSpPr><p:cNvPr id="{n + 2}" name="文本框 {n}"/><p:cNvSpPr txBox="1"/></p:nvSpPr><p:spPr><a:xfrm>'
        f'<a:off x="{914400 + 7 * n * number}" y="{685800 + 411 * n}"/><a:ext cx="7772400" cy="{533400 + n}"/></a:xfrm>'
        '<a:prstGeom prst="rect"><a:avLst/></a:prstGeom></p:spPr><p:txBody><a:bodyPr/><a:p><a:r>'
        f'<a:rPr lang="zh-CN" sz="2400"/><a:t>{text}</a:t></a:r></a:p></p:txBody></p:sp>'
        for n, text in enumerate(texts)
    )
    return f"<p:sld><p:cSld><p:spTree>{''.join(shapes)}</p:spTree></p:cSld></p:sld>".encode()


def _stream(body: bytes, kind: bytes) -> bytes:
    return b"<<%s/Length %d>>stream\n%s\nendstream" % (kind, len(body), body)
