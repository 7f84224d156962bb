"""What pages may ask of the box they run on, and what they need to know about it.

`appliance` fulfils `Operations`; pages never reach further. Invariant: every method returns quickly; what takes
time is started, and its state is read from `work()`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What the box is doing now: a sync that runs, or none."""

    running: bool = False
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskSpace:
    """Bytes of the content disk; `reserve_bytes` is kept free so that a full box can still delete."""

    total_bytes: int
    free_bytes: int
    reserve_bytes: int


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


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxSettings:
    """What the pages are told when they start.

    `secret` keys the form tokens and the login session; `clock` returns the display time in the school's own
    zone, aware; `clock_mark` names the clock that it follows (`trusted`, `display` or `untrusted`).
    """

    box_id: str
    name: str
    version: str
    secret: bytes = field(repr=False)
    package_port: int
    clock: Callable[[], datetime]
    clock_mark: Callable[[], str]
    blobs: Path
