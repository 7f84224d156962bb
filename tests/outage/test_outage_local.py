"""Power cuts while `local.db` is written: what nobody can send again is kept, and settings turn over together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from outage_harness import Acknowledge, Outage

from catalog.local import Local, SyncRun, Usage

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
STEPS = 25
PLAYED = Usage(hour="2026-11-21T08", resource_id="r1", event="play", clock="trusted", count=1)


def write_steps(root: Path, acknowledge: Acknowledge) -> None:
    """In each step: floors and offset together, a request, a sync, usage and an audit line."""
    with Local.open(root / "local.db") as local:
        for step in range(1, STEPS + 1):
            now = NOW + timedelta(minutes=step)
            local.put_all({"floors": {"timestamp": step, "note": "层" * step}, "clock": step})
            acknowledge(f"settings {step}")
            local.add_request(f"r{step}", now)
            acknowledge(f"requests {step}")
            local.record_sync(SyncRun(at=now, result="ok", code="", details={"bytes": step}))
            acknowledge(f"syncs {step}")
            local.add_usage([PLAYED])
            acknowledge(f"usage {step}")
            local.audit("teacher", "request", f"r{step}", now)
            acknowledge(f"audit {step}")


def kept(root: Path) -> dict[str, int]:
    """Return the last step that each kind of record knows of; fail where any is out of step with itself."""
    with Local.open(root / "local.db") as local:
        floors, clock = local.get("floors", {}), local.get("clock", 0)
        assert floors.get("timestamp", 0) == clock
        assert floors.get("note", "") == "层" * clock
        requests = [request.resource_id for request in local.requests()]
        assert requests == [f"r{step}" for step in range(1, len(requests) + 1)]
        syncs = local.syncs(limit=STEPS * 2)
        assert [run.details["bytes"] for run in syncs] == list(range(len(syncs), 0, -1))
        return {
            "settings": clock,
            "requests": len(requests),
            "syncs": len(syncs),
            "usage": sum(item.count for item in local.usage()),
            "audit": len(local.audit_log()),
        }


def check(root: Path, acknowledged: tuple[str, ...]) -> None:
    found = kept(root)
    for line in acknowledged:
        kind, step = line.split()
        assert found[kind] >= int(step)
    with Local.open(root / "local.db") as local:
        local.put("clock after the cut", 1)
        assert local.get("clock after the cut") == 1


def test_what_local_db_acknowledged_survives(outage: Outage) -> None:
    log = outage.record(write_steps)
    for cut in log.cuts(40, seed=21):
        with outage.mounted(cut) as root:
            check(root, cut.acknowledged)


@pytest.mark.slow
def test_local_db_survives_five_hundred_cuts(outage: Outage) -> None:
    for seed in range(5):
        log = outage.record(write_steps, seed=seed)
        for cut in log.cuts(100, seed):
            with outage.mounted(cut) as root:
                check(root, cut.acknowledged)
