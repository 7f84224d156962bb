"""Step one, 收资源: content arrives by upload (a form, or pieces sent by a script) or from a disk plugged into the hub."""

from __future__ import annotations

import csv
import re
from io import StringIO
from pathlib import Path, PurePosixPath
from typing import Any

from flask import Blueprint, Response, abort, jsonify, request

from catalog.curriculum import LICENCES
from catalog.errors import ConfigError, ContentError, ShuxiangError
from catalog.manifest import is_bundle_id
from catalog.stick import Phase
from webui.hub import media
from webui.hub.console import Console
from webui.hub.jobs import BATCH, DISK, INGEST, RECEIVING, REVIEW, SCAN, UPLOAD, Job
from webui.hub.media import Disk, Folder, Listing
from webui.hub.uploads import Inbox, is_litter, receive_form, safe_path

MAIN_BUNDLE = "main"
MAIN_TITLE = "全部资源"
TITLE_LENGTH = 80
_COMING = frozenset((RECEIVING, SCAN, REVIEW, INGEST))
_NO_LICENCE = ("unknown",)
_EXAMPLE = (
    ("标题", "学段", "年级", "学科", "版本", "册次", "单元", "课", "类型", "文件", "授权"),
    ("认识几分之一", "小学", "三年级", "数学", "人教版", "上册", "分数的初步认识", "认识几分之一", "微课", "认识几分之一.mp4", "县级授权"),
    ("认识几分之一（课件）", "小学", "三年级", "数学", "人教版", "上册", "分数的初步认识", "认识几分之一", "课件", "课件/认识几分之一.pptx", "县级授权"),
)  # fmt: skip


def take_pages(console: Console) -> Blueprint:
    """Return the pages of step one."""
    pages = Blueprint("take", __name__, url_prefix="/hub/take")
    intake = _Intake(console)

    @pages.get("")
    def take() -> Response:
        return intake.page()

    @pages.get("/example.csv")
    def example() -> Response:
        out = StringIO()
        csv.writer(out).writerows(_EXAMPLE)
        # The mark in front is how Excel and WPS know UTF-8.
        answer = Response(out.getvalue().encode("utf-8-sig"), mimetype="text/csv")
        answer.headers.set("Content-Disposition", "attachment", filename="资源清单样表.csv")
        return console.dress(answer)

    @pages.post("/upload")
    def upload() -> Response:
        return intake.upload_form()

    @pages.post("/begin")
    def begin() -> Response:
        console.check_token(request.form.get("token", ""), console.session())
        try:
            job = intake.new_upload(request.form.to_dict())
        except ShuxiangError as error:
            answer = jsonify(line=error.line(console.language()))
            answer.status_code = 400
            return console.dress(answer)
        return console.dress(jsonify(job=job.id))

    @pages.get("/<job_id>/have")
    def have(job_id: str) -> Response:
        inbox, path = intake.inbox(job_id), intake.path_asked()
        return console.dress(jsonify(have=inbox.have(path)))

    @pages.post("/<job_id>/piece")
    def piece(job_id: str) -> Response:
        console.check_token(request.headers.get("X-Token", ""), console.session())
        inbox, path = intake.inbox(job_id), intake.path_asked()
        offset, total = request.args.get("offset", -1, int), request.args.get("total", -1, int)
        if not 0 <= offset <= total or (offset == total and total > 0):
            abort(400)
        if is_litter(path):
            return console.dress(jsonify(have=total))
        try:
            here = inbox.add_piece(path, offset, total, request.stream)
        except ShuxiangError as error:
            answer = jsonify(have=inbox.have(path), line=error.line(console.language()))
            answer.status_code = 409 if error.code == "E-ROAD-SHORT" else 507
            return console.dress(answer)
        return console.dress(jsonify(have=here))

    @pages.get("/disk/<key>")
    def disk(key: str) -> Response:
        return intake.disk_page(key, request.args.get("folder", "."))

    @pages.post("/disk/<key>")
    def take_disk(key: str) -> Response:
        console.check_token(request.form.get("token", ""), console.session())
        return intake.take_disk(key, request.form.to_dict())

    return pages


