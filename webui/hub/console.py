"""What every staff page is built from: who is logged in, the form token, the language, how a page is rendered.

Invariant: a page of the console needs a session; a writing request needs its token and our own origin. Cookies are
bound to `/hub/`, so that neither the tree nor a box's pages on the same machine ever see them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from flask import Response, abort, g, redirect, request
from jinja2 import Environment

from catalog.errors import ShuxiangError
from catalog.library import Library
from catalog.local import Local
from webui.forms import FormTokens, same_origin
from webui.hub.accounts import Guesses, Session, Sessions, check_password
from webui.hub.english import ENGLISH
from webui.hub.jobs import Jobs
from webui.hub.operations import HubOperations, HubSettings
from webui.hub.outlook import Outlook
from webui.hub.wording import HubWords
from webui.hub.worker import Worker
from webui.i18n import LANGUAGES, accepted_language, environments, language_of, translator
from webui.static_files import StaticFiles

ROOT = "/hub/"
SESSION_COOKIE = "shuxiang_hub"
LANGUAGE_COOKIE = "shuxiang_hub_language"
_LOGIN = "hub log-in"
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self';"
    " frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-UA-Compatible": "IE=edge",
}


class Console:
    """The parts of a serving hub that pages share. Threads may share it."""

    def __init__(
        self,
        *,
        library: Library,
        local: Local,
        operations: HubOperations,
        settings: HubSettings,
        jobs: Jobs,
        worker: Worker,
        outlook: Outlook,
    ) -> None:
        self.library = library
        self.local = local
        self.operations = operations
        self.settings = settings
        self.jobs = jobs
        self.worker = worker
        self.outlook = outlook
        self.static = StaticFiles()
        self.tokens = FormTokens(settings.secret)
        self.sessions = Sessions(local)
        self.guesses = Guesses()
        self.words = {name: HubWords(name, translator(name, ENGLISH)) for name in LANGUAGES}

    @cached_property
    def environments(self) -> Mapping[str, Environment]:
        """The templates, one environment per language."""
        made = environments(ENGLISH)
        for environment in made.values():
            environment.globals.update(
                css=self.static.address("shuxiang.css"),
                hub_css=self.static.address("hub.css"),
                script=self.static.address("hub.js"),
                glyphs=self.static.address("glyphs.svg"),
                icon=self.static.address("icon.png"),
                hub_name=self.settings.name,
                has_cards=self.settings.cards is not None,
                has_sticks=self.settings.carrier is not None,
                has_recovery=self.settings.recovery is not None,
            )
        return made

    # -- the request ---------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """Return the time now in UTC."""
        return self.settings.clock().astimezone(UTC)

    def language(self) -> str:
        """Return the language of this request: the one chosen before, else the browser's."""
        chosen = language_of(request.cookies.get(LANGUAGE_COOKIE, ""))
        return chosen or accepted_language(request.headers.get("Accept-Language", ""))

    def session(self) -> Session:
        """Return the session of this request; the gate has made sure that there is one."""
        session: Session = g.session
        return session

    def find_session(self) -> Session | None:
        """Return the session that the request's cookie names."""
        return self.sessions.find(request.cookies.get(SESSION_COOKIE, ""), self.now())

    def token(self, session: Session | None) -> str:
        """Return the form token for a page of this session (None: the log-in page)."""
        return self.tokens.make(_purpose(session), self.now().date())

    def check_token(self, token: str, session: Session | None) -> None:
        """Refuse with 403 a writing request that does not come from a form of this session."""
        host = request.headers.get("Host", "")
        ours = same_origin(request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site"), host)
        if not ours or not self.tokens.right(token, _purpose(session), self.now().date()):
            abort(403)

    def audit(self, action: str, detail: str = "", *, actor: str = "") -> None:
        """Note who did what."""
        self.local.audit(actor or self.session().user, action, detail, self.now())

    def log_in(self, user: str, password: str) -> tuple[str | None, float]:
        """Return (cookie, 0) for the right password, (None, 0) for a wrong one, (None, seconds) where to wait."""
        right, wait = self.is_right(user, password)
        if not right:
            if not wait:
                self.audit("log-in refused", user[:80], actor="-")
            return None, wait
        self.audit("log in", actor=user)
        return self.sessions.begin(user, self.now()), 0.0

    def is_right(self, user: str, password: str) -> tuple[bool, float]:
        """Return (whether it is the user's password, 0), or (False, seconds) where to wait before it is looked at."""
        address = request.remote_addr or ""
        wait = self.guesses.wait_seconds(address, user, time.monotonic())
        if wait > 0:
            return False, wait
        right = check_password(self.local, user, password)
        if right:
            self.guesses.succeeded(address)
        else:
            self.guesses.failed(address, user, time.monotonic())
        return right, 0.0

    # -- the answer ----------------------------------------------------------------------------------------------

    def page(
        self, template: str, *, status: int = 200, at: str = "", refresh: int = 0, **values: Any
    ) -> Response:
        """Return the rendered page; `at` is the step that is lit, `refresh` reloads the page after so many seconds."""
        language = self.language()
        session: Session | None = g.get("session")
        query = {name: found for name, found in request.args.lists() if name != "lang"}
        other = "en" if language != "en" else "zh-CN"
        path = request.path if request.method == "GET" else ROOT
        html = (
            self.environments[language]
            .get_template(f"hub/{template}")
            .render(
                words=self.words[language],
                session=session,
                token=self.token(session),
                at=at,
                refresh=refresh,
                switch=f"{path}?{urlencode({**query, 'lang': other}, doseq=True)}",
                version=self.settings.version,
                **values,
            )
        )
        return self.dress(Response(html, status=status, mimetype="text/html"))

    def dress(self, response: Response) -> Response:
        """Add the headers that every answer of the console has."""
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    def say(self, message: str) -> str:
        """Return a Chinese message in the language of this request."""
        return translator(self.language(), ENGLISH)(message)

    def message(self, status: int, title: str, text: str) -> Response:
        """Return a page that only says something; `title` and `text` are Chinese messages."""
        return self.page("message.html", status=status, title=self.say(title), text=self.say(text))

    def refusal(self, error: ShuxiangError, status: int = 400) -> Response:
        """Return a page with the one line of a refusal."""
        return self.page(
            "message.html", status=status, title=self.say("没有成功"), text=error.line(self.language())
        )

    def go(self, path: str, **query: str) -> Response:
        """Return a redirect after a form, as an address below the console."""
        tail = f"?{urlencode(query)}" if query else ""
        found = redirect(f"{ROOT}{path}{tail}", 303)
        assert isinstance(found, Response)
        return self.dress(found)

    def set_cookie(
        self, response: Response, name: str, value: str, *, seconds: int | None = None
    ) -> Response:
        """Set a cookie that only the console sees."""
        response.set_cookie(name, value, path=ROOT, httponly=True, samesite="Strict", max_age=seconds)
        return response

    def drop_cookie(self, response: Response) -> Response:
        """Take the session's cookie away."""
        response.delete_cookie(SESSION_COOKIE, path=ROOT, httponly=True, samesite="Strict")
        return response


def _purpose(session: Session | None) -> str:
    return _LOGIN if session is None else f"hub {session.key}"
