"""The one place where the sample county runs other programs: rsvg-convert, espeak-ng, ffmpeg.

Every function returns bytes; what is kept and where is decided in `county`. A program that is missing or fails is
one refusal, E-TOOL, with the command that can be tried by hand.
"""

from __future__ import annotations

import io
import shlex
import subprocess
import tempfile
import wave
from collections.abc import Sequence
from pathlib import Path

from catalog.errors import ConfigError

FRAMES_PER_SECOND = 2  # the pictures stand still; a seek lands within five seconds
_TIMEOUT_SECONDS = 300
_RATE = 22050
_BITEXACT = ("-map_metadata", "-1", "-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact")


def run(command: Sequence[str], *, data: bytes = b"") -> bytes:
    """Run `command` with `data` on its standard input; return its standard output."""
    try:
        done = subprocess.run(
            list(command), input=data, capture_output=True, timeout=_TIMEOUT_SECONDS, check=False
        )
    except FileNotFoundError as error:
        raise ConfigError("E-TOOL", expected=command[0]) from error
    except subprocess.TimeoutExpired as error:
        raise ConfigError("E-TOOL", where=shlex.join(command), found="timeout") from error
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or [""]
        raise ConfigError("E-TOOL", where=shlex.join(command), found=lines[-1])
    return done.stdout


def png(svg: bytes, *, width: int | None = None) -> bytes:
    """Return the SVG as PNG, `width` pixels wide where given."""
    size = () if width is None else ("--width", str(width), "--keep-aspect-ratio")
    return run(["rsvg-convert", "--format", "png", *size], data=svg)


def jpeg(svg: bytes, *, width: int) -> bytes:
    """Return the SVG as JPEG of good quality, `width` pixels wide."""
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-f",
        "png_pipe",
        "-i",
        "-",
        "-frames:v",
        "1",
        "-f",
        "mjpeg",
        "-q:v",
        "3",
        "-pix_fmt",
        "yuvj420p",
        "-strict",
        "unofficial",
    ]
    return run([*command, *_BITEXACT, "-"], data=png(svg, width=width))


def pdf(pages: Sequence[bytes]) -> bytes:
    """Return the SVG pages as one PDF whose text can be searched."""
    with tempfile.TemporaryDirectory(prefix="shuxiang-demo-") as name:
        paths = []
        for number, page in enumerate(pages):
            path = Path(name) / f"{number:03}.svg"
            path.write_bytes(page)
            paths.append(str(path))
        return run(["rsvg-convert", "--format", "pdf", *paths])


def speech(words: str, *, words_per_minute: int = 210, pitch: int = 46) -> bytes:
    """Return `words` (Mandarin) spoken, as a WAV of 22,050 Hz, one channel, 16 bits."""
    command = ["espeak-ng", "-v", "cmn", "-s", str(words_per_minute), "-p", str(pitch), "--stdout"]
    return run(command, data=words.encode())


def samples(wav: bytes) -> bytes:
    """Return the bare samples of a WAV, 16 bits, little-endian; a length that espeak-ng left open is filled in."""
    start = wav.index(b"data") + 8
    body = wav[start:]
    return body[: len(body) // 2 * 2]


def wav_of(pcm: bytes, *, rate: int = _RATE) -> bytes:
    """Return one-channel 16-bit samples as a WAV file."""
    out = io.BytesIO()
    with wave.open(out, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(pcm)
    return out.getvalue()


def mp3(wav: bytes, *, title: str, artist: str) -> bytes:
    """Return a WAV as MP3 (48 kbit/s, one channel) with its title in ID3v2."""
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-f",
        "wav",
        "-i",
        "-",
        "-c:a",
        "libmp3lame",
        "-b:a",
        "48k",
        "-ac",
        "1",
        "-ar",
        "22050",
        "-id3v2_version",
        "3",
    ]
    tags = ["-metadata", f"title={title}", "-metadata", f"artist={artist}"]
    return run([*command, *_BITEXACT, *tags, "-f", "mp3", "-"], data=wav)


def film(slides: Sequence[tuple[bytes, float]], wav: bytes) -> bytes:
    """Return an MP4 (H.264 Main 720p, AAC, index in front) of `slides` as (SVG, seconds), with `wav` as its sound."""
    with tempfile.TemporaryDirectory(prefix="shuxiang-demo-") as name:
        folder = Path(name)
        listing = ["ffconcat version 1.0"]
        for number, (svg, seconds) in enumerate(slides):
            (folder / f"{number:03}.png").write_bytes(png(svg))
            listing += [f"file {number:03}.png", f"duration {seconds:.3f}"]
        listing.append(f"file {len(slides) - 1:03}.png")
        (folder / "slides.txt").write_text("\n".join(listing))
        (folder / "speech.wav").write_bytes(wav)
        out = folder / "lesson.mp4"
        command = (
            f"ffmpeg -v error -y -f concat -safe 0 -i {folder}/slides.txt -i {folder}/speech.wav "
            f"-vf format=yuv420p,fps={FRAMES_PER_SECOND} -c:v libx264 -profile:v main -preset superfast "
            f"-tune stillimage -crf 21 -g {FRAMES_PER_SECOND * 5} -threads 1 -c:a aac -b:a 48k -ac 1 -shortest "
            "-movflags +faststart"
        ).split()
        run([*command, *_BITEXACT, str(out)])
        return out.read_bytes()
