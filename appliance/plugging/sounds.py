"""What a machine without a screen says when a stick is plugged in: three short tunes.

They are made here, played by `aplay` where there is a sound card, and by the PC's own beeper where there is none.
"""

from __future__ import annotations

import fcntl
import math
import os
import time
import wave
from collections.abc import Sequence
from enum import Enum
from io import BytesIO
from pathlib import Path

from appliance.plugging.commands import run

RATE = 16_000
_LOUD = 0.5
_EDGE_SECONDS = 0.01
_CARDS = Path("/proc/asound/cards")
_CONSOLE = Path("/dev/console")
# console_ioctl(4): milliseconds above, ticks of the timer below.
_KDMKTONE, _TIMER_HZ = 0x4B30, 1_193_180


class Tune(Enum):
    """What is said: pairs of hertz (0: silence) and seconds."""

    BEGUN = ((660, 0.15),)
    DONE = ((523, 0.18), (659, 0.18), (784, 0.4))
    WRONG = ((330, 0.35), (0, 0.1), (220, 0.6))


def play(tune: Tune) -> bool:
    """Play the tune; return False where the machine has nothing to play it with."""
    if _CARDS.exists() and "[" in _CARDS.read_text(errors="replace"):
        _, failed = run(["aplay", "-q", "-"], give=wave_of(tune.value))
        if not failed:
            return True
    return _beep(tune.value)


def wave_of(notes: Sequence[tuple[int, float]]) -> bytes:
    """Return the notes as a WAV file: one channel, 16 bits, 16 kHz (pure)."""
    samples = bytearray()
    for hertz, seconds in notes:
        count = round(seconds * RATE)
        edge = round(_EDGE_SECONDS * RATE)
        for at in range(count):
            # Soft edges: a tone that is cut clicks.
            level = _LOUD * min(1.0, at / edge, (count - at) / edge)
            value = level * math.sin(2 * math.pi * hertz * at / RATE)
            samples += round(value * 32767).to_bytes(2, "little", signed=True)
    out = BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples)
    return out.getvalue()


def _beep(notes: Sequence[tuple[int, float]]) -> bool:
    try:
        handle = os.open(_CONSOLE, os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        for hertz, seconds in notes:
            if hertz:
                fcntl.ioctl(handle, _KDMKTONE, round(seconds * 1000) << 16 | _TIMER_HZ // hertz)
            time.sleep(seconds)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True
