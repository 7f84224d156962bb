"""Form tokens against forged requests: a keyed hash of the purpose and the day, so that pages need no cookie.

Invariant: a token is good for its purpose alone, on the day it was made and the next. With a login, the purpose
includes the session's own secret (OWASP's HMAC-based token pattern).
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import date, timedelta
from urllib.parse import urlsplit


class FormTokens:
    """Makes and checks the hidden field `token` of forms."""

    def __init__(self, secret: bytes) -> None:
        self._key = hashlib.blake2b(secret, person=b"shuxiang form", digest_size=32).digest()

    def make(self, purpose: str, today: date) -> str:
        """Return the token for `purpose`."""
        text = f"{purpose}|{today.isoformat()}".encode()
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()[:40]

    def right(self, token: str, purpose: str, today: date) -> bool:
        """Return whether `token` was made for `purpose` today or yesterday."""
        return any(
            hmac.compare_digest(token.encode("utf-8", "replace"), self.make(purpose, day).encode())
            for day in (today, today - timedelta(days=1))
        )


def same_origin(origin: str | None, fetch_site: str | None, host: str) -> bool:
    """Return whether a writing request comes from our own page, as far as the browser tells (Origin, Sec-Fetch-Site)."""
    if fetch_site is not None and fetch_site not in ("same-origin", "none"):
        return False
    return origin is None or urlsplit(origin).netloc == host
