"""A lesson's courseware as PPTX: editable text and pictures, written with nothing but a ZIP file.

After ECMA-376 (Office Open XML), part 1, PresentationML: one master, one blank layout, one theme. Lengths are English
Metric Units: 9,525 to a pixel of the 1280 × 720 slide. The places of the parts come from `slides`.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping
from html import escape

from appliance.demo.lessons import Lesson, Slide
from appliance.demo.slides import (
    BODY,
    COUNTY,
    FIGURE,
    HEIGHT,
    LABEL,
    LINE_SIZE,
    TITLE,
    WIDE,
    WIDTH,
    Box,
    inset,
    label_of,
    outset,
)
from appliance.demo.style import CARD, INK, LINE, PAPER, SOFT, accent, plain

_PIXEL = 9525
_SPACED = re.compile("(?<=[一-鿿]) (?=[0-9])|(?<=[0-9]) (?=[一-鿿])")
_SANS, _KAI = "微软雅黑", "楷体"
_DATE = (2026, 9, 1, 8, 0, 0)
_MAIN = "http://schemas.openxmlformats.org/drawingml/2006/main"
_PRESENTATION = "http://schemas.openxmlformats.org/presentationml/2006/main"
_RELATION = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_SPACES = f'xmlns:a="{_MAIN}" xmlns:r="{_RELATION}" xmlns:p="{_PRESENTATION}"'
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_TYPE = "application/vnd.openxmlformats-officedocument.presentationml"


def write_deck(lesson: Lesson, pictures: Mapping[str, bytes], cover: bytes) -> bytes:
    """Return the PPTX of `lesson`; `pictures` gives the PNG of each figure drawn on it, `cover` the JPEG that file
    managers show.
    """
    media: dict[str, str] = {}
    parts: dict[str, bytes] = {}
    for slide in lesson.slides:
        if slide.figure and slide.figure not in media:
            media[slide.figure] = f"image{len(media) + 1}.png"
            parts[f"ppt/media/{media[slide.figure]}"] = pictures[slide.figure]
    count = len(lesson.slides)
    for number, slide in enumerate(lesson.slides, 1):
        name = f"ppt/slides/slide{number}.xml"
        parts[name] = _slide(lesson, slide, number, count).encode()
        links = [("slideLayout", "../slideLayouts/slideLayout1.xml")]
        if slide.figure:
            links.append(("image", f"../media/{media[slide.figure]}"))
        parts[f"ppt/slides/_rels/slide{number}.xml.rels"] = _relations(links)
    parts |= _frame(lesson, count)
    parts["docProps/thumbnail.jpeg"] = cover
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(parts, key=lambda name: (name != "[Content_Types].xml", name)):
            archive.writestr(_member(name), parts[name])
    return out.getvalue()


def _member(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, _DATE)
    member.compress_type = zipfile.ZIP_STORED if name.endswith((".png", ".jpeg")) else zipfile.ZIP_DEFLATED
    return member


def _slide(lesson: Lesson, slide: Slide, number: int, count: int) -> str:
    colours = accent(lesson.subject)
    shapes = _Shapes()
    cover = number == 1
    shapes.rectangle("底色", Box(0, 0, WIDTH, HEIGHT), colours.wash if cover else PAPER)
    shapes.rectangle("色带", Box(0, 0, 18, HEIGHT), colours.deep)
    if slide.figure:
        shapes.rectangle("图框", outset(FIGURE), CARD, line=LINE, round_corner=True)
        shapes.picture("插图", FIGURE)
    if cover:
        shapes.text("单元", Box(BODY.x, 150, 560, 50), [label_of(lesson)], 25, colours.deep)
        shapes.text("标题", Box(BODY.x, 208, 570, 190), [slide.title], 60, INK, bold=True)
        shapes.text("说明", Box(BODY.x, 410, 560, 190), list(slide.lines), 28, INK)
    else:
        shapes.text("单元", LABEL, [label_of(lesson)], 22, colours.deep)
        shapes.text("标题", TITLE, [slide.title], 48, INK, bold=True)
        shapes.rectangle("标题线", Box(TITLE.x, TITLE.y + 82, 72, 6), colours.middle)
        if not slide.figure:
            shapes.rectangle("文字框", WIDE, CARD, line=LINE, round_corner=True)
        body, size = (BODY, LINE_SIZE) if slide.figure else (inset(WIDE), LINE_SIZE + 6)
        shapes.text("正文", body, list(slide.lines), size - 1, INK, bullet=colours.middle, anchor="ctr")
    shapes.text("页脚", Box(76, 660, 700, 40), [COUNTY], 17, SOFT)
    shapes.text("页码", Box(1012, 660, 200, 40), [f"{number} / {count}"], 17, SOFT, align="r")
    return (
        f"{_HEAD}<p:sld {_SPACES}><p:cSld><p:spTree>{_GROUP}{''.join(shapes.parts)}</p:spTree></p:cSld>"
        "<p:clrMapOvr><a:masterClrMapping/></p:clrMapOvr></p:sld>"
    )


_TEXT_BOX = ' txBox="1"'
_GROUP = (
    '<p:nvGrpSpPr><p:cNvPr id="1" name=""/><p:cNvGrpSpPr/><p:nvPr/></p:nvGrpSpPr><p:grpSpPr><a:xfrm><a:off x="0" y="0"/>'
    '<a:ext cx="0" cy="0"/><a:chOff x="0" y="0"/><a:chExt cx="0" cy="0"/></a:xfrm></p:grpSpPr>'
)


class _Shapes:
    """The shapes of one slide, numbered as they are added."""

    def __init__(self) -> None:
        self.parts: list[str] = []

    def _open(self, name: str, extra: str = "") -> str:
        return f'<p:nvSpPr><p:cNvPr id="{len(self.parts) + 2}" name="{escape(name)}"/><p:cNvSpPr{extra}/><p:nvPr/></p:nvSpPr>'

    def rectangle(
        self, name: str, box: Box, fill: str, *, line: str = "", round_corner: bool = False
    ) -> None:
        border = f'<a:ln w="19050">{_fill(line)}</a:ln>' if line else "<a:ln><a:noFill/></a:ln>"
        shape = "roundRect" if round_corner else "rect"
        corner = '<a:avLst><a:gd name="adj" fmla="val 6500"/></a:avLst>' if round_corner else "<a:avLst/>"
        self.parts.append(
            f"<p:sp>{self._open(name)}<p:spPr>{_place(box)}"
            f'<a:prstGeom prst="{shape}">{corner}</a:prstGeom>{_fill(fill)}{border}</p:spPr></p:sp>'
        )

    def picture(self, name: str, box: Box) -> None:
        self.parts.append(
            f'<p:pic><p:nvPicPr><p:cNvPr id="{len(self.parts) + 2}" name="{escape(name)}"/>'
            '<p:cNvPicPr><a:picLocks noChangeAspect="1"/></p:cNvPicPr><p:nvPr/></p:nvPicPr>'
            '<p:blipFill><a:blip r:embed="rId2"/><a:stretch><a:fillRect/></a:stretch></p:blipFill>'
            f'<p:spPr>{_place(box)}<a:prstGeom prst="rect"><a:avLst/></a:prstGeom></p:spPr></p:pic>'
        )

    def text(
        self,
        name: str,
        box: Box,
        lines: list[str],
        size: float,
        colour: str,
        *,
        bold: bool = False,
        align: str = "l",
        bullet: str = "",
        anchor: str = "t",
    ) -> None:
        paragraphs = []
        for line in lines:
            poem = line.startswith("　")
            points = round((size + (5 if poem and bullet else 0)) * 75)
            font = _KAI if poem else _SANS
            mark = "<a:buNone/>"
            indent = ""
            if bullet and not poem:
                indent = ' marL="323850" indent="-323850"'
                mark = f'<a:buClr><a:srgbClr val="{bullet[1:]}"/></a:buClr><a:buFont typeface="Arial"/><a:buChar char="•"/>'
            paragraphs.append(
                f'<a:p><a:pPr algn="{align}"{indent}><a:lnSpc><a:spcPct val="125000"/></a:lnSpc>'
                f'<a:spcAft><a:spcPts val="{600 if bullet else 300}"/></a:spcAft>{mark}</a:pPr>'
                f'<a:r><a:rPr lang="zh-CN" sz="{points}" b="{int(bold)}">{_fill(colour)}<a:latin typeface="{font}"/>'
                f'<a:ea typeface="{font}"/></a:rPr><a:t>{escape(_set(line))}</a:t></a:r></a:p>'
            )
        self.parts.append(
            f"<p:sp>{self._open(name, _TEXT_BOX)}<p:spPr>{_place(box)}"
            '<a:prstGeom prst="rect"><a:avLst/></a:prstGeom><a:noFill/></p:spPr><p:txBody>'
            f'<a:bodyPr wrap="square" lIns="0" tIns="0" rIns="0" bIns="0" anchor="{anchor}"><a:normAutofit/></a:bodyPr>'
            f"<a:lstStyle/>{''.join(paragraphs)}</p:txBody></p:sp>"
        )


def _set(line: str) -> str:
    """Return `line` as it is typed: office programs space Chinese and Latin apart by themselves."""
    return _SPACED.sub("", plain(line.strip("　")))


def _fill(colour: str) -> str:
    return f'<a:solidFill><a:srgbClr val="{colour[1:].upper()}"/></a:solidFill>'


def _place(box: Box) -> str:
    x, y, width, height = (round(value * _PIXEL) for value in (box.x, box.y, box.width, box.height))
    return f'<a:xfrm><a:off x="{x}" y="{y}"/><a:ext cx="{width}" cy="{height}"/></a:xfrm>'


def _relations(links: list[tuple[str, str]]) -> bytes:
    body = "".join(
        f'<Relationship Id="rId{number}" Type="{_RELATION}/{kind}" Target="{target}"/>'
        for number, (kind, target) in enumerate(links, 1)
    )
    return f'{_HEAD}<Relationships xmlns="{_PACKAGE}/relationships">{body}</Relationships>'.encode()


def _frame(lesson: Lesson, count: int) -> dict[str, bytes]:
    """Return everything around the slides."""
    slides = [f"slides/slide{number}.xml" for number in range(1, count + 1)]
    overrides = {
        "/ppt/presentation.xml": f"{_TYPE}.presentation.main+xml",
        "/ppt/slideMasters/slideMaster1.xml": f"{_TYPE}.slideMaster+xml",
        "/ppt/slideLayouts/slideLayout1.xml": f"{_TYPE}.slideLayout+xml",
        "/ppt/theme/theme1.xml": "application/vnd.openxmlformats-officedocument.theme+xml",
        "/docProps/core.xml": "application/vnd.openxmlformats-package.core-properties+xml",
        **{f"/ppt/{slide}": f"{_TYPE}.slide+xml" for slide in slides},
    }
    types = "".join(f'<Override PartName="{part}" ContentType="{kind}"/>' for part, kind in overrides.items())
    ids = "".join(f'<p:sldId id="{255 + number}" r:id="rId{number + 2}"/>' for number in range(1, count + 1))
    frame = {
        "[Content_Types].xml": (
            f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels" '
            'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            '<Default Extension="xml" ContentType="application/xml"/><Default Extension="png" ContentType="image/png"/>'
            '<Default Extension="jpeg" ContentType="image/jpeg"/>'
            f"{types}</Types>"
        ),
        "_rels/.rels": (
            f'<Relationships xmlns="{_PACKAGE}/relationships">'
            f'<Relationship Id="rId1" Type="{_RELATION}/officeDocument" Target="ppt/presentation.xml"/>'
            f'<Relationship Id="rId2" Type="{_PACKAGE}/relationships/metadata/core-properties" Target="docProps/core.xml"/>'
            f'<Relationship Id="rId3" Type="{_PACKAGE}/relationships/metadata/thumbnail" Target="docProps/thumbnail.jpeg"/>'
            "</Relationships>"
        ),
        "docProps/core.xml": (
            f'<cp:coreProperties xmlns:cp="{_PACKAGE}/metadata/core-properties" '
            'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/" '
            'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
            f"<dc:title>{escape(lesson.name)}</dc:title><dc:creator>{escape(lesson.author)}</dc:creator>"
            '<dcterms:created xsi:type="dcterms:W3CDTF">2026-09-01T08:00:00Z</dcterms:created></cp:coreProperties>'
        ),
        "ppt/presentation.xml": (
            f'<p:presentation {_SPACES}><p:sldMasterIdLst><p:sldMasterId id="2147483648" r:id="rId1"/></p:sldMasterIdLst>'
            f"<p:sldIdLst>{ids}</p:sldIdLst>"
            f'<p:sldSz cx="{WIDTH * _PIXEL}" cy="{HEIGHT * _PIXEL}"/><p:notesSz cx="6858000" cy="9144000"/></p:presentation>'
        ),
        "ppt/slideMasters/slideMaster1.xml": (
            f"<p:sldMaster {_SPACES}><p:cSld><p:bg><p:bgPr>{_fill(PAPER)}<a:effectLst/></p:bgPr></p:bg>"
            f"<p:spTree>{_GROUP}</p:spTree></p:cSld>"
            '<p:clrMap bg1="lt1" tx1="dk1" bg2="lt2" tx2="dk2" accent1="accent1" accent2="accent2" accent3="accent3" '
            'accent4="accent4" accent5="accent5" accent6="accent6" hlink="hlink" folHlink="folHlink"/>'
            '<p:sldLayoutIdLst><p:sldLayoutId id="2147483649" r:id="rId1"/></p:sldLayoutIdLst>'
            "<p:txStyles><p:titleStyle/><p:bodyStyle/><p:otherStyle/></p:txStyles></p:sldMaster>"
        ),
        "ppt/slideLayouts/slideLayout1.xml": (
            f'<p:sldLayout {_SPACES} type="blank" preserve="1"><p:cSld name="空白"><p:spTree>{_GROUP}</p:spTree></p:cSld>'
            "<p:clrMapOvr><a:masterClrMapping/></p:clrMapOvr></p:sldLayout>"
        ),
        "ppt/theme/theme1.xml": _theme(lesson.subject),
    }
    parts = {name: (_HEAD + body).encode() for name, body in frame.items()}
    parts["ppt/_rels/presentation.xml.rels"] = _relations(
        [("slideMaster", "slideMasters/slideMaster1.xml"), ("theme", "theme/theme1.xml")]
        + [("slide", slide) for slide in slides]
    )
    parts["ppt/slideMasters/_rels/slideMaster1.xml.rels"] = _relations(
        [("slideLayout", "../slideLayouts/slideLayout1.xml"), ("theme", "../theme/theme1.xml")]
    )
    parts["ppt/slideLayouts/_rels/slideLayout1.xml.rels"] = _relations(
        [("slideMaster", "../slideMasters/slideMaster1.xml")]
    )
    return parts


def _theme(subject: str) -> str:
    colours = accent(subject)
    palette = {
        "dk1": INK,
        "lt1": "#FFFFFF",
        "dk2": colours.deep,
        "lt2": PAPER,
        "accent1": colours.deep,
        "accent2": colours.middle,
        "accent3": "#C9855A",
        "accent4": "#8FB584",
        "accent5": "#DBA544",
        "accent6": SOFT,
        "hlink": colours.deep,
        "folHlink": SOFT,
    }
    scheme = "".join(
        f'<a:{name}><a:srgbClr val="{value[1:].upper()}"/></a:{name}>' for name, value in palette.items()
    )
    fonts = f'<a:latin typeface="{_SANS}"/><a:ea typeface="{_SANS}"/><a:cs typeface=""/>'
    fill = '<a:solidFill><a:schemeClr val="phClr"/></a:solidFill>'
    line = f'<a:ln w="9525">{fill}</a:ln>'
    effect = "<a:effectStyle><a:effectLst/></a:effectStyle>"
    return (
        f'<a:theme xmlns:a="{_MAIN}" name="书箱"><a:themeElements><a:clrScheme name="书箱">{scheme}</a:clrScheme>'
        f'<a:fontScheme name="书箱"><a:majorFont>{fonts}</a:majorFont><a:minorFont>{fonts}</a:minorFont></a:fontScheme>'
        f'<a:fmtScheme name="书箱"><a:fillStyleLst>{fill * 3}</a:fillStyleLst><a:lnStyleLst>{line * 3}</a:lnStyleLst>'
        f"<a:effectStyleLst>{effect * 3}</a:effectStyleLst><a:bgFillStyleLst>{fill * 3}</a:bgFillStyleLst></a:fmtScheme>"
        "</a:themeElements></a:theme>"
    )
