"""What `box run` does beside serving: it looks every few seconds and lets a sync, a stick's import, the month's round and
sharing run.

Invariants: everything that takes time is a process of its own, steered by its standard input, and none outlives the
service: a killed service closes the pipe, and the sync ends as by a pause. All that must survive a restart (pause,
policy, budget, the hours in which the box is on, how far the round is) is in `local.db`; what is here may be lost.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from appliance.box import Box
from appliance.child import Child
from appliance.plugging.importing import Sticks
from appliance.policies import decision_of, note_on, policy_of
from appliance.seeder import Seeder
from appliance.state import work_under_way
from appliance.steering import rate_line
from catalog.errors import ShuxiangError
from sync.line.policy import Decision, Policy, Reason

LOOK_SECONDS = 2.0
FIRST_SYNC_SECONDS = 2.0
# What the card was made with is taken in first (shuxiang-preload.service): the line need not bring it too.
PRELOAD_SECONDS = 120.0
# A round of reading and the neighbours can wait until a class has its first page.
ROUND_AFTER_SECONDS = 300.0
SHARE_AFTER_SECONDS = 10.0
AGAIN_SECONDS, BUSY_SECONDS = 30.0, 15.0
METERED_SECONDS = 6 * 3600.0
ROUND_EACH = timedelta(days=30)
DAMAGE_EACH_SECONDS = 6 * 3600.0
VERIFY = "verify"
BUSY, PAUSED = 30, 31

_log = logging.getLogger(__name__)


class Keeper:
    """The keeper of one running box. Thread-safe; `streamed_seconds` as `Watched.streamed_seconds`."""

    def __init__(self, box: Box, streamed_seconds: Callable[[], float | None]) -> None:
        self._box = box
        self.streamed_seconds = streamed_seconds
        self.sticks = Sticks(box.directory, box.local)
        self._started = time.monotonic()
        self._next_sync = self._started + (PRELOAD_SECONDS if _preload_waits() else FIRST_SYNC_SECONDS)
        self._next_round = self._started + ROUND_AFTER_SECONDS
        self._failures = 0
        self._asked = False
        self._hurried: datetime | None = None
        self._sync: Child | None = None
        self._round: Child | None = None
        self._seeder: Seeder | None = None
        self._sharing: tuple[str, ...] | None = None
        self._told: tuple[Reason, bool] | None = None
        self._wake = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="keeper", daemon=True)

    def ask(self) -> bool:
        """Sync now, as a person who asks by hand; return False where a sync is at work already (it then hurries)."""
        waiting = self._sync is None and work_under_way(self._box.directory) is None
        self._asked = True
        self._next_sync = 0.0
        self._wake.set()
        return waiting

    def look(self) -> None:
        """Look at the policy again at once: it was changed."""
        self._wake.set()

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Keep while the block runs."""
        self._thread.start()
        try:
            yield
        finally:
            self._ended.set()
            self._wake.set()
            self._thread.join()
            self._close()

    def _follow(self) -> None:
        while not self._ended.is_set():
            try:
                self._step()
            except (ShuxiangError, OSError) as error:
                _log.error("%s", error)
            self._wake.wait(LOOK_SECONDS)
            self._wake.clear()

    def _step(self) -> None:
        note_on(self._box)
        policy = policy_of(self._box)
        decision = decision_of(
            self._box, policy, streamed_seconds=self.streamed_seconds(), by_hand=self._asked
        )
        self._tell(decision)
        self._keep_sticks()
        self._keep_sync(policy, decision)
        self._keep_round(policy, decision)
        self._keep_sharing(policy)

    def _tell(self, decision: Decision) -> None:
        said = (decision.reason, decision.clock_ignored)
        if said != self._told:
            ignored = "; no clock can be right, hours are ignored" if decision.clock_ignored else ""
            _log.info("line: %s%s", decision.reason, ignored)
            self._told = said

    # -- sticks ----------------------------------------------------------------------------------------------------

    def _keep_sticks(self) -> None:
        """Let a stick go before everything else: somebody stands there and waits for it."""
        self.sticks.look()
        if self.sticks.waiting:
            self._stop_round()
            if self._sync is not None:
                self._sync.stop()
            elif self._round is None and work_under_way(self._box.directory) is None:
                self.sticks.begin()

    # -- sync ------------------------------------------------------------------------------------------------------

    def _keep_sync(self, policy: Policy, decision: Decision) -> None:
        if self._sync is not None and (code := self._sync.code()) is not None:
            self._sync = None
            self._plan_next(code, policy, decision)
        if policy.now is not None and policy.now.start != self._hurried:
            self._hurried = policy.now.start
            if decision.reason is Reason.NOW:
                self._next_sync = 0.0
        if not decision.allowed:
            self._asked = False
            if self._sync is not None:
                self._sync.stop()
        elif self._sync is not None:
            self._sync.tell(rate_line(decision.bytes_per_second))
        elif (
            time.monotonic() >= self._next_sync
            and not self.sticks.busy
            and work_under_way(self._box.directory) is None
        ):
            self._stop_round()
            self._sync = Child(self._box.directory, "box", "sync", "--governed")
            self._sync.tell(rate_line(decision.bytes_per_second))

    def _plan_next(self, code: int, policy: Policy, decision: Decision) -> None:
        """Say when the next sync is due after one that ended with `code`."""
        every = self._box.config.sync_minutes * 60.0
        if policy.metered:
            every = max(every, METERED_SECONDS)
        if code == BUSY:
            wait = BUSY_SECONDS
        elif code == PAUSED:
            # It goes on where it stopped, as soon as it may.
            wait = AGAIN_SECONDS if decision.allowed else 0.0
        elif code == 0:
            # Boxes that are switched on together should not ask together for ever.
            wait = every * random.uniform(0.9, 1.1)
        else:
            wait = min(every, AGAIN_SECONDS * 2**self._failures)
        self._failures = 0 if code in (0, PAUSED) else min(self._failures + 1, 20)
        self._asked = self._asked and code == BUSY
        self._next_sync = time.monotonic() + wait

    # -- the month's round -------------------------------------------------------------------------------------------

    def _keep_round(self, policy: Policy, decision: Decision) -> None:
        if self._round is not None and self._round.code() is not None:
            self._round = None
            self._next_round = time.monotonic() + DAMAGE_EACH_SECONDS
        idle = (
            decision.allowed
            and decision.reason is Reason.FREE
            and self._sync is None
            and not self.sticks.busy
        )
        if not idle:
            self._stop_round()
        elif self._round is None and time.monotonic() >= self._next_round and self._round_due():
            # What is found damaged on a line that is paid by the byte is told, and mended by hand or with a stick.
            repair = () if policy.metered else ("--repair",)
            self._round = Child(self._box.directory, "box", "verify", "--continue", *repair)

    def _stop_round(self) -> None:
        if self._round is not None:
            self._round.interrupt()
            self._next_round = time.monotonic() + AGAIN_SECONDS

    def _round_due(self) -> bool:
        """Return whether this month's round is not full yet, or damage waits to be mended."""
        last = self._box.local.get(VERIFY)
        if last is None or last["finished"] is None or self._box.local.damage():
            return True
        started = datetime.fromisoformat(last["started"])
        return not started <= self._box.trusted_now() < started + ROUND_EACH

    # -- sharing -----------------------------------------------------------------------------------------------------

    def _keep_sharing(self, policy: Policy) -> None:
        if time.monotonic() < self._started + SHARE_AFTER_SECONDS:
            return
        wanted = sharing_options(policy)
        if wanted == self._sharing:
            return
        if self._seeder is not None:
            self._seeder.stop()
            self._seeder = None
        if wanted is not None:
            self._seeder = Seeder("box", self._box.directory, wanted)
            self._seeder.start()
        self._sharing = wanted

    def _close(self) -> None:
        self.sticks.close()
        for child in (self._sync, self._round):
            if child is not None:
                child.stop()
        if self._round is not None:
            self._round.interrupt()
        if self._seeder is not None:
            self._seeder.stop()
        for child in (self._sync, self._round):
            if child is not None:
                child.wait()


def sharing_options(policy: Policy) -> tuple[str, ...] | None:
    """Return the options of `box seed` under `policy`; None where nothing is to be shared."""
    if not policy.upload_lan and not policy.upload_outside:
        return None
    options: tuple[str, ...] = () if policy.upload_lan else ("--no-lan",)
    if policy.upload_outside:
        options += ("--education-line",)
        if policy.upload_bytes_per_second:
            options += ("--upload-rate", str(policy.upload_bytes_per_second))
    return options


def _preload_waits() -> bool:
    place = os.environ.get("SHUXIANG_PRELOAD", "")
    return bool(place) and Path(place).is_dir()
