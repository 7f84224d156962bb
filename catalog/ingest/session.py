"""An ingest from the first look to the last row: `scan` says what would happen, `run` does it.

Commit points: the door of the blob store for bytes, then one library transaction for a batch of records, their
derivations and source stamps. A kill at any moment leaves whole records; the next run finds finished work by stamp and
hash and goes on. Memory is bounded by the window of drafts in work, not by the length of the list.
"""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from catalog.blobs import BlobStore, Staged
from catalog.errors import ContentError, UsageError
from catalog.ingest.archive import SOURCE_LIMITS, Archive
from catalog.ingest.drafts import Draft, DraftMaker, finding_of
from catalog.ingest.findings import ERROR, WARNING, Finding
from catalog.ingest.folder import folder_rules
from catalog.ingest.glance import Glance
from catalog.ingest.intake import Intake, Taken
from catalog.ingest.lists import LIST_SUFFIXES, has_header, is_unreadable, read_list
from catalog.ingest.locate import Locator
from catalog.ingest.outcome import IngestResult, Scan
from catalog.ingest.sniff import suffix_of
from catalog.ingest.sources import Source, SourceFile, source_of
from catalog.ingest.workplace import Workplace
from catalog.library import Library, Reader
from catalog.manifest import Bundle, is_bundle_id
from catalog.progress import OnProgress, Progress, silent
from catalog.resource import Resource

__all__ = ["DEFAULT_BUNDLE", "IngestResult", "IngestSession", "Scan"]

DEFAULT_BUNDLE = "main"
_WORKERS = 2
_WINDOW = 48
_BATCH_RECORDS = 400
_BATCH_BYTES = 256 << 20
_BATCH_SECONDS = 5.0
_NAMED_UNLISTED = 5
_T = TypeVar("_T")


@dataclass(slots=True)
class _Tally:
    """What has been done so far."""

    rows: int = 0
    added: int = 0
    changed: int = 0
    unchanged: int = 0


