"""ZIP archives from anywhere, read without believing them.

Names may be GBK, UTF-8 or unknown: they are decoded as whole names before anything looks for separators, since 0x5C
may be the second byte of a GBK character. Invariant: every member that is offered has a safe relative path and a
bounded size; links, absolute paths, `..` and control characters are refused one by one, bombs as a whole.
Format: PKWARE APPNOTE 6.3, Info-ZIP's Unicode path field 0x7075.
"""

from __future__ import annotations

import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from catalog.errors import ContentError
from catalog.ingest.findings import WARNING, Finding
from catalog.ingest.listtext import is_plausible_chinese
from catalog.resource import is_package_path

_UTF8_FLAG = 0x800
_ENCRYPTED_FLAG = 0x1
_UNICODE_PATH_FIELD = 0x7075
_READABLE_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_RUBBISH = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini", "@eaDir")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an archive may unpack to; the ratio counts only beyond `ratio_floor_bytes`."""

    members: int
    total_bytes: int
    ratio: int = 100
    ratio_floor_bytes: int = 64 << 20


SOURCE_LIMITS = Limits(members=500_000, total_bytes=4 << 40)
PACKAGE_LIMITS = Limits(members=20_000, total_bytes=4 << 30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One file of an archive: its safe relative `path`, its declared size, the CRC-32 of its bytes."""

    path: str
    size_bytes: int
    crc: int
    info: zipfile.ZipInfo


class Archive:
    """An open ZIP archive; close it. Two threads may read members at once."""

    def __init__(self, path: Path, limits: Limits) -> None:
        """Open `path`; raise `ContentError` E-ARCHIVE, E-ARCHIVE-LOCKED or E-ARCHIVE-LIMIT."""
        self.path = path
        self.findings: list[Finding] = []
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, ValueError, EOFError, struct.error, NotImplementedError) as error:
            raise ContentError("E-ARCHIVE", where=path.name, found=error) from error
        try:
            infos = [info for info in self._zip.infolist() if not info.orig_filename.endswith("/")]
            _check_limits(path, infos, limits)
            self.members = self._members(infos)
        except BaseException:
            self._zip.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._zip.close()

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def open(self, member: Member) -> Iterator[IO[bytes]]:
        """Give the bytes of `member`; damage raises `ContentError` E-ARCHIVE while they are read."""
        try:
            with self._zip.open(member.info) as stream:
                yield stream
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise ContentError("E-ARCHIVE", where=member.path, found=error) from error

    def _members(self, infos: list[zipfile.ZipInfo]) -> list[Member]:
        names = _decode_names(infos, self.path.name, self.findings)
        members: dict[str, Member] = {}
        for info, name in zip(infos, names, strict=True):
            path = unicodedata.normalize("NFC", name.replace("\\", "/").removeprefix("./"))
            if any(part in _RUBBISH or part.startswith("._") for part in path.split("/")):
                continue
            if stat.S_ISLNK(info.external_attr >> 16):
                self.findings.append(Finding(code="E-LINK", path=path))
            elif not is_package_path(path) or path[1:2] == ":" or path in members:
                self.findings.append(Finding(code="E-NAME", path=ascii(path)[:120]))
            else:
                members[path] = Member(path=path, size_bytes=info.file_size, crc=info.CRC, info=info)
        return list(members.values())


def _check_limits(path: Path, infos: list[zipfile.ZipInfo], limits: Limits) -> None:
    if any(info.flag_bits & _ENCRYPTED_FLAG for info in infos):
        raise ContentError("E-ARCHIVE-LOCKED", where=path.name)
    method = next((info.compress_type for info in infos if info.compress_type not in _READABLE_METHODS), None)
    if method is not None:
        raise ContentError("E-ARCHIVE", where=path.name, expected="deflate", found=f"method {method}")
    total = sum(info.file_size for info in infos)
    if len(infos) > limits.members:
        raise ContentError("E-ARCHIVE-LIMIT", where=path.name, expected=limits.members, found=len(infos))
    if total > limits.total_bytes:
        raise ContentError("E-ARCHIVE-LIMIT", where=path.name, expected=limits.total_bytes, found=total)
    packed = max(1, path.stat().st_size)
    if total > limits.ratio_floor_bytes and total // packed > limits.ratio:
        raise ContentError(
            "E-ARCHIVE-LIMIT", where=path.name, expected=f"1:{limits.ratio}", found=f"1:{total // packed}"
        )


def _decode_names(infos: list[zipfile.ZipInfo], archive: str, findings: list[Finding]) -> list[str]:
    """Return the names, decoded by flag or Unicode field, else all alike as UTF-8 or GB18030."""
    names = [_declared_name(info) for info in infos]
    raw = {place: _raw_name(infos[place]) for place, name in enumerate(names) if name is None}
    for encoding in ("utf-8", "gb18030"):
        try:
            decoded = {place: data.decode(encoding) for place, data in raw.items()}
        except UnicodeDecodeError:
            continue
        if encoding == "utf-8" or is_plausible_chinese("".join(decoded.values())):
            return [name if name is not None else decoded[place] for place, name in enumerate(names)]
    findings.append(Finding(code="E-ARCHIVE-NAMES", level=WARNING, path=archive))
    return [name if name is not None else raw[place].decode("cp437") for place, name in enumerate(names)]


def _raw_name(info: zipfile.ZipInfo) -> bytes:
    # zipfile decoded the unflagged name as cp437, which maps every byte: encoding again gives the bytes back.
    return info.orig_filename.encode("cp437")


def _declared_name(info: zipfile.ZipInfo) -> str | None:
    if info.flag_bits & _UTF8_FLAG:
        return info.orig_filename
    extra = info.extra
    while len(extra) >= 4:
        kind, size = struct.unpack("<HH", extra[:4])
        data = extra[4 : 4 + size]
        if kind == _UNICODE_PATH_FIELD and len(data) > 5 and data[0] == 1:
            (crc,) = struct.unpack("<L", data[1:5])
            if crc == zlib.crc32(_raw_name(info)):
                return data[5:].decode("utf-8", "replace")
        extra = extra[4 + size :]
    return None


def package_root(paths: list[str]) -> str | None:
    """Return the folder (`""` or `name/`) whose `index.html` starts the package, or None where there is none."""
    for start in ("index.html", "index.htm"):
        if start in paths:
            return ""
        tops = {path.split("/", 1)[0] for path in paths}
        if len(tops) == 1 and f"{(top := next(iter(tops)))}/{start}" in paths:
            return f"{top}/"
    return None
