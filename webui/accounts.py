"""The box's two accounts, teacher and technician: passwords hashed by werkzeug, unique per box, rate-limited login.

Invariant: no password is ever stored or logged in the clear, and none is published: a box makes its own when it is
set up. What is remembered against guessing stays in memory only. Werkzeug is loaded where a password is hashed: the
command line imports this module for its names.
"""

from __future__ import annotations

import secrets
import threading
from collections import deque
from functools import cache

from catalog.local import Local

ACCOUNTS = ("technician", "teacher")
SHORTEST = 8
FAILURES_ALLOWED = 5
WINDOW_SECONDS = 300.0
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
_EVERYWHERE = "everywhere"


def set_password(local: Local, account: str, password: str) -> None:
    """Keep the hash of a password; `account` is one of `ACCOUNTS`."""
    if account not in ACCOUNTS or len(password) < SHORTEST:
        raise ValueError(f"account of {ACCOUNTS} and at least {SHORTEST} characters")
    local.put(f"password:{account}", _hashed(password))


def make_password(local: Local, account: str) -> str | None:
    """Give the account a random password and return it, to be shown once; None where it has one already."""
    if local.get(f"password:{account}") is not None:
        return None
    password = "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(3))
    set_password(local, account, password)
    return password


def has_password(local: Local) -> bool:
    """Return whether anybody can log in."""
    return any(is_set(local, account) for account in ACCOUNTS)


def is_set(local: Local, account: str) -> bool:
    """Return whether the account has a password."""
    return local.get(f"password:{account}") is not None


def is_right_password(local: Local, account: str, password: str) -> bool:
    """Return whether the password is right, in the same time for an account that does not exist."""
    from werkzeug.security import check_password_hash

    stored = local.get(f"password:{account}") if account in ACCOUNTS else None
    right = check_password_hash(stored or _nobody(), password[:200])
    return right and stored is not None


@cache
def _nobody() -> str:
    return _hashed("nobody")


def _hashed(password: str) -> str:
    from werkzeug.security import generate_password_hash

    return generate_password_hash(password)


class LoginGate:
    """Refuses logins from an address, and from everywhere, after too many failures in five minutes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures: dict[str, deque[float]] = {}

    def is_open(self, address: str, now_seconds: float) -> bool:
        """Return whether `address` may try at the monotonic time `now_seconds`."""
        with self._lock:
            return (
                self._count(address, now_seconds) < FAILURES_ALLOWED
                and self._count(_EVERYWHERE, now_seconds) < 10 * FAILURES_ALLOWED
            )

    def failed(self, address: str, now_seconds: float) -> None:
        """Remember a failure."""
        with self._lock:
            if len(self._failures) > 1000:
                self._failures = {_EVERYWHERE: self._failures.get(_EVERYWHERE, deque())}
            for name in (address, _EVERYWHERE):
                self._failures.setdefault(name, deque(maxlen=100)).append(now_seconds)

    def _count(self, name: str, now_seconds: float) -> int:
        failures = self._failures.get(name)
        if not failures:
            return 0
        while failures and now_seconds - failures[0] > WINDOW_SECONDS:
            failures.popleft()
        return len(failures)
