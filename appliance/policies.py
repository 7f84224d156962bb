"""The policy of a box as it stands: its layers gathered, its situation seen, its line governed.

Light enough for the service to ask every few seconds: what verifies and fetches is not imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from appliance.box import Box
from catalog.clock import BUILT, CHINA
from catalog.errors import RoadError
from sync.line.hours import OnHours
from sync.line.network import address_parts, lan_of
from sync.line.policy import Decision, Policy, Reason, Situation, Span, decide, month_of
from sync.line.policy_layers import NOW, PAUSE, Layer, combine, stored_layer, stored_span
from sync.line.rate import Governor, Meter, used_bytes

ON_HOURS = "on_hours"
"""Setting of `local.db`: the hours in which the box is usually on."""
UNTRUSTED = "untrusted"
HUB, CONFIG, HERE = "hub", "config", "here"


def layers_of(box: Box) -> dict[str, Layer]:
    """Return who says what: `config`, `hub` (the box's own file), `here` (page and command line); the last wins."""
    assigned = box.assigned().get("policy", {})
    return {CONFIG: box.config.policy, HUB: assigned, HERE: stored_layer(box.local)}


def policy_of(box: Box) -> Policy:
    """Return the policy that holds for the box now."""
    spans = {"pause": stored_span(box.local, PAUSE), "now": stored_span(box.local, NOW)}
    return combine(*layers_of(box).values(), **spans)


def month(box: Box) -> str:
    """Return the month that bytes count for now."""
    return month_of(
        box.shown_now(),
        clock_known=clock_known(box),
        newest_signed=max(filter(None, (BUILT, box.newest_signed()))),
    )


def clock_known(box: Box) -> bool:
    """Return whether the time on the wall can be right."""
    return box.clock_mark() != UNTRUSTED


def decision_of(
    box: Box,
    policy: Policy,
    *,
    streamed_seconds: float | None = None,
    by_hand: bool = False,
    sources: tuple[str, ...] | None = None,
) -> Decision:
    """Return what the policy means now for a sync from `sources` (None: those of the box)."""
    used, budget = used_bytes(box.local, month(box)), policy.budget_bytes
    spent = budget is not None and used >= budget
    return decide(
        policy,
        Situation(
            now=box.clock(),
            shown=box.shown_now(),
            clock_known=clock_known(box),
            streamed_seconds=streamed_seconds,
            used_bytes=used,
            on=on_hours(box),
            by_hand=by_hand,
            # A name may have to be asked for, so only where it matters.
            lan_source=spent and _near(policy, sources or (*box.config.parents, box.config.hub)),
        ),
    )


def refusal(decision: Decision, policy: Policy, used: int) -> RoadError | None:
    """Return the refusal of a run that `decision` does not allow; None where it does."""
    if decision.allowed:
        return None
    if decision.reason is Reason.BUDGET:
        return RoadError("E-BUDGET", expected=f"<= {policy.budget_bytes}", found=used)
    until = f"→ {decision.until.astimezone(CHINA):%Y-%m-%d %H:%M}" if decision.until else ""
    return RoadError("E-PAUSED", found=until)


def governor_of(box: Box, policy: Policy, bytes_per_second: int | None) -> Governor:
    """Return the governor of a run that begins at this rate. Close it."""
    meter = Meter(box.local, month=month(box), budget_bytes=policy.budget_bytes)
    return Governor(bytes_per_second, meter=meter, lan=lan_of(policy.lan_networks))


def on_hours(box: Box) -> OnHours:
    """Return in which hours the box is usually on."""
    return OnHours.from_json(box.local.get(ON_HOURS))


def note_on(box: Box) -> None:
    """Note that the box is on in this hour: one write an hour, and none while no clock can be right."""
    if clock_known(box):
        before = on_hours(box)
        after = before.seen(box.shown_now())
        if after is not before:
            box.local.put(ON_HOURS, after.to_json())


def pause(box: Box, hours: float | None) -> Span:
    """Let nothing be fetched for so many hours (None: until it is resumed), whoever asks."""
    span = _span(box.clock(), hours)
    box.local.put_all({PAUSE: span.to_json(), NOW: None})
    return span


def resume(box: Box, hours: float | None = None) -> None:
    """End a pause; with `hours` sync from now on for so long, whatever windows, lessons and watchers say."""
    now = _span(box.clock(), hours).to_json() if hours else None
    box.local.put_all({PAUSE: None, NOW: now})


def decision_json(decision: Decision) -> Mapping[str, Any]:
    """Return a decision as `box policy --json` prints it."""
    return {
        "allowed": decision.allowed,
        "bytes_per_second": decision.bytes_per_second,
        "reason": str(decision.reason),
        "until": decision.until.isoformat() if decision.until else None,
        "clock_ignored": decision.clock_ignored,
    }


def _span(now: datetime, hours: float | None) -> Span:
    return Span(start=now, end=None if hours is None else now + timedelta(hours=hours))


def _near(policy: Policy, sources: tuple[str, ...]) -> bool:
    near = lan_of(policy.lan_networks)
    places = [address_parts(source) if "://" in source else None for source in sources]
    return any(place is None or place.scheme == "file" or near(place.hostname or "") for place in places)
