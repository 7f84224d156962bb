"""Every kind of file: what is said of it, what is derived, and that the browser gets something it can play."""

from __future__ import annotations

import json
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from builders import Store
from ingest_material import session
from PIL import Image

from catalog.errors import ConfigError, ContentError
from catalog.ingest.containers import is_fast_start, ogg_seconds
from catalog.ingest.describe import Description, describe
from catalog.ingest.media import run
from catalog.ingest.sniff import broken_claim, sniff, sniff_head
from catalog.ingest.subtitles import to_webvtt
from catalog.resource import Resource


def described(path: Path, work: Path) -> Description:
    work.mkdir()
    return describe(path, sniff(path, path.name), work)


def streams(path: Path) -> dict[str, str]:
    out = subprocess.run(
        ["ffprobe", "-v", "error", "-show_entries", "stream=codec_type,codec_name", "-of", "json", path],
        check=True,
        capture_output=True,
    ).stdout
    return {stream["codec_type"]: stream["codec_name"] for stream in json.loads(out)["streams"]}


def test_a_film_that_plays_is_its_own_play_file(media_folder: Path, tmp_path: Path) -> None:
    found = described(media_folder / "fast.mp4", tmp_path / "work")
    assert found.plays and [item.role for item in found.derived] == ["thumb"]
    assert found.duration_seconds == pytest.approx(2, abs=0.1)
    with Image.open(found.derived[0].path) as cover:
        assert cover.format == "JPEG" and cover.width <= 480


@pytest.mark.parametrize("name", ["slow.mp4", "film.mkv", "film.flv", "odd.mp4"])
def test_any_other_film_gets_a_fast_start_mp4(media_folder: Path, tmp_path: Path, name: str) -> None:
    found = described(media_folder / name, tmp_path / "work")
    play = next(item for item in found.derived if item.role == "play")
    assert not found.plays and play.media_type == "video/mp4"
    assert is_fast_start(play.path) and streams(play.path) == {"video": "h264", "audio": "aac"}
    assert found.duration_seconds == pytest.approx(2, abs=0.2)


def test_a_remux_copies_the_pictures_instead_of_encoding_them(media_folder: Path, tmp_path: Path) -> None:
    found = described(media_folder / "film.mkv", tmp_path / "work")
    size = found.derived[0].path.stat().st_size
    assert abs(size - (media_folder / "slow.mp4").stat().st_size) < 4096


def test_sounds_stay_or_become_mp3(media_folder: Path, tmp_path: Path) -> None:
    for name in ("sound.ogg", "sound.mp3"):
        assert described(media_folder / name, tmp_path / name).plays
    for name in ("sound.wma", "sound.wav"):
        found = described(media_folder / name, tmp_path / name)
        assert not found.plays and found.kind == "audio"
        assert streams(found.derived[0].path) == {"audio": "mp3"}


def test_the_length_of_an_ogg_is_what_ffprobe_says(media_folder: Path) -> None:
    assert ogg_seconds(media_folder / "sound.ogg") == pytest.approx(2, abs=0.05)


def test_a_pdf_gives_pages_a_cover_and_text(media_folder: Path, tmp_path: Path) -> None:
    found = described(media_folder / "paper.pdf", tmp_path / "work")
    pages = [item for item in found.derived if item.role == "page"]
    assert found.pages == 3 and [page.name for page in pages] == [
        "page-0001.jpg",
        "page-0002.jpg",
        "page-0003.jpg",
    ]
    with Image.open(pages[0].path) as page:
        assert page.width == 1280
    assert next(item.role for item in found.derived) == "thumb"


def test_pictures_get_a_cover_and_only_odd_ones_a_preview(media_folder: Path, tmp_path: Path) -> None:
    for name, roles in (
        ("picture.png", ["thumb"]),
        ("picture.jpg", ["thumb"]),
        ("picture.bmp", ["thumb", "preview"]),
    ):
        found = described(media_folder / name, tmp_path / name)
        assert [item.role for item in found.derived] == roles and found.kind == "image"


def test_deriving_twice_gives_the_same_bytes(media_folder: Path, tmp_path: Path) -> None:
    for name in ("film.flv", "odd.mp4", "sound.wav", "paper.pdf", "picture.png"):
        first = described(media_folder / name, tmp_path / f"1{name}")
        second = described(media_folder / name, tmp_path / f"2{name}")
        assert [item.path.read_bytes() for item in first.derived] == [
            item.path.read_bytes() for item in second.derived
        ]


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("a.mp4", b"<html>login</html>", "E-VIDEO"),
        ("a.pdf", b"not a pdf", "E-PDF"),
        ("a.mp3", b"\0" * 5000, "E-AUDIO"),
        ("a.jpg", b"nothing", "E-PICTURE"),
        ("a.pptx", b"nothing", "E-ARCHIVE"),
        ("a.txt", "文字".encode("gb18030"), None),
    ],
)
def test_a_name_that_promises_what_the_bytes_are_not(name: str, data: bytes, code: str | None) -> None:
    assert broken_claim(name, sniff_head(data, name)) == code


