"""A lesson as a video: its slides with a voice, and the subtitles of what the voice says.

The subtitles lie beside the film (WebVTT or SubRip), not in the picture, so that a class can switch them off.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.demo import melody, render
from appliance.demo.lessons import Lesson
from appliance.demo.slides import slide_image

_RATE = 22050
_PAUSE_SECONDS = 0.7
_SENTENCE = re.compile(r"[^，。！？；：]+[，。！？；：”]*")
_LONGEST_CUE = 22


@dataclass(frozen=True, slots=True)
class Cue:
    """What is said from `start` to `end`, in seconds."""

    start: float
    end: float
    text: str


@dataclass(frozen=True, slots=True)
class Film:
    """A lesson's video and its subtitles."""

    mp4: bytes
    cues: tuple[Cue, ...]
    seconds: float


def make_film(lesson: Lesson, music: Sequence[melody.Song | None] = ()) -> Film:
    """Return the video of `lesson`; `music[n]` is played after the words of slide n."""
    sound = bytearray()
    slides: list[tuple[bytes, float]] = []
    cues: list[Cue] = []
    for number, slide in enumerate(lesson.slides):
        words = render.samples(render.speech(slide.speech))
        start = len(sound) / 2 / _RATE
        cues += cues_of(slide.speech, start, start + len(words) / 2 / _RATE)
        sound += words + bytes(int(_PAUSE_SECONDS * _RATE) * 2)
        song = music[number] if number < len(music) else None
        if song is not None:
            played = melody.play(song, rate=_RATE)
            at = len(sound) / 2 / _RATE
            cues.append(Cue(at, at + len(played) / 2 / _RATE, f"♪ {song.title}"))
            sound += played + bytes(int(_PAUSE_SECONDS * _RATE) * 2)
        slides.append((slide_image(lesson, number), len(sound) / 2 / _RATE - start))
    mp4 = render.film(slides, render.wav_of(bytes(sound)))
    return Film(mp4, tuple(cues), len(sound) / 2 / _RATE)


def cues_of(words: str, start: float, end: float) -> list[Cue]:
    """Divide the time of `words` among its clauses by their length; short clauses stay together."""
    lines: list[str] = []
    for clause in _SENTENCE.findall(words):
        if lines and len(lines[-1]) + len(clause) <= _LONGEST_CUE and lines[-1][-1] not in "。！？":
            lines[-1] += clause
        else:
            lines.append(clause)
    total = sum(len(line) for line in lines) or 1
    cues, at = [], start
    for line in lines:
        until = at + (end - start) * len(line) / total
        cues.append(Cue(at, until, line.rstrip("，。；：")))
        at = until
    return cues


def webvtt(cues: Sequence[Cue]) -> bytes:
    """Return the cues as WebVTT (W3C)."""
    blocks = [f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n{cue.text}\n" for cue in cues]
    return ("WEBVTT\n\n" + "\n".join(blocks)).encode()


def subrip(cues: Sequence[Cue]) -> bytes:
    """Return the cues as SubRip (.srt), with the line ends of Windows, as teachers' tools write them."""
    blocks = [
        f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n{cue.text}\n"
        for number, cue in enumerate(cues, 1)
    ]
    return "\n".join(blocks).replace("\n", "\r\n").encode()


def _clock(seconds: float, mark: str) -> str:
    whole = round(seconds * 1000)
    return f"{whole // 3_600_000:02}:{whole // 60_000 % 60:02}:{whole // 1000 % 60:02}{mark}{whole % 1000:03}"
