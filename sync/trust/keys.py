"""The hub's online keys: one Ed25519 key each for targets, snapshot, timestamp and the boxes' files.

Invariant: keys stand in `STATE/keys`, readable by the hub's user alone, and never in a tree. The root keys are not
among them: they live in the recovery file (`sync.trust.recovery`), so that whoever takes the hub cannot take the county.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]

from catalog.durable import make_directory, storage, write_file
from catalog.errors import ConfigError

ONLINE_ROLES = ("targets", "snapshot", "timestamp")
BOX_ROLE = "box"


@dataclass(frozen=True, slots=True, kw_only=True)
class HubKeys:
    """What the hub signs with, one signer per role; `box` signs the boxes' files and is named in the catalogue."""

    targets: CryptoSigner
    snapshot: CryptoSigner
    timestamp: CryptoSigner
    box: Ed25519PrivateKey

    @property
    def box_key(self) -> str:
        """The public half of `box`: 64 hex digits."""
        return self.box.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()

    def signer(self, role: str) -> CryptoSigner:
        """Return the signer of the TUF role `role`."""
        return {"targets": self.targets, "snapshot": self.snapshot, "timestamp": self.timestamp}[role]


def create_keys(directory: Path) -> HubKeys:
    """Make new online keys in `directory`, durably, and return them; keys that stand there are replaced."""
    storage(lambda: make_directory(directory, mode=0o700), directory)
    for role in (*ONLINE_ROLES, BOX_ROLE):
        pem = CryptoSigner.generate_ed25519().private_bytes
        path = directory / f"{role}.pem"
        storage(lambda path=path, pem=pem: write_file(path, pem, mode=0o600), path)  # type: ignore[misc]
    return load_keys(directory)


def load_keys(directory: Path) -> HubKeys:
    """Return the online keys in `directory`; raise `ConfigError` E-KEYS where one is missing or damaged."""
    online = {role: CryptoSigner(load_private_key(directory / f"{role}.pem")) for role in ONLINE_ROLES}
    return HubKeys(**online, box=load_private_key(directory / f"{BOX_ROLE}.pem"))


def load_private_key(path: Path) -> Ed25519PrivateKey:
    """Return the Ed25519 private key in the PEM file at `path`; raise `ConfigError` E-KEYS."""
    try:
        return read_private_key(path.read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError("E-KEYS", where=path, expected="Ed25519 PEM") from error


def read_private_key(pem: bytes) -> Ed25519PrivateKey:
    """Return the Ed25519 private key in `pem`; raise `ValueError` where it is none."""
    key = load_pem_private_key(pem, password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"not an Ed25519 key: {type(key).__name__}")
    return key