@pytest.mark.parametrize(
    ("name", "cut", "code"),
    [("fast.mp4", 700, "E-VIDEO"), ("paper.pdf", 900, "E-PDF"), ("picture.png", 300, "E-PICTURE")],
)
def test_a_file_cut_short_is_refused(
    media_folder: Path, tmp_path: Path, name: str, cut: int, code: str
) -> None:
    path = tmp_path / name
    path.write_bytes((media_folder / name).read_bytes()[:cut])
    with pytest.raises(ContentError) as caught:
        described(path, tmp_path / "work")
    assert caught.value.code == code


def test_a_playlist_under_a_films_name_reads_no_other_file(media_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_text(f"#EXTM3U\n#EXTINF:1,\nfile://{media_folder / 'fast.mp4'}\n")
    with pytest.raises(ContentError) as caught:
        describe(path, "video/mp4", tmp_path)
    assert caught.value.code == "E-VIDEO"


def test_a_failing_program_shows_the_command_to_paste(tmp_path: Path) -> None:
    with pytest.raises(ContentError) as caught:
        run(["pdfinfo", tmp_path / "没有 this.pdf"], code="E-PDF", timeout_seconds=20)
    assert f"pdfinfo '{tmp_path / '没有 this.pdf'}'" in caught.value.line("en")
    with pytest.raises(ConfigError) as missing:
        run(["no-such-program"], code="E-PDF", timeout_seconds=20)
    assert missing.value.code == "E-TOOL"


def test_subrip_in_gb18030_becomes_webvtt() -> None:
    text = "1\r\n00:00:01,500 --> 00:00:03,000\r\n<font color=red>一分</font>等于 <b>60</b> 秒 & 多\r\n\r\n2\r\n00:01:00,000 --> 00:01:02,5\r\n第二句\r\n"
    assert (
        to_webvtt(text.encode("gb18030"))
        == (
            "WEBVTT\n\n00:00:01.500 --> 00:00:03.000\n一分等于 <b>60</b> 秒 &amp; 多\n\n"
            "00:01:00.000 --> 00:01:02.500\n第二句\n"
        ).encode()
    )
    assert to_webvtt(b"no cues") is None


def test_a_whole_lesson_folder(media_folder: Path, tmp_path: Path, store: Store) -> None:
    lesson = tmp_path / "小学" / "数学" / "人教版" / "三年级上册" / "第一单元 时分秒" / "01 秒的认识"
    lesson.mkdir(parents=True)
    shutil.copy(media_folder / "slow.mp4", lesson / "微课.mp4")
    shutil.copy(media_folder / "picture.jpg", lesson / "微课.jpg")
    (lesson / "微课.srt").write_bytes("1\n00:00:00,000 --> 00:00:01,000\n一分等于六十秒\n".encode("gb18030"))
    shutil.copy(media_folder / "paper.pdf", lesson / "教学设计.pdf")
    with zipfile.ZipFile(lesson / "互动.zip", "w") as package:
        package.writestr("钟表/index.html", '<script src="https://cdn.invalid/a.js"></script>')
        package.writestr("钟表/js/a.js", "1")
    (lesson / "游戏").mkdir()
    (lesson / "游戏" / "index.html").write_bytes(b"<p>play")
    with session(store, tmp_path / "小学") as ingest:
        scan = ingest.scan()
        result = ingest.run()
    assert result.rejected == () and result.added == scan.resources == 4
    # The source is the stage's own folder, so its name is above what is read.
    assert dict(scan.folders[0].values)["grade_volume"] == "三年级上册"
    with store.library.reading() as reader:
        found = {entry.resource.title: entry.resource for entry in reader.entries()}
        assert all(entry.cached for entry in reader.entries())
    film = found["微课"]
    assert (film.stage, film.subject, film.edition_code, film.path) == (
        "primary",
        "math",
        "pep",
        ("第一单元 时分秒", "秒的认识"),
    )
    assert [file.role for file in film.files] == ["source", "play", "thumb", "subtitle"]
    assert film.files_of("play")[0].name == "微课.mp4" and film.files_of("subtitle")[0].language == "zh-CN"
    assert found["教学设计"].kind == "plan" and found["教学设计"].pages == 3
    package = found["互动"]
    assert package.kind == "interactive" and package.requires == ("network",)
    assert [file.path for file in package.files_of("package")] == ["index.html", "js/a.js"]
    assert package.files_of("source")[0].name == "互动.zip"
    assert _package_paths(found["游戏"]) == ["index.html"]


def _package_paths(resource: Resource) -> list[str | None]:
    return [file.path for file in resource.files_of("package")]
