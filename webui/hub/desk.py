"""What the worker does with a job in each state: scan a batch, take it in, publish, write a stick.

Invariant: each step ends with one durable change of the job; done twice, it comes to the same, since a scan writes
nothing, an ingest knows what it has taken, a publication without changes is the last release again, and an export adds
what is missing. A batch from a disk is read from the disk that it was chosen on, or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from catalog.errors import ContentError, RoadError, StorageError
from catalog.ingest.findings import WARNING
from catalog.library import Library
from catalog.progress import OnProgress
from webui.hub import findings
from webui.hub.findings import Found
from webui.hub.jobs import DONE, INGEST, PUBLISH, REVIEW, SCAN, UPLOAD, WRITE, Counts, Job, Jobs
from webui.hub.operations import HubOperations, IngestRequest
from webui.hub.stick_operations import StickOperations
from webui.hub.uploads import CONTENT
from webui.hub.worker import Work

SAMPLES = 12


class Desk:
    """Does the work of `jobs` by `operations`, and of sticks by `carrier`, where there is one.

    `filesystem_at` is that of `HubSettings`.
    """

    def __init__(
        self,
        jobs: Jobs,
        library: Library,
        operations: HubOperations,
        filesystem_at: Callable[[Path], str],
        carrier: StickOperations | None = None,
    ) -> None:
        self._jobs = jobs
        self._library = library
        self._operations = operations
        self._filesystem_at = filesystem_at
        self._carrier = carrier

    def work(self) -> Mapping[str, Work]:
        """Return what to do for each state."""
        return {SCAN: self.scan, INGEST: self.ingest, PUBLISH: self.publish, WRITE: self.write}

    def scan(self, job: Job, tell: OnProgress) -> None:
        """Look at a batch and leave its findings to staff."""
        self._check_disk(job)
        with self._operations.ingesting(self._request(job, dry_run=True), tell) as session:
            scan = session.scan()
        findings.keep(
            self._jobs.folder_of(job),
            Found(
                findings=scan.findings,
                folders=scan.folders,
                words=scan.unknown_words,
                samples=findings.samples_of(_lists(job, scan.lists), scan.rejected_rows, SAMPLES),
            ),
            scan.rejected_rows,
        )
        counts = Counts(
            rows=scan.rows,
            good=scan.resources,
            added=scan.new,
            known=scan.resources - scan.new,
            rejected=len(scan.rejected_rows),
            warnings=sum(finding.level == WARNING for finding in scan.findings),
            files=scan.files,
            bytes=scan.total_bytes,
        )
        self._jobs.change(job.id, REVIEW, only_from=frozenset((SCAN,)), counts=counts, failure=None)

    def ingest(self, job: Job, tell: OnProgress) -> None:
        """Take the good rows of a batch into the library."""
        self._check_disk(job)
        self._need_bundle(job)
        with self._operations.ingesting(self._request(job), tell) as session:
            result = session.run()
        found = Found(findings=(*result.rejected, *result.warnings))
        findings.keep(self._jobs.folder_of(job), found, result.rejected_rows)
        counts = Counts(
            rows=result.rows,
            good=result.added + result.changed + result.unchanged,
            added=result.added,
            changed=result.changed,
            unchanged=result.unchanged,
            rejected=len(result.rejected_rows),
            warnings=len(result.warnings),
        )
        done = self._jobs.change(job.id, DONE, only_from=frozenset((INGEST,)), counts=counts, failure=None)
        if done is not None and job.origin == UPLOAD:
            self._jobs.drop_files(done)

    def publish(self, job: Job, tell: OnProgress) -> None:
        """Sign and publish the library as it is."""
        done = self._operations.publish(tell)
        counts = Counts(
            new=done.new,
            release=done.release,
            added=done.added,
            changed=done.changed,
            gone=done.gone,
            bytes_new=done.bytes_new,
        )
        self._jobs.change(
            job.id,
            DONE,
            only_from=frozenset((PUBLISH,)),
            counts=counts,
            signed_at=done.signed_at.isoformat(timespec="seconds"),
            failure=None,
        )

    def write(self, job: Job, tell: OnProgress) -> None:
        """Write a stick and read it back."""
        if self._carrier is None:
            # A job of a hub that wrote sticks, found by one that does not.
            raise StorageError("E-STICK-ACCESS", where=job.name)
        done = self._carrier.write(job.source, job.bundles, job.boxes, tell)
        counts = Counts(
            release=done.release, files=done.blobs, bytes=done.size_bytes, bytes_new=done.written_bytes
        )
        self._jobs.change(job.id, DONE, only_from=frozenset((WRITE,)), counts=counts, failure=None)

    def _check_disk(self, job: Job) -> None:
        """Refuse what lies in the batch's place on another disk: the name is free again once the first is pulled out."""
        if not job.filesystem:
            return
        found = self._filesystem_at(Path(job.source))
        if not found:
            raise RoadError("E-PULLED", where=job.name)
        if found != job.filesystem:
            raise ContentError("E-STICK-CHANGED", where=job.name)

    def _need_bundle(self, job: Job) -> None:
        with self._library.reading() as reader:
            known = any(bundle.id == job.bundle for bundle in reader.bundles())
        if not known:
            self._operations.create_bundle(job.bundle, job.bundle_title or job.bundle)

    def _request(self, job: Job, *, dry_run: bool = False) -> IngestRequest:
        return IngestRequest(
            source=Path(job.source),
            sheet=Path(job.sheet) if job.sheet else None,
            bundle=job.bundle,
            licence=job.licence or None,
            dry_run=dry_run,
            work=self._jobs.folder_of(job) / "work",
            source_name=job.bundle if Path(job.source).name == CONTENT else None,
        )


def _lists(job: Job, names: tuple[str, ...]) -> list[Path]:
    """Return where the lists of a batch lie, as far as they are files of their own (not inside an archive)."""
    source = Path(job.source)
    if job.sheet:
        return [Path(job.sheet)]
    return [source / name for name in names] if source.is_dir() else []
