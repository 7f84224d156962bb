"""`/r/<id>`: one resource. It plays, shows, opens or downloads what is here, and says what is not.

The page works without scripts. A resource's page is the same for everybody; the only form on it asks for a resource
that is not here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from flask import Blueprint, Response, redirect, request
from markupsafe import Markup
from werkzeug.wrappers import Response as AnyResponse

from catalog.library import Entry, Reader
from catalog.resource import File, Resource, is_resource_id
from webui.browse import Choice
from webui.cards import card, file_url, thumb_url
from webui.facts import facts_of, json_ld_of
from webui.files import is_harmless
from webui.forms import same_origin
from webui.house import House, Told, Visit
from webui.layer import WECHAT
from webui.words import Words, subject_class

PLAYED = ("video/mp4", "video/webm", "video/ogg", "video/quicktime")
MOST_MATES = 40
PAGES_SHOWN = 40
_ROLE_WORDS = {"source": "原件", "play": "播放件"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file that the page plays or shows."""

    url: str
    media_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """Subtitles."""

    url: str
    language: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A file to keep."""

    name: str
    label: str
    size: str
    url: str


def routes(house: House) -> Blueprint:
    """Return the routes of a resource."""
    blueprint = Blueprint("view", __name__)

    @blueprint.get("/r/<resource_id>")
    def resource(resource_id: str) -> Response:
        visit = house.visit()
        with house.library.reading() as reader:
            entry = _entry(reader, resource_id)
            if entry is None:
                raise _missing()
            return _page(house, visit, reader, entry)

    @blueprint.get("/r/<resource_id>/page/<int:number>")
    def leaf(resource_id: str, number: int) -> Response:
        visit = house.visit()
        with house.library.reading() as reader:
            entry = _entry(reader, resource_id)
            pages = entry.files_of("page") if entry else ()
            if entry is None or not 1 <= number <= len(pages):
                raise _missing()
            address = f"/r/{resource_id}/page/"
            last = number == len(pages)
            return house.page(
                visit,
                reader.generation(),
                "leaf.html",
                title=entry.resource.title,
                number=number,
                count=len(pages),
                image=file_url(pages[number - 1]),
                next="" if last else f"{address}{number + 1}",
                next_image="" if last else file_url(pages[number]),
                previous=f"{address}{number - 1}{visit.carry}" if number > 1 else "",
                close=f"/r/{resource_id}{visit.carry}#p{number}",
            )

    @blueprint.post("/r/<resource_id>/request")
    def ask(resource_id: str) -> AnyResponse:
        visit = house.visit()
        if not same_origin(
            request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site"), request.host
        ) or not house.tokens.right(request.form.get("token", ""), f"request {resource_id}", house.today()):
            raise Told(400, "没有收下", "页面放得太久了。请回到资源页再申请一次。")
        with house.library.reading() as reader:
            entry = _entry(reader, resource_id)
        if entry is None:
            raise _missing()
        wanting = not entry.current or _left_out(entry)
        if wanting and resource_id not in house.requested():
            house.operations.request_resource(resource_id)
            house.look_again()
        return redirect(f"/r/{resource_id}{visit.carry}", 303)

    return blueprint


def _entry(reader: Reader, resource_id: str) -> Entry | None:
    entry = reader.resource(resource_id) if is_resource_id(resource_id) else None
    return entry if entry is not None and entry.resource.state == "published" else None


def _missing() -> Told:
    return Told(404, "没有这项资源", "它可能已经下架。可以在书架上或用搜索找一找。")


def _page(house: House, visit: Visit, reader: Reader, entry: Entry) -> Response:
    resource = entry.resource
    words = visit.words
    translate = house.translate[visit.language]
    played = [file for role in ("play", "source") for file in entry.files_of(role)]
    videos = [file for file in played if file.media_type in PLAYED]
    # Renditions of one film are alternatives; the original is offered only where there is nothing lighter.
    film = [file for file in videos if file.role == "play"] or videos[:1]
    sounds = [file for file in played if file.media_type.startswith("audio/")]
    sounds = [file for file in sounds if file.role == "play"] or sounds
    pictures = [
        file
        for role in ("preview", "play", "source")
        for file in entry.files_of(role)
        if file.media_type.startswith("image/") and is_harmless(file.media_type)
    ]
    package = f"http://{_host_name()}:{house.settings.package_port}/p/{resource.id}/"
    thumb = thumb_url(entry)
    mates = reader.lesson_mates(resource)[:MOST_MATES] if resource.lesson else []
    summary = (words.label("kind", resource.kind), words.extent(resource))
    return house.page(
        visit,
        reader.generation(),
        "resource.html",
        r=resource,
        entry=entry,
        summary=" · ".join(part for part in summary if part),
        crumbs=_crumbs(resource, visit, translate("书架")),
        requested=resource.id in house.requested(),
        token=house.tokens.make(f"request {resource.id}", house.today()),
        left_out=[file.name for file in _left_out(entry)],
        size=words.size(sum(file.size_bytes for file in resource.files)) if resource.files else "",
        colour=subject_class(resource.subject),
        videos=[[Source(url=file_url(file), media_type=_video_type(file)) for file in film]] if film else [],
        poster=thumb,
        tracks=_tracks(entry, words),
        audios=[Source(url=file_url(file), media_type=file.media_type) for file in sounds],
        package=package if entry.files_of("package") else "",
        pictures=[Source(url=file_url(file), media_type=file.media_type) for file in pictures[:1]]
        if not film and not entry.files_of("page")
        else [],
        pages=[file_url(file) for file in entry.files_of("page")[:PAGES_SHOWN]],
        page_count=len(entry.files_of("page")),
        downloads=_downloads(entry, words, [translate(_ROLE_WORDS[role]) for role in ("source", "play")]),
        wechat=WECHAT in request.headers.get("User-Agent", ""),
        facts=facts_of(resource, words, translate),
        json_ld=_script_safe(json_ld_of(resource, request.host_url)),
        mates=[card(mate, words, place=False) for mate in mates] if len(mates) > 1 else [],
        lesson=resource.lesson or "",
    )


def _host_name() -> str:
    host = request.host
    return host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host


def _video_type(file: File) -> str:
    # A QuickTime file from a phone holds what an MP4 holds; browsers refuse it only by its name.
    return "video/mp4" if file.media_type == "video/quicktime" else file.media_type


def _tracks(entry: Entry, words: Words) -> list[Track]:
    return [
        Track(
            url=file_url(file),
            language=file.language or "zh-CN",
            label=words.language_name(file.language or "zh-CN"),
        )
        for file in entry.files_of("subtitle")
        if file.media_type == "text/vtt" or file.name.endswith(".vtt")
    ]


def _downloads(entry: Entry, words: Words, labels: list[str]) -> list[Download]:
    found = []
    # A film that plays as it is has one blob under both roles.
    seen: set[str] = set()
    for role, label in zip(("source", "play"), labels, strict=True):
        for file in entry.files_of(role):
            if file.sha256 in seen:
                continue
            seen.add(file.sha256)
            url = file_url(file, entry.resource.id, download=True)
            found.append(Download(name=file.name, label=label, size=words.size(file.size_bytes), url=url))
    return found


def _left_out(entry: Entry) -> list[File]:
    """Return the files to keep or play that were left out here, since the disk did not hold everything."""
    if not entry.current:
        return []
    here = {file.sha256 for file in entry.serving}
    return [file for file in entry.resource.files if file.role in _ROLE_WORDS and file.sha256 not in here]


def _crumbs(resource: Resource, visit: Visit, shelves: str) -> list[Choice]:
    crumbs = [Choice(label=shelves, link=visit.link("/browse", {}))]
    steps = {"stage": resource.stage or "-", "grade": next(iter(resource.grades), "-")}
    if resource.stage:
        crumbs.append(
            Choice(
                label=visit.words.label("stage", resource.stage),
                link=visit.link("/browse", {"stage": resource.stage}),
            )
        )
    if resource.grades:
        crumbs.append(
            Choice(label=visit.words.label("grade", resource.grades[0]), link=visit.link("/browse", steps))
        )
    if resource.subject:
        book = {
            **steps,
            "subject": resource.subject,
            "edition": resource.edition_code or "-",
            "volume": resource.volume or "-",
        }
        if resource.textbook_year:
            book["year"] = str(resource.textbook_year)
        words = visit.words
        gap = "" if words.chinese else " "
        name = gap.join(
            part
            for part in (
                words.label("subject", resource.subject),
                words.edition(resource.edition_code, None),
                words.volume(resource.volume, resource.volume_text),
            )
            if part
        )
        crumbs.append(Choice(label=name, link=visit.link("/book", book)))
    return crumbs


def _script_safe(value: object) -> Markup:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))
