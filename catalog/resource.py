"""A resource: one catalogue record as a frozen value, its canonical JSON line, and the hash of its meaning.

The fields are those of LOM (IEEE 1484.12.1, GB/T 21365-2008) and schema.org/LRMI as mapped in `docs/formats.md`.
Invariant: `Resource.from_json(resource.to_json()) == resource`, and equal resources have equal canonical lines.
"""

from __future__ import annotations

import hashlib
import json
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache, lru_cache
from typing import Any

from catalog.errors import ContentError

FILE_ROLES = ("source", "play", "preview", "page", "thumb", "text", "subtitle", "package")
_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._~-]{0,127}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def canonical_json(value: object) -> bytes:
    """Return `value` as canonical JSON: sorted keys, no spaces, UTF-8, no newline at the end (after RFC 8785)."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def is_sha256(text: object) -> bool:
    """Return whether `text` is 64 lowercase hexadecimal digits."""
    return isinstance(text, str) and _SHA256.fullmatch(text) is not None


def is_resource_id(text: object) -> bool:
    """Return whether `text` may be a resource's id: 1 to 128 URL-safe characters, no leading dot."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None


def is_file_name(name: str) -> bool:
    """Return whether `name` is one safe path component: no separator, control character, `.` or `..`."""
    return (
        bool(name)
        and name not in (".", "..")
        and len(name.encode("utf-8", "surrogatepass")) <= 255
        and not any(c in "/\\" or ord(c) < 32 or ord(c) == 127 or 0xD800 <= ord(c) < 0xE000 for c in name)
    )


def is_package_path(path: str) -> bool:
    """Return whether `path` is a safe relative path inside a package."""
    return len(path) <= 1024 and all(is_file_name(part) for part in path.split("/"))


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file of a resource; `path` is set for role `package` only, `language` for subtitles."""

    role: str
    name: str
    media_type: str
    size_bytes: int
    sha256: str
    path: str | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """The textbook series a resource belongs to: a code of `curriculum.EDITIONS` or `raw:<label>`."""

    code: str
    editor: str | None = None
    raw: str | None = None


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One catalogue record. Codes are those of `catalog.curriculum`; `raw` keeps the supplier's own words."""

    id: str
    title: str
    alt_title: str | None = None
    upstream_id: str | None = None
    source: str | None = None
    stage: str | None = None
    subject: str | None = None
    edition: Edition | None = None
    textbook_year: int | None = None
    new_old: str | None = None
    grades: tuple[str, ...] = ()
    volume: str | None = None
    volume_text: str | None = None
    path: tuple[str, ...] = ()
    lesson_no: int | None = None
    period_no: int | None = None
    kind: str | None = None
    class_mode: str | None = None
    audience: tuple[str, ...] = ()
    language: str | None = None
    origin: str | None = None
    award: str | None = None
    author: str | None = None
    school_code: str | None = None
    reviewer: str | None = None
    licence: str | None = None
    scope: str | None = None
    valid_to: str | None = None
    keywords: tuple[str, ...] = ()
    description: str | None = None
    knowledge: tuple[str, ...] = ()
    duration_seconds: float | None = None
    pages: int | None = None
    size_bytes: int | None = None
    files: tuple[File, ...] = ()
    a11y: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    quality: float | None = None
    state: str = "published"
    created: str | None = None
    updated: str | None = None
    raw: Mapping[str, str] = field(default_factory=dict)

    @property
    def unit(self) -> str | None:
        """The unit: the first name of the path."""
        return self.path[0] if self.path else None

    @property
    def lesson(self) -> str | None:
        """The lesson: the last name of the path if it has two or more."""
        return self.path[-1] if len(self.path) >= 2 else None

    @property
    def edition_code(self) -> str | None:
        return self.edition.code if self.edition else None

    def files_of(self, role: str) -> tuple[File, ...]:
        """Return the files of `role`, in the record's order."""
        return tuple(file for file in self.files if file.role == role)

    def to_json(self) -> dict[str, Any]:
        """Return the record as plain JSON values; empty fields are left out."""
        plain: dict[str, Any] = _plain(self)
        return plain

    def canonical_line(self) -> bytes:
        """Return the record as one canonical JSON line, newline included."""
        return canonical_json(self.to_json()) + b"\n"

    def meaning_hash(self) -> str:
        """Return the SHA-256 of what the record means: all fields but timestamps, order numbers and ranking."""
        meaning = self.to_json()
        for name in ("created", "updated", "quality", "lesson_no", "period_no"):
            meaning.pop(name, None)
        return hashlib.sha256(canonical_json(meaning)).hexdigest()

    @classmethod
    def from_json(cls, data: object, *, where: object = "") -> Resource:
        """Return the record in `data` (as `to_json` writes it); raise `ContentError` E-RECORD or E-NAME.

        Fields that this version does not know are ignored, so that an older box reads a newer catalogue.
        """
        if not isinstance(data, dict):
            raise ContentError("E-RECORD", where=where, expected="object", found=type(data).__name__)
        where = where or data.get("id", "")
        resource: Resource = _build(cls, data, where)
        if not is_resource_id(resource.id):
            raise ContentError(
                "E-RECORD", where=where, expected="id: 1-128 [0-9A-Za-z._~-]", found=resource.id
            )
        if not resource.title.strip():
            raise ContentError("E-RECORD", where=where, expected="title", found="''")
        for file in resource.files:
            _check_file(file, where)
        return resource

    @classmethod
    def from_stored(cls, data: dict[str, Any]) -> Resource:
        """Return the record in `data` that was checked by `from_json` before it was stored: fifteen times as fast."""
        resource = object.__new__(cls)
        # What is not named keeps the class's default; forty fields one by one would be most of a page's work.
        values = resource.__dict__
        values.update(
            data if data.keys() <= _NAMES else {name: data[name] for name in data if name in _NAMES}
        )
        for name in _TUPLES:
            if name in values:
                values[name] = tuple(values[name])
        values.setdefault("raw", {})
        if "files" in values:
            values["files"] = tuple([File(**_known(File, file)) for file in values["files"]])
        if "edition" in values:
            values["edition"] = _edition(**_known(Edition, values["edition"]))
        return resource


