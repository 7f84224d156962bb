"""Log-in, log-out, the password, the log of who did what."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Blueprint, Response, request

from webui.hub.accounts import PASSWORD_MINIMUM, SESSION_TIME, check_password, set_password
from webui.hub.console import ROOT, SESSION_COOKIE, Console

LOG_LINES = 200
USER_LENGTH = 80


def people_pages(console: Console) -> Blueprint:
    """Return the pages about who is at work."""
    pages = Blueprint("people", __name__, url_prefix="/hub")

    @pages.get("/login")
    def login() -> Response:
        return console.page(
            "login.html", next=_inside(request.args.get("next", "")), user="", wait=0, wrong=False
        )

    @pages.post("/login")
    def log_in() -> Response:
        console.check_token(request.form.get("token", ""), None)
        user = request.form.get("user", "").strip()[:USER_LENGTH]
        target = _inside(request.form.get("next", ""))
        cookie, wait = console.log_in(user, request.form.get("password", "")[:1000])
        if cookie is None:
            answer = console.page(
                "login.html", status=429 if wait else 403, next=target, user=user, wait=wait, wrong=not wait
            )
            if wait:
                answer.headers["Retry-After"] = str(int(wait) + 1)
            return answer
        return console.set_cookie(
            console.go(target), SESSION_COOKIE, cookie, seconds=int(SESSION_TIME.total_seconds())
        )

    @pages.post("/logout")
    def log_out() -> Response:
        session = console.session()
        console.check_token(request.form.get("token", ""), session)
        console.audit("log out")
        console.sessions.end(session, console.now())
        return console.drop_cookie(console.go("login"))

    @pages.get("/account")
    def account() -> Response:
        return console.page("account.html", problem="")

    @pages.post("/account")
    def change_password() -> Response:
        session = console.session()
        console.check_token(request.form.get("token", ""), session)
        new, again = request.form.get("new", ""), request.form.get("again", "")
        if not check_password(console.local, session.user, request.form.get("old", "")):
            return console.page("account.html", status=403, problem=console.say("现在的密码不对。"))
        if len(new) < PASSWORD_MINIMUM:
            return console.page("account.html", status=400, problem=console.say("新密码太短。"))
        if new != again:
            return console.page("account.html", status=400, problem=console.say("两次输入的新密码不一样。"))
        set_password(console.local, session.user, new)
        console.audit("change password")
        return console.drop_cookie(console.go("login"))

    @pages.get("/log")
    def log() -> Response:
        lines = console.local.audit_log(LOG_LINES)
        return console.page("log.html", lines=lines, now=console.settings.clock())

    return pages


def _inside(target: str) -> str:
    """Return `target` as an address below the console, or "" where it leads elsewhere."""
    parts = urlsplit(target)
    if parts.scheme or parts.netloc or "\\" in target or not parts.path.startswith(ROOT):
        return ""
    return parts.path.removeprefix(ROOT)
