"""What a modern Office file says of itself without being rendered: pages, cover, text (ECMA-376, OPC)."""

from __future__ import annotations

import html
import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

_MAX_PART_BYTES = 32 << 20
_MAX_TEXT_PARTS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficeFacts:
    """`pages` slides or pages, `cover` the bytes of the picture inside, `text` its words; empty where not said."""

    pages: int | None
    cover: bytes
    text: str


def office_facts(path: Path) -> OfficeFacts:
    """Return what the .pptx, .docx or .xlsx at `path` says of itself; a part that is broken or huge counts as missing."""
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        slides = sorted(
            (name for name in names if re.fullmatch(r"ppt/slides/slide\d+\.xml", name)),
            key=lambda name: int(re.sub(r"\D", "", name)),
        )
        pages = len(slides) or _pages_property(_part(archive, "docProps/app.xml", names))
        cover = next(
            (
                data
                for name in ("jpeg", "jpg", "png")
                if (data := _part(archive, f"docProps/thumbnail.{name}", names))
            ),
            b"",
        )
        parts = slides[:_MAX_TEXT_PARTS] or ["word/document.xml"]
        text = "\n\f".join(filter(None, (_words(_part(archive, part, names)) for part in parts)))
    return OfficeFacts(pages=pages or None, cover=cover, text=text)


def _part(archive: zipfile.ZipFile, name: str, names: set[str]) -> bytes:
    if name not in names or archive.getinfo(name).file_size > _MAX_PART_BYTES:
        return b""
    try:
        return archive.read(name)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError):
        return b""


def _pages_property(app: bytes) -> int | None:
    match = re.search(rb"<(?:Pages|Slides)>(\d{1,6})</", app)
    return int(match.group(1)) if match else None


def _words(xml: bytes) -> str:
    text = xml.decode("utf-8", "replace")
    lines = []
    for paragraph in re.split(r"</(?:a|w):p>", text):
        runs = re.findall(r"<(?:a|w):t(?: [^>]*)?>([^<]*)<", paragraph)
        lines.append(html.unescape("".join(runs)).strip())
    return "\n".join(line for line in lines if line)
