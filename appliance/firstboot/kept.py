"""What first boot saw when all was as the card asks, kept in the state for the next start to compare.

`/usr/lib/shuxiang/settings-differ` (a few lines of shell) compares it with the card and the system before any Python is
started. Invariant: it is written last and only after a first boot without a failure; whatever a cut leaves of it is
another file than the card's, and first boot looks for itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from catalog import durable

DIRECTORY = "settings"
NEEDS = ("catalog.durable",)
"""What `keep` imports: see `owner.as_owner`."""


def keep(state: Path, files: Mapping[str, bytes]) -> None:
    """Keep the bytes of these files, by name, and no others; writes nothing that is there already.

    Raises `StorageError`.
    """
    place = state / DIRECTORY
    durable.storage(lambda: _keep(place, files), place)


def _keep(place: Path, files: Mapping[str, bytes]) -> None:
    if not place.is_dir():
        durable.make_directory(place)
    for path in place.iterdir():
        if path.name not in files:
            durable.remove_file(path)
    for name, data in files.items():
        path = place / name
        if not path.is_file() or path.read_bytes() != data:
            durable.write_file(path, data)
