"""ffmpeg and poppler: the only module of this package that runs other programs.

Invariant: a program gets absolute paths, no terminal, no network and only the container format that the bytes have
shown, so that a file which is really a playlist cannot make ffmpeg read other files. Output is deterministic: no dates,
no encoder names, a fixed number of threads.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalog.errors import ConfigError, ContentError, StorageError

PROBE_SECONDS = 120
PAGES_SECONDS = 3600
TRANSCODE_SECONDS = 12 * 3600
MAX_PAGES = 1200
PAGE_WIDTH = 1280
PAGE_QUALITY = 75
THUMB_WIDTH = 480
PLAY_HEIGHT = 720

_DEMUXERS = {
    "video/mp4": "mov,mp4,m4a,3gp,3g2,mj2",
    "audio/mp4": "mov,mp4,m4a,3gp,3g2,mj2",
    "video/quicktime": "mov,mp4,m4a,3gp,3g2,mj2",
    "video/x-matroska": "matroska,webm",
    "video/webm": "matroska,webm",
    "video/x-msvideo": "avi",
    "video/x-flv": "flv",
    "video/x-ms-asf": "asf,asf_o",
    "application/vnd.rn-realmedia": "rm",
    "video/mpeg": "mpeg,mpegvideo",
    "video/mp2t": "mpegts",
    "video/ogg": "ogg",
    "audio/ogg": "ogg",
    "audio/mpeg": "mp3",
    "audio/wav": "wav",
    "audio/flac": "flac",
    "audio/aac": "aac",
    "audio/amr": "amr",
}
_EXACT = ("-map_metadata", "-1", "-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact")


class ToolError(ContentError):
    """A program refused a file; `command` can be pasted into a shell."""

    def __init__(self, code: str, command: str, found: str) -> None:
        self.command = command
        super().__init__(code, where=command, found=found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What ffprobe says of a video or sound; missing streams are empty, `duration_seconds` 0 where unknown."""

    duration_seconds: float
    video: str
    profile: str
    pixels: str
    width: int
    height: int
    audio: str


def run(command: Sequence[str | Path], *, code: str, timeout_seconds: float) -> bytes:
    """Run `command` and return its standard output.

    Raises `ToolError` with `code` where it fails or takes too long, `ConfigError` E-TOOL where it is not installed,
    `StorageError` where the disk is full.
    """
    words = [os.fspath(word) for word in command]
    shown = shlex.join(words)
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_seconds)
    except FileNotFoundError as error:
        raise ConfigError("E-TOOL", found=words[0]) from error
    except subprocess.TimeoutExpired as error:
        raise ToolError(code, shown, f"> {timeout_seconds:.0f} s") from error
    if done.returncode != 0:
        if b"No space left on device" in done.stderr:
            raise StorageError("E-DISK-FULL", where=shown)
        last = (done.stderr.strip().splitlines() or [f"exit {done.returncode}".encode()])[-1]
        for word in words:
            # Where the file lies for us says nothing to who reads this: the finding names it.
            last = last.removeprefix(os.fsencode(word) + b": ")
        raise ToolError(code, shown, last.decode("utf-8", "replace")[:200])
    return done.stdout


def probe(path: Path, media_type: str, *, code: str) -> Probe:
    """Return the streams of the file at `path`; raise `ToolError` with `code` where there are none."""
    command = [
        "ffprobe",
        "-v",
        "error",
        *_safe_input(media_type),
        "-show_entries",
        "format=duration:stream=codec_type,codec_name,profile,pix_fmt,width,height:stream_disposition=attached_pic",
        "-of",
        "json",
        str(path),
    ]
    answer = json.loads(run(command, code=code, timeout_seconds=PROBE_SECONDS))
    streams = [
        stream
        for stream in answer.get("streams", ())
        if not stream.get("disposition", {}).get("attached_pic")
    ]
    video, audio = (_first_stream(streams, kind) for kind in ("video", "audio"))
    if not video and not audio:
        raise ToolError(code, shlex.join(command), "no stream")
    return Probe(
        duration_seconds=round(float(answer.get("format", {}).get("duration") or 0), 3),
        video=video.get("codec_name", ""),
        profile=video.get("profile", ""),
        pixels=video.get("pix_fmt", ""),
        width=int(video.get("width") or 0),
        height=int(video.get("height") or 0),
        audio=audio.get("codec_name", ""),
    )


