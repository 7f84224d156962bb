"""What the pages of a box ask for, done: each call returns at once."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from appliance import policies
from appliance.box import CLOCK_OFFSET, Box
from appliance.keeper import Keeper
from appliance.line import PLANNED, line_state, set_policy
from appliance.state import work_under_way
from catalog.clock import clock_offset
from catalog.stick import Stick
from webui.operations import DiskSpace, LineState, Work


class BoxOperations:
    """Fulfils `webui.operations.Operations`; with a `keeper` (`box run`) it is the keeper that syncs."""

    def __init__(self, box: Box) -> None:
        self.keeper: Keeper | None = None
        self._box = box
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def sync_now(self) -> bool:
        """Start a sync in a process of its own; return False where one is at work."""
        if self.keeper is not None:
            return self.keeper.ask()
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                return False
            if work_under_way(self._box.directory) is not None:
                return False
            self._process = subprocess.Popen(
                [sys.executable, "-m", "appliance", "box", "sync", "--state", str(self._box.directory)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
            return True

    def sync_for(self, hours: float) -> None:
        """Sync from now on for so many hours, whatever windows, lessons and watchers say; a pause ends."""
        policies.resume(self._box, hours)
        self._look() if self.keeper is not None else self.sync_now()

    def pause(self, hours: float | None) -> None:
        """Fetch nothing for so many hours, None: until resumed; a sync under way stops and goes on later."""
        policies.pause(self._box, hours)
        self._look()

    def resume(self) -> None:
        """End a pause."""
        policies.resume(self._box)
        self._look()

    def request_resource(self, resource_id: str) -> None:
        """Keep the wish; the next sync fetches it."""
        self._box.local.add_request(resource_id, self._box.clock())

    def set_display_clock(self, shown: datetime) -> None:
        """Let the display clock show `shown` from now on."""
        self._box.local.put(CLOCK_OFFSET, clock_offset(self._box.clock(), shown).total_seconds())

    def work(self) -> Work:
        """Return what a sync under way says of itself."""
        found = work_under_way(self._box.directory)
        if found is None:
            return Work()
        task, progress = found
        return Work(
            running=True,
            task=task,
            phase=progress.phase,
            share=progress.share,
            done_bytes=progress.done_bytes,
            total_bytes=progress.total_bytes,
            bytes_per_second=progress.bytes_per_second,
            seconds_left=progress.seconds_left,
            road=progress.road,
        )

    def line(self, *, chinese: bool) -> LineState:
        """Return what the policy of the shared line means now."""
        return line_state(self._box, self._streamed_seconds(), chinese=chinese)

    def set_policy(self, key: str, text: str, *, chinese: bool) -> str:
        """Set a rule here and look at it at once; return why it was refused, or ""."""
        refused = set_policy(self._box, key, text, chinese=chinese)
        self._look()
        return refused

    def planned(self) -> Mapping[str, Any] | None:
        """Return what the last run planned to fetch."""
        found: Mapping[str, Any] | None = self._box.local.get(PLANNED)
        return found

    def sticks(self) -> tuple[Stick, ...]:
        """Return the sticks that are plugged in; none where nobody keeps them."""
        return self.keeper.sticks.shown if self.keeper is not None else ()

    def disk(self) -> DiskSpace:
        """Return the space of the content disk."""
        return self._box.disk()

    def _streamed_seconds(self) -> float | None:
        return self.keeper.streamed_seconds() if self.keeper is not None else None

    def _look(self) -> None:
        if self.keeper is not None:
            self.keeper.look()
