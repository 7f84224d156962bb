"""What outlives the hub: the recovery file with the root keys, and the passphrase that opens it.

The file is JSON; the keys in it are sealed by AES-256-GCM under a key that scrypt (RFC 7914) makes of the passphrase,
which stands on the printed sheet and nowhere else. The fingerprint of the root is bound in as associated data.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]

from catalog.errors import ConfigError
from catalog.resource import canonical_json
from sync.trust.heads import write_time
from sync.trust.keys import read_private_key

FORMAT = 1
# 32 MiB of memory and a tenth of a second here: a Pi can do it, a guesser can not do much of it.
SCRYPT_COST = 1 << 15
SCRYPT_BLOCK = 8
_MAX_COST = 1 << 20
# No letter or digit that looks like another on paper.
_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_GROUPS, _GROUP = 5, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What an opened recovery file holds."""

    name: str
    fingerprint: str
    root_signers: tuple[CryptoSigner, ...]


def new_passphrase() -> str:
    """Return a new passphrase of five groups of five characters (125 bits)."""
    groups = ("".join(secrets.choice(_ALPHABET) for _ in range(_GROUP)) for _ in range(_GROUPS))
    return "-".join(groups)


def seal_recovery(
    root_signers: Sequence[CryptoSigner], *, name: str, fingerprint: str, passphrase: str, now: datetime
) -> bytes:
    """Return the recovery file of the hub `name`: the root keys sealed under `passphrase`."""
    salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
    plain = canonical_json({"root": [signer.private_bytes.decode() for signer in root_signers]})
    key = _key(passphrase, salt, SCRYPT_COST, SCRYPT_BLOCK)
    fields = {
        "format": FORMAT,
        "name": name,
        "fingerprint": fingerprint,
        "created": write_time(now),
        "scrypt": {"n": SCRYPT_COST, "r": SCRYPT_BLOCK, "p": 1, "salt": _text(salt)},
        "nonce": _text(nonce),
        "sealed": _text(AESGCM(key).encrypt(nonce, plain, fingerprint.encode())),
    }
    return json.dumps(fields, ensure_ascii=False, indent=1).encode() + b"\n"


def open_recovery(data: bytes, passphrase: str) -> Recovery:
    """Return what the recovery file `data` holds; raise `ConfigError` E-PASSPHRASE, or E-STATE-VERSION if newer."""
    try:
        fields: dict[str, Any] = json.loads(data)
        if fields["format"] > FORMAT:
            raise ConfigError("E-STATE-VERSION", expected=f"<= {FORMAT}", found=fields["format"])
        scrypt = fields["scrypt"]
        if not 1 < scrypt["n"] <= _MAX_COST or scrypt["r"] != SCRYPT_BLOCK:
            raise ValueError("scrypt cost")
        key = _key(passphrase, _bytes(scrypt["salt"]), scrypt["n"], scrypt["r"])
        fingerprint = str(fields["fingerprint"])
        plain = AESGCM(key).decrypt(_bytes(fields["nonce"]), _bytes(fields["sealed"]), fingerprint.encode())
        keys = [read_private_key(pem.encode()) for pem in json.loads(plain)["root"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, InvalidTag) as error:
        raise ConfigError("E-PASSPHRASE", found=type(error).__name__) from error
    signers = tuple(CryptoSigner(key) for key in keys)
    return Recovery(name=str(fields["name"]), fingerprint=fingerprint, root_signers=signers)


def _key(passphrase: str, salt: bytes, cost: int, block: int) -> bytes:
    """Return the 256-bit key of `passphrase`; case, spaces and dashes in it do not count."""
    typed = "".join(c for c in passphrase.upper() if c.isalnum())
    return Scrypt(salt=salt, length=32, n=cost, r=block, p=1).derive(typed.encode())


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
