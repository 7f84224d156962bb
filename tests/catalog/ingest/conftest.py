"""Films, sounds, pictures and documents, made once; an empty hub's store for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import Store
from ingest_material import ffmpeg
from PIL import Image, ImageDraw


@pytest.fixture(scope="session")
def media_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One film, sound, picture and document of each kind, made once."""
    root = tmp_path_factory.mktemp("media")
    film = ["-f", "lavfi", "-i", "testsrc=d=2:s=640x360:r=10", "-f", "lavfi", "-i", "sine=d=2"]
    h264 = [
        "-pix_fmt",
        "yuv420p",
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-profile:v",
        "main",
        "-c:a",
        "aac",
    ]
    ffmpeg(*film, *h264, root / "slow.mp4")
    ffmpeg("-i", root / "slow.mp4", "-c", "copy", "-movflags", "+faststart", root / "fast.mp4")
    ffmpeg("-i", root / "slow.mp4", "-c", "copy", root / "film.mkv")
    ffmpeg("-i", root / "slow.mp4", "-c:v", "flv1", "-ar", "44100", root / "film.flv")
    ffmpeg("-i", root / "slow.mp4", "-c:v", "mpeg4", root / "odd.mp4")
    ffmpeg("-i", root / "slow.mp4", "-vn", "-c:a", "libvorbis", root / "sound.ogg")
    ffmpeg("-i", root / "slow.mp4", "-vn", "-c:a", "libmp3lame", root / "sound.mp3")
    ffmpeg("-i", root / "slow.mp4", "-vn", "-c:a", "wmav2", root / "sound.wma")
    ffmpeg("-i", root / "slow.mp4", "-vn", root / "sound.wav")
    picture = Image.new("RGB", (900, 600), "#e9f2e4")
    ImageDraw.Draw(picture).ellipse((100, 100, 500, 500), fill="#2f6f4f")
    picture.save(root / "picture.png")
    picture.save(root / "picture.jpg")
    picture.save(root / "picture.bmp")
    picture.save(root / "paper.pdf", save_all=True, append_images=[picture.rotate(90), picture.rotate(180)])
    return root


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "state")
    yield made
    made.close()
