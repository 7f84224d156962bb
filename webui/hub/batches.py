"""Step two, 检查: a batch from its progress through its findings to the decision of staff; and a publication's progress."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from urllib.parse import urlencode

from flask import Blueprint, Response, abort, request, send_file

from catalog.ingest.findings import ERROR, WARNING
from catalog.library import Entry
from webui.hub import findings
from webui.hub.console import Console
from webui.hub.jobs import (
    BATCH,
    CLOSED,
    DONE,
    FAILED,
    INGEST,
    RECEIVING,
    RELEASE,
    REVIEW,
    SCAN,
    STICK,
    UPLOAD,
    Job,
)
from webui.hub.take import close_upload

PER_PAGE = 50
SHOWN = 30
NEWS = 12
REFRESH_SECONDS = 2
_SENDABLE = frozenset((RECEIVING, SCAN, REVIEW, FAILED))


def batch_pages(console: Console) -> Blueprint:
    """Return the pages of step two."""
    pages = Blueprint("batches", __name__, url_prefix="/hub/batches")
    jobs = console.jobs

    def job_of(job_id: str) -> Job:
        job = jobs.get(job_id)
        if job is None:
            abort(console.message(404, "没有这一批", "它可能已经清理掉了。"))
        return job

    @pages.get("")
    def batches() -> Response:
        found = [job for job in jobs.all() if job.kind == BATCH]
        shown = found if request.args.get("all") else found[:SHOWN]
        return console.page(
            "batches.html",
            at="batches",
            jobs=shown,
            more=len(found) > len(shown),
            now=console.settings.clock(),
        )

    @pages.get("/<job_id>")
    def batch(job_id: str) -> Response:
        job = job_of(job_id)
        if job.kind == STICK:
            return console.go(f"sticks/{job.id}")
        console.worker.start()
        if job.waiting_or_running:
            return console.page(
                "working.html",
                at="publish" if job.kind == RELEASE else "batches",
                refresh=REFRESH_SECONDS,
                job=job,
                standing=console.worker.standing(job),
            )
        if job.kind == RELEASE:
            return console.page("released.html", at="publish", job=job, now=console.settings.clock())
        if job.state == RECEIVING:
            return console.go("take")
        return _batch_page(console, job)

    @pages.get("/<job_id>/rejected.xlsx")
    def rejected(job_id: str) -> Response:
        job = job_of(job_id)
        path = jobs.folder_of(job) / findings.REJECTED
        if not path.exists():
            abort(404)
        return console.dress(
            send_file(path, as_attachment=True, download_name=f"退回-{job.name}.xlsx", max_age=0)
        )

    @pages.get("/<job_id>/send-back")
    def ask_send_back(job_id: str) -> Response:
        return console.page("send_back.html", at="batches", job=job_of(job_id))

    @pages.post("/<job_id>/<action>")
    def decide(job_id: str, action: str) -> Response:
        console.check_token(request.form.get("token", ""), console.session())
        job = job_of(job_id)
        if action not in _DECISIONS:
            abort(404)
        return _DECISIONS[action](console, job)

    return pages


def _accept(console: Console, job: Job) -> Response:
    if console.jobs.change(job.id, INGEST, only_from=frozenset((REVIEW,))) is not None:
        console.audit("accept", f"{job.name} → {job.bundle}: {job.counts.good if job.counts else 0}")
        console.worker.start()
    return console.go(f"batches/{job.id}")


def _send_back(console: Console, job: Job) -> Response:
    closed = console.jobs.change(job.id, CLOSED, only_from=_SENDABLE)
    if closed is None:
        return console.go(f"batches/{job.id}")
    console.worker.let_go(job.id)
    if job.origin == UPLOAD:
        console.jobs.drop_files(job)
    console.audit("send back", job.name)
    return console.go("batches" if job.kind == BATCH else "publish")


def _try_again(console: Console, job: Job) -> Response:
    if job.failure is not None and console.jobs.change(
        job.id, job.failure.state, only_from=frozenset((FAILED,)), failure=None
    ):
        console.audit("try again", job.name)
        console.worker.start()
    return console.go(f"batches/{job.id}")


def _check(console: Console, job: Job) -> Response:
    if job.state != RECEIVING:
        return console.go(f"batches/{job.id}")
    return close_upload(console, job)


_DECISIONS = {"accept": _accept, "send-back": _send_back, "try-again": _try_again, "check": _check}


def _batch_page(console: Console, job: Job) -> Response:
    found = findings.load(console.jobs.folder_of(job))
    level, code, sheet = (request.args.get(name, "") for name in ("level", "code", "sheet"))
    chosen = findings.chosen(
        found.findings, level=level, code=code, sheet=sheet if "sheet" in request.args else None
    )
    pages = max(1, -(-len(chosen) // PER_PAGE))
    page = min(max(1, request.args.get("page", 1, int)), pages)
    sheets = Counter(finding.sheet for finding in found.findings)
    levels = Counter(finding.level for finding in found.findings)

    def link(**change: str | int) -> str:
        query = {"level": level, "code": code, "sheet": sheet, **change}
        if "page" not in change:
            query.pop("page", None)
        kept = {name: value for name, value in query.items() if value}
        return f"/hub/batches/{job.id}?{urlencode(kept)}#rows"

    return console.page(
        "batch.html",
        at="batches",
        job=job,
        count=job.counts,
        bundle_title=job.bundle_title,
        unpublished=_unpublished(console, job),
        arrived=_arrived(console, job) if job.state == DONE else [],
        samples=found.samples if job.state == REVIEW else (),
        folders=found.folders[:SHOWN],
        unknown_words=sorted(found.words, key=lambda word: -word[2])[:SHOWN],
        groups=findings.grouped(found.findings),
        total=len(found.findings),
        levels={name: levels[name] for name in (ERROR, WARNING)},
        sheets=sorted(sheets.items()),
        findings=chosen[(page - 1) * PER_PAGE : page * PER_PAGE],
        level=level,
        code=code,
        sheet=sheet if "sheet" in request.args else None,
        page_number=page,
        pages=pages,
        link=link,
        now=console.settings.clock(),
    )


def _unpublished(console: Console, job: Job) -> bool:
    """Return whether no release was signed since the batch came in."""
    last = console.operations.releases(1)
    return not last or last[0].signed_at < datetime.fromisoformat(job.changed)


def _arrived(console: Console, job: Job) -> list[Entry]:
    """Return some of the resources whose content came while the batch was at work."""
    since = datetime.fromisoformat(job.created)
    with console.library.reading() as reader:
        return [entry for entry in reader.newest(NEWS) if entry.arrived and entry.arrived >= since]
