"""What is known of one original after it was described: kept in the library by hash and recipe, as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from catalog.resource import File


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """A description whose derived files are blobs. `plays`: the original is its own play file."""

    kind: str
    duration_seconds: float | None
    pages: int | None
    plays: bool
    requires: tuple[str, ...]
    files: tuple[File, ...]
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the facts as plain JSON values."""
        return {
            "kind": self.kind,
            "duration_seconds": self.duration_seconds,
            "pages": self.pages,
            "plays": self.plays,
            "requires": list(self.requires),
            "files": [
                {name: value for name in File.__slots__ if (value := getattr(file, name)) is not None}
                for file in self.files
            ],
            "warnings": list(self.warnings),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Facts:
        """Return the facts in `data`, as `to_json` wrote them."""
        return cls(
            kind=data["kind"],
            duration_seconds=data["duration_seconds"],
            pages=data["pages"],
            plays=data["plays"],
            requires=tuple(data["requires"]),
            files=tuple(File(**file) for file in data["files"]),
            warnings=tuple(data["warnings"]),
        )
