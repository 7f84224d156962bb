"""The hub's WSGI application: staff pages below `/hub/`, health and status beside them, one worker behind them.

Invariant: no page below `/hub/` but the log-in answers without a session.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from typing import Any

from flask import Blueprint, Flask, Response, abort, g, jsonify, redirect, request, send_file
from werkzeug.exceptions import HTTPException

from catalog.errors import ShuxiangError
from catalog.library import Library
from catalog.local import Local
from catalog.resource import is_sha256
from webui.hub.batches import batch_pages
from webui.hub.cards import card_pages
from webui.hub.console import LANGUAGE_COOKIE, ROOT, Console
from webui.hub.desk import Desk
from webui.hub.disks import disk_pages
from webui.hub.jobs import BATCH, INGEST, RECEIVING, REVIEW, SCAN, Jobs
from webui.hub.media import plugged_in
from webui.hub.operations import HubOperations, HubSettings
from webui.hub.outlook import Outlook
from webui.hub.people import people_pages
from webui.hub.publishing import publish_pages
from webui.hub.recovery import recovery_pages
from webui.hub.sticks import stick_pages
from webui.hub.take import take_pages
from webui.hub.worker import Worker
from webui.i18n import chosen_language
from webui.operations import DiskSpace
from webui.status import hub_status

LAST_JOBS = 6
HOME_WAIT_SECONDS = 0.3
LANGUAGE_SECONDS = 400 * 86400
# A form's own fields; files are streamed by `webui.hub.uploads`, whatever their size.
FORM_BYTES = 1 << 20
_OPEN = frozenset(("/hub/login",))


class HubApp:
    """The hub's pages as a WSGI application. Close it: the work under way goes on at the next start."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.flask = _flask(console)
        console.worker.start()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith("/static/"):
            return self.console.static(environ, start_response)
        answer: Iterable[bytes] = self.flask(environ, start_response)
        return answer

    def close(self) -> None:
        """End the threads."""
        self.console.worker.close()
        self.console.outlook.close()


def create_hub_app(
    library: Library, local: Local, operations: HubOperations, settings: HubSettings
) -> HubApp:
    """Return the staff pages of the hub whose parts these are."""
    jobs = Jobs(settings.uploads, settings.clock)
    jobs.tidy()
    desk = Desk(jobs, library, operations, settings.filesystem_at, settings.carrier)
    worker = Worker(jobs, desk.work())
    outlook = Outlook(library, operations, settings.clock)
    return HubApp(
        Console(
            library=library, local=local, operations=operations, settings=settings,
            jobs=jobs, worker=worker, outlook=outlook,
        )
    )  # fmt: skip


def _flask(console: Console) -> Flask:
    app = Flask("webui.hub", static_folder=None, template_folder=None)
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    app.config["MAX_FORM_MEMORY_SIZE"] = FORM_BYTES
    for pages in (people_pages(console), take_pages(console), batch_pages(console), publish_pages(console)):
        app.register_blueprint(pages)
    if console.settings.cards is not None:
        app.register_blueprint(card_pages(console, console.settings.cards))
        app.register_blueprint(disk_pages(console, console.settings.cards))
    if console.settings.recovery is not None:
        app.register_blueprint(recovery_pages(console, console.settings.recovery))
    if console.settings.carrier is not None:
        app.register_blueprint(stick_pages(console, console.settings.carrier))
    app.register_blueprint(_home(console))
    app.register_blueprint(_outside(console))

    @app.before_request
    def gate() -> Response | None:
        if not request.path.startswith(ROOT):
            return None
        chosen = chosen_language(request.query_string.decode("latin-1"))
        if chosen and request.method == "GET":
            kept = {name: value for name, value in request.args.lists() if name != "lang"}
            answer = console.go(request.path.removeprefix(ROOT), **{k: v[-1] for k, v in kept.items()})
            return console.set_cookie(answer, LANGUAGE_COOKIE, chosen, seconds=LANGUAGE_SECONDS)
        g.session = console.find_session()
        if g.session is None and request.path not in _OPEN:
            if request.method != "GET":
                return console.message(403, "请先登录", "登录已过期。请重新登录再做一次。")
            return console.go("login", next=request.full_path.rstrip("?"))
        return None

    @app.errorhandler(ShuxiangError)
    def refused(error: ShuxiangError) -> Response:
        return console.refusal(error, 500 if error.exit_code in range(20, 30) else 400)

    @app.errorhandler(HTTPException)
    def wrong(error: HTTPException) -> Response:
        if error.response is not None:
            assert isinstance(error.response, Response)
            return error.response
        if not request.path.startswith(ROOT):
            return Response(status=error.code or 500)
        title, text = _WRONG.get(error.code or 500, ("没有成功", "请回到首页再试一次。"))
        return console.message(error.code or 500, title, text)

    return app


