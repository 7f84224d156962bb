"""Who a box is: an Ed25519 key made once; its id is the start of the hash of the public half (DESIGN 5.3)."""

from __future__ import annotations

import hashlib
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from catalog.durable import write_file
from catalog.errors import ConfigError

ID_DIGITS = 32


def create_identity(path: Path) -> str:
    """Make a new key at `path`, readable by its owner alone, and return the id."""
    key = Ed25519PrivateKey.generate()
    write_file(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), mode=0o600)
    return _identity(key)


def read_identity(path: Path) -> str:
    """Return the id of the key at `path`: 32 hex digits; raise `ConfigError` E-KEYS where there is none."""
    return _identity(read_key(path))


def read_key(path: Path) -> Ed25519PrivateKey:
    """Return the key at `path`; raise `ConfigError` E-KEYS where there is none."""
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError) as error:
        raise ConfigError("E-KEYS", where=path) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError("E-KEYS", where=path, expected="Ed25519")
    return key


def _identity(key: Ed25519PrivateKey) -> str:
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return hashlib.sha256(public).hexdigest()[:ID_DIGITS]
