"""The reading end of trust: what a box accepts from a road as the publisher's next head (TUF client, spec §5).

The only module that imports `tuf.ngclient`. Invariants: nothing reaches `trust/` that python-tuf's updater has not
accepted from the pinned root; no version ever goes below its floor, even where local files were lost; `trust/` is
laid out like a published tree and turns to a new head in one step, its `timestamp.json`, written last and durably.
The updater itself writes without fsync and reads the clock, so it works in a staging copy and is given the time.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from tuf.api import exceptions
from tuf.ngclient.config import UpdaterConfig
from tuf.ngclient.fetcher import FetcherInterface
from tuf.ngclient.updater import TargetFile, Updater  # type: ignore[attr-defined]

from catalog.durable import make_directory, storage, storage_error, write_file
from catalog.errors import ContentError, RoadError
from catalog.resource import is_sha256
from sync import tree
from sync.formats.release import MAX_CATALOG_BYTES, Release
from sync.trust.floors import Floors
from sync.trust.heads import (
    SIGNED_AT,
    Head,
    current_head,
    kept_heads,
    prune,
    read_time,
    signed_part,
    versions,
)
from sync.trust.pinned import MAX_ROOT_BYTES, PinnedRoot, beginning, check_json, pin_root, refusal

Fetch = Callable[[str, int], bytes]
"""`fetch(path, max_bytes)` returns the whole file at `path` of the source's tree. It raises `RoadError` E-ROAD-MISSING
where the source has no such file, `ContentError` E-SIZE where more than `max_bytes` come, other `RoadError`s as met.
A road that asks `timestamp.json` by `If-None-Match` answers a 304 with the bytes that `trust/` has."""

# A login page may be longer than the file that was asked for, and should still be known as one.
PORTAL_BYTES = 1 << 16
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ROLES = ("timestamp", "snapshot", "targets")
KEPT_RELEASES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedHead:
    """A head that the pinned root vouches for.

    `changed`: it is newer than what `trust/` holds (a new signature alone counts); whether there is something to
    fetch, `release.number` tells. `expired` can only be true for an unchanged head: report it and go on serving.
    `floors` and `signed_at` (the newest trusted time) are for the caller to keep. `files` are path -> bytes of the
    metadata and catalogue that `publish_head` will write.
    """

    release: Release
    changed: bool
    expired: bool
    floors: Floors
    signed_at: datetime
    expires: datetime
    files: Mapping[str, bytes]


def fetch_head(
    fetch: Fetch, *, fingerprint: str, trust_dir: Path, staging_dir: Path, now: datetime, floors: Floors
) -> AcceptedHead:
    """Fetch the source's head and return it once it is accepted; write nothing but a copy in `staging_dir`.

    `now` is the trusted time: the latest of the clock, the build and the newest signed time seen. An unchanged poll
    fetches `metadata/timestamp.json` alone. Raises `ContentError` E-SIGNATURE, E-ROLLBACK, E-EXPIRED, E-HASH, E-SIZE,
    E-CATALOG, E-VERSION, E-FINGERPRINT; `RoadError` as the road raises, E-NO-TREE where there is no tree, E-PORTAL,
    E-ROAD-SHORT and E-ROAD-DATA where no JSON came; `StorageError`. In each case `trust/` is as it was.
    """
    checked = _CheckedFetch(fetch)
    root = _pinned_root(checked, trust_dir, fingerprint)
    timestamp = checked.timestamp()
    held = read_head(trust_dir, fingerprint=fingerprint, staging_dir=staging_dir)
    if (
        held is not None
        and held.floors.raised_to(floors) == held.floors
        and timestamp == _read(trust_dir / tree.TIMESTAMP)
    ):
        return replace(held, expired=held.expires <= now)
    head = _refresh(checked, root, now=now, held_in=trust_dir, staging_dir=staging_dir)
    for name, floor in floors.to_json().items():
        version = getattr(head.floors, name)
        if version < floor:
            raise ContentError("E-ROLLBACK", where=name, expected=f">= {floor}", found=version)
    return head


def read_head(trust_dir: Path, *, fingerprint: str, staging_dir: Path) -> AcceptedHead | None:
    """Return the head that `trust/` holds, every signature checked again but no expiry; None where none is whole.

    A cut between a new root and the first timestamp under it leaves the head of the root before: that still counts.
    """
    data = _read(trust_dir / tree.PINNED_ROOT)
    if data is None or hashlib.sha256(data).hexdigest() != fingerprint:
        return None
    root = pin_root(data)
    for newest in sorted(versions(trust_dir, "root"), reverse=True):
        try:
            road = _CheckedFetch(_reader_of(trust_dir, newest))
            return _refresh(road, root, now=_EPOCH, held_in=None, staging_dir=staging_dir)
        except (ContentError, RoadError):
            continue
    return None


def release_of(fetch: Fetch, *, fingerprint: str, trust_dir: Path, staging_dir: Path) -> int:
    """Return the number of the release that a source has, every signature checked but no floor and no expiry.

    What it says is not accepted. Raises as `fetch_head`.
    """
    checked = _CheckedFetch(fetch)
    root = _pinned_root(checked, trust_dir, fingerprint)
    return _refresh(checked, root, now=_EPOCH, held_in=None, staging_dir=staging_dir).release.number


def publish_head(head: AcceptedHead, trust_dir: Path) -> None:
    """Make `head` the one that `trust/` holds, durably; `timestamp.json`, written last, is the commit point.

    The manifests that the release names must already stand in `trust/` if others are to read it as a tree. The head
    before stays beside it, for readers under way; older ones go.
    """
    storage(lambda: _publish(head, trust_dir), trust_dir)


class _CheckedFetch(FetcherInterface):
    """The road as python-tuf sees it: no body that is too long or not JSON gets past; the timestamp comes once."""

    def __init__(self, fetch: Fetch) -> None:
        self._road = fetch
        self._timestamp: bytes | None = None

    def timestamp(self) -> bytes:
        """Return the source's timestamp; raise `RoadError` E-NO-TREE where it has none."""
        if self._timestamp is None:
            try:
                self._timestamp = self.get(tree.TIMESTAMP, UpdaterConfig().timestamp_max_length)
            except RoadError as error:
                if error.code != "E-ROAD-MISSING":
                    raise
                raise RoadError("E-NO-TREE", where=error.where or tree.TIMESTAMP) from error
        return self._timestamp

    def get(self, path: str, max_bytes: int) -> bytes:
        """Return the JSON file at `path`."""
        data = self._road(path, max(max_bytes, PORTAL_BYTES))
        if len(data) > max_bytes and not beginning(data).startswith(b"<"):
            raise ContentError("E-SIZE", where=path, expected=f"<= {max_bytes}", found=len(data))
        check_json(data, path)
        return data

    def download_bytes(self, url: str, max_length: int) -> bytes:
        """Return the file `url` (a path in the tree) for the updater; a root that is not there ends its search."""
        if url == tree.TIMESTAMP:
            return self.timestamp()
        try:
            return self.get(url, max_length)
        except RoadError as error:
            name = tree.parse(url)
            if error.code == "E-ROAD-MISSING" and name is not None and name.kind == "root":
                raise exceptions.DownloadHTTPError(f"no {url}", 404) from error
            raise

    def _fetch(self, url: str) -> Iterator[bytes]:
        yield self.download_bytes(url, MAX_CATALOG_BYTES)


