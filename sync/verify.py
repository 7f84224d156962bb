"""Every stored blob read again and compared with its name; what is damaged is fetched anew.

A damaged blob stays where it is until a whole one is here: a film with one bad sector still plays, and the door
replaces it in one step. The caller holds `STATE/lock`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from catalog.blobs import Blob, BlobStore
from catalog.errors import ContentError, RoadError, ShuxiangError, StorageError
from catalog.library import Library
from catalog.local import Local
from catalog.progress import OnProgress, Progress, silent
from sync.carry import Carrier
from sync.roads import RoadSettings
from sync.roads.road import blob_file
from sync.roads.staging import Staging

_TELL_BYTES = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyResult:
    """How many blobs were read, how many were damaged, how many are whole again, and what that cost the line."""

    checked: int
    damaged: int
    repaired: int
    fetched_bytes: int
    failure: ShuxiangError | None = None

    def damage(self) -> StorageError | None:
        """Return the refusal E-DAMAGED where damage remains; its place says what kept the repair from it."""
        remains = self.damaged - self.repaired
        return (
            StorageError("E-DAMAGED", expected=0, found=remains, where=self.failure or "")
            if remains
            else None
        )


def verify(
    library: Library,
    blobs: BlobStore,
    *,
    repair: Callable[[list[Blob]], Repair] | None = None,
    progress: OnProgress = silent,
) -> VerifyResult:
    """Read every blob that the library knows; hand the damaged ones to `repair` where one is given."""
    with library.reading() as reader:
        known = list(reader.blobs())
    total_bytes = sum(blob.size_bytes for blob in known)
    damaged: list[Blob] = []
    done_bytes = told_bytes = 0
    for number, blob in enumerate(known, start=1):
        if not blobs.verify(blob):
            damaged.append(blob)
        done_bytes += blob.size_bytes
        if done_bytes - told_bytes >= _TELL_BYTES or number == len(known):
            told_bytes = done_bytes
            progress(
                Progress(
                    phase="verify",
                    done=number,
                    total=len(known),
                    done_bytes=done_bytes,
                    total_bytes=total_bytes,
                )
            )
    mended = repair(damaged) if repair is not None and damaged else Repair()
    return VerifyResult(
        checked=len(known),
        damaged=len(damaged),
        repaired=mended.repaired,
        fetched_bytes=mended.fetched_bytes,
        failure=mended.failure,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """What a repair brought; `failure` is why something remains damaged."""

    repaired: int = 0
    fetched_bytes: int = 0
    failure: ShuxiangError | None = None


def repair_from(
    sources: tuple[str, ...], blobs: BlobStore, local: Local | None, settings: RoadSettings
) -> Callable[[list[Blob]], Repair]:
    """Return a repair that fetches damaged blobs whole over the roads to `sources`, in order."""

    def repair(damaged: list[Blob]) -> Repair:
        files = [blob_file(blob.sha256, blob.size_bytes) for blob in damaged]
        with (
            Staging(blobs.staging) as staging,
            closing(Carrier(sources, staging, settings, local)) as carrier,
        ):
            try:
                brought = carrier.bring(files, blobs.admit, lambda _: None)
            except (StorageError, RoadError, ContentError) as error:
                failure: ShuxiangError | None = error
                missed = len([blob for blob in damaged if not blobs.verify(blob)])
            else:
                missed = len(brought.missed)
                failure = brought.missed[-1].error if brought.missed else None
            return Repair(
                repaired=len(damaged) - missed,
                fetched_bytes=sum(carrier.received().values()),
                failure=failure,
            )

    return repair
