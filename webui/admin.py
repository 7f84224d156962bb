"""`/admin`: the teacher's and technician's page. Login, status, sync now, 校准, the school's own textbooks.

Invariant: each writing request carries a token bound to the login session, and is written to the audit log. The
session cookie is bound to `/admin`, `HttpOnly` and `SameSite=Strict`; no other page reads or sets a cookie.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, redirect, request, session
from werkzeug.wrappers import Response as AnyResponse

from catalog.clock import CHINA, system_clock
from catalog.curriculum import codes_in_order
from catalog.library import Shelf
from catalog.scope import EVERYTHING, EditionRule, Scope
from webui.accounts import ACCOUNTS, LoginGate, has_password, is_right_password
from webui.guard import ROOT, Guard
from webui.house import House, Visit
from webui.status import box_status
from webui.syncing import ended

AUDIT_SHOWN = 20
REQUESTS_SHOWN = 50
EARLIEST_YEAR, LATEST_YEAR = 2024, 2099
_YEAR = re.compile("[12][0-9]{3}")
_ACTIONS = {
    "login": "登录",
    "login refused": "登录被拒",
    "logout": "退出",
    "sync": "立即同步",
    "clock": "校准",
    "scope": "本校教材",
    "hour": "现在起同步一小时",
    "pause": "暂停",
    "resume": "继续同步",
    "policy": "同步规则",
    "firstboot": "应用卡上的设置",
}


def routes(house: House) -> Blueprint:
    """Return the routes of the teacher's page."""
    blueprint = Blueprint("admin", __name__, url_prefix=ROOT)
    guard = Guard(house)
    gate = LoginGate()

    def login_page(visit: Visit, *, status: int = 200, problem: str = "") -> Response:
        return guard.page(
            visit,
            "login.html",
            status=status,
            problem=house.translate[visit.language](problem),
            token=house.tokens.make("login", house.today()),
            accounts=ACCOUNTS,
            ready=has_password(house.local),
        )

    @blueprint.get("/")
    def home() -> Response:
        visit = house.visit()
        if "account" not in session:
            return login_page(visit)
        return _home(house, visit, guard)

    @blueprint.post("/login")
    def login() -> AnyResponse:
        visit = house.visit()
        address = request.remote_addr or ""
        account = request.form.get("account", "")
        if not guard.came_from_here() or not house.tokens.right(
            request.form.get("token", ""), "login", house.today()
        ):
            return login_page(visit, status=400, problem="页面放得太久了，请再试一次。")
        if not gate.is_open(address, time.monotonic()):
            return login_page(visit, status=429, problem="试的次数太多了，请过五分钟再来。")
        if not is_right_password(house.local, account, request.form.get("password", "")):
            gate.failed(address, time.monotonic())
            shown = account if account in ACCOUNTS else "-"
            house.local.audit(shown, "login refused", "", system_clock())
            return login_page(visit, status=403, problem="账号或密码不对。")
        session.clear()
        session["account"] = account
        session["key"] = secrets.token_hex(16)
        house.local.audit(account, "login", "", system_clock())
        return redirect(f"/admin/{visit.carry}", 303)

    @blueprint.post("/logout")
    @guard.writing("")
    def logout(account: str) -> str:
        session.clear()
        return ""

    @blueprint.post("/clock")
    @guard.writing("")
    def clock(account: str) -> str:
        shown = _shown_time(request.form.get("shown", ""))
        if shown is None:
            return "not a time"
        house.operations.set_display_clock(shown)
        house.look_again()
        return shown.isoformat(timespec="minutes")

    @blueprint.post("/scope")
    @guard.writing("")
    def scope(account: str) -> str:
        chosen = _scope_asked(house.scope())
        house.local.put("scope", chosen.to_json() if chosen else None)
        house.look_again()
        editions = (f"{rule.subject}={rule.edition}" for rule in chosen.editions)
        return " ".join((*sorted(chosen.stages), *sorted(chosen.grades), *editions))

    return blueprint