def _reader_of(trust_dir: Path, newest_root: int) -> Fetch:
    """Return a road to our own `trust/` on which no root after `newest_root` is there yet."""

    def read(path: str, max_bytes: int) -> bytes:
        name = tree.parse(path)
        hidden = name is not None and name.kind == "root" and (name.version or 0) > newest_root
        data = None if hidden else _read(trust_dir / path)
        if data is None:
            raise RoadError("E-ROAD-MISSING", where=path)
        return data

    return read


def _pinned_root(fetch: _CheckedFetch, trust_dir: Path, fingerprint: str) -> PinnedRoot:
    data = _read(trust_dir / tree.PINNED_ROOT)
    if data is not None and hashlib.sha256(data).hexdigest() == fingerprint:
        return pin_root(data)
    try:
        data = fetch.get(tree.PINNED_ROOT, MAX_ROOT_BYTES)
    except RoadError as error:
        if error.code != "E-ROAD-MISSING":
            raise
        raise RoadError("E-NO-TREE", where=error.where or tree.PINNED_ROOT) from error
    return pin_root(data, fingerprint)


def _refresh(
    fetch: _CheckedFetch, root: PinnedRoot, *, now: datetime, held_in: Path | None, staging_dir: Path
) -> AcceptedHead:
    """Run python-tuf's updater over `fetch`, starting from what `held_in` holds (None: from the root alone)."""
    work = staging_dir / "trust"
    try:
        storage(lambda: _stage(held_in, work), work)
        try:
            updater = Updater(str(work), "metadata/", fetcher=fetch, bootstrap=root.data)
            # The updater has no way in for the time but this attribute: a test guards it against new versions.
            updater._trusted_set.reference_time = now
            updater.refresh()
            target = updater.get_targetinfo(tree.CATALOG_TARGET)
        except exceptions.RepositoryError as error:
            raise refusal(error, tree.TIMESTAMP) from error
        except OSError as error:
            raise storage_error(error, work) from error
        if target is None:
            raise ContentError("E-CATALOG", where="targets", expected=tree.CATALOG_TARGET, found="nothing")
        return _accepted(fetch, target, work, held_in)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _stage(held_in: Path | None, work: Path) -> None:
    """Lay out in `work` what `held_in` holds, as the updater wants to find it."""
    shutil.rmtree(work, ignore_errors=True)
    (work / "root_history").mkdir(parents=True)
    if held_in is None:
        return
    for version in versions(held_in, "root"):
        shutil.copyfile(held_in / tree.root_path(version), work / "root_history" / f"{version}.root.json")
    if (timestamp := _read(held_in / tree.TIMESTAMP)) is not None:
        (work / "timestamp.json").write_bytes(timestamp)
    if (head := _current(held_in)) is not None:
        shutil.copyfile(held_in / tree.snapshot_path(head.snapshot), work / "snapshot.json")
        shutil.copyfile(held_in / tree.targets_path(head.targets), work / "targets.json")


