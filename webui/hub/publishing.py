"""Step three, 发布: what the next release changes, which boxes hold it, the one button, and the releases so far."""

from __future__ import annotations

from datetime import datetime

from flask import Blueprint, Response, request

from webui.hub.console import Console
from webui.hub.jobs import INGEST, PUBLISH, RELEASE
from webui.hub.operations import ReleaseLine

WAIT_SECONDS = 1.5
REFRESH_SECONDS = 2
RELEASES_SHOWN = 20


def publish_pages(console: Console) -> Blueprint:
    """Return the pages of step three."""
    pages = Blueprint("publishing", __name__, url_prefix="/hub/publish")

    @pages.get("")
    def publish() -> Response:
        at_work = [job for job in console.jobs.all() if job.waiting_or_running]
        publication = next((job for job in at_work if job.kind == RELEASE), None)
        if publication is not None:
            return console.go(f"batches/{publication.id}")
        view = console.outlook.view(WAIT_SECONDS)
        ready = view is not None and (view.error is None or view.error.code != "E-BUSY")
        return console.page(
            "publish.html",
            at="publish",
            refresh=0 if ready else REFRESH_SECONDS,
            view=view if ready else None,
            at_work=next((job for job in at_work if job.state == INGEST), None),
            releases=_history(console),
            changed_meanwhile=request.args.get("said") == "changed",
            now=console.settings.clock(),
        )

    @pages.post("")
    def sign() -> Response:
        console.check_token(request.form.get("token", ""), console.session())
        waiting = next((job for job in console.jobs.all() if job.state == PUBLISH), None)
        if waiting is not None:
            return console.go(f"batches/{waiting.id}")
        if request.form.get("seen") != console.outlook.key():
            return console.go("publish", said="changed")
        job = console.jobs.create(RELEASE, PUBLISH, name="release", actor=console.session().user)
        console.audit("publish", job.id)
        console.worker.start()
        return console.go(f"batches/{job.id}")

    return pages


def _history(console: Console) -> list[ReleaseLine]:
    """Return the releases that the tree keeps and those that were published from here, newest first."""
    lines = {line.release: line for line in console.operations.releases(RELEASES_SHOWN)}
    for job in console.jobs.all():
        counts = job.counts
        if job.kind == RELEASE and counts and counts.new:
            known = lines.get(counts.release)
            lines[counts.release] = ReleaseLine(
                release=counts.release,
                signed_at=known.signed_at if known else datetime.fromisoformat(job.signed_at),
                actor=job.actor,
                added=counts.added,
                changed=counts.changed,
                gone=counts.gone,
                bytes_new=counts.bytes_new,
            )
    return [lines[number] for number in sorted(lines, reverse=True)[:RELEASES_SHOWN]]
