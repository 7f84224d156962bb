"""Who may use the staff pages: passwords, sessions, and the limit on guessing.

Invariant: no password and no session secret is stored, only their hashes (werkzeug's scrypt; SHA-256 of 256 random
bits). A session ends at its time, at log-out, or when its user's password changes; a restart does not end it.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta

from catalog.local import Local

FIRST_USER = "admin"
SESSION_TIME = timedelta(hours=10)
PASSWORD_MINIMUM = 8
_USERS = "hub.users"
_SESSIONS = "hub.sessions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A logged-in browser. `key` binds the form tokens of this session and is no secret of the cookie."""

    user: str
    key: str


def set_password(local: Local, user: str, password: str) -> None:
    """Give `user` a password and end the user's sessions."""
    users = local.get(_USERS, {})
    sessions = local.get(_SESSIONS, {})
    local.put_all(
        {
            _USERS: {**users, user: _hash(password)},
            _SESSIONS: {key: value for key, value in sessions.items() if value["user"] != user},
        }
    )


def check_password(local: Local, user: str, password: str) -> bool:
    """Return whether this is the user's password; an unknown user takes as long as a known one."""
    # A command that asks for no password has no use for werkzeug, which takes a fifth of a second.
    from werkzeug.security import check_password_hash

    stored = local.get(_USERS, {}).get(user)
    right = check_password_hash(stored or _nobody(), password)
    return right and stored is not None


def new_password() -> str:
    """Return a password for a person to copy from paper: 12 letters and digits in threes, none that look alike."""
    alphabet = "abcdefghjkmnpqrstuvwxyz23456789"
    letters = [secrets.choice(alphabet) for _ in range(12)]
    return "-".join("".join(letters[place : place + 3]) for place in range(0, 12, 3))


class Sessions:
    """The sessions of all browsers, kept in `local.db`."""

    def __init__(self, local: Local) -> None:
        self._local = local
        self._lock = threading.Lock()

    def begin(self, user: str, now: datetime) -> str:
        """Open a session and return the value of its cookie."""
        cookie = secrets.token_urlsafe(32)
        with self._lock:
            sessions = self._alive(now)
            sessions[_digest(cookie)] = {"user": user, "until": (now + SESSION_TIME).isoformat()}
            self._local.put(_SESSIONS, sessions)
        return cookie

    def find(self, cookie: str, now: datetime) -> Session | None:
        """Return the session of a cookie, or None where there is none or it is over."""
        if not cookie:
            return None
        digest = _digest(cookie)
        found = self._local.get(_SESSIONS, {}).get(digest)
        if found is None or datetime.fromisoformat(found["until"]) <= now:
            return None
        return Session(user=found["user"], key=digest)

    def end(self, session: Session, now: datetime) -> None:
        """End a session."""
        with self._lock:
            sessions = self._alive(now)
            sessions.pop(session.key, None)
            self._local.put(_SESSIONS, sessions)

    def _alive(self, now: datetime) -> dict[str, dict[str, str]]:
        stored: dict[str, dict[str, str]] = self._local.get(_SESSIONS, {})
        return {key: value for key, value in stored.items() if datetime.fromisoformat(value["until"]) > now}


class Guesses:
    """Counts failed log-ins and says when to wait: 5 from one address, 20 for one user, within ten minutes."""

    WINDOW_SECONDS = 600.0
    PER_ADDRESS = 5
    PER_USER = 20

    def __init__(self) -> None:
        self._failed: dict[str, list[float]] = {}
        self._lock = threading.Lock()

    def wait_seconds(self, address: str, user: str, at_seconds: float) -> float:
        """Return for how long no further attempt is heard; `at_seconds` is a monotonic time."""
        with self._lock:
            waits = []
            for key, limit in ((f"a{address}", self.PER_ADDRESS), (f"u{user}", self.PER_USER)):
                times = self._recent(key, at_seconds)
                if len(times) >= limit:
                    waits.append(times[-limit] + self.WINDOW_SECONDS - at_seconds)
            return max(waits, default=0.0)

    def failed(self, address: str, user: str, at_seconds: float) -> None:
        """Note a failed attempt."""
        with self._lock:
            for key in [key for key in self._failed if not self._recent(key, at_seconds)]:
                del self._failed[key]
            for key in (f"a{address}", f"u{user}"):
                self._failed.setdefault(key, []).append(at_seconds)

    def succeeded(self, address: str) -> None:
        """Forget the failures of an address that knew the password."""
        with self._lock:
            self._failed.pop(f"a{address}", None)

    def _recent(self, key: str, at_seconds: float) -> list[float]:
        times = [time for time in self._failed.get(key, []) if time > at_seconds - self.WINDOW_SECONDS]
        if key in self._failed:
            self._failed[key] = times
        return times


def _digest(cookie: str) -> str:
    return hashlib.sha256(cookie.encode()).hexdigest()


_NOBODY: list[str] = []


def _nobody() -> str:
    if not _NOBODY:
        _NOBODY.append(_hash(secrets.token_urlsafe(16)))
    return _NOBODY[0]


def _hash(password: str) -> str:
    from werkzeug.security import generate_password_hash

    return generate_password_hash(password)
