"""What a file is and what a box shows of it: the facts and the derived files, from the bytes alone.

One resource, one original: role `source` under its own name. What plays as it is (H.264 in a fast-start MP4, MP3, Ogg,
M4A) is named a second time as role `play`, the same blob; anything else gets its own `play`. Derived files have fixed
names here; the session gives them the name of the original. Equal bytes give equal results, so that results are
kept by (sha256, `recipe_of`).
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from catalog.errors import ContentError
from catalog.ingest import media, pictures
from catalog.ingest.archive import PACKAGE_LIMITS, Archive, package_root
from catalog.ingest.containers import is_fast_start, ogg_seconds
from catalog.ingest.findings import WARNING, Finding
from catalog.ingest.office import office_facts
from catalog.ingest.sniff import PACKAGE, package_media_type

_RECIPE_VERSION = 1
_H264_PROFILES = ("Baseline", "Constrained Baseline", "Main", "High")
_COVER_SECONDS = 20.0
_OUTSIDE_LINK = re.compile(
    rb"""<(?:script|link|img|iframe|video|audio|source)\b[^>]*?(?:src|href)\s*=\s*["']?(?:https?:)?//""", re.I
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """A file made from the original; it lies at `path` until it is admitted. `package_path` for role `package`."""

    role: str
    name: str
    media_type: str
    path: Path
    package_path: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """The facts of one original. `plays`: it is its own play file. `findings` are warnings."""

    kind: str = "material"
    duration_seconds: float | None = None
    pages: int | None = None
    plays: bool = False
    requires: tuple[str, ...] = ()
    derived: tuple[Derived, ...] = ()
    findings: tuple[Finding, ...] = ()


def recipe_of(media_type: str) -> str:
    """Return the name of what is done with files of `media_type`; another version makes everything anew."""
    return f"{media_type}/{_RECIPE_VERSION}"


def describe(path: Path, media_type: str, work: Path) -> Description:
    """Describe the file at `path`; derived files are written into the empty directory `work`.

    Raises `ContentError` E-VIDEO, E-AUDIO, E-PICTURE, E-PDF or E-PACKAGE where it is unusable, `ConfigError` E-TOOL.
    """
    describer = _DESCRIBERS.get(media_type)
    if describer is None:
        describer = _picture if media_type.startswith("image/") else _plain
    return describer(path, media_type, work)


def check(path: Path, media_type: str) -> tuple[Finding, ...]:
    """Refuse the file at `path` for what it says of itself, as `describe` would, and make nothing; return warnings.

    Raises `ContentError` as `describe`, `ConfigError` E-TOOL, `OSError` where it cannot be read.
    """
    describer = _DESCRIBERS.get(media_type)
    if describer is _video:
        media.probe(path, media_type, code="E-VIDEO")
    elif describer is _audio:
        _sound(path, media_type)
    elif describer is _pdf:
        return _pdf_pages(path)[1]
    elif describer is _package:
        with Archive(path, PACKAGE_LIMITS) as archive:
            _package_root(archive)
    elif pictures.can_read(media_type):
        pictures.check(path)
    return ()


def kind_of(name: str, media_type: str, otherwise: str) -> str:
    """Return the kind that the words of a file's `name` tell, else `otherwise`; a picture is a picture."""
    if media_type.startswith("image/"):
        return otherwise
    moving = media_type.startswith(("video/", "audio/"))
    for words, kind, of_moving in _KIND_WORDS:
        if moving == of_moving and re.search(words, name):
            return kind
    return otherwise


_KIND_WORDS = (
    ("教学设计|教案|教学方案", "plan", False),
    ("任务单|学案|导学", "tasksheet", False),
    ("试卷|试题|测试卷|检测卷", "paper", False),
    ("练习|习题|作业", "exercise", False),
    ("课件|幻灯", "courseware", False),
    ("课本|教科书|教材", "textbook", False),
    ("课堂实录|实录", "recording", True),
    ("实验", "experiment", True),
)


def _plain(path: Path, media_type: str, work: Path) -> Description:
    return Description(kind="ebook" if media_type == "application/epub+zip" else "material")


def _video(path: Path, media_type: str, work: Path) -> Description:
    found = media.probe(path, media_type, code="E-VIDEO")
    if not found.video:
        return _audio(path, media_type, work)
    copy_video = (
        found.video == "h264" and found.profile in _H264_PROFILES and found.pixels in ("yuv420p", "yuvj420p")
    )
    copy_audio = found.audio in ("aac", "")
    plays = copy_video and copy_audio and media_type == "video/mp4" and is_fast_start(path)
    derived = []
    shown = path
    shown_type = media_type
    if not plays:
        shown, shown_type = work / "play.mp4", "video/mp4"
        media.write_play_video(path, media_type, shown, copy_video=copy_video, copy_audio=copy_audio)
        derived.append(Derived(role="play", name="play.mp4", media_type=shown_type, path=shown))
        # The source may not say how long it is (FLV, streams); what we wrote does.
        found = media.probe(shown, shown_type, code="E-VIDEO")
    cover = work / "cover.jpg"
    media.write_frame(shown, shown_type, cover, at_seconds=min(_COVER_SECONDS, found.duration_seconds / 10))
    if cover.exists():
        derived.append(_cover(cover))
    return Description(
        kind="video", duration_seconds=found.duration_seconds or None, plays=plays, derived=tuple(derived)
    )


def _audio(path: Path, media_type: str, work: Path) -> Description:
    seconds, plays = _sound(path, media_type)
    if plays:
        return Description(kind="audio", duration_seconds=seconds or None, plays=True)
    target = work / "play.mp3"
    media.write_play_audio(path, media_type, target)
    derived = Derived(role="play", name="play.mp3", media_type="audio/mpeg", path=target)
    return Description(kind="audio", duration_seconds=seconds or None, derived=(derived,))


def _sound(path: Path, media_type: str) -> tuple[float, bool]:
    """Return how long a recording is (seconds) and whether it plays as it is."""
    seconds = ogg_seconds(path) if media_type == "audio/ogg" else None
    plays = media_type in ("audio/mpeg", "audio/ogg")
    if seconds is not None:
        return seconds, plays
    found = media.probe(path, media_type, code="E-AUDIO")
    if not found.audio:
        raise ContentError("E-AUDIO", expected="sound", found=found.video)
    return found.duration_seconds, plays or (media_type == "audio/mp4" and found.audio == "aac")


def _picture(path: Path, media_type: str, work: Path) -> Description:
    if not pictures.can_read(media_type):
        return Description(kind="image")
    cover = work / "cover.jpg"
    pictures.write_jpeg(path, cover)
    derived = [_cover(cover)]
    if media_type not in pictures.BROWSER_TYPES:
        preview = work / "preview.jpg"
        pictures.write_jpeg(path, preview, width=pictures.PREVIEW_WIDTH, quality=pictures.PREVIEW_QUALITY)
        derived.append(Derived(role="preview", name="preview.jpg", media_type="image/jpeg", path=preview))
    return Description(kind="image", derived=tuple(derived))


def _pdf(path: Path, media_type: str, work: Path) -> Description:
    pages, findings = _pdf_pages(path)
    if pages is None:
        return Description(findings=findings)
    directory = work / "pages"
    directory.mkdir()
    images = media.write_page_images(path, directory, pages)
    cover = work / "cover.jpg"
    pictures.write_jpeg(images[0], cover)
    derived = [_cover(cover)]
    derived += [Derived(role="page", name=page.name, media_type="image/jpeg", path=page) for page in images]
    text = work / "text.txt"
    media.write_pdf_text(path, text)
    if text.read_bytes().strip():
        derived.append(Derived(role="text", name="text.txt", media_type="text/plain", path=text))
    return Description(pages=pages, derived=tuple(derived))


def _pdf_pages(path: Path) -> tuple[int | None, tuple[Finding, ...]]:
    """Return the number of pages; none, and a warning, where a password is asked."""
    try:
        return media.pdf_pages(path), ()
    except media.ToolError as error:
        if error.code != "E-PDF-LOCKED":
            raise
        return None, (Finding(code=error.code, level=WARNING),)


def _office(path: Path, media_type: str, work: Path) -> Description:
    facts = office_facts(path)
    derived = []
    if facts.cover:
        inside, cover = work / "inside", work / "cover.jpg"
        inside.write_bytes(facts.cover)
        try:
            pictures.write_jpeg(inside, cover)
            derived.append(_cover(cover))
        except ContentError:
            # A broken preview inside is no reason to refuse the deck.
            cover.unlink(missing_ok=True)
    if facts.text:
        text = work / "text.txt"
        text.write_text(facts.text, encoding="utf-8")
        derived.append(Derived(role="text", name="text.txt", media_type="text/plain", path=text))
    kind = "courseware" if "presentation" in media_type else "material"
    return Description(kind=kind, pages=facts.pages, derived=tuple(derived))


def _package(path: Path, media_type: str, work: Path) -> Description:
    derived = []
    outside = False
    with Archive(path, PACKAGE_LIMITS) as archive:
        root = _package_root(archive)
        for number, member in enumerate(sorted(archive.members, key=lambda member: member.path)):
            if not member.path.startswith(root):
                continue
            target = work / f"{number:05}"
            with archive.open(member) as stream, target.open("wb") as out:
                shutil.copyfileobj(stream, out, 1 << 20)
            item = package_file(target, member.path.removeprefix(root))
            outside = outside or has_outside_links(item)
            derived.append(item)
    derived.sort(key=lambda file: start_order(file.package_path or ""))
    return Description(kind="interactive", requires=("network",) if outside else (), derived=tuple(derived))


def _package_root(archive: Archive) -> str:
    if archive.findings:
        raise ContentError("E-PACKAGE", found=f"{archive.findings[0].code} {archive.findings[0].path}")
    root = package_root([member.path for member in archive.members])
    if root is None:
        raise ContentError("E-PACKAGE", expected="index.html", found="-")
    return root


def package_file(path: Path, package_path: str) -> Derived:
    """Return the file at `path` as a member of a package, in which it is called `package_path`."""
    return Derived(
        role="package",
        name=package_path.rpartition("/")[2],
        media_type=package_media_type(package_path),
        path=path,
        package_path=package_path,
    )


def start_order(package_path: str) -> tuple[bool, str]:
    """Return the sort key that puts a package's start page (`index.html` at the top) first."""
    return package_path not in ("index.html", "index.htm"), package_path


def has_outside_links(file: Derived) -> bool:
    """Return whether a page of a package loads something from the internet."""
    return file.media_type == "text/html" and _OUTSIDE_LINK.search(file.path.read_bytes()) is not None


def _page(path: Path, media_type: str, work: Path) -> Description:
    copy = work / "index.html"
    shutil.copyfile(path, copy)
    return Description(kind="ebook", derived=(package_file(copy, "index.html"),))


def _flash(path: Path, media_type: str, work: Path) -> Description:
    return Description(kind="interactive", requires=("flash",))


def _cover(path: Path) -> Derived:
    return Derived(role="thumb", name="cover.jpg", media_type="image/jpeg", path=path)


_OPENXML = "application/vnd.openxmlformats-officedocument"
_DESCRIBERS: Mapping[str, Callable[[Path, str, Path], Description]] = {
    "application/pdf": _pdf,
    PACKAGE: _package,
    "text/html": _page,
    "application/x-shockwave-flash": _flash,
    f"{_OPENXML}.presentationml.presentation": _office,
    f"{_OPENXML}.wordprocessingml.document": _office,
    f"{_OPENXML}.spreadsheetml.sheet": _office,
    "application/vnd.ms-powerpoint": lambda *_: Description(kind="courseware"),
    **dict.fromkeys(
        (
            "video/mp4",
            "video/quicktime",
            "video/x-matroska",
            "video/webm",
            "video/x-msvideo",
            "video/x-flv",
            "video/x-ms-asf",
            "video/mpeg",
            "video/mp2t",
            "video/ogg",
            "application/vnd.rn-realmedia",
        ),
        _video,
    ),
    **dict.fromkeys(
        ("audio/mpeg", "audio/ogg", "audio/mp4", "audio/wav", "audio/flac", "audio/aac", "audio/amr"), _audio
    ),
}
