"""Writing sticks from a box and from a hub, under the lock of its state."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from appliance.box import Box
from appliance.hub import Hub
from appliance.state import locked
from catalog.errors import ConfigError
from catalog.progress import OnProgress, both, silent
from sync.export import ExportResult, Room, export, export_published, room_for_published
from sync.trust.keys import load_keys


def export_of_box(
    box: Box,
    directory: Path,
    progress: OnProgress = silent,
    *,
    bundles: Iterable[str] = (),
    box_id: str | None = None,
) -> ExportResult:
    """Write what the box holds as a tree into `directory`; see `sync.export.export`."""
    with locked(box.directory, "export") as hold:
        return export(
            box.library,
            box.blobs,
            box.trust,
            directory,
            both(progress, hold.show),
            bundles=bundles,
            box_id=box_id,
        )


def export_of_hub(
    hub: Hub,
    directory: Path,
    progress: OnProgress = silent,
    *,
    bundles: Iterable[str] = (),
    boxes: Iterable[str] = (),
) -> ExportResult:
    """Write what the hub has published as a tree into `directory`; see `sync.export.export_published`."""
    with locked(hub.directory, "export") as hold:
        return export_published(
            hub.library,
            hub.blobs,
            hub.public,
            load_keys(hub.directory / "keys"),
            directory,
            both(progress, hold.show),
            bundles=bundles,
            boxes=boxes,
        )


def room_on(hub: Hub, directory: Path, *, bundles: Iterable[str] = (), boxes: Iterable[str] = ()) -> Room:
    """Return what `export_of_hub` would need of `directory`, and what there is; see `sync.export.room_for_published`."""
    keys = load_keys(hub.directory / "keys")
    return room_for_published(
        hub.library, hub.blobs, hub.public, keys, directory, bundles=bundles, boxes=boxes
    )


def warnings_of(result: ExportResult) -> list[ConfigError]:
    """Return what is not on the disk though it was meant to be."""
    return [ConfigError("E-BUNDLE-LATER", where=bundle) for bundle in result.unpublished]


def export_json(result: ExportResult) -> dict[str, Any]:
    """Return the value that `box export --json` and `hub export --json` print."""
    return {
        "release": result.release,
        "blobs": result.blobs,
        "bytes": result.size_bytes,
        "written_bytes": result.written_bytes,
        "swept_bytes": result.swept_bytes,
        "warnings": [{"code": one.code, "where": one.where} for one in warnings_of(result)],
    }
