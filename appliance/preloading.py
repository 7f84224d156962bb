"""Content for a card that is being made: what a hub has published, as a tree for the card's data partition.

Invariant: the tree is the same as on a stick (`hub export`), so the box that finds it proves it as it proves a stick.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from appliance.exporting import export_of_hub
from appliance.hub import Hub
from catalog.progress import OnProgress
from images.disk import MIB
from images.recipe import Recipe

PLACE = "preload"
# Directories, inodes and the journal of the filesystem, beside its files.
_OWN_MIB, _OWN_SHARE = 192, 0.03


def preload(hub: Hub, bundles: Sequence[str], data: Path, progress: OnProgress) -> int:
    """Export `bundles` to where the card's unit looks for them below the directory `data`; return the bytes there."""
    tree = data / PLACE
    tree.mkdir(parents=True)
    # These rights become those of the filesystem's root.
    data.chmod(0o755)
    export_of_hub(hub, tree, progress, bundles=bundles)
    return sum(path.stat().st_size for path in tree.rglob("*") if path.is_file())


def with_room(recipe: Recipe, size_bytes: int) -> Recipe:
    """Return the recipe with a data partition that holds `size_bytes` more."""
    needed = int(size_bytes * (1 + _OWN_SHARE) / MIB) + _OWN_MIB
    return replace(recipe, data_mib=max(recipe.data_mib, needed))
