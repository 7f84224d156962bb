"""What the staff pages ask of the hub they run on, and what they need to know about it.

`appliance` fulfils `HubOperations`; pages never reach further. Invariant: whoever calls `ingesting`, `preview` or
`publish` is the one worker of `webui.hub.jobs` or `webui.hub.outlook`, never a request's own thread.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Protocol

from catalog.ingest.session import IngestSession
from catalog.progress import OnProgress
from catalog.stick import Stick
from webui.hub.card_operations import CardOperations
from webui.hub.stick_operations import StickOperations
from webui.operations import no_faults

MEDIA = (Path("/media"), Path("/run/media"), Path("/mnt"))
Tell = OnProgress
"""Called often while work goes on; may raise to end it: what is done so far stays, the next run goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestRequest:
    """One batch: where it lies, its list where that lies beside it, where its resources go, the licence of rows that name none (None: the hub's own).

    `source_name` stands for the folder's name in the ids of resources that have none: an upload's folder has no name.
    With `dry_run` nothing is written to the library.
    """

    source: Path
    sheet: Path | None
    bundle: str
    licence: str | None
    work: Path
    source_name: str | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleChange:
    """How a bundle of the next release differs from the last one. `samples` are titles of what is new or changed."""

    id: str
    title: str
    version: int
    resources: int
    added: int
    changed: int
    gone: int
    samples: tuple[str, ...] = ()
    gone_samples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What publishing now would do: `changed` is False where the last release says the same.

    `bytes_new`: bytes that the tree does not hold yet; `bytes_total`: the content of the whole release.
    """

    release: int
    changed: bool
    bundles: tuple[BundleChange, ...]
    bytes_new: int
    bytes_total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A release as it was signed; `new` is False where nothing had changed and the last one stands."""

    new: bool
    release: int
    signed_at: datetime
    added: int
    changed: int
    gone: int
    bytes_new: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseLine:
    """One release of the past. Counts are None, and `actor` is "", where they are not known."""

    release: int
    signed_at: datetime
    actor: str = ""
    added: int | None = None
    changed: int | None = None
    gone: int | None = None
    bytes_new: int | None = None


class HubOperations(Protocol):
    """The requests that pages pass on."""

    def create_bundle(self, bundle_id: str, title: str) -> None:
        """Add an empty bundle to the library; the next release names it."""

    def ingesting(self, request: IngestRequest, tell: Tell) -> AbstractContextManager[IngestSession]:
        """Hold the hub for one batch and give its session; raise `RoadError` E-BUSY where another run holds it."""

    def preview(self) -> Preview:
        """Return what publishing now would do; raise `RoadError` E-BUSY where another run holds the hub."""

    def publish(self, tell: Tell) -> Published:
        """Sign and publish the library as it is; raise `RoadError` E-BUSY where another run holds the hub."""

    def releases(self, limit: int) -> list[ReleaseLine]:
        """Return the last releases, newest first."""


class RecoveryWrong(Enum):
    """What does not agree with the recovery sheet and file that are here."""

    FILE = "file"
    SHEET = "sheet"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryStanding:
    """Whether the recovery sheet and file are still on the hub; `kept_at` and `kept_by`: who showed that they are kept."""

    has_sheet: bool
    has_file: bool
    kept_at: datetime | None = None
    kept_by: str = ""

    @property
    def is_waiting(self) -> bool:
        """Whether something that belongs elsewhere is still here."""
        return self.has_sheet or self.has_file


class RecoveryOperations(Protocol):
    """What the page of the recovery sheet passes on: the hub's root keys, sealed, and the paper that opens them."""

    def standing(self) -> RecoveryStanding:
        """Return where they are."""

    def sheet(self) -> bytes:
        """Return the sheet, a page of its own; raise `ShuxiangError` where it is here no more."""

    def file(self) -> bytes:
        """Return the recovery file; raise `ShuxiangError` where it is here no more."""

    def keep(self, file: bytes, group: str, actor: str) -> RecoveryWrong | None:
        """Remove both from the hub where the kept `file`, and the last `group` on the paper, are those that are here."""


def not_known(_: Path) -> str:
    """Return that nobody knows which filesystem a folder lies on."""
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSettings:
    """What the staff pages are told when they start.

    `uploads` is STATE/uploads; `clock` returns the time in the county's own zone, aware; `media` are the folders
    under which disks are mounted, found in `mounts` (proc(5), mountinfo). `sticks` returns those that the machine itself
    was told of when they were plugged in, with what is wrong with them; `filesystem_at` which one of them a folder lies
    on ("" none), the same whenever it is plugged in. `cards` writes cards (None: no such page).
    `faults` returns, in a language, a line for each thing that is wrong with the machine. `recovery` hands out the
    recovery sheet and file, `carrier` writes sticks (None: no such page).
    """

    hub_id: str
    name: str
    version: str
    secret: bytes = field(repr=False)
    uploads: Path
    blobs: Path
    licence: str
    clock: Callable[[], datetime]
    media: tuple[Path, ...] = MEDIA
    mounts: Path = Path("/proc/self/mountinfo")
    sticks: Callable[[], tuple[Stick, ...]] = tuple
    filesystem_at: Callable[[Path], str] = field(default=not_known)
    cards: CardOperations | None = None
    faults: Callable[[str], tuple[str, ...]] = field(default=no_faults)
    recovery: RecoveryOperations | None = None
    carrier: StickOperations | None = None
