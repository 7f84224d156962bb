"""A manifest: one bundle's state as canonical JSON Lines, written and read as a stream.

First line: the bundle. Then one resource per line, sorted by id. Equal bundles have equal bytes, so a manifest is
named by its hash and an unchanged one is never sent again. The format is described in `docs/formats.md`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from catalog.errors import ContentError
from catalog.resource import Resource, canonical_json

FORMAT = 1
MAX_LINE_BYTES = 4 << 20
_BUNDLE_ID = re.compile(r"[0-9a-z][0-9a-z._-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """The head of a manifest: what is named, which version of it, by whom."""

    id: str
    version: int
    title: str
    publisher: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestDigest:
    """What a written manifest measures."""

    size_bytes: int
    sha256: str
    resources: int


def is_bundle_id(text: object) -> bool:
    """Return whether `text` may be a bundle's id: 1 to 64 characters `0-9a-z._-`, first one alphanumeric."""
    return isinstance(text, str) and _BUNDLE_ID.fullmatch(text) is not None


def bundle_line(bundle: Bundle) -> bytes:
    """Return the first line of a manifest of `bundle`, newline included."""
    head = {
        "bundle": bundle.id,
        "format": FORMAT,
        "publisher": bundle.publisher,
        "title": bundle.title,
        "version": bundle.version,
    }
    return canonical_json(head) + b"\n"


def write_manifest(bundle: Bundle, lines: Iterable[bytes], out: BinaryIO) -> ManifestDigest:
    """Write the head and the canonical resource `lines` (sorted by id, newlines included) to `out`."""
    digest = hashlib.sha256()
    size = count = 0
    head = bundle_line(bundle)
    digest.update(head)
    out.write(head)
    size += len(head)
    for line in lines:
        digest.update(line)
        out.write(line)
        size += len(line)
        count += 1
    return ManifestDigest(size_bytes=size, sha256=digest.hexdigest(), resources=count)


def read_bundle_line(line: bytes, where: object) -> Bundle:
    """Return the bundle that a manifest's first `line` names; raise `ContentError` E-MANIFEST or E-VERSION."""
    head = _json_line(line, where)
    if isinstance(head, dict) and type(head.get("format")) is int and head["format"] > FORMAT:
        raise ContentError("E-VERSION", where=where, expected=f"<= {FORMAT}", found=head["format"])
    if not (
        isinstance(head, dict)
        and head.get("format") == FORMAT
        and is_bundle_id(head.get("bundle"))
        and type(head.get("version")) is int
        and isinstance(head.get("title"), str)
        and isinstance(head.get("publisher"), str)
    ):
        raise ContentError("E-MANIFEST", where=where, expected="bundle line", found=line[:80])
    return Bundle(
        id=head["bundle"], version=head["version"], title=head["title"], publisher=head["publisher"]
    )


@dataclass(frozen=True, slots=True)
class Line:
    """One resource line of a manifest: its id, and its bytes without the newline; parsed only when asked."""

    id: str
    data: bytes
    where: str

    def resource(self) -> Resource:
        """Return the record of this line; raise `ContentError` E-RECORD or E-NAME."""
        return Resource.from_json(_json_line(self.data, self.where), where=self.where)


def read_manifest(lines: Iterable[bytes], where: object = "") -> tuple[Bundle, Iterator[Line]]:
    """Return the bundle and a stream of the resource lines of a manifest.

    Records are parsed lazily, so that a reader who compares bytes with what it has pays only for what changed.
    Raises `ContentError` (at the call for the head, while iterating for a line) where a line is not JSON, has no
    id, is longer than 4 MiB, or is not after the one before it by id.
    """
    stream = iter(lines)
    bundle = read_bundle_line(next(stream, b""), where)
    return bundle, _read_lines(stream, where)


def _read_lines(lines: Iterator[bytes], where: object) -> Iterator[Line]:
    last = ""
    for number, line in enumerate(lines, start=2):
        place = f"{where}:{number}"
        data = _json_line(line, place)
        found = data.get("id") if isinstance(data, dict) else None
        if not isinstance(found, str) or found <= last:
            raise ContentError(
                "E-MANIFEST", where=place, expected=f"id after {last!r}", found=repr(found)[:80]
            )
        last = found
        yield Line(found, line.rstrip(b"\n"), place)


def _json_line(line: bytes, where: object) -> object:
    if len(line) > MAX_LINE_BYTES:
        raise ContentError("E-MANIFEST", where=where, expected=f"line <= {MAX_LINE_BYTES} B", found=len(line))
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ContentError("E-MANIFEST", where=where, expected="JSON", found=line[:40]) from error
