"""How a record becomes columns: its shelf places, its lesson key, its digest."""

from __future__ import annotations

import hashlib

from catalog.resource import Resource, canonical_json

SHELF = ("stage", "grade", "subject", "edition", "textbook_year", "volume")


def shelf_columns(prefix: str = "") -> str:
    """Return the SQL condition that names one shelf by six parameters."""
    return " AND ".join(f"{prefix}{name} = ?" for name in SHELF)


def places_of(resource: Resource) -> list[tuple[str, str, str, str, int, str]]:
    """Return the shelves a resource stands on: one per grade, or one without a grade."""
    return [
        (
            resource.stage or "",
            grade,
            resource.subject or "",
            resource.edition_code or "",
            resource.textbook_year or 0,
            resource.volume or "",
        )
        for grade in (resource.grades or ("",))
    ]


def lesson_key(resource: Resource) -> bytes | None:
    """Return the key that all items of one lesson share; None where the record names no lesson."""
    if not resource.path:
        return None
    parts = (
        resource.stage,
        resource.subject,
        resource.edition_code,
        resource.textbook_year,
        resource.grades,
        resource.volume,
        resource.path,
    )
    return hashlib.blake2b(canonical_json(parts), digest_size=12).digest()


def line_digest(line: bytes) -> bytes:
    """Return the 16 bytes by which two canonical lines (without newline) are compared."""
    return hashlib.blake2b(line, digest_size=16).digest()
