"""The writing end of trust: TUF metadata as bytes, made of keys, versions and `now` (pure; spec §4).

Invariants: consistent snapshots; the only target is `catalog.json`; root is signed by 2 of 3 keys that are kept
offline; each file names the next by version, length and hash, so that no two states can be mixed. Lifetimes are
long, because a stick may need a summer: see `docs/adr/0010-trust-by-tuf.md`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]
from tuf.api.metadata import (  # type: ignore[attr-defined]
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization.json import JSONSerializer

from catalog.errors import ConfigError
from sync.tree import CATALOG_TARGET
from sync.trust.ahead import AHEAD, Ahead
from sync.trust.heads import SIGNED_AT, write_time
from sync.trust.keys import ONLINE_ROLES, HubKeys

ROOT_KEYS = 3
ROOT_THRESHOLD = 2
ROOT_LIFETIME = timedelta(days=3653)
TARGETS_LIFETIME = timedelta(days=400)
SNAPSHOT_LIFETIME = timedelta(days=250)
TIMESTAMP_LIFETIME = timedelta(days=220)
# Whoever fetches a head has at least this long to carry it on.
LEAST_LEFT = timedelta(days=210)


def new_root_signers() -> list[CryptoSigner]:
    """Return three new root keys."""
    return [CryptoSigner.generate_ed25519() for _ in range(ROOT_KEYS)]


def sign_first_root(root_signers: Sequence[CryptoSigner], keys: HubKeys, now: datetime) -> bytes:
    """Return `1.root.json`: who may sign what, signed by every root key."""
    return _signed_root(1, root_signers, keys, now)


def sign_next_root(
    previous: bytes, root_signers: Sequence[CryptoSigner], keys: HubKeys, now: datetime
) -> bytes:
    """Return the root after `previous`, for the online keys `keys`, signed by the same root keys.

    Boxes look for the next root only when the timestamp changes: sign a new timestamp after it is published.
    Raises `ConfigError` E-KEYS where `root_signers` are not the keys of `previous`.
    """
    old = Metadata[Root].from_bytes(previous).signed
    known = set(old.roles[Root.type].keyids)
    if not {signer.public_key.keyid for signer in root_signers} <= known:
        raise ConfigError("E-KEYS", where="root", expected=", ".join(sorted(known))[:80])
    return _signed_root(old.version + 1, root_signers, keys, now)


def sign_targets(keys: HubKeys, version: int, catalog: bytes, now: datetime) -> bytes:
    """Return targets metadata that names `catalog` as the one target."""
    target = TargetFile(len(catalog), {"sha256": hashlib.sha256(catalog).hexdigest()}, CATALOG_TARGET)
    signed = Targets(version=version, expires=_end(now, TARGETS_LIFETIME), targets={CATALOG_TARGET: target})
    return _sign(Metadata(signed), keys.targets)


def sign_snapshot(keys: HubKeys, version: int, targets: bytes, targets_version: int, now: datetime) -> bytes:
    """Return snapshot metadata that names the targets metadata `targets`."""
    meta = {"targets.json": _meta_file(targets, targets_version)}
    signed = Snapshot(version=version, expires=_end(now, SNAPSHOT_LIFETIME), meta=meta)
    return _sign(Metadata(signed), keys.snapshot)


def sign_timestamp(
    keys: HubKeys,
    version: int,
    snapshot: bytes,
    snapshot_version: int,
    now: datetime,
    ahead: Ahead | None = None,
) -> bytes:
    """Return timestamp metadata that names the snapshot metadata `snapshot` and says when it was signed.

    `ahead`: what the snapshot leads to, for a box to ask for at once.
    """
    fields: dict[str, Any] = {SIGNED_AT: write_time(now)}
    if ahead is not None:
        fields[AHEAD] = ahead.to_json()
    signed = Timestamp(
        version=version,
        expires=_end(now, TIMESTAMP_LIFETIME),
        snapshot_meta=_meta_file(snapshot, snapshot_version),
        unrecognized_fields=fields,
    )
    return _sign(Metadata(signed), keys.timestamp)


def _signed_root(version: int, signers: Sequence[CryptoSigner], keys: HubKeys, now: datetime) -> bytes:
    root = Root(version=version, expires=_end(now, ROOT_LIFETIME), consistent_snapshot=True)
    for signer in signers:
        root.add_key(signer.public_key, Root.type)
    root.roles[Root.type].threshold = ROOT_THRESHOLD
    for role in ONLINE_ROLES:
        root.add_key(keys.signer(role).public_key, role)
    return _sign(Metadata(root), *signers)


def _sign(metadata: Metadata[Any], *signers: CryptoSigner) -> bytes:
    for signer in signers:
        metadata.sign(signer, append=True)
    return metadata.to_bytes(JSONSerializer(compact=True))


def _meta_file(data: bytes, version: int) -> MetaFile:
    return MetaFile(version=version, length=len(data), hashes={"sha256": hashlib.sha256(data).hexdigest()})


def _end(now: datetime, lifetime: timedelta) -> datetime:
    return (now + lifetime).replace(microsecond=0)