def _home(house: House, visit: Visit, guard: Guard) -> Response:
    settings = house.settings
    words = visit.words
    translate = house.translate[visit.language]
    disk = house.operations.disk()
    status = box_status(
        house.library,
        house.local,
        box_id=settings.box_id,
        name=settings.name,
        version=settings.version,
        disk=disk,
    )
    last = next(iter(house.local.syncs(1)), None)
    requests = house.local.requests()[:REQUESTS_SHOWN]
    with house.library.reading() as reader:
        asked = reader.resources(item.resource_id for item in requests)
        shelves = reader.shelves()
    now = house.now()
    setup = house.local.get("firstboot_result") or {}
    used = disk.total_bytes - disk.free_bytes
    return guard.page(
        visit,
        "home.html",
        status_of=status,
        account=session["account"],
        done=request.args.get("done", ""),
        token=guard.token(),
        faults=settings.faults(visit.language),
        work=house.operations.work(),
        last_at=_moment(last.at, words.day(last.at.astimezone(CHINA).date())) if last else "",
        last=last,
        last_ended=translate(ended(last)) if last else "",
        asked=[(entry.resource.id, entry.resource.title, entry.cached) for entry in asked],
        disk_text=f"{words.size(disk.free_bytes)} / {words.size(disk.total_bytes)}",
        disk_tenths=min(10, used * 10 // disk.total_bytes) if disk.total_bytes else 0,
        setup=setup.get("words", {}).get(visit.language, ()),
        setup_at=_moment(at := datetime.fromisoformat(setup["at"]), words.day(at.astimezone(CHINA).date()))
        if setup
        else "",
        now=now,
        now_text=_moment(now, words.day(now.date(), year=True)),
        trusted=settings.clock_mark() == "trusted",
        stages=_ticks("stage", (shelf.stage for shelf in shelves), house.scope().stages, visit),
        grades=_ticks("grade", (shelf.grade for shelf in shelves), house.scope().grades, visit),
        editions=_edition_choices(shelves, house.scope(), visit),
        audit=[
            (
                _moment(line.at, words.day(line.at.astimezone(CHINA).date())),
                line.actor,
                translate(_ACTIONS.get(line.action, line.action)),
                line.detail,
            )
            for line in house.local.audit_log(AUDIT_SHOWN)
        ],
    )


def _moment(at: datetime, day: str) -> str:
    return f"{day} {at.astimezone(CHINA):%H:%M}"


def _ticks(
    field: str, codes: Iterable[str], chosen: frozenset[str], visit: Visit
) -> list[tuple[str, str, bool]]:
    """Return (code, label, ticked) of the codes that the catalogue has."""
    present = {code for code in codes if code} | chosen
    return [(code, visit.words.label(field, code), code in chosen) for code in codes_in_order(field, present)]


def _edition_choices(shelves: list[Shelf], scope: Scope, visit: Visit) -> list[dict[str, Any]]:
    """Return one choice for each stage and subject that the catalogue has in several editions."""
    found: dict[tuple[str, str], set[tuple[str, int]]] = {}
    for shelf in shelves:
        if shelf.subject and shelf.edition:
            found.setdefault((shelf.stage, shelf.subject), set()).add((shelf.edition, shelf.textbook_year))
    set_now = {
        (rule.stage or "", rule.subject): f"{rule.edition}|{rule.textbook_year or 0}"
        for rule in scope.editions
        if rule.grade is None and rule.term is None
    }
    choices = []
    stages = codes_in_order("stage", {stage for stage, _ in found})
    subjects = codes_in_order("subject", {subject for _, subject in found})
    for place in ((stage, subject) for stage in stages for subject in subjects):
        editions = found.get(place, set())
        if len(editions) < 2:
            continue
        stage, subject = place
        options = [
            (f"{edition}|{year}", visit.words.edition(edition, year))
            for edition, year in sorted(editions, key=lambda pair: (pair[0], -pair[1]))
        ]
        label = f"{visit.words.label('stage', stage)} {visit.words.label('subject', subject)}".strip()
        choices.append(
            {
                "name": f"edition/{stage}/{subject}",
                "label": label,
                "options": options,
                "chosen": set_now.get(place, ""),
            }
        )
    return choices


def _scope_asked(old: Scope) -> Scope:
    """Return the scope of the form; rules for one grade or term that the county set stay as they are."""
    if request.form.get("everything"):
        return EVERYTHING
    rules = [rule for rule in old.editions if rule.grade is not None or rule.term is not None]
    for name, value in request.form.items():
        if not name.startswith("edition/") or name.count("/") != 2 or "|" not in value:
            continue
        _, stage, subject = name.split("/")
        edition, _, year = value.partition("|")
        rules.append(
            EditionRule(
                subject=subject,
                edition=edition,
                stage=stage or None,
                textbook_year=int(year) if _YEAR.fullmatch(year) else None,
            )
        )
    return Scope(
        stages=frozenset(request.form.getlist("stage")),
        grades=frozenset(request.form.getlist("grade")),
        editions=tuple(rules),
    )


def _shown_time(text: str) -> datetime | None:
    """Return the time that a form names: an ISO time, China's where it names no zone."""
    try:
        shown = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    if not EARLIEST_YEAR <= shown.year <= LATEST_YEAR:
        return None
    return (shown if shown.tzinfo else shown.replace(tzinfo=CHINA)).astimezone(UTC)
