"""A hub comes into being: its keys, its root, its recovery file and the sheet to print.

Invariant: `public/metadata/1.root.json`, written last, is the commit point. A cut before it leaves a hub that is not
there yet, and the next `initialise` starts again with new keys; after it nothing is ever made anew.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from catalog.clock import BUILT
from catalog.durable import make_directory, storage, write_file
from catalog.errors import ConfigError
from sync import tree
from sync.trust.keys import create_keys
from sync.trust.metadata import new_root_signers, sign_first_root
from sync.trust.recovery import new_passphrase, seal_recovery
from sync.trust.sheet import render_sheet

RECOVERY_NAME = "recovery.json"
SHEET_NAME = "sheet.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class HubIdentity:
    """Who the new hub is. `passphrase` stands on the sheet and here, and is kept nowhere else."""

    name: str
    fingerprint: str
    root_path: Path
    recovery_path: Path
    sheet_path: Path
    passphrase: str


def initialise(state: Path, *, name: str, now: datetime) -> HubIdentity:
    """Make the hub `name` in `state` and return who it is.

    Writes `keys/`, `recovery/` and `public/metadata/1.root.json`. Raises `ConfigError` E-STATE-EXISTS where there is
    a hub already, E-CLOCK where the clock is before the build; `StorageError`.
    """
    if now < BUILT:
        raise ConfigError("E-CLOCK", expected=f">= {BUILT:%Y-%m-%d}", found=f"{now:%Y-%m-%d}")
    root_path = state / "public" / tree.PINNED_ROOT
    if root_path.exists():
        raise ConfigError("E-STATE-EXISTS", where=state)
    keys = create_keys(state / "keys")
    root_signers = new_root_signers()
    root = sign_first_root(root_signers, keys, now)
    fingerprint = hashlib.sha256(root).hexdigest()
    passphrase = new_passphrase()
    sealed = seal_recovery(root_signers, name=name, fingerprint=fingerprint, passphrase=passphrase, now=now)
    sheet = render_sheet(name=name, fingerprint=fingerprint, passphrase=passphrase, now=now)
    identity = HubIdentity(
        name=name,
        fingerprint=fingerprint,
        root_path=root_path,
        recovery_path=state / "recovery" / RECOVERY_NAME,
        sheet_path=state / "recovery" / SHEET_NAME,
        passphrase=passphrase,
    )

    def write() -> None:
        make_directory(state / "recovery", mode=0o700)
        make_directory(root_path.parent)
        for directory in (root_path.parent, root_path.parent.parent):
            directory.chmod(0o755)
        write_file(identity.recovery_path, sealed, mode=0o600)
        write_file(identity.sheet_path, sheet.encode(), mode=0o600)
        write_file(root_path, root)

    storage(write, state)
    return identity


def made_before(state: Path, *, name: str) -> HubIdentity | None:
    """Return who the hub in `state` is where `initialise` has ended; its passphrase stands on the sheet alone.

    For whoever goes on after a cut between `initialise` and what comes after it.
    """
    root_path = state / "public" / tree.PINNED_ROOT
    if not root_path.exists():
        return None
    return HubIdentity(
        name=name,
        fingerprint=fingerprint_of(state),
        root_path=root_path,
        recovery_path=state / "recovery" / RECOVERY_NAME,
        sheet_path=state / "recovery" / SHEET_NAME,
        passphrase="",
    )


def fingerprint_of(state: Path) -> str:
    """Return the fingerprint of the hub in `state`; raise `ConfigError` E-STATE-MISSING where there is none."""
    try:
        return hashlib.sha256((state / "public" / tree.PINNED_ROOT).read_bytes()).hexdigest()
    except FileNotFoundError as error:
        raise ConfigError("E-STATE-MISSING", where=state) from error