def _first_stream(streams: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    return next((stream for stream in streams if stream.get("codec_type") == kind), {})


def write_play_video(
    path: Path, media_type: str, target: Path, *, copy_video: bool, copy_audio: bool
) -> None:
    """Write a fast-start MP4 that every browser plays: H.264 main 4:2:0 up to 720 lines and AAC, copied where it fits."""
    video = (
        ["-c:v", "copy"]
        if copy_video
        else [
            *("-c:v", "libx264", "-profile:v", "main", "-pix_fmt", "yuv420p", "-preset", "veryfast"),
            *("-crf", "24", "-maxrate", "1500k", "-bufsize", "3000k", "-threads", "2"),
            *("-vf", f"scale=-2:trunc(min({PLAY_HEIGHT}\\,ih)/2)*2,setsar=1"),
        ]
    )
    audio = ["-c:a", "copy"] if copy_audio else ["-c:a", "aac", "-b:a", "96k", "-ac", "2", "-ar", "44100"]
    _ffmpeg(
        path,
        media_type,
        [
            "-map",
            "0:V:0?",
            "-map",
            "0:a:0?",
            *video,
            *audio,
            "-movflags",
            "+faststart",
            "-f",
            "mp4",
            str(target),
        ],
        code="E-VIDEO",
        timeout_seconds=TRANSCODE_SECONDS,
    )


def write_play_audio(path: Path, media_type: str, target: Path) -> None:
    """Write the sound as MP3."""
    options = [
        "-map",
        "0:a:0",
        "-c:a",
        "libmp3lame",
        "-b:a",
        "96k",
        "-id3v2_version",
        "0",
        "-f",
        "mp3",
        str(target),
    ]
    _ffmpeg(path, media_type, options, code="E-AUDIO", timeout_seconds=TRANSCODE_SECONDS)


def write_frame(path: Path, media_type: str, target: Path, *, at_seconds: float) -> None:
    """Write a telling frame near `at_seconds` as a JPEG of at most `THUMB_WIDTH` pixels' width."""
    options: list[str] = [
        *("-map", "0:V:0", "-vf", f"thumbnail=24,scale=min({THUMB_WIDTH}\\,iw):-2,format=yuvj420p"),
        *("-frames:v", "1", "-q:v", "6", "-f", "image2", "-update", "1", str(target)),
    ]
    seek = ["-ss", f"{at_seconds:.3f}"]
    _ffmpeg(path, media_type, options, seek=seek, code="E-VIDEO", timeout_seconds=PROBE_SECONDS)


def pdf_pages(path: Path) -> int:
    """Return the number of pages; raise `ToolError` E-PDF, or E-PDF-LOCKED where a password is asked."""
    try:
        out = run(["pdfinfo", path], code="E-PDF", timeout_seconds=PROBE_SECONDS)
    except ToolError as error:
        if "password" in error.found.lower():
            raise ToolError("E-PDF-LOCKED", error.command, error.found) from error
        raise
    for line in out.decode("utf-8", "replace").splitlines():
        name, _, value = line.partition(":")
        if name == "Pages" and value.strip().isdigit() and int(value) > 0:
            return int(value)
    raise ToolError("E-PDF", shlex.join(["pdfinfo", str(path)]), "no pages")


def write_page_images(path: Path, directory: Path, pages: int) -> list[Path]:
    """Write the first `MAX_PAGES` pages as `page-0001.jpg` … (1280 pixels wide) into the empty `directory`."""
    size = ["-scale-to-x", str(PAGE_WIDTH), "-scale-to-y", "-1", "-jpegopt", f"quality={PAGE_QUALITY}"]
    command = ["pdftoppm", "-q", "-jpeg", *size, "-l", str(min(pages, MAX_PAGES))]
    command += [str(path), str(directory / "raw")]
    run(command, code="E-PDF", timeout_seconds=PAGES_SECONDS)
    written = sorted(directory.glob("raw-*.jpg"), key=lambda item: int(item.stem.removeprefix("raw-")))
    if not written:
        raise ToolError("E-PDF", shlex.join(command), "no page images")
    return [item.rename(directory / f"page-{place:04}.jpg") for place, item in enumerate(written, start=1)]


def write_pdf_text(path: Path, target: Path) -> None:
    """Write the text of the PDF as UTF-8, pages apart by form feeds."""
    run(["pdftotext", "-q", "-enc", "UTF-8", path, target], code="E-PDF", timeout_seconds=PAGES_SECONDS)


def _safe_input(media_type: str) -> list[str]:
    return ["-protocol_whitelist", "file", "-format_whitelist", _DEMUXERS[media_type]]


def _ffmpeg(
    path: Path,
    media_type: str,
    options: Sequence[str],
    *,
    code: str,
    timeout_seconds: float,
    seek: Sequence[str] = (),
) -> None:
    command = ["ffmpeg", "-nostdin", "-v", "error", "-y", *seek, *_safe_input(media_type), "-i", str(path)]
    run([*command, *_EXACT, *options], code=code, timeout_seconds=timeout_seconds)
