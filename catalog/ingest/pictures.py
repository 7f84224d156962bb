"""Pictures: are they whole, and a small JPEG of them. Only this module imports Pillow."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from catalog.durable import storage_error
from catalog.errors import ContentError
from catalog.ingest.media import THUMB_WIDTH

MAX_PIXELS = 200_000_000
PREVIEW_WIDTH = 1280
THUMB_QUALITY = 70
PREVIEW_QUALITY = 80
# What browsers from Chrome 39 on show by themselves; the rest gets a preview.
BROWSER_TYPES = frozenset(("image/jpeg", "image/png", "image/gif"))
_PILLOW_TYPES = BROWSER_TYPES | {"image/bmp", "image/tiff", "image/webp", "image/avif"}

# Pillow's own limit is a warning first; ours is checked below before a pixel is decoded.
Image.MAX_IMAGE_PIXELS = None


def can_read(media_type: str) -> bool:
    """Return whether pictures of `media_type` can be decoded here."""
    return media_type in _PILLOW_TYPES


def write_jpeg(path: Path, target: Path, *, width: int = THUMB_WIDTH, quality: int = THUMB_QUALITY) -> None:
    """Write the picture at `path` as an upright JPEG of at most `width` pixels' width.

    Raises `ContentError` E-PICTURE where it is broken or has more than `MAX_PIXELS` pixels, `StorageError` where the disk refuses.
    """
    try:
        with _decoded(path, width) as small, target.open("wb") as out:
            small.save(out, "JPEG", quality=quality, optimize=True)
    except OSError as error:
        raise storage_error(error, target) from error


def check(path: Path) -> None:
    """Decode the picture at `path` as `write_jpeg` does; raise `ContentError` E-PICTURE, `OSError` where it can't be read."""
    with _decoded(path, THUMB_WIDTH):
        pass


@contextmanager
def _decoded(path: Path, width: int) -> Iterator[Image.Image]:
    """Give the picture at `path` upright, in colours, at most `width` pixels wide."""
    try:
        with Image.open(path) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                size = f"{picture.width}x{picture.height}"
                raise ContentError("E-PICTURE", expected=f"< {MAX_PIXELS // 1_000_000} MP", found=size)
            picture.draft("RGB", (width, width * 4))
            yield _small(picture, width)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        # Pillow names the file as it lies for us; the finding names it as people know it.
        found = str(error).replace(f" {str(path)!r}", "")
        raise ContentError("E-PICTURE", found=found[:120]) from error


def _small(picture: Image.Image, width: int) -> Image.Image:
    if picture.mode not in ("P", "1"):
        picture.thumbnail((width, width * 4), reducing_gap=2.0)
    upright = ImageOps.exif_transpose(picture)
    if upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info:
        colours = upright.convert("RGBA")
        paper = Image.new("RGB", colours.size, "white")
        paper.paste(colours, mask=colours.getchannel("A"))
        upright = paper
    elif upright.mode != "RGB":
        upright = upright.convert("RGB")
    upright.thumbnail((width, width * 4))
    return upright
