"""What changes a box: sync, export, verify, reindex, each under the state's lock.

Imported only by the commands that do it: serving a page must not load what trust and roads need.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from appliance.box import SCOPE, Box
from appliance.state import locked
from catalog.clock import term_of
from catalog.errors import ShuxiangError
from catalog.local import SyncRun
from catalog.progress import OnProgress, both, silent
from catalog.scope import EVERYTHING, Scope
from sync.catalogue import reindex
from sync.export import ExportResult, export
from sync.plan import Plan
from sync.roads import RoadSettings
from sync.update import Update, UpdateResult, UpdateSettings
from sync.verify import VerifyResult, repair_from, verify


def update_settings(box: Box, source: str | None) -> UpdateSettings:
    """Return what a run is told: the one `source`, else the parents and then the hub."""
    stored = box.local.get(SCOPE)
    return UpdateSettings(
        sources=(source,) if source else (*box.config.parents, box.config.hub),
        fingerprint=box.config.fingerprint,
        subscriptions=box.subscriptions,
        scope=Scope.from_json(stored) if stored else EVERYTHING,
        term=term_of(box.shown_now().date()),
        keep_free_bytes=box.config.reserve_bytes,
        hints=source is None,
        road=RoadSettings(rsync_password=box.config.rsync_password),
    )


def _update(box: Box, source: str | None, progress: OnProgress) -> Update:
    return Update(
        box.directory,
        library=box.library,
        blobs=box.blobs,
        local=box.local,
        settings=update_settings(box, source),
        progress=progress,
    )


def run_sync(box: Box, source: str | None, progress: OnProgress = silent) -> UpdateResult:
    """Sync once and keep how it ended. Raises what kept it from any new state; else see `result.failure`."""
    with locked(box.directory, "sync") as hold:
        # A box that was full gives its reserve to the run, which first deletes what nobody needs.
        box.reserve.release()
        try:
            result = _update(box, source, both(progress, hold.show)).run(box.trusted_now())
        except ShuxiangError as error:
            _record(box, error, {})
            raise
        finally:
            box.reserve.hold()
        _record(box, result.failure, result_json(result))
        return result


def _record(box: Box, failure: ShuxiangError | None, details: dict[str, Any]) -> None:
    box.local.record_sync(
        SyncRun(
            at=box.clock(),
            result="failed" if failure else "ok",
            code=failure.code if failure else "",
            details=details,
        )
    )


def run_dry(box: Box, source: str | None) -> Plan:
    """Return what a sync would do."""
    with locked(box.directory, "plan"):
        return _update(box, source, silent).preview(box.trusted_now())


def run_export(box: Box, directory: Path, progress: OnProgress = silent) -> ExportResult:
    """Write what the box holds as a tree into `directory`."""
    with locked(box.directory, "export") as hold:
        return export(box.library, box.blobs, box.trust, directory, both(progress, hold.show))


def run_verify(box: Box, repair: bool, progress: OnProgress = silent) -> VerifyResult:
    """Re-read every blob; with `repair` fetch what is damaged again over the roads."""
    settings = update_settings(box, None)
    mend = repair_from(settings.sources, box.blobs, box.local, settings.road) if repair else None
    with locked(box.directory, "verify") as hold:
        return verify(box.library, box.blobs, repair=mend, progress=both(progress, hold.show))


def run_reindex(box: Box, progress: OnProgress = silent) -> int:
    """Build the search index anew; return how many resources it has."""
    with locked(box.directory, "reindex"):
        return reindex(box.library, box.index)


def result_json(result: UpdateResult) -> dict[str, Any]:
    """Return the value that `box sync --json` prints (DESIGN 5.2)."""
    return {
        "release": result.release,
        "content_release": result.content_release,
        "fetched_bytes": result.fetched_bytes,
        "fetched_blobs": result.fetched_blobs,
        "reused_bytes": result.reused_bytes,
        "roads": result.roads,
        "seconds": result.seconds,
        "activated": result.activated,
    }


def dry_run_json(plan: Plan) -> dict[str, Any]:
    """Return the value that `box sync --dry-run --json` prints."""
    return {
        "release": plan.release,
        "sources": list(plan.sources),
        "bundles": [
            {
                "id": bundle.id,
                "version": bundle.version,
                "added": bundle.added,
                "changed": bundle.changed,
                "removed": bundle.removed,
            }
            for bundle in plan.bundles
        ],
        "fetch_blobs": len(plan.steps),
        "fetch_bytes": plan.fetch_bytes,
        "left_out": plan.left_out,
        "left_out_bytes": plan.left_out_bytes,
    }
