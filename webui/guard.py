"""What stands before the pages of `/admin`: the login, the session's token on every form, the audit log.

Invariant: a writing request without login, from elsewhere or without the session's token changes nothing; what was
done is noted under the name of the action. The session cookie is bound to `/admin`, `HttpOnly` and `SameSite=Strict`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Response, redirect, request, session
from werkzeug.wrappers import Response as AnyResponse

from catalog.clock import system_clock
from webui.forms import same_origin
from webui.house import House, Told, Visit

ROOT = "/admin"

Action = Callable[[str], str]
"""Takes the account, does what the form asks, and returns what the audit log should say of it."""


class Guard:
    """The guard of one house's `/admin` pages."""

    def __init__(self, house: House) -> None:
        self._house = house

    def page(self, visit: Visit, template: str, *, status: int = 200, **values: Any) -> Response:
        """Return a page that no cache may keep."""
        seen = self._house.library.generation()
        response = self._house.page(visit, seen, f"admin/{template}", status=status, at="admin", **values)
        response.headers["Cache-Control"] = "no-store"
        return response

    def token(self) -> str:
        """Return the token of the session's forms."""
        return self._house.tokens.make(_purpose(), self._house.today())

    def came_from_here(self) -> bool:
        """Return whether the browser says that a page of ours sent the request (Fetch Metadata, Origin)."""
        return same_origin(request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site"), request.host)

    def reading(self, view: Callable[[Visit], Response]) -> Callable[[], AnyResponse]:
        """Let only a logged-in person see `view`; others come to the login."""

        @wraps(view)
        def guarded() -> AnyResponse:
            visit = self._house.visit()
            if "account" not in session:
                return redirect(f"{ROOT}/{visit.carry}", 303)
            return view(visit)

        return guarded

    def writing(self, back: str) -> Callable[[Action], Callable[[], AnyResponse]]:
        """Let only a logged-in person with the session's token in, note what was done, and go to the page `back`."""

        def guard(action: Action) -> Callable[[], AnyResponse]:
            @wraps(action)
            def guarded() -> AnyResponse:
                house = self._house
                visit = house.visit()
                account = session.get("account")
                if account is None:
                    return redirect(f"{ROOT}/{visit.carry}", 303)
                token = request.form.get("token", "")
                if not self.came_from_here() or not house.tokens.right(token, _purpose(), house.today()):
                    raise Told(400, "没有收下", "页面放得太久了。请回到管理页再试一次。")
                name = action.__name__
                house.local.audit(account, name, action(account), system_clock())
                return redirect(f"{ROOT}/{back}?done={name}{visit.carry_more}", 303)

            return guarded

        return guard


def _purpose() -> str:
    return f"admin {session.get('key', '')}"
