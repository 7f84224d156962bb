"""The root that a box is given by hand and trusts from then on, known by its fingerprint (TUF spec §5.3 begins with it).

Invariant: a root is pinned only where it signs itself by its own threshold and has the fingerprint that was asked for.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from tuf.api import exceptions
from tuf.api.metadata import Metadata, Root  # type: ignore[attr-defined]

from catalog.durable import make_directory, storage, write_file
from catalog.errors import ContentError, RoadError
from sync import tree

MAX_ROOT_BYTES = 512_000
_CODES = {
    exceptions.ExpiredMetadataError: "E-EXPIRED",
    exceptions.UnsignedMetadataError: "E-SIGNATURE",
    exceptions.BadVersionNumberError: "E-ROLLBACK",
    exceptions.LengthOrHashMismatchError: "E-HASH",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedRoot:
    """The publisher's first root metadata and its fingerprint, the SHA-256 of its bytes."""

    data: bytes
    fingerprint: str


def read_fingerprint(text: str) -> str:
    """Return the fingerprint in `text` (groups, capitals allowed) as 64 hex digits; raise `ContentError` E-FINGERPRINT."""
    found = "".join(text.split()).replace("-", "").replace(":", "").lower()
    if len(found) != 64 or any(c not in "0123456789abcdef" for c in found):
        raise ContentError("E-FINGERPRINT", expected="64 hex digits", found=text[:80])
    return found


def pin_root(data: bytes, fingerprint: str | None = None) -> PinnedRoot:
    """Return `data` as the root to trust from now on.

    Raises `ContentError` E-FINGERPRINT where it does not have `fingerprint`, E-SIGNATURE where it does not sign
    itself by its own threshold, E-CATALOG where it is no root metadata; `RoadError` where it is no JSON at all.
    """
    where = tree.PINNED_ROOT
    found = hashlib.sha256(data).hexdigest()
    check_json(data, where)
    if fingerprint is not None and read_fingerprint(fingerprint) != found:
        raise ContentError("E-FINGERPRINT", where=where, expected=read_fingerprint(fingerprint), found=found)
    try:
        metadata = Metadata[Root].from_bytes(data)
        if not isinstance(metadata.signed, Root):
            raise ContentError("E-CATALOG", where=where, expected="root", found=metadata.signed.type)
        metadata.signed.verify_delegate(Root.type, metadata.signed_bytes, metadata.signatures)
    except exceptions.RepositoryError as error:
        raise refusal(error, where) from error
    return PinnedRoot(data=data, fingerprint=found)


def write_pinned_root(trust_dir: Path, root: PinnedRoot) -> None:
    """Put the pinned root into `trust/`, durably."""
    storage(lambda: _write(trust_dir / tree.PINNED_ROOT, root.data), trust_dir)


def check_json(data: bytes, where: object) -> None:
    """Raise the `RoadError` that fits where `data` is not JSON: a portal's page, a file cut short, or something else."""
    start = beginning(data)
    if start.startswith(b"<"):
        raise RoadError("E-PORTAL", where=where, expected="JSON", found=repr(start)[1:])
    try:
        json.loads(data)
    except (ValueError, RecursionError) as error:
        code = "E-ROAD-SHORT" if not start or start.startswith(b"{") else "E-ROAD-DATA"
        raise RoadError(code, where=where, expected="JSON", found=f"{len(data)} B") from error


def beginning(data: bytes) -> bytes:
    """Return how a text begins, by which a web page is known."""
    return data.removeprefix(b"\xef\xbb\xbf").lstrip()[:64]


def refusal(error: exceptions.RepositoryError, where: object) -> ContentError:
    """Return what an error of python-tuf means to a person."""
    found = " ".join(str(error).split())[:200]
    for kind, code in _CODES.items():
        if isinstance(error, kind):
            return ContentError(code, where=where, found=found)
    return ContentError("E-CATALOG", where=where, found=found)


def _write(place: Path, data: bytes) -> None:
    make_directory(place.parent)
    write_file(place, data)
