"""The one worker of the hub: takes the oldest waiting job, one at a time, and tells the pages how far it is.

Invariant: what the worker was doing when the power failed or the service stopped is done again from where the
session or the publication finds it; a job never ends in a state that its file does not show.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from catalog.errors import ShuxiangError
from catalog.progress import OnProgress, Progress
from webui.hub.jobs import FAILED, Failure, Job, Jobs

BUSY_SECONDS = 3.0

Work = Callable[[Job, OnProgress], None]


class Stopped(BaseException):
    """The worker was asked to let go of its job. Not an error: no handler of errors may swallow it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far a running job is: of the current phase, with the rate since it began. `blocked`: another run holds the hub."""

    phase: str = ""
    item: str = ""
    percent: float | None = None
    done: int = 0
    total: int = 0
    done_bytes: int = 0
    total_bytes: int = 0
    bytes_per_second: float = 0.0
    items_per_second: float = 0.0
    seconds_left: float | None = None
    blocked: bool = False


class Worker:
    """Runs jobs on its own thread; `work` is what to do for each state of `webui.hub.jobs.TO_DO`."""

    def __init__(self, jobs: Jobs, work: Mapping[str, Work]) -> None:
        self._jobs = jobs
        self._work = work
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._current = ""
        self._cancelled = ""
        self._gauge = Gauge()

    def start(self) -> None:
        """Begin, or begin again, to take jobs."""
        with self._condition:
            if self._stopping or (self._thread is not None and self._thread.is_alive()):
                self._condition.notify_all()
                return
            self._thread = threading.Thread(target=self._loop, name="hub-worker", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Let go of the running job at its next step and end the thread; the job goes on at the next start."""
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        if self._thread is not None:
            self._thread.join()

    def cancel(self, job_id: str) -> None:
        """Stop working on a job whose state the caller has changed, at its next step."""
        with self._condition:
            if self._current == job_id:
                self._cancelled = job_id

    def let_go(self, job_id: str) -> None:
        """Stop working on a job whose state the caller has changed, and return when that is so."""
        self.cancel(job_id)
        with self._condition:
            while self._current == job_id:
                self._condition.wait()

    def standing(self, job: Job) -> Standing | None:
        """Return how far `job` is, or None where it waits for others."""
        return self._gauge.standing() if self._current == job.id else None

    def _loop(self) -> None:
        while (job := self._next()) is not None:
            self._gauge = Gauge()
            busy = False
            try:
                self._work[job.state](job, self._tell)
            except Stopped:
                pass
            except ShuxiangError as error:
                busy = error.code == "E-BUSY"
                if not busy:
                    self._fail(job, error)
            except BaseException:
                # A mistake of ours: the job must not run again and again; the thread shows the mistake and ends.
                self._fail(job, ShuxiangError("E-INTERNAL", where=job.id))
                raise
            finally:
                self._done(busy)

    def _next(self) -> Job | None:
        with self._condition:
            while True:
                if self._stopping:
                    return None
                job = self._jobs.next()
                if job is not None:
                    self._current, self._cancelled = job.id, ""
                    return job
                self._condition.wait()

    def _done(self, busy: bool) -> None:
        with self._condition:
            if busy:
                self._gauge.blocked = True
                self._condition.wait(BUSY_SECONDS)
            self._current = ""
            self._condition.notify_all()

    def _tell(self, progress: Progress) -> None:
        if self._stopping or self._cancelled == self._current:
            raise Stopped
        self._gauge.tell(progress)

    def _fail(self, job: Job, error: ShuxiangError) -> None:
        failure = Failure(
            code=error.code, where=error.where, expected=error.expected, found=error.found, state=job.state
        )
        self._jobs.change(job.id, FAILED, only_from=frozenset((job.state,)), failure=failure)


class Gauge:
    """Turns the stream of progress of one job into what a person wants to know."""

    def __init__(self) -> None:
        self.blocked = False
        self._progress: Progress | None = None
        self._began = time.monotonic()
        self._first: Progress | None = None

    def tell(self, progress: Progress) -> None:
        """Note how far the job is."""
        if self._progress is None or progress.phase != self._progress.phase:
            self._began, self._first = time.monotonic(), progress
        self._progress = progress

    def standing(self) -> Standing:
        """Return how far the job is now."""
        progress, first = self._progress, self._first
        if progress is None or first is None:
            return Standing(blocked=self.blocked)
        seconds = max(time.monotonic() - self._began, 0.001)
        byte_rate = (progress.done_bytes - first.done_bytes) / seconds
        item_rate = (progress.done - first.done) / seconds
        left = None
        if progress.total_bytes and byte_rate > 0:
            left = (progress.total_bytes - progress.done_bytes) / byte_rate
        elif progress.total and item_rate > 0:
            left = (progress.total - progress.done) / item_rate
        return Standing(
            phase=progress.phase,
            item=progress.item,
            percent=_percent(progress),
            done=progress.done,
            total=progress.total,
            done_bytes=progress.done_bytes,
            total_bytes=progress.total_bytes,
            bytes_per_second=byte_rate,
            items_per_second=item_rate,
            seconds_left=left,
        )


def _percent(progress: Progress) -> float | None:
    if progress.total_bytes:
        return min(100.0, 100.0 * progress.done_bytes / progress.total_bytes)
    if progress.total:
        return min(100.0, 100.0 * progress.done / progress.total)
    return None
