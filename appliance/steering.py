"""A sync under way is steered: by the service over its standard input, or by the policy itself where a person runs it.

Invariant: whatever ends the steering side (a closed pipe, a killed service) ends the run too, cleanly: what came is
kept, and the run says E-PAUSED.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from appliance.box import Box
from appliance.policies import decision_of, policy_of
from catalog.errors import ShuxiangError
from sync.line.policy import Reason
from sync.line.rate import Governor

LOOK_SECONDS = 2.0
STOP = "stop"
NO_LIMIT = "0"

_log = logging.getLogger(__name__)


def rate_line(bytes_per_second: int | None) -> str:
    """Return the line that tells a governed sync its rate from now on."""
    return f"{bytes_per_second or NO_LIMIT}\n"


def read_rate(line: str) -> int | None:
    """Return the rate in a line, None for no limit; raise `ValueError` where it is no rate (`stop`, the end)."""
    return int(line) or None


@contextmanager
def steered_by_lines(lines: TextIO, governor: Governor) -> Iterator[None]:
    """Follow `lines` while the block runs: a rate in bytes a second (0: no limit) each; `stop` or the end stops."""

    def follow() -> None:
        for line in lines:
            try:
                governor.set_rate(read_rate(line))
            except ValueError:
                break
        governor.stop()

    # It may wait for a line for ever: nobody waits for it.
    threading.Thread(target=follow, name="steering", daemon=True).start()
    yield


@contextmanager
def steered_by_policy(box: Box, governor: Governor, sources: tuple[str, ...]) -> Iterator[None]:
    """Look at the policy every two seconds while the block runs: a pause and another rate hold at once."""
    ended = threading.Event()

    def follow() -> None:
        while not ended.wait(LOOK_SECONDS):
            try:
                found = decision_of(box, policy_of(box), by_hand=True, sources=sources)
            except ShuxiangError as error:
                _log.warning("%s", error)
                continue
            if found.reason is Reason.PAUSED:
                governor.stop()
                return
            if not found.allowed:
                # A budget that is used up refuses by itself, at the next byte; neighbours may still give.
                continue
            if found.bytes_per_second != governor.bytes_per_second:
                governor.set_rate(found.bytes_per_second)

    thread = threading.Thread(target=follow, name="steering", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