def _known(cls: type, data: dict[str, Any]) -> dict[str, Any]:
    shape = _shape(cls)
    return data if data.keys() <= shape.keys() else {name: data[name] for name in data if name in shape}


def _check_file(file: File, where: object) -> None:
    if file.role not in FILE_ROLES:
        raise ContentError(
            "E-RECORD", where=where, expected=f"role of {', '.join(FILE_ROLES)}", found=file.role
        )
    if not is_sha256(file.sha256):
        raise ContentError("E-RECORD", where=where, expected="sha256: 64 hex digits", found=file.sha256[:80])
    if file.size_bytes < 0:
        raise ContentError("E-RECORD", where=where, expected="size_bytes >= 0", found=file.size_bytes)
    if not is_file_name(file.name):
        raise ContentError("E-NAME", where=where, found=repr(file.name[:80]))
    if (file.role == "package") != (file.path is not None):
        raise ContentError("E-RECORD", where=where, expected="path with role package only", found=file.role)
    if file.path is not None and not is_package_path(file.path):
        raise ContentError("E-NAME", where=where, found=repr(file.path[:80]))


def _plain(value: Any) -> Any:
    kind: Any = type(value)
    if kind in _SCALARS:
        return value
    if kind is tuple:
        return [part if type(part) in _SCALARS else _plain(part) for part in value]
    if kind in (Resource, File, Edition):
        found = {}
        for name in _shape(kind):
            part = getattr(value, name)
            if type(part) in _SCALARS:
                found[name] = part
            elif part is not None and part != () and part != {}:
                found[name] = _plain(part)
        return found
    return dict(value)


@cache
def _shape(cls: type) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    return {item.name: hints[item.name] for item in fields(cls)}


@cache
def _required(cls: type) -> tuple[str, ...]:
    return tuple(
        name
        for name in ("id", "title", "role", "name", "media_type", "size_bytes", "sha256", "code")
        if name in _shape(cls) and not (cls is Resource and name == "size_bytes")
    )


def _build(cls: type, data: dict[str, Any], where: object) -> Any:
    shape = _shape(cls)
    for name in _required(cls):
        if name not in data:
            raise ContentError("E-RECORD", where=where, expected=name, found="nothing")
    values = {}
    for name, value in data.items():
        if name in shape and value is not None:
            values[name] = _value(shape[name], value, f"{where}: {name}")
    return cls(**values)


def _value(kind: Any, value: Any, where: str) -> Any:
    if isinstance(kind, types.UnionType):
        kind = next(part for part in typing.get_args(kind) if part is not type(None))
    origin = typing.get_origin(kind)
    if origin is tuple:
        if not isinstance(value, list):
            raise ContentError("E-RECORD", where=where, expected="list", found=type(value).__name__)
        inner = typing.get_args(kind)[0]
        return tuple(_value(inner, part, where) for part in value)
    if origin is Mapping:
        if not isinstance(value, dict) or not all(isinstance(part, str) for part in value.values()):
            raise ContentError(
                "E-RECORD", where=where, expected="object of texts", found=type(value).__name__
            )
        return dict(value)
    if kind in (File, Edition):
        if not isinstance(value, dict):
            raise ContentError("E-RECORD", where=where, expected="object", found=type(value).__name__)
        return _build(kind, value, where)
    if kind is float and type(value) in (int, float):
        return value
    if type(value) is not kind:
        raise ContentError("E-RECORD", where=where, expected=kind.__name__, found=repr(value)[:80])
    if kind is str and ("\x00" in value or any(0xD800 <= ord(c) < 0xE000 for c in value)):
        raise ContentError("E-RECORD", where=where, expected="text without NUL", found=repr(value)[:80])
    return value


_SCALARS = frozenset((str, int, float, bool))
# A shelf's worth of them has one edition.
_edition = lru_cache(maxsize=256)(Edition)
_NAMES = frozenset(item.name for item in fields(Resource))
_TUPLES = frozenset(("grades", "path", "audience", "keywords", "knowledge", "a11y", "requires"))
