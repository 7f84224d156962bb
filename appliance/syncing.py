"""What changes a box: sync, export, reindex, each under the state's lock.

Imported only by the commands that do it: serving a page must not load what trust and roads need.
"""

from __future__ import annotations

import sys
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from appliance.box import SCOPE, Box
from appliance.line import PLANNED
from appliance.neighbours import neighbours_of
from appliance.plugging.notes import stick_of
from appliance.policies import decision_of, governor_of, month, policy_of, refusal
from appliance.state import locked
from appliance.steering import read_rate, steered_by_lines, steered_by_policy
from catalog.clock import term_of
from catalog.errors import RoadError, ShuxiangError
from catalog.local import Local, SyncRun
from catalog.progress import OnProgress, both, silent
from catalog.scope import EVERYTHING, Scope
from sync.line.policy import Policy
from sync.line.rate import Governor, used_bytes
from sync.roads import RoadSettings
from sync.updating.catalogue import reindex
from sync.updating.explain import plan_json, plan_text
from sync.updating.plan import Plan
from sync.updating.update import Update, UpdateResult, UpdateSettings

# What is smaller says how long a request takes, not how fast the line is.
RATE_LEAST_BYTES = 1 << 20
RATE_RUNS = 20
# A box without a line tries every hour: one line in so long says it, spares the card, and leaves room for what earlier
# runs tell.
REPEATED = timedelta(hours=6)
MOST_WARNINGS = 20
# So many reserves free: a run does without the one that is held.
_ROOMY_RESERVES = 16
STOPPED_BY_RULE = ("E-PAUSED", "E-BUDGET")


def sources_of(box: Box, source: str | None) -> tuple[str, ...]:
    """Return where a run asks, in order: the one `source`, else the parents and then the hub."""
    return (source,) if source else (*box.config.parents, box.config.hub)


def update_settings(box: Box, source: str | None, *, governor: Governor | None = None) -> UpdateSettings:
    """Return what a run is told. `governor` None: one that holds the rate and the budget that the policy names now.

    Raises `RoadError` E-PAUSED or E-BUDGET where the policy lets nobody fetch anything.
    """
    stored = box.local.get(SCOPE)
    policy, sources = policy_of(box), sources_of(box, source)
    governor = governor or _own_governor(box, policy, sources)
    return UpdateSettings(
        sources=sources,
        fingerprint=box.config.fingerprint,
        subscriptions=box.subscriptions,
        scope=Scope.from_json(stored) if stored else EVERYTHING,
        term=term_of(box.shown_now().date()),
        keep_free_bytes=box.config.reserve_bytes,
        hints=source is None,
        neighbours=neighbours_of(box, policy, governor),
        box_id=box.id,
        leaves=box.leaves,
        road=RoadSettings(rsync_password=box.config.rsync_password, governor=governor),
        on_plan=lambda plan: _keep_plan(box, plan, governor),
    )


def _keep_plan(box: Box, plan: Plan, governor: Governor) -> None:
    """Keep what a run is about to fetch for the sync page."""
    box.local.put(PLANNED, _foreseen(box, plan, governor).to_json())


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
    governor: Governor | None = None,
) -> UpdateResult:
    """Sync once and keep how it ended. Raises what kept it from any new state; else see `result.failure`.

    Without a `governor` a person asks: windows and watchers are ignored; caps, budget and a pause hold, also those
    that are set while it runs.
    """
    settings = update_settings(box, source, governor=governor)
    used, by_itself = settings.road.governor, governor is not None and source is None
    steered = nullcontext() if governor else steered_by_policy(box, used, settings.sources)
    with locked(box.directory, "sync") as hold, steered, closing(used):
        # A box that is nearly full gives its reserve to the run, which first deletes what nobody needs. Where there is
        # room enough it stays: to take it anew writes to the card, and a box without a line tries often.
        if box.blobs.free_bytes() < _ROOMY_RESERVES * box.config.reserve_bytes:
            box.reserve.release()
        try:
            result = _update(box, settings, both(progress, hold.show)).run(box.trusted_now())
        except ShuxiangError as error:
            ended = _ended_by(used, error)
            _record(box, ended, _stick(source), by_itself=by_itself)
            raise ended from error
        finally:
            box.reserve.hold()
        if result.failure is not None:
            result = replace(result, failure=_ended_by(used, result.failure))
        _record(box, result.failure, result_json(result) | _stick(source), by_itself=by_itself)
        return result


