"""The highest versions that a box has ever accepted: below them nothing is taken, whatever `trust/` still holds.

Invariant: floors only rise. Truncated metadata followed by a stale stick would else pass as new (SYNC, pitfalls).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Floors:
    """The highest versions ever accepted; kept by the caller in `local.db`, which outlives `trust/`."""

    root: int = 0
    timestamp: int = 0
    snapshot: int = 0
    targets: int = 0
    release: int = 0

    def to_json(self) -> dict[str, int]:
        return {item.name: getattr(self, item.name) for item in fields(self)}

    @classmethod
    def from_json(cls, data: object) -> Floors:
        """Return the floors that `to_json` wrote; fields that are not there are 0."""
        known = data if isinstance(data, Mapping) else {}
        return cls(**{item.name: int(known.get(item.name, 0)) for item in fields(cls)})

    def raised_to(self, other: Floors) -> Floors:
        """Return the higher of both, number by number."""
        return Floors(**{name: max(value, getattr(other, name)) for name, value in self.to_json().items()})