class _Intake:
    """What the pages of step one do."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._jobs = console.jobs

    def page(self, problem: ShuxiangError | None = None) -> Response:
        console = self._console
        receiving = [job for job in self._jobs.all() if job.state == RECEIVING]
        return console.page(
            "take.html",
            status=400 if problem else 200,
            at="take",
            receiving=receiving,
            resume=next((job for job in receiving if job.id == request.args.get("resume")), None),
            received={job.id: Inbox(self._jobs.folder_of(job)).measure() for job in receiving},
            disks=self._disks(),
            told=_told(console),
            problem=problem.line(console.language()) if problem else "",
            **self._where(),
        )

    # -- upload --------------------------------------------------------------------------------------------------

    def new_upload(self, fields: dict[str, str]) -> Job:
        """Open a batch that waits for its files."""
        bundle, title = self._bundle(fields)
        name = PurePosixPath(fields.get("name", "").replace("\\", "/")).name[:TITLE_LENGTH]
        job = self._jobs.create(
            BATCH, RECEIVING, name=name or title, actor=self._console.session().user, origin=UPLOAD,
            bundle=bundle, bundle_title=title, licence=_licence(fields),
        )  # fmt: skip
        Inbox(self._jobs.folder_of(job)).open()
        self._console.audit("take upload", f"{job.name} → {bundle}")
        return job

    def inbox(self, job_id: str) -> Inbox:
        """Return the inbox of a batch that still receives; 404 where there is none."""
        job = self._jobs.get(job_id)
        if job is None or job.state != RECEIVING:
            abort(404)
        return Inbox(self._jobs.folder_of(job))

    def path_asked(self) -> str:
        """Return the file that the query names; 400 where its name is not safe."""
        try:
            return safe_path(request.args.get("path", ""))
        except ContentError as error:
            abort(self._console.refusal(error))

    def upload_form(self) -> Response:
        """Take a whole form with all its files, then scan."""
        console, jobs = self._console, self._jobs
        boundary = request.mimetype_params.get("boundary", "")
        opened: list[Job] = []

        def open_inbox(fields: dict[str, str]) -> Inbox:
            console.check_token(fields.get("token", ""), console.session())
            opened.append(self.new_upload(fields))
            return Inbox(jobs.folder_of(opened[0]))

        try:
            received = receive_form(request.stream, boundary.encode(), open_inbox)
        except (ShuxiangError, ValueError) as error:
            for job in opened:
                jobs.forget(job)
            problem = error if isinstance(error, ShuxiangError) else ContentError("E-UPLOAD")
            return self.page(problem)
        job = opened[0]
        if not received.files:
            jobs.forget(job)
            return self.page(
                ContentError("E-NAME", found=received.refused[0]) if received.refused else _NOTHING
            )
        inbox = Inbox(jobs.folder_of(job))
        source, _ = inbox.source()
        name = job.bundle_title if source == inbox.content else source.name
        return close_upload(console, job, name=name, refused_names=tuple(received.refused))

    # -- disk ----------------------------------------------------------------------------------------------------

    def disk_page(self, key: str, path: str, problem: ShuxiangError | None = None) -> Response:
        """Show a folder or an archive on a disk."""
        disk = self._disk(key)
        listing = _open(disk, path)
        if listing is None:
            return self._console.message(404, "找不到这个文件夹", "盘可能拔掉了，或者文件夹改了名。")
        parts = PurePosixPath(listing.folder.path).parts
        above = [(part, "/".join(parts[: depth + 1])) for depth, part in enumerate(parts)]
        packed = listing.folder.path.lower().endswith(".zip")
        return self._console.page(
            "disk.html",
            status=400 if problem else 200,
            at="take",
            disk=disk,
            listing=listing,
            above=above,
            packed=packed,
            suggested=media.folders_with_lists(disk) if not above else [],
            problem=problem.line(self._console.language()) if problem else "",
            **self._where(),
        )

    def take_disk(self, key: str, fields: dict[str, str]) -> Response:
        """Make a batch of a folder or archive on a disk and send it to the scan."""
        disk = self._disk(key)
        path = fields.get("folder", ".")
        place, listing = media.place_on(disk, path), _open(disk, path)
        if place is None or listing is None:
            return self._console.message(404, "找不到这个文件夹", "盘可能拔掉了，或者文件夹改了名。")
        try:
            bundle, title = self._bundle(fields)
        except ShuxiangError as error:
            return self.disk_page(key, path, error)
        job = self._jobs.create(
            BATCH, SCAN, name=Path(disk.name, listing.folder.path).name, actor=self._console.session().user, origin=DISK,
            source=str(place), filesystem=self._console.settings.filesystem_at(place),
            bundle=bundle, bundle_title=title, licence=_licence(fields),
        )  # fmt: skip
        self._console.audit("take disk", f"{disk.name}: {path} → {bundle}")
        self._console.worker.start()
        return self._console.go(f"batches/{job.id}")

    def _disks(self) -> list[Disk]:
        return media.plugged_in(self._console.settings.mounts, self._console.settings.media)

    def _disk(self, key: str) -> Disk:
        for disk in self._disks():
            if disk.key == key:
                return disk
        abort(self._console.message(404, "盘不在了", "请插好移动盘，再从“收资源”进来。"))

    # -- where it goes -------------------------------------------------------------------------------------------

    def _where(self) -> dict[str, Any]:
        return {
            "choices": self._choices(),
            "chosen": MAIN_BUNDLE,
            "licences": [code for code in LICENCES if code not in _NO_LICENCE],
            "default_licence": self._console.settings.licence,
        }

    def _choices(self) -> list[tuple[str, str]]:
        """Return (id, title) of the bundles to choose from: the main one always, and those that batches will make."""
        choices = {MAIN_BUNDLE: MAIN_TITLE}
        choices.update((job.bundle, job.bundle_title) for job in self._jobs.all() if job.state in _COMING)
        with self._console.library.reading() as reader:
            choices.update((bundle.id, bundle.title) for bundle in reader.bundles())
        return list(choices.items())

    def _bundle(self, fields: dict[str, str]) -> tuple[str, str]:
        """Return (id, title) of the bundle that the form names; a new one comes to be when the batch is taken in."""
        choices = dict(self._choices())
        asked = fields.get("bundle", "")
        if asked:
            if asked not in choices:
                raise ConfigError("E-BUNDLE", where=asked)
            return asked, choices[asked]
        title = fields.get("title", "").strip()[:TITLE_LENGTH]
        if not title:
            raise ContentError("E-TITLE", where=self._console.say("新资源包的名称"))
        for bundle_id, known in choices.items():
            if title == known:
                return bundle_id, known
        return _new_id(title, set(choices), self._console), title


_NOTHING = ContentError("E-UPLOAD", found="0")


def close_upload(console: Console, job: Job, **values: object) -> Response:
    """Send a batch that received its files to the scan."""
    inbox = Inbox(console.jobs.folder_of(job))
    if not inbox.measure()[0]:
        return console.refusal(_NOTHING)
    inbox.settle()
    source, sheet = inbox.source()
    console.jobs.change(
        job.id, SCAN, only_from=frozenset((RECEIVING,)), source=str(source), sheet=str(sheet or ""), **values
    )
    console.worker.start()
    return console.go(f"batches/{job.id}")


def _told(console: Console) -> list[str]:
    """Return what is wrong with the disks that are plugged in."""
    language, sticks = console.language(), console.settings.sticks()
    lines = [(one.line(language) if one.phase is Phase.WRONG else "", one) for one in sticks]
    return [line or f"{one.name}: {one.warning(language)}" for line, one in lines if line or one.suspects]


def _open(disk: Disk, path: str) -> Listing | None:
    place = media.place_on(disk, path)
    if place is not None and place.is_file() and place.name.lower().endswith(".zip"):
        relative = str(place.relative_to(Path(disk.mounted).resolve()))
        return Listing(
            folder=Folder(path=relative, name=place.name, lists=()), folders=(), archives=(), files=1
        )
    return media.look_into(disk, path)


def _licence(fields: dict[str, str]) -> str:
    found = fields.get("licence", "")
    return found if found in LICENCES and found not in _NO_LICENCE else ""


def _new_id(title: str, taken: set[str], console: Console) -> str:
    """Return a free id for a bundle: the title's own ASCII letters, else the date."""
    clean = re.sub(r"[^0-9a-z]+", "-", title.lower()).strip("-")[:40]
    base = clean if is_bundle_id(clean) and len(clean) > 1 else f"pack-{console.settings.clock():%Y%m%d}"
    found, number = base, 1
    while found in taken:
        number += 1
        found = f"{base}-{number}"
    return found