_WRONG = {
    403: ("这一步没有做", "页面放得太久，或者不是从本站点来的。请回到首页再做一次。"),
    404: ("没有这一页", "地址可能写错了。"),
    413: ("传来的内容太大", "请把大的批次放在移动盘上，插到县中心主机。"),
}


def _home(console: Console) -> Blueprint:
    pages = Blueprint("home", __name__)

    @pages.get(ROOT)
    def home() -> Response:
        jobs = console.jobs.all()
        view = console.outlook.view(HOME_WAIT_SECONDS)
        preview = view.preview if view else None
        releases = console.operations.releases(1)
        usage = shutil.disk_usage(console.settings.uploads)
        recovery = console.settings.recovery
        with console.library.reading() as reader:
            counts, bundles = reader.counts(), reader.bundles()
        return console.page(
            "home.html",
            at="home",
            faults=console.settings.faults(console.language()),
            unkept=recovery is not None and recovery.standing().is_waiting,
            last=releases[0] if releases else None,
            receiving=sum(job.state == RECEIVING for job in jobs),
            review=sum(job.state == REVIEW for job in jobs),
            working=sum(job.state in (SCAN, INGEST) for job in jobs),
            changes=sum(one.added + one.changed + one.gone for one in preview.bundles) if preview else None,
            disks=len(plugged_in(console.settings.mounts, console.settings.media)),
            counts=counts,
            bundles=bundles,
            disk={"used": usage.used, "free": usage.free},
            jobs=[job for job in jobs if job.kind == BATCH or job.counts][:LAST_JOBS],
            now=console.settings.clock(),
        )

    @pages.get("/hub/cover/<sha256>")
    def cover(sha256: str) -> Response:
        """Return the small picture of a resource; only pictures in the role of a cover are shown inside the console."""
        with console.library.reading() as reader:
            file = reader.file(sha256) if is_sha256(sha256) and reader.has(sha256) else None
        if (
            file is None
            or file.role != "thumb"
            or file.media_type not in ("image/jpeg", "image/png", "image/webp")
        ):
            abort(404)
        path = console.settings.blobs / sha256[:2] / sha256
        answer = send_file(path, mimetype=file.media_type, max_age=86400)
        answer.headers["Cache-Control"] = "private, max-age=86400, immutable"
        return console.dress(answer)

    return pages


def _outside(console: Console) -> Blueprint:
    """Return what answers without a log-in: health and status, for technicians and boxes."""
    pages = Blueprint("outside", __name__)
    settings = console.settings

    @pages.get("/")
    def root() -> Response:
        answer = redirect(ROOT, 302)
        assert isinstance(answer, Response)
        return answer

    @pages.get("/healthz")
    def health() -> Response:
        return jsonify(status="ok", role="hub", version=settings.version)

    @pages.get("/api/v1/status")
    def status() -> Response:
        usage = shutil.disk_usage(settings.uploads)
        return jsonify(
            hub_status(
                console.library,
                hub_id=settings.hub_id,
                name=settings.name,
                version=settings.version,
                disk=DiskSpace(total_bytes=usage.total, free_bytes=usage.free, reserve_bytes=0),
            )
        )

    return pages