def _accepted(fetch: _CheckedFetch, target: TargetFile, work: Path, held_in: Path | None) -> AcceptedHead:
    """Return the head that the updater left in `work`, with its catalogue, which is fetched where it is not held."""
    data = {role: (work / f"{role}.json").read_bytes() for role in _ROLES}
    signed = {role: signed_part(data[role], f"{role}.json") for role in _ROLES}
    number = {role: int(signed[role]["version"]) for role in _ROLES}
    # `root.json` is the updater's link to the last root of the chain it walked.
    roots = int(signed_part((work / "root.json").read_bytes(), "root.json")["version"])
    catalog, path = _catalog(fetch, target, held_in)
    release = Release.from_bytes(catalog)
    try:
        signed_at = read_time(signed["timestamp"][SIGNED_AT])
        expires = min(read_time(part["expires"]) for part in signed.values())
    except (KeyError, ValueError) as error:
        raise ContentError("E-CATALOG", where=tree.TIMESTAMP, expected=SIGNED_AT, found="nothing") from error
    files: dict[str, bytes] = {}
    if held_in is not None:
        for version in range(1, roots + 1):
            files[tree.root_path(version)] = (work / "root_history" / f"{version}.root.json").read_bytes()
        files[tree.targets_path(number["targets"])] = data["targets"]
        files[tree.snapshot_path(number["snapshot"])] = data["snapshot"]
        files[path] = catalog
        files[tree.TIMESTAMP] = data["timestamp"]
        files = {name: content for name, content in files.items() if _read(held_in / name) != content}
    return AcceptedHead(
        release=release,
        changed=bool(files),
        expired=False,
        floors=Floors(root=roots, release=release.number, **number),
        signed_at=signed_at,
        expires=expires,
        files=files,
    )


def _catalog(fetch: _CheckedFetch, target: TargetFile, held_in: Path | None) -> tuple[bytes, str]:
    sha256 = target.hashes.get("sha256", "")
    if not is_sha256(sha256) or target.length > MAX_CATALOG_BYTES:
        raise ContentError(
            "E-CATALOG", where=tree.CATALOG_TARGET, expected="sha256", found=str(target.hashes)[:80]
        )
    path = tree.catalog_path(sha256)
    held = _read(held_in / path) if held_in else None
    if held is not None and _is_target(target, held):
        return held, path
    data = fetch.get(path, target.length)
    if not _is_target(target, data):
        raise ContentError("E-HASH", where=path, expected=sha256, found=hashlib.sha256(data).hexdigest())
    return data, path


def _is_target(target: TargetFile, data: bytes) -> bool:
    try:
        target.verify_length_and_hashes(data)
    except exceptions.LengthOrHashMismatchError:
        return False
    return True


def _publish(head: AcceptedHead, trust_dir: Path) -> None:
    for path, data in head.files.items():
        if path != tree.TIMESTAMP:
            _write(trust_dir, path, data)
    if tree.TIMESTAMP in head.files:
        _write(trust_dir, tree.TIMESTAMP, head.files[tree.TIMESTAMP])
    prune(trust_dir, kept_heads(trust_dir, KEPT_RELEASES))


def _current(trust_dir: Path) -> Head | None:
    try:
        current = current_head(trust_dir)
    except ContentError:
        return None
    return current.head if current else None


def _write(trust_dir: Path, path: str, data: bytes) -> None:
    place = trust_dir / path
    make_directory(place.parent)
    write_file(place, data)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise storage_error(error, path) from error
