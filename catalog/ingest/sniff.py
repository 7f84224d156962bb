"""What a file is, by its bytes; its name only decides between kinds whose bytes look alike (texts, old Office)."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from catalog.ingest.archive import package_root

UNKNOWN = "application/octet-stream"
PACKAGE = "application/x-html5-package+zip"
HEAD_BYTES = 4096

_PREFIXES: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF8", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"FLV\x01", "video/x-flv"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "video/x-ms-asf"),
    (b".RMF", "application/vnd.rn-realmedia"),
    (b"\x00\x00\x01\xba", "video/mpeg"),
    (b"\x00\x00\x01\xb3", "video/mpeg"),
    (b"fLaC", "audio/flac"),
    (b"#!AMR", "audio/amr"),
    (b"ID3", "audio/mpeg"),
    (b"MThd", "audio/midi"),
    (b"FWS", "application/x-shockwave-flash"),
    (b"CWS", "application/x-shockwave-flash"),
    (b"ZWS", "application/x-shockwave-flash"),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"\x1f\x8b", "application/gzip"),
    (b"{\\rtf", "application/rtf"),
)
_QUICKTIME_BOXES = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_STILL_BRANDS = {
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"mif1": "image/heic",
    b"avif": "image/avif",
}
_OLE: Mapping[str, str] = {
    ".ppt": "application/vnd.ms-powerpoint",
    ".pps": "application/vnd.ms-powerpoint",
    ".dps": "application/vnd.ms-powerpoint",
    ".doc": "application/msword",
    ".wps": "application/msword",
    ".xls": "application/vnd.ms-excel",
    ".et": "application/vnd.ms-excel",
}
_OOXML = (
    ("ppt/", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ("word/", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("xl/", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
)
_TEXTS: Mapping[str, str] = {
    ".html": "text/html",
    ".htm": "text/html",
    ".srt": "application/x-subrip",
    ".vtt": "text/vtt",
    ".csv": "text/csv",
    ".css": "text/css",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".json": "application/json",
    ".xml": "application/xml",
    ".svg": "image/svg+xml",
    ".md": "text/markdown",
}
# Inside a package the page that asks decides what a file is: types go by name, as a web server's do.
_PACKAGE_TYPES: Mapping[str, str] = {
    **_TEXTS,
    ".txt": "text/plain",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".bmp": "image/bmp",
    ".ico": "image/x-icon",
    ".mp3": "audio/mpeg",
    ".ogg": "audio/ogg",
    ".wav": "audio/wav",
    ".m4a": "audio/mp4",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".ttf": "font/ttf",
    ".otf": "font/otf",
    ".eot": "application/vnd.ms-fontobject",
    ".wasm": "application/wasm",
    ".pdf": "application/pdf",
    ".swf": "application/x-shockwave-flash",
    ".xhtml": "application/xhtml+xml",
    ".zip": "application/zip",
}
_CLAIMS: Mapping[str, str] = {
    "E-VIDEO": ".mp4 .m4v .mov .flv .f4v .wmv .asf .avi .mkv .webm .mpg .mpeg .ts .3gp .rm .rmvb .vob .ogv",
    "E-AUDIO": ".mp3 .wma .m4a .ogg .oga .opus .wav .flac .aac .amr",
    "E-PICTURE": ".jpg .jpeg .png .gif .bmp .tif .tiff .webp .heic .avif",
    "E-PDF": ".pdf",
    "E-ARCHIVE": ".zip .pptx .docx .xlsx .epub .h5p .enbx",
}


def sniff(path: Path, name: str) -> str:
    """Return the media type of the file at `path`; `name` is what its supplier calls it."""
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
    if head.startswith(b"PK\x03\x04"):
        return _zip_type(path)
    return sniff_head(head, name)


def sniff_head(head: bytes, name: str) -> str:
    """Return the media type of a file that begins with `head` and is no ZIP."""
    suffix = suffix_of(name)
    for prefix, media_type in _PREFIXES:
        if head.startswith(prefix):
            return media_type
    if b"%PDF-" in head[:1024]:
        return "application/pdf"
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        return _OLE.get(suffix, "application/x-ole-storage")
    return _riff(head) or _iso_media(head) or _stream(head) or _text(head, suffix)


def suffix_of(name: str) -> str:
    """Return the extension of `name` with its dot, in lower case."""
    return PurePosixPath(name).suffix.lower()


def package_media_type(path: str) -> str:
    """Return the media type under which a file inside a package is served."""
    return _PACKAGE_TYPES.get(suffix_of(path), UNKNOWN)


def broken_claim(name: str, media_type: str) -> str | None:
    """Return the finding's code where `name` claims a kind and the bytes are of no kind that we know."""
    if media_type != UNKNOWN and not media_type.startswith("text/"):
        return None
    suffix = suffix_of(name)
    return next((code for code, claims in _CLAIMS.items() if suffix in claims.split()), None)


def _riff(head: bytes) -> str | None:
    if head[:4] == b"RIFF":
        return {b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo", b"WEBP": "image/webp"}.get(head[8:12])
    if head[:2] == b"BM" and head[6:10] == b"\x00\x00\x00\x00":
        return "image/bmp"
    return None


def _iso_media(head: bytes) -> str | None:
    box, brand = head[4:8], head[8:12]
    if box == b"ftyp":
        if brand in _STILL_BRANDS:
            return _STILL_BRANDS[brand]
        return {b"M4A ": "audio/mp4", b"qt  ": "video/quicktime"}.get(brand, "video/mp4")
    return "video/quicktime" if box in _QUICKTIME_BOXES else None


def _stream(head: bytes) -> str | None:
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "video/webm" if b"webm" in head[:64] else "video/x-matroska"
    if head.startswith(b"OggS"):
        return "video/ogg" if b"\x80theora" in head[:512] else "audio/ogg"
    if len(head) > 188 and head[0] == 0x47 and head[188] == 0x47:
        return "video/mp2t"
    if len(head) > 2 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        if head[1] & 0xF6 == 0xF0:
            return "audio/aac"
        if head[1] & 0x18 != 0x08 and head[1] & 0x06 and head[2] & 0xF0 != 0xF0:
            return "audio/mpeg"
    return None


def _text(head: bytes, suffix: str) -> str:
    if b"\x00" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return UNKNOWN
    if suffix in _TEXTS:
        return _TEXTS[suffix]
    try:
        head[: HEAD_BYTES - 4].decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 8 and suffix != ".txt":
            return UNKNOWN
    return "text/plain"


def _zip_type(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [info.filename for info in archive.infolist()[:20_000]]
            mimetype = b""
            if "mimetype" in names:
                with archive.open("mimetype") as stream:
                    mimetype = stream.read(64)
    except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError, RuntimeError, zlib.error):
        return UNKNOWN
    if mimetype.strip() == b"application/epub+zip":
        return "application/epub+zip"
    if "[Content_Types].xml" in names:
        for folder, media_type in _OOXML:
            if any(name.startswith(folder) for name in names):
                return media_type
    if "h5p.json" in names:
        return "application/x-h5p+zip"
    if package_root([name for name in names if not name.startswith("__MACOSX/")]) is not None:
        return PACKAGE
    return "application/zip"
