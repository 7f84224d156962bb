"""What a hub or box says of itself, as `/api/v1/status`, `box status` and the teacher's page show it; read only."""

from __future__ import annotations

from typing import Any

from catalog.library import Library
from catalog.local import Local, SyncRun
from webui.operations import DiskSpace


def box_status(
    library: Library, local: Local, *, box_id: str, name: str, version: str, disk: DiskSpace
) -> dict[str, Any]:
    """Return the status of a box (DESIGN §5.5): catalogue, content, last sync, disk; how many blobs are damaged."""
    last = next(iter(local.syncs(1)), None)
    found = _status("box", library, own_id=box_id, name=name, version=version, disk=disk, last=last)
    return found | {"damaged": len(local.damage())}


def hub_status(library: Library, *, hub_id: str, name: str, version: str, disk: DiskSpace) -> dict[str, Any]:
    """Return the status of a hub, in the same shape; a hub syncs from nobody."""
    return _status("hub", library, own_id=hub_id, name=name, version=version, disk=disk, last=None)


def _status(
    role: str,
    library: Library,
    *,
    own_id: str,
    name: str,
    version: str,
    disk: DiskSpace,
    last: SyncRun | None,
) -> dict[str, Any]:
    with library.reading() as reader:
        generation = reader.generation()
        counts = reader.counts()
        bundles = reader.bundles()
    return {
        "role": role,
        "id": own_id,
        "name": name,
        "version": version,
        "release": generation.release,
        "content_release": generation.content_release,
        "bundles": {
            bundle.id: {
                "title": bundle.title,
                "version": bundle.version,
                "resources": bundle.resources,
                "cached": bundle.cached,
            }
            for bundle in bundles
        },
        "resources": counts.resources,
        "cached": counts.cached,
        "last_sync": {"at": last.at.isoformat(), "result": last.result, "code": last.code} if last else None,
        "disk": {
            "total_bytes": disk.total_bytes,
            "free_bytes": disk.free_bytes,
            "reserve_bytes": disk.reserve_bytes,
        },
        "updated_to": generation.updated_to,
    }
