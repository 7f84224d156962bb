"""The hub signs a head into its tree: targets, snapshot, and `timestamp.json` last, which is the commit point.

Invariants: a version that readers may have seen is never given to other bytes: new targets and snapshots count on
from whatever file stands in the tree, committed or left by a cut. Nothing is signed by a clock that can not be right,
since boxes would keep that time for ever.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from pathlib import Path

from catalog.clock import is_plausible
from catalog.durable import storage, write_file
from catalog.errors import ConfigError
from sync import tree
from sync.trust.ahead import Ahead
from sync.trust.heads import CurrentHead, current_head, read_time, signed_part, versions, write_time
from sync.trust.keys import HubKeys
from sync.trust.metadata import LEAST_LEFT, sign_snapshot, sign_targets, sign_timestamp

# A clock set back by less than this is corrected, not refused.
CLOCK_SLACK = timedelta(days=1)
# "Re-signed daily", for a service that looks a few times a day.
TIMESTAMP_AGE = timedelta(hours=20)


def signing_time(now: datetime, head: CurrentHead | None) -> datetime:
    """Return the time to sign with: `now`, never before the last signature; raise `ConfigError` E-CLOCK."""
    newest = head.signed_at if head else None
    if not is_plausible(now + CLOCK_SLACK, newest):
        expected = f">= {write_time(newest)}" if newest and newest > now else "a plausible date"
        raise ConfigError("E-CLOCK", expected=expected, found=write_time(now))
    return max(now, newest) if newest else now


def sign_head(
    public: Path, keys: HubKeys, head: CurrentHead | None, now: datetime, *, catalog: bytes
) -> None:
    """Make `catalog`, whose file stands in the tree `public`, the head; durable when this returns."""
    _sign(public, keys, head, now, catalog=catalog)


def renew(public: Path, keys: HubKeys, now: datetime) -> bool:
    """Sign the head in `public` again where a signature grows old, and return whether that was so.

    The timestamp is signed again after a day, snapshot and targets when less than 210 days are left. Call it daily.
    """
    head = current_head(public)
    if head is None:
        return False
    now = signing_time(now, head)
    if _left(public, tree.targets_path(head.head.targets), now) < LEAST_LEFT:
        _sign(
            public,
            keys,
            head,
            now,
            catalog=(public / tree.catalog_path(head.head.catalog_sha256)).read_bytes(),
        )
    elif _left(public, tree.snapshot_path(head.head.snapshot), now) < LEAST_LEFT:
        _sign(public, keys, head, now)
    elif now - head.signed_at >= TIMESTAMP_AGE or head.expires - now < LEAST_LEFT:
        _sign(public, keys, head, now, snapshot=head.head.snapshot)
    else:
        return False
    return True


def _sign(
    public: Path,
    keys: HubKeys,
    head: CurrentHead | None,
    now: datetime,
    *,
    catalog: bytes | None = None,
    snapshot: int = 0,
) -> None:
    """Sign from the lowest role that changes up: a new `catalog`, else a new snapshot, else for the `snapshot` given."""
    if catalog is None:
        assert head is not None
        catalog_sha256, targets = head.head.catalog_sha256, head.head.targets
    else:
        catalog_sha256 = hashlib.sha256(catalog).hexdigest()
        targets = max(versions(public, "targets"), default=0) + 1
        _write(public, tree.targets_path(targets), sign_targets(keys, targets, catalog, now))
    if not snapshot:
        signed = (public / tree.targets_path(targets)).read_bytes()
        snapshot = max(versions(public, "snapshot"), default=0) + 1
        _write(public, tree.snapshot_path(snapshot), sign_snapshot(keys, snapshot, signed, targets, now))
    signed = (public / tree.snapshot_path(snapshot)).read_bytes()
    version = head.timestamp + 1 if head else 1
    ahead = Ahead(targets=targets, catalog_sha256=catalog_sha256)
    _write(public, tree.TIMESTAMP, sign_timestamp(keys, version, signed, snapshot, now, ahead))


def _write(public: Path, path: str, data: bytes) -> None:
    storage(lambda: write_file(public / path, data), path)


def _left(public: Path, path: str, now: datetime) -> timedelta:
    return read_time(signed_part((public / path).read_bytes(), path)["expires"]) - now
