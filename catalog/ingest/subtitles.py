"""SubRip subtitles as WebVTT, the only kind a browser's `<track>` reads (W3C WebVTT 1)."""

from __future__ import annotations

import html
import re

from catalog.ingest.listtext import decode_text

_TIMES = re.compile(
    r"(?:(\d{1,3}):)?(\d{1,2}):(\d{2})[,.](\d{1,3})\s*-->\s*(?:(\d{1,3}):)?(\d{1,2}):(\d{2})[,.](\d{1,3})"
)
_KEPT_TAGS = re.compile(r"&lt;(/?[biu])&gt;", re.IGNORECASE)
_OTHER_MARKUP = re.compile(r"</?(?:font|span|c|v)\b[^>]*>|\{\\[^}]*\}", re.IGNORECASE)


def to_webvtt(data: bytes) -> bytes | None:
    """Return the SubRip or WebVTT subtitles in `data` as WebVTT, or None where no cue can be read."""
    text = decode_text(data)
    if text is None:
        return None
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    cues = []
    for block in re.split(r"\n[ \t]*\n", text):
        lines = block.strip("\n").split("\n")
        place = next((place for place, line in enumerate(lines) if _TIMES.search(line)), None)
        if place is None:
            continue
        times = _TIMES.search(lines[place])
        words = "\n".join(_clean(line) for line in lines[place + 1 :] if line.strip())
        if times and words:
            cues.append(f"{_time(times.groups()[:4])} --> {_time(times.groups()[4:])}\n{words}\n")
    return ("WEBVTT\n\n" + "\n".join(cues)).encode() if cues else None


def _clean(line: str) -> str:
    plain = html.escape(html.unescape(_OTHER_MARKUP.sub("", line.strip())), quote=False)
    return _KEPT_TAGS.sub(r"<\1>", plain)


def _time(parts: tuple[str | None, ...]) -> str:
    hours, minutes, seconds, thousandths = parts
    return f"{int(hours or 0):02}:{int(minutes or 0):02}:{seconds}.{(thousandths or '0').ljust(3, '0')}"
