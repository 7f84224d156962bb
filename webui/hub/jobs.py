"""Batches and publications as jobs: what each one is, where it stands, kept in a file that is true after a restart.

Invariant: `UPLOADS/<job id>/job.json` is the only truth about a job, replaced durably at each change of state. SCAN,
INGEST, PUBLISH and WRITE mean "waiting or running": whoever starts the hub again only has to go on with them.
"""

from __future__ import annotations

import json
import secrets
import shutil
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from catalog import durable

RECEIVING = "receiving"
SCAN = "scan"
REVIEW = "review"
INGEST = "ingest"
PUBLISH = "publish"
WRITE = "write"
DONE = "done"
CLOSED = "closed"
FAILED = "failed"

TO_DO = frozenset((SCAN, INGEST, PUBLISH, WRITE))
ENDED = frozenset((DONE, CLOSED))
UPLOAD = "upload"
DISK = "disk"
BATCH = "batch"
RELEASE = "release"
STICK = "stick"
_FILE = "job.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a job stopped: the refusal's code and values, and the state in which to try again."""

    code: str
    where: str = ""
    expected: str = ""
    found: str = ""
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What a job came to. Of a scanned batch `known` resources are in the library already; `release` and what follows
    is of a publication, which is `new` unless nothing had changed. A stick holds `files` of `bytes` at a `release`, of
    which `bytes_new` were written."""

    rows: int = 0
    good: int = 0
    rejected: int = 0
    warnings: int = 0
    files: int = 0
    bytes: int = 0
    known: int = 0
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    release: int = 0
    new: bool = False
    gone: int = 0
    bytes_new: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One batch of content (`kind` BATCH), one publication (RELEASE) or one stick (STICK). Times are ISO 8601.

    Of a stick `source` is its key, `bundles` and `boxes` what was chosen for it (none: everything). Of a batch from a
    disk `filesystem` is the one that it was chosen on ("" not known).
    """

    id: str
    kind: str
    state: str
    name: str
    actor: str
    created: str
    changed: str
    origin: str = ""
    source: str = ""
    filesystem: str = ""
    sheet: str = ""
    bundle: str = ""
    bundle_title: str = ""
    licence: str = ""
    bundles: tuple[str, ...] = ()
    boxes: tuple[str, ...] = ()
    accepted: bool = False
    refused_names: tuple[str, ...] = ()
    counts: Counts | None = None
    signed_at: str = ""
    failure: Failure | None = None

    @property
    def waiting_or_running(self) -> bool:
        return self.state in TO_DO


class Jobs:
    """All jobs under `folder`, newest first. Threads may share it."""

    def __init__(self, folder: Path, clock: Callable[[], datetime]) -> None:
        self.folder = folder
        self.clock = clock
        self._lock = threading.RLock()
        durable.make_directory(folder)
        self._jobs = {job.id: job for path in folder.iterdir() if (job := _read(path / _FILE))}

    def all(self) -> list[Job]:
        """Return all jobs, newest first."""
        with self._lock:
            return sorted(self._jobs.values(), key=lambda job: (job.created, job.id), reverse=True)

    def get(self, job_id: str) -> Job | None:
        """Return the job of that id."""
        with self._lock:
            return self._jobs.get(job_id)

    def folder_of(self, job: Job) -> Path:
        """Return the job's own folder."""
        return self.folder / job.id

    def create(self, kind: str, state: str, *, name: str, actor: str, **values: Any) -> Job:
        """Make a new job, durably."""
        now = self.clock()
        stamp = now.isoformat(timespec="seconds")
        job = Job(
            id=f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}",
            kind=kind, state=state, name=name, actor=actor, created=stamp, changed=stamp, **values,
        )  # fmt: skip
        with self._lock:
            durable.storage(lambda: durable.make_directory(self.folder / job.id), self.folder)
            return self._keep(job)

    def change(
        self, job_id: str, state: str, *, only_from: frozenset[str] | None = None, **values: Any
    ) -> Job | None:
        """Bring a job into `state`, durably; return None where it is gone or not in a state of `only_from`."""
        with self._lock:
            job = self._jobs.get(job_id)
            if job is None or (only_from is not None and job.state not in only_from):
                return None
            stamp = self.clock().isoformat(timespec="seconds")
            return self._keep(replace(job, state=state, changed=stamp, **values))

    def next(self) -> Job | None:
        """Return the oldest job that waits for the worker."""
        waiting = [job for job in self.all() if job.waiting_or_running]
        return waiting[-1] if waiting else None

    def drop_files(self, job: Job) -> None:
        """Delete what was uploaded for the job and its work files; its record and its findings stay."""
        for name in ("content", "parts", "work"):
            shutil.rmtree(self.folder_of(job) / name, ignore_errors=True)

    def tidy(self) -> None:
        """Delete the files of ended jobs that a cut left behind: a job ends first, then its files go."""
        for job in self.all():
            if job.state in ENDED:
                self.drop_files(job)

    def forget(self, job: Job) -> None:
        """Remove a job that never came to be, with all its files."""
        with self._lock:
            self._jobs.pop(job.id, None)
        shutil.rmtree(self.folder_of(job), ignore_errors=True)

    def _keep(self, job: Job) -> Job:
        # Escaped: where a disk is mounted may be no text.
        data = json.dumps(asdict(job), indent=1).encode()
        path = self.folder / job.id / _FILE
        durable.storage(lambda: durable.write_file(path, data, mode=0o600), path)
        self._jobs[job.id] = job
        return job


def _read(path: Path) -> Job | None:
    try:
        data = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    failure, counts = data.pop("failure"), data.pop("counts")
    data |= {name: tuple(data.get(name, ())) for name in ("refused_names", "bundles", "boxes")}
    return Job(
        **data,
        failure=Failure(**failure) if failure else None,
        counts=Counts(**counts) if counts else None,
    )
