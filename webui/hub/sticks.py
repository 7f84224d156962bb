"""写 U 盘: what is published, written to a stick for schools without a line, from the browser with a stick in the hub.

Choose, look at the room, watch: without scripts. Invariant: nothing is written to a stick but what the page with its room
has shown, by a key that is new each time a stick is plugged in; "may be pulled out" is said when nothing writes any more.
"""

from __future__ import annotations

from flask import Blueprint, Response, abort, request

from catalog.errors import ShuxiangError
from webui.hub.console import Console
from webui.hub.jobs import CLOSED, FAILED, STICK, WRITE, Job
from webui.hub.stick_operations import StickOperations, StickPlace

REFRESH_SECONDS = 2
JOBS_SHOWN = 5
_STOPPABLE = frozenset((WRITE, FAILED))


def stick_pages(console: Console, carrier: StickOperations) -> Blueprint:
    """Return the pages of 写 U 盘."""
    pages = Blueprint("sticks", __name__, url_prefix="/hub/sticks")
    counter = _Counter(console, carrier)

    def job_of(job_id: str) -> Job:
        job = console.jobs.get(job_id)
        if job is None or job.kind != STICK:
            abort(404)
        return job

    @pages.get("")
    def choose() -> Response:
        return counter.choose()

    @pages.post("/look")
    def look() -> Response:
        console.check_token(request.form.get("token", ""), console.session())
        return counter.confirm()

    @pages.post("/write")
    def write() -> Response:
        console.check_token(request.form.get("token", ""), console.session())
        return counter.write()

    @pages.get("/<job_id>")
    def work(job_id: str) -> Response:
        job = job_of(job_id)
        console.worker.start()
        running = job.state == WRITE
        return console.page(
            "stick_work.html",
            at="sticks",
            refresh=REFRESH_SECONDS if running or counter.is_ending(job) else 0,
            job=job,
            running=running,
            ending=counter.is_ending(job),
            standing=console.worker.standing(job) if running else None,
            now=console.settings.clock(),
        )

    @pages.post("/<job_id>/stop")
    def stop(job_id: str) -> Response:
        console.check_token(request.form.get("token", ""), console.session())
        job = job_of(job_id)
        if console.jobs.change(job.id, CLOSED, only_from=_STOPPABLE) is not None:
            console.worker.cancel(job.id)
            console.audit("stop stick", job.name)
        return console.go(f"sticks/{job.id}")

    @pages.post("/<job_id>/again")
    def again(job_id: str) -> Response:
        console.check_token(request.form.get("token", ""), console.session())
        job = job_of(job_id)
        if counter.place(job.source) is None:
            return console.go("sticks", said="gone")
        return counter.begin(job.source, job.name, job.bundles, job.boxes)

    return pages


class _Counter:
    """What the pages do."""

    def __init__(self, console: Console, carrier: StickOperations) -> None:
        self._console = console
        self._carrier = carrier

    def place(self, key: str) -> StickPlace | None:
        """Return the stick with this key, where it is in and can be read."""
        found = (one for one in self._carrier.sticks() if one.key == key and one.refusal is None)
        return next(found, None)

    def is_ending(self, job: Job) -> bool:
        """Return whether the job was stopped, and its stick is not yet let go of."""
        return job.state == CLOSED and self._console.worker.standing(job) is not None

    def choose(self, problem: str = "") -> Response:
        console = self._console
        if not problem and request.args.get("said") == "gone":
            problem = console.say("刚才的盘已经拔掉了。插好以后再选。")
        jobs = [job for job in console.jobs.all() if job.kind == STICK]
        chosen = request.form.getlist("bundle")
        supply = self._carrier.supply()
        return console.page(
            "sticks.html",
            status=400 if problem and request.method == "POST" else 200,
            at="sticks",
            sticks=self._carrier.sticks(),
            supply=supply,
            stick=request.form.get("stick", ""),
            bundles=chosen or [bundle.id for bundle in supply.bundles],
            boxes=request.form.getlist("box"),
            jobs=jobs[:JOBS_SHOWN],
            problem=problem,
            now=console.settings.clock(),
        )

    def confirm(self) -> Response:
        """Show the room that it takes."""
        console = self._console
        place = self.place(request.form.get("stick", ""))
        if place is None:
            return self.choose(console.say("请选一个插着的盘。"))
        bundles, boxes = self._chosen()
        if not (request.form.getlist("bundle") or boxes):
            return self.choose(console.say("请至少勾一个资源包。"))
        try:
            room = self._carrier.room(place.key, bundles, boxes)
        except ShuxiangError as error:
            return self.choose(self._line(error))
        with console.library.reading() as reader:
            titles = {bundle.id: bundle.title for bundle in reader.bundles()}
        titles |= {bundle.id: bundle.title for bundle in self._carrier.supply().bundles}
        return console.page(
            "stick_confirm.html",
            at="sticks",
            place=place,
            room=room,
            bundles=bundles,
            boxes=boxes,
            titles=[titles.get(one, one) for one in bundles],
            unpublished=[titles.get(one, one) for one in room.unpublished],
        )

    def write(self) -> Response:
        console = self._console
        place = self.place(request.form.get("stick", ""))
        if place is None:
            return self.choose(console.say("刚才的盘已经拔掉了。插好以后再选。"))
        # As the page with the room had them: none are everything.
        return self.begin(
            place.key, place.name, tuple(request.form.getlist("bundle")), tuple(request.form.getlist("box"))
        )

    def begin(self, key: str, name: str, bundles: tuple[str, ...], boxes: tuple[str, ...]) -> Response:
        """Begin to write, unless this stick is being written; show how far it is."""
        console = self._console
        waiting = (job for job in console.jobs.all() if job.state == WRITE and job.source == key)
        job = next(waiting, None)
        if job is None:
            job = console.jobs.create(
                STICK, WRITE, name=name, actor=console.session().user, source=key, bundles=bundles, boxes=boxes
            )  # fmt: skip
            console.audit("write stick", f"{name}: {'、'.join((*bundles, *boxes)) or '*'}")
            console.worker.start()
        return console.go(f"sticks/{job.id}")

    def _chosen(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the bundles and boxes of the form; no bundles where all are ticked, or where boxes say what goes."""
        bundles, boxes = request.form.getlist("bundle"), request.form.getlist("box")
        all_ticked = {bundle.id for bundle in self._carrier.supply().bundles} <= set(bundles)
        return (() if boxes or all_ticked else tuple(bundles)), tuple(boxes)

    def _line(self, error: ShuxiangError) -> str:
        words = self._console.words[self._console.language()]
        return words.of_stick(error.code)