def run_governed(box: Box, source: str | None, progress: OnProgress = silent) -> UpdateResult:
    """Sync once as the service says over our standard input: a rate, later others, the end; see `run_sync`."""
    try:
        rate = read_rate(sys.stdin.readline())
    except ValueError as error:
        raise RoadError("E-PAUSED", expected="bytes/s") from error
    governor = governor_of(box, policy_of(box), rate)
    with steered_by_lines(sys.stdin, governor):
        return run_sync(box, source, progress, governor=governor)


def _own_governor(box: Box, policy: Policy, sources: tuple[str, ...]) -> Governor:
    found = decision_of(box, policy, by_hand=True, sources=sources)
    if (refused := refusal(found, policy, used_bytes(box.local, month(box)))) is not None:
        raise refused
    return governor_of(box, policy, found.bytes_per_second)


def _ended_by(governor: Governor, failure: ShuxiangError) -> ShuxiangError:
    """Return why a run really ended: what a stopped line looks like to a road is not the reason."""
    if isinstance(failure, RoadError):
        return governor.failure() or failure
    return failure


def _record(box: Box, failure: ShuxiangError | None, details: dict[str, Any], *, by_itself: bool) -> None:
    """Keep how a run ended; of one that nobody asked for not what the last one failed by as well, not long ago."""
    run = SyncRun(
        at=box.clock(), result=_result(failure), code=failure.code if failure else "", details=details
    )
    if not (by_itself and any(_repeats(run, last) for last in box.local.syncs(1))):
        box.local.record_sync(run)


def _repeats(run: SyncRun, last: SyncRun) -> bool:
    return (
        run.result == last.result == "failed"
        and run.code == last.code
        and timedelta() <= run.at - last.at < REPEATED
    )


def _stick(source: str | None) -> dict[str, Any]:
    name = stick_of(source)
    return {"stick": name} if name else {}


def _result(failure: ShuxiangError | None) -> str:
    """Return how a run ended: one that the line's rules stopped did not fail, it goes on when they let it."""
    if failure is None:
        return "ok"
    return "paused" if failure.code in STOPPED_BY_RULE else "failed"


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
    """Return what a sync would do, and how long it would take at the rate that is allowed or was measured."""
    settings = update_settings(box, source)
    with locked(box.directory, "plan"), closing(settings.road.governor):
        plan = _update(box, settings, silent).preview(box.trusted_now())
    return _foreseen(box, plan, settings.road.governor)


def _foreseen(box: Box, plan: Plan, governor: Governor) -> DryRun:
    """Return the plan with the rate that its time is reckoned by."""
    if all(step.way.road == "directory" for step in plan.steps):
        return DryRun(plan=plan, bytes_per_second=None)
    rates = (governor.bytes_per_second, measured_rate(box.local))
    return DryRun(plan=plan, bytes_per_second=min(filter(None, rates), default=None))


def measured_rate(local: Local) -> int | None:
    """Return how fast the line was in earlier runs: the bytes of all of them in the time of all of them."""
    bytes_in_all = seconds_in_all = 0.0
    for run in local.syncs(RATE_RUNS):
        fetched, seconds = run.details.get("fetched_bytes", 0), run.details.get("seconds", 0)
        if fetched >= RATE_LEAST_BYTES and seconds > 0 and "directory" not in run.details["roads"]:
            bytes_in_all += fetched
            seconds_in_all += seconds
    return round(bytes_in_all / seconds_in_all) if seconds_in_all else None


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
