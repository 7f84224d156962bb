"""What pages may ask of the box they run on, and what they need to know about it.

`appliance` fulfils `Operations`; pages never reach further. Invariant: every method returns quickly; what takes
time is started, and its state is read from `work()`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from catalog.stick import Stick


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What the box is doing now: work that runs (`task`), how far it is, and over which road; or none.

    `phase` and `road` are the stable words of `catalog.progress`; `share` 0 to 1, None where it is not known.
    """

    running: bool = False
    task: str = ""
    phase: str = ""
    share: float | None = None
    done_bytes: int = 0
    total_bytes: int = 0
    bytes_per_second: int | None = None
    seconds_left: int | None = None
    road: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskSpace:
    """Bytes of the content disk; `reserve_bytes` is kept free so that a full box can still delete."""

    total_bytes: int
    free_bytes: int
    reserve_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How this machine is reached on its network: `names` without `.local`, `addresses` as text, IPv4 first.

    `taken` maps each name that another machine has to an address of that one.
    """

    names: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    taken: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyField:
    """One rule of the shared line: `text` as it is set here ("": not here), else `inherited` from whom.

    `inherited_from` is `hub`, `config` or "" (the default); `switch`: the rule is yes or no (`true`, `false`).
    """

    key: str
    label: str
    text: str
    inherited: str
    inherited_from: str
    switch: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LineState:
    """What the policy means now: may the box sync, how fast at most (None: no limit), why, until when (None: open).

    `clock_ignored`: hours have no effect since no clock can be right. `used_bytes` of `budget_bytes` (None: no budget)
    went over the line this month. `on_hours[day * 24 + hour]`, Monday first, says how usual it is that the box is on.
    """

    allowed: bool
    bytes_per_second: int | None
    reason: str
    until: datetime | None
    clock_ignored: bool
    used_bytes: int
    budget_bytes: int | None
    fields: tuple[PolicyField, ...]
    on_hours: tuple[float, ...]


class Operations(Protocol):
    """The requests that pages pass on."""

    def sync_now(self) -> bool:
        """Start a sync; return False where one is already at work."""

    def request_resource(self, resource_id: str) -> None:
        """Keep a wish for a resource outside the subscription until the next sync."""

    def set_display_clock(self, shown: datetime) -> None:
        """Let the display clock show `shown` (aware) from now on."""

    def work(self) -> Work:
        """Return what is going on."""

    def disk(self) -> DiskSpace:
        """Return the space of the content disk."""

    def sync_for(self, hours: float) -> None:
        """Sync from now on for so many hours, whoever watches; a pause ends."""

    def pause(self, hours: float | None) -> None:
        """Fetch nothing for so many hours, None: until resumed."""

    def resume(self) -> None:
        """End a pause."""

    def line(self, *, chinese: bool) -> LineState:
        """Return what the policy of the shared line means now; the fields' labels in the page's language."""

    def set_policy(self, key: str, text: str, *, chinese: bool) -> str:
        """Set a rule here ("" gives it back); return the line that says why it was refused, or ""."""

    def planned(self) -> Mapping[str, Any] | None:
        """Return what the last run planned to fetch, as `box sync --dry-run --json` prints it; None before the first."""


def no_faults(language: str) -> tuple[str, ...]:
    """Return what a machine without a fault says."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxSettings:
    """What the pages are told when they start.

    `secret` keys the form tokens and the login session; `clock` returns the display time in the school's own
    zone, aware; `clock_mark` names the clock that it follows (`trusted`, `display` or `untrusted`). `reach` says under
    which names and addresses others find this box now; `sticks` returns those that are plugged in, the last one first,
    at once: every page asks. `faults` returns, in a language, a line for each thing that is wrong with the machine.
    """

    box_id: str
    name: str
    version: str
    secret: bytes = field(repr=False)
    package_port: int
    clock: Callable[[], datetime]
    clock_mark: Callable[[], str]
    blobs: Path
    reach: Callable[[], Reach] = Reach
    sticks: Callable[[], tuple[Stick, ...]] = tuple
    faults: Callable[[str], tuple[str, ...]] = field(default=no_faults)
