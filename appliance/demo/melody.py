"""Songs in the public domain, played by a small synthesiser: a soft bell tone with its overtones, no samples.

A song is a list of notes as in `figures.notation`: (step of the major scale, beats, syllable).
"""

from __future__ import annotations

import array
import math
from dataclasses import dataclass
from functools import cache

from appliance.demo.figures.notation import Note

_SCALE = (0, 2, 4, 5, 7, 9, 11)
_REST = 99
_PARTIALS = ((1.0, 0.62, 2.2), (2.0, 0.20, 3.4), (3.0, 0.09, 4.6), (4.16, 0.04, 7.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Song:
    """A melody: `tonic` is the MIDI number of its do, `tempo` its beats in a minute.

    `voices` above 1 plays it as a round, each voice `entry_beats` after the one before.
    """

    title: str
    notes: tuple[Note, ...]
    tonic: int = 65
    tempo: int = 108
    voices: int = 1
    entry_beats: float = 8.0


def phrase(line: str, words: str = "") -> tuple[Note, ...]:
    """Read notes like `1 2 3 1` (do re mi do): `-` a beat longer, `_` half a beat, `.` half longer, `'` an octave up,
    `,` an octave down, `0` a rest. One syllable of `words` goes with each note that sounds."""
    syllables = iter(words.replace(" ", ""))
    notes: list[Note] = []
    for sign in line.split():
        length = 1.0 + sign.count("-")
        length = length * 1.5 if "." in sign else length
        length = length / 2 ** sign.count("_")
        if sign[0] == "0":
            notes.append((_REST, length, ""))
            continue
        step = int(sign[0]) - 1 + 7 * (sign.count("'") - sign.count(","))
        notes.append((step, length, next(syllables, "")))
    return tuple(notes)


@cache
def play(song: Song, *, rate: int = 22050) -> bytes:
    """Return the samples of `song`: 16 bits, one channel, little-endian."""
    beat = 60 / song.tempo
    beats = sum(length for _, length, _ in song.notes) + song.entry_beats * (song.voices - 1)
    total = array.array("f", bytes(4 * int((beats * beat + 1.2) * rate)))
    tones: dict[tuple[int, float], array.array[float]] = {}
    for voice in range(song.voices):
        at = voice * song.entry_beats * beat
        for step, length, _ in song.notes:
            if step != _REST:
                key = (step, length)
                if key not in tones:
                    tones[key] = _tone(_frequency(song.tonic, step), length * beat, rate)
                start = int(at * rate)
                for place, value in enumerate(tones[key][: len(total) - start], start):
                    total[place] += value
            at += length * beat
    loudest = max(max(total), -min(total), 1e-6)
    scale = 0.8 * 32767 / loudest
    return array.array("h", [int(value * scale) for value in total]).tobytes()


def _frequency(tonic: int, step: int) -> float:
    octave, degree = divmod(step, 7)
    return 440.0 * 2 ** ((tonic + 12 * octave + _SCALE[degree] - 69) / 12)


def _tone(frequency: float, seconds: float, rate: int) -> array.array[float]:
    ring = seconds + 0.35
    count = int(ring * rate)
    tone = array.array("f", bytes(4 * count))
    for ratio, loud, decay in _PARTIALS:
        # A decaying sine is a recurrence of two terms: no call of sin for each sample.
        turn = 2 * math.pi * frequency * ratio / rate
        fade = math.exp(-decay / rate)
        step, back = 2 * fade * math.cos(turn), fade * fade
        last, now = 0.0, loud * fade * math.sin(turn)
        for place in range(1, count):
            tone[place] += now
            last, now = now, step * now - back * last
    attack, release = int(0.008 * rate), int(0.25 * rate)
    for place in range(attack):
        tone[place] *= place / attack
    for place in range(release):
        tone[count - 1 - place] *= place / release
    return tone


FRERE_JACQUES = (
    phrase("1 2 3 1", "小小雅克")
    + phrase("1 2 3 1", "小小雅克")
    + phrase("3 4 5-", "快起床")
    + phrase("3 4 5-", "快起床")
    + phrase("5_ 6_ 5_ 4_ 3 1", "听那钟声响了")
    + phrase("5_ 6_ 5_ 4_ 3 1", "听那钟声响了")
    + phrase("1 5, 1-", "叮当当")
    + phrase("1 5, 1-", "叮当当")
)
TWINKLE = (
    phrase("1 1 5 5 6 6 5-")
    + phrase("4 4 3 3 2 2 1-")
    + phrase("5 5 4 4 3 3 2-") * 2
    + phrase("1 1 5 5 6 6 5-")
    + phrase("4 4 3 3 2 2 1-")
)
ODE_TO_JOY = (
    phrase("3 3 4 5 5 4 3 2 1 1 2 3 3. 2_ 2-")
    + phrase("3 3 4 5 5 4 3 2 1 1 2 3 2. 1_ 1-")
    + phrase("2 2 3 1 2 3_ 4_ 3 1 2 3_ 4_ 3 2 1 2 5,-")
    + phrase("3 3 4 5 5 4 3 2 1 1 2 3 2. 1_ 1-")
)
JASMINE = (
    phrase("3 3_ 5_ 6_ 1'_ 1'_ 6_ 5 5_ 6_ 5-")
    + phrase("3 3_ 5_ 6_ 1'_ 1'_ 6_ 5 5_ 6_ 5-")
    + phrase("5 5 5 3_ 5_ 6 6 5-")
    + phrase("3 2_ 3_ 5 3_ 2_ 1 1_ 2_ 1-")
    + phrase("3_ 2_ 1_ 3_ 2. 3_ 5 6_ 1'_ 5-")
    + phrase("2 3_ 5_ 2_ 3_ 1_ 6,_ 5,- 6, 1 2. 3_ 1_ 2_ 1_ 6,_ 5,-")
)
SCALE = phrase("1 2 3 4 5 6 7 1'-")
