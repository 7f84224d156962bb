"""The box's pages as one WSGI application for both ports.

By port and path: packages on the package port; `/files/`, `/static/` and what is mounted directly; public pages
through the page layer; the rest by Flask. Invariant: package routes and pages never answer on each other's port.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from flask import Flask, Request, Response, request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from markupsafe import escape
from werkzeug.exceptions import HTTPException

from catalog.blobs import BlobStore
from catalog.errors import ShuxiangError
from catalog.finder import Finder
from catalog.library import Library
from catalog.local import Local
from webui import admin, api, browse, reach, search, sticks, syncing, today, view
from webui.files import Files
from webui.guard import ROOT
from webui.house import House, Told
from webui.i18n import LANGUAGES
from webui.layer import PageLayer
from webui.operations import BoxSettings, Operations
from webui.packages import Packages
from webui.usage import UsageCounter

SESSION_HOURS = 12
FAILED = "503 Service Unavailable"
FAILED_HEADERS = (
    ("Content-Type", "text/html; charset=utf-8"),
    ("Retry-After", "30"),
    ("Cache-Control", "no-store"),
)

_log = logging.getLogger(__name__)
_MESSAGES = {
    404: ("没有这一页", "地址可能打错了，或者内容已经下架。"),
    400: ("没有看懂", "请回到上一页再试一次。"),
    413: ("太大了", "请回到上一页再试一次。"),
}


class BoxApp:
    """The WSGI application; `close()` when serving ends, so that no count of use is lost."""

    def __init__(self, house: House, mounts: Mapping[str, Any]) -> None:
        self.house = house
        self.usage = UsageCounter(house.local, house.settings.clock, house.settings.clock_mark)
        self.layer = PageLayer(_flask(house), house.state_key, self.usage.count)
        self._files = Files(house.library, house.blobs, self.usage.count)
        self._packages = Packages(house.library, house.blobs, self.usage.count)
        self._package_port = str(house.settings.package_port)
        self._mounts = tuple(mounts.items())

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        try:
            return self._answer(environ, start_response)
        except ShuxiangError as error:
            _log.error("%s", error)
            body = _failed(error)
            start_response(FAILED, [*FAILED_HEADERS, ("Content-Length", str(len(body)))])
            return [body]

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        answer: Iterable[bytes]
        if environ["SERVER_PORT"] == self._package_port:
            answer = self._packages(environ, start_response)
        elif path.startswith("/files/"):
            answer = self._files(environ, start_response)
        elif path.startswith("/static/"):
            answer = self.house.static(environ, start_response)
        else:
            for prefix, application in self._mounts:
                if path.startswith(prefix):
                    answer = application(environ, start_response)
                    return answer
            answer = self.layer(environ, start_response)
        return answer

    def close(self) -> None:
        """Write what was counted."""
        self.usage.close()


def create_box_app(
    library: Library,
    finder: Finder,
    blobs: BlobStore,
    local: Local,
    operations: Operations,
    settings: BoxSettings,
    mounts: Mapping[str, Any] | None = None,
) -> BoxApp:
    """Return the box's WSGI application. `mounts` maps a path prefix (`/tree/`) to another WSGI application, which
    sees the whole path."""
    house = House(
        library=library, finder=finder, blobs=blobs, local=local, operations=operations, settings=settings
    )
    return BoxApp(house, mounts or {})


def _failed(error: ShuxiangError) -> bytes:
    """Return the one page that needs neither library nor templates: the disk failed or was pulled."""
    lines = "".join(f"<p>{escape(error.line(language))}</p>" for language in LANGUAGES)
    return (
        '<!DOCTYPE html><html lang="zh-CN"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>503</title>'
        f'<body style="font:1.2em/1.7 sans-serif;margin:3em auto;max-width:40em;padding:0 1em">{lines}'
    ).encode()


class _TeacherSessions(SecureCookieSessionInterface):
    """Sessions for the teacher's page alone: no other page reads or sets a cookie."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        if not request.path.startswith(ROOT):
            return self.make_null_session(app)
        return super().open_session(app, request)


def _flask(house: House) -> Flask:
    app = Flask(__name__, static_folder=None, template_folder=None)
    app.session_interface = _TeacherSessions()
    app.secret_key = house.settings.secret
    app.config.update(
        SESSION_COOKIE_NAME="shuxiang-admin",
        SESSION_COOKIE_PATH=ROOT,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Strict",
        PERMANENT_SESSION_LIFETIME=SESSION_HOURS * 3600,
        MAX_CONTENT_LENGTH=256 << 10,
    )
    for module in (today, browse, search, view, api, admin, syncing, reach, sticks):
        app.register_blueprint(module.routes(house))

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> Any:
        if request.path.startswith("/api/"):
            return api.refusal(error.name, error.code or 500)
        if error.code not in _MESSAGES:
            return error
        return house.message(Told(error.code, *_MESSAGES[error.code]))

    @app.errorhandler(Told)
    def told(error: Told) -> Response:
        return house.message(error)

    @app.errorhandler(ShuxiangError)
    def failed(error: ShuxiangError) -> Response:
        _log.error("%s", error)
        return Response(_failed(error), FAILED, list(FAILED_HEADERS))

    return app
