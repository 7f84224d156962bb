"""What changes a box: sync, export, reindex, each under the state's lock.

Imported only by the commands that do it: serving a page must not load what trust and roads need.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.box import SCOPE, Box
from appliance.neighbours import neighbours_of
from appliance.state import locked
from catalog.clock import term_of
from catalog.errors import ShuxiangError
from catalog.local import Local, SyncRun
from catalog.progress import OnProgress, both, silent
from catalog.scope import EVERYTHING, Scope
from sync.catalogue import reindex
from sync.explain import plan_json, plan_text
from sync.export import ExportResult, export
from sync.plan import Plan
from sync.policy import Policy
from sync.rate import Governor
from sync.roads import RoadSettings
from sync.update import Update, UpdateResult, UpdateSettings

# What is smaller says how long a request takes, not how fast the line is.
RATE_LEAST_BYTES = 1 << 20
RATE_RUNS = 20
MOST_WARNINGS = 20


def update_settings(
    box: Box, source: str | None, *, policy: Policy | None = None, governor: Governor | None = None
) -> UpdateSettings:
    """Return what a run is told: the one `source`, else the parents and then the hub.

    Neighbours are met as `policy` says; `governor` holds the rate and the budget.
    """
    stored = box.local.get(SCOPE)
    governor = governor or Governor()
    return UpdateSettings(
        sources=(source,) if source else (*box.config.parents, box.config.hub),
        fingerprint=box.config.fingerprint,
        subscriptions=box.subscriptions,
        scope=Scope.from_json(stored) if stored else EVERYTHING,
        term=term_of(box.shown_now().date()),
        keep_free_bytes=box.config.reserve_bytes,
        hints=source is None,
        neighbours=neighbours_of(box, policy or Policy(), governor),
        road=RoadSettings(rsync_password=box.config.rsync_password, governor=governor),
    )


def _update(box: Box, settings: UpdateSettings, progress: OnProgress) -> Update:
    return Update(
        box.directory,
        library=box.library,
        blobs=box.blobs,
        local=box.local,
        settings=settings,
        progress=progress,
    )


def run_sync(
    box: Box,
    source: str | None,
    progress: OnProgress = silent,
    *,
    policy: Policy | None = None,
    governor: Governor | None = None,
) -> UpdateResult:
    """Sync once and keep how it ended. Raises what kept it from any new state; else see `result.failure`."""
    settings = update_settings(box, source, policy=policy, governor=governor)
    with locked(box.directory, "sync") as hold:
        # A box that was full gives its reserve to the run, which first deletes what nobody needs.
        box.reserve.release()
        try:
            result = _update(box, settings, both(progress, hold.show)).run(box.trusted_now())
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


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """What a sync would do, and the rate that its time is reckoned by: None where nothing tells."""

    plan: Plan
    bytes_per_second: int | None

    def to_json(self) -> dict[str, Any]:
        """Return the value that `box sync --dry-run --json` prints and that the sync page shows."""
        return plan_json(self.plan, self.bytes_per_second)

    def text(self, language: str) -> str:
        """Return the same in words."""
        return plan_text(self.plan, language, self.bytes_per_second)


def run_dry(box: Box, source: str | None) -> DryRun:
    """Return what a sync would do."""
    with locked(box.directory, "plan"):
        plan = _update(box, update_settings(box, source), silent).preview(box.trusted_now())
    return DryRun(plan=plan, bytes_per_second=measured_rate(box.local))


def measured_rate(local: Local) -> int | None:
    """Return how fast earlier runs were, from the history: bytes of all of them in the time of all of them."""
    bytes_in_all = seconds_in_all = 0.0
    for run in local.syncs(RATE_RUNS):
        fetched, seconds = run.details.get("fetched_bytes", 0), run.details.get("seconds", 0)
        if fetched >= RATE_LEAST_BYTES and seconds > 0:
            bytes_in_all += fetched
            seconds_in_all += seconds
    return round(bytes_in_all / seconds_in_all) if seconds_in_all else None


def run_export(box: Box, directory: Path, progress: OnProgress = silent) -> ExportResult:
    """Write what the box holds as a tree into `directory`."""
    with locked(box.directory, "export") as hold:
        return export(box.library, box.blobs, box.trust, directory, both(progress, hold.show))


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
        "ways": result.ways,
        "saved": result.saved,
        "seconds": result.seconds,
        "activated": result.activated,
        "warnings": [{"code": one.code, "where": one.where} for one in result.warnings[:MOST_WARNINGS]],
    }