class IngestSession:
    """One ingest of `source` into `bundle`; close it (or use `with`)."""

    def __init__(
        self,
        library: Library,
        blobs: BlobStore,
        source: Path,
        sheet: Path | None,
        bundle: str = DEFAULT_BUNDLE,
        licence: str | None = None,
        default_state: str = "published",
        *,
        work: Path,
        progress: OnProgress = silent,
        source_name: str | None = None,
    ) -> None:
        """Open the source. `work` is a directory of our own on the filesystem of the blobs.

        `source_name` replaces the name of the folder or list in the ids of resources that have none. Raises `UsageError`
        E-SOURCE, `ContentError` E-ARCHIVE… where the whole source is refused.
        """
        if not is_bundle_id(bundle):
            raise UsageError("E-USAGE", where="--bundle", expected="[0-9a-z][0-9a-z._-]{0,63}", found=bundle)
        self._library = library
        self._blobs = blobs
        self._bundle = bundle
        self._licence = licence
        self._default_state = default_state
        self._progress = progress
        is_list = source.is_file() and source.suffix.lower() in LIST_SUFFIXES
        root = source.parent if is_list else source
        self._source: Source = source_of(root)
        self._work = Workplace(work)
        self._source_name = source_name or (source.stem if is_list else self._source.name)
        self._locator = Locator(self._source.files, self._source.name)
        try:
            self._lists = self._find_lists(source if is_list else sheet, root)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the source and delete the working files."""
        self._source.close()
        self._work.close()

    def __enter__(self) -> IngestSession:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def scan(self) -> Scan:
        """Open everything, keep nothing, and return what `run` would take and refuse.

        Raises as `run` does.
        """
        maker = self._maker()
        taken = new = bare = 0
        seen: set[str] = set()
        glance = Glance(self._library, self._source, self._work.new("scan-"))
        total = self._count()
        with closing(_ordered(glance.look, self._drafts(maker))) as work:
            for draft, problems in work:
                maker.findings += [finding for finding in problems if finding.level == WARNING]
                if errors := [finding for finding in problems if finding.level == ERROR]:
                    maker.reject(draft, errors)
                    continue
                taken += 1
                bare += not draft.wanted
                seen.update(item.file.path for item in draft.wanted if item.file)
                with self._library.reading() as reader:
                    new += not reader.numbers_of([draft.resource.id])
                self._progress(
                    Progress(
                        phase="scan",
                        done=taken + len(maker.rejected),
                        total=max(total, taken),
                        item=draft.label,
                    )
                )
        listed = {path for path, _, _ in self._lists}
        return Scan(
            rows=taken + len(maker.rejected),
            resources=taken,
            new=new,
            catalogue_only=bare,
            files=len(seen),
            total_bytes=sum(self._source.files[path].size_bytes for path in seen),
            lists=tuple(sorted(str(path) for path in listed)),
            findings=tuple(maker.findings),
            rejected_rows=tuple(maker.rejected),
            folders=() if self._lists else folder_rules(self._source.files),
            unknown_words=tuple((*word, count) for word, count in maker.words.seen.items()),
        )

    def run(self) -> IngestResult:
        """Take everything that can be taken, batch by batch; each batch is durable before the next begins.

        Raises `StorageError` where our disk refuses, `ConfigError` E-TOOL where a program is missing; what was
        taken until then stays.
        """
        maker = self._maker()
        intake = Intake(self._library, self._blobs, self._source, self._locator, self._work.new("run-"))
        total = self._count()
        total_bytes = sum(file.size_bytes for file in self._source.files.values())
        tally = _Tally()
        batch: list[Taken] = []
        since = time.monotonic()
        done_bytes = staged_bytes = 0
        with closing(_ordered(intake.take, self._drafts(maker))) as work:
            for taken in work:
                if taken.refused:
                    draft = taken.draft
                    for item in taken.staged:
                        item.path.unlink(missing_ok=True)
                    maker.reject(draft, [finding_of(taken.refused, sheet=draft.sheet, row=draft.row)])
                else:
                    maker.findings += [
                        replace(item, sheet=taken.draft.sheet, row=taken.draft.row) for item in taken.findings
                    ]
                    batch.append(taken)
                    staged_bytes += sum(item.blob.size_bytes for item in taken.staged)
                done_bytes += sum(item.file.size_bytes for item in taken.draft.wanted if item.file)
                tally.rows += 1
                late = time.monotonic() - since > _BATCH_SECONDS
                if len(batch) >= _BATCH_RECORDS or staged_bytes >= _BATCH_BYTES or late:
                    self._commit(batch, tally)
                    batch, staged_bytes = [], 0
                    since = time.monotonic()
                self._progress(
                    Progress(
                        phase="ingest",
                        done=tally.rows,
                        total=total,
                        done_bytes=done_bytes,
                        total_bytes=total_bytes,
                        item=taken.draft.label,
                    )
                )
        self._commit(batch, tally)
        return IngestResult(
            rows=tally.added + tally.changed + tally.unchanged + len(maker.rejected),
            added=tally.added,
            changed=tally.changed,
            unchanged=tally.unchanged,
            rejected=tuple(item for item in maker.findings if item.level == ERROR),
            warnings=tuple(item for item in maker.findings if item.level == WARNING),
            rejected_rows=tuple(maker.rejected),
        )

    def _maker(self) -> DraftMaker:
        return DraftMaker(
            locator=self._locator,
            files=self._source.files,
            source_name=self._source_name,
            licence=self._licence,
            default_state=self._default_state,
            findings=list(self._source.findings),
        )

    def _find_lists(self, sheet: Path | None, source: Path) -> tuple[tuple[str, Path, str], ...]:
        """Return the lists as (path in the source or name, readable file, folder its names start in)."""
        if sheet is not None:
            inside = self._source.files.get(sheet.as_posix())
            if inside and not sheet.is_file():
                return ((inside.path, self._local(inside), inside.path.rpartition("/")[0]),)
            if not sheet.is_file():
                raise UsageError("E-SOURCE", where=sheet)
            resolved = sheet.resolve()
            root = source.resolve()
            if resolved.is_relative_to(root) and root.is_dir():
                path = resolved.relative_to(root).as_posix()
                return ((path, resolved, path.rpartition("/")[0]),)
            return ((sheet.name, resolved, ""),)
        tops = [
            file
            for path, file in self._source.files.items()
            if "/" not in path and suffix_of(path) in LIST_SUFFIXES and file.size_bytes
        ]
        local = [(file.path, self._local(file), "") for file in tops]
        safe = [item for item in local if not _refused_list(item[1])]
        # Where no list can be read, one that cannot be opened is refused by name, never taken for a lesson.
        return tuple(item for item in safe if has_header(item[1])) or tuple(
            item for item in local if item not in safe or is_unreadable(item[1])
        )

    def _local(self, file: SourceFile) -> Path:
        """Return a copy of a list of the source, with its own name, below the work directory."""
        target = self._work.new("list-") / file.name
        with self._source.open(file) as stream, target.open("wb") as out:
            shutil.copyfileobj(stream, out, 1 << 20)
        return target

    def _drafts(self, maker: DraftMaker) -> Iterator[Draft]:
        if not self._lists:
            yield from maker.from_folder()
            return
        for name, path, beside in self._lists:
            problem = _refused_list(path)
            if problem:
                maker.findings.append(replace(problem, path=name))
                continue
            yield from maker.from_list(path, beside)
        left = maker.unlisted({name for name, _, _ in self._lists})
        # What a refused list names is not known: to call all files unlisted would only hide the reason.
        refused = any(item.level == ERROR and not item.row for item in maker.findings)
        if left and not refused:
            names = " | ".join(left[:_NAMED_UNLISTED]) + (" …" if len(left) > _NAMED_UNLISTED else "")
            maker.findings.append(
                Finding(code="E-FILE-UNLISTED", level=WARNING, found=f"{len(left)}: {names}")
            )

    def _count(self) -> int:
        if not self._lists:
            return len(self._source.files)
        readable = [path for _, path, _ in self._lists if not _refused_list(path)]
        return sum(1 for path in readable for _ in read_list(path, lambda _: None))

    def _commit(self, batch: list[Taken], tally: _Tally) -> None:
        """Let the bytes through the door, then write records, derivations and stamps in one transaction."""
        staged: dict[str, Staged] = {}
        for taken in batch:
            for item in taken.staged:
                if staged.setdefault(item.blob.sha256, item) is not item:
                    item.path.unlink(missing_ok=True)
        self._blobs.admit_hashed(list(staged.values()))
        changed: list[Resource] = []
        with self._library.reading() as reader:
            bundle_known = any(bundle.id == self._bundle for bundle in reader.bundles())
            for taken in batch:
                resource = self._settled(taken, reader, tally)
                if resource is not None:
                    changed.append(resource)
        stamps = [stamp for taken in batch for stamp in taken.sources]
        derivations = [derivation for taken in batch for derivation in taken.derivations]
        if not (changed or stamps or derivations or not bundle_known):
            return
        with self._library.writing() as writer:
            if not bundle_known:
                writer.put_bundle(Bundle(id=self._bundle, version=0, title=self._bundle, publisher=""))
            for file, sha256 in stamps:
                writer.put_source_file(file.key, file.size_bytes, file.stamp, sha256)
            for sha256, recipe, result in derivations:
                writer.put_derivation(sha256, recipe, result)
            for resource in changed:
                writer.put_resource(resource, self._bundle)

    def _settled(self, taken: Taken, reader: Reader, tally: _Tally) -> Resource | None:
        """Count the record as added, changed or unchanged, and return it where it must be written.

        Where the list says nothing of the state, a record whose rest is unchanged keeps the state that staff gave it.
        """
        resource = taken.resource
        entry = reader.resource(resource.id)
        if entry is None:
            tally.added += 1
            return resource
        known = entry.resource
        meaning = known.meaning_hash()
        if "state" not in taken.draft.said:
            same_but_state = replace(resource, state=known.state)
            if same_but_state.meaning_hash() == meaning:
                resource = same_but_state
        if resource.meaning_hash() == meaning and self._bundle in reader.bundles_of(entry.number):
            tally.unchanged += 1
            # Order and ranking mean nothing new, but a corrected order is followed; dates alone are not.
            return resource if _order(resource) != _order(known) else None
        tally.changed += 1
        return resource


def _ordered(work: Callable[[Draft], _T], drafts: Iterator[Draft]) -> Generator[_T, None, None]:
    """Yield what `work` makes of `drafts`, in their order, some at once and with a bounded number in work."""
    window: deque[Future[_T]] = deque()
    pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="ingest")
    try:
        for draft in drafts:
            window.append(pool.submit(work, draft))
            if len(window) >= _WINDOW:
                yield window.popleft().result()
        while window:
            yield window.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _order(resource: Resource) -> tuple[object, ...]:
    return (resource.quality, resource.lesson_no, resource.period_no)


def _refused_list(path: Path) -> Finding | None:
    """Return why a list is not even opened: a workbook is an archive, and may be a bomb."""
    with path.open("rb") as stream:
        if stream.read(4) != b"PK\x03\x04":
            return None
    try:
        with Archive(path, SOURCE_LIMITS):
            return None
    except ContentError as error:
        return finding_of(error, sheet="", row=0)
