"""`/admin/sync` and `/admin/policy`: how far the box is, what it fetches next and why, the month, and its rules.

Invariant: what the page says of work under way is read from the process that does it, so it is true after any restart;
figures of the past are the history's, and a picture never says more than they do.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from flask import Blueprint, Response, request, session
from werkzeug.wrappers import Response as AnyResponse

from catalog.clock import CHINA
from catalog.local import SyncRun
from webui.guard import ROOT, Guard
from webui.house import House, Visit
from webui.i18n import Translate
from webui.month import FREE_ROADS, colour, draw, month_of
from webui.operations import LineState, Work
from webui.week import draw_week
from webui.words import Words

RUNS_SHOWN = 20
REFRESH_SECONDS = 4
HOURS_OFFERED = (1.0, 4.0, 24.0)
MOST_HOURS = 24 * 90
PHASES = {
    "sync": "准备",
    "metadata": "核对目录",
    "manifest": "取目录",
    "catalogue": "更新目录",
    "index": "建索引",
    "content": "取内容",
    "plan": "计划",
    "verify": "校验内容",
    "repair": "修复内容",
    "export": "写出到盘",
    "reindex": "建索引",
    "subscribe": "改订阅",
}
ROADS = {
    "http": "网络",
    "rsync": "rsync",
    "torrent": "互传",
    "swarm": "互传",
    "lan": "邻近书箱",
    "directory": "U 盘或磁盘",
}
REASONS = {
    "free": "空闲时随时同步",
    "by-hand": "有人手动同步",
    "now": "现在起同步，不等空闲",
    "lesson": "上课时间，放慢同步",
    "streaming": "有人正在看，放慢同步",
    "window": "还没到允许同步的时段",
    "paused": "已暂停",
    "budget": "本月流量已用完",
}
PLACES = {
    -1: "这几天的课",
    0: "点播申请",
    1: "本校本学期教材",
    2: "本校其他教材",
    3: "其他教材，本学期",
    4: "其他",
    5: "视频原件",
}
WAYS = {"patch": "补丁", "pack": "合包", "differences": "比对", "swarm": "互传", "whole": "整份"}
LAYERS = {"": "出厂", "config": "配置文件", "hub": "县中心"}
SAVINGS = {"patch": "补丁", "pack": "合包", "differences": "比对", "lan": "邻近书箱"}


def routes(house: House) -> Blueprint:
    """Return the routes of the sync page and of the policy's form."""
    blueprint = Blueprint("syncing", __name__, url_prefix=ROOT)
    guard = Guard(house)

    @blueprint.get("/sync")
    @guard.reading
    def page(visit: Visit) -> Response:
        return _page(house, guard, visit)

    @blueprint.get("/policy")
    @guard.reading
    def rules(visit: Visit) -> Response:
        return _rules(house, guard, visit)

    @blueprint.post("/sync")
    @guard.writing("sync")
    def sync(account: str) -> str:
        return "started" if house.operations.sync_now() else "already running"

    @blueprint.post("/hour")
    @guard.writing("sync")
    def hour(account: str) -> str:
        house.operations.sync_for(1.0)
        return "1 h"

    @blueprint.post("/pause")
    @guard.writing("sync")
    def pause(account: str) -> str:
        hours = _hours(request.form.get("hours", ""))
        house.operations.pause(hours)
        return f"{hours:g} h" if hours else "until resumed"

    @blueprint.post("/resume")
    @guard.writing("sync")
    def resume(account: str) -> str:
        house.operations.resume()
        return ""

    @blueprint.post("/policy")
    def policy() -> AnyResponse:
        visit = house.visit()
        refused: list[tuple[str, str]] = []

        def change_policy(account: str) -> str:
            asked = {name[2:]: value.strip() for name, value in request.form.items() if name.startswith("p.")}
            changed = {
                field.key: asked[field.key]
                for field in house.operations.line(chinese=visit.words.chinese).fields
                if field.key in asked and asked[field.key] != field.text
            }
            for key, text in changed.items():
                problem = house.operations.set_policy(key, text, chinese=visit.words.chinese)
                if problem:
                    refused.append((key, problem))
            return " ".join(f"{key}={text}" for key, text in changed.items())

        change_policy.__name__ = "policy"
        answer = guard.writing("policy")(change_policy)()
        if not refused:
            return answer
        return _rules(house, guard, visit, status=400, refused=dict(refused))

    return blueprint


def _page(house: House, guard: Guard, visit: Visit) -> Response:
    words, translate = visit.words, house.translate[visit.language]
    work, line = house.operations.work(), house.operations.line(chinese=words.chinese)
    runs = house.local.syncs(1000)
    month = month_of(runs, house.today(), CHINA)
    with house.library.reading() as reader:
        bundles = reader.bundles()
    title = translate("本月每天收到的数据")
    return guard.page(
        visit,
        "sync.html",
        account=session["account"],
        done=request.args.get("done", ""),
        token=guard.token(),
        refresh=REFRESH_SECONDS if work.running else 0,
        work=_work(work, words, translate),
        line=_line(line, words, translate),
        hours=HOURS_OFFERED,
        bundles=[
            {
                "title": bundle.title or bundle.id,
                "version": bundle.version,
                "cached": bundle.cached,
                "resources": bundle.resources,
                "percent": bundle.cached * 100 // bundle.resources if bundle.resources else 100,
            }
            for bundle in bundles
        ],
        plan=_plan(house.operations.planned(), line, words, translate),
        chart=draw(month, words.size, words.day, title),
        month=month,
        legend=[
            (translate(ROADS.get(road, road)), colour(road), words.size(count), road in FREE_ROADS)
            for road, count in month.roads.items()
        ],
        saved=[
            (translate(SAVINGS[kind]), words.size(month.saved[kind]))
            for kind in SAVINGS
            if month.saved.get(kind)
        ],
        runs=[_run(run, words, translate) for run in runs[:RUNS_SHOWN]],
    )


def _rules(
    house: House, guard: Guard, visit: Visit, *, status: int = 200, refused: Mapping[str, str] | None = None
) -> Response:
    words, translate = visit.words, house.translate[visit.language]
    line = house.operations.line(chinese=words.chinese)
    days = [words.weekday(date(2024, 1, number)) for number in range(1, 8)]  # 2024 began on a Monday
    return guard.page(
        visit,
        "policy.html",
        status=status,
        account=session["account"],
        done=request.args.get("done", ""),
        token=guard.token(),
        fields=line.fields,
        said_by={who: translate(word) for who, word in LAYERS.items()},
        refused=refused or {},
        asked=request.form,
        week=draw_week(line.on_hours, days, translate("这台书箱平时开着的时间")),
    )


def _work(work: Work, words: Words, translate: Translate) -> dict[str, Any]:
    return {
        "running": work.running,
        "phase": translate(PHASES.get(work.phase, PHASES["sync"])),
        "percent": None if work.share is None else int(work.share * 100),
        "share": work.share,
        "rate": f"{words.size(work.bytes_per_second)}/s" if work.bytes_per_second else "",
        "left": _about(work.seconds_left, translate),
        "road": translate(ROADS.get(work.road, work.road)),
        "amount": f"{words.size(work.done_bytes)} / {words.size(work.total_bytes)}"
        if work.total_bytes
        else "",
    }


def _line(line: LineState, words: Words, translate: Translate) -> dict[str, Any]:
    return {
        "allowed": line.allowed,
        "paused": line.reason == "paused",
        "reason": translate(REASONS.get(line.reason, line.reason)),
        "until": _moment(line.until, words) if line.until else "",
        "rate": f"{words.size(line.bytes_per_second)}/s" if line.bytes_per_second else "",
        "clock_ignored": line.clock_ignored,
        "used": words.size(line.used_bytes),
        "budget": words.size(line.budget_bytes) if line.budget_bytes else "",
        "budget_percent": min(100, line.used_bytes * 100 // line.budget_bytes) if line.budget_bytes else 0,
    }


def _plan(
    planned: Mapping[str, Any] | None, line: LineState, words: Words, translate: Translate
) -> dict[str, Any] | None:
    """Return the last plan as the page shows it; None where no run has made one yet."""
    if planned is None:
        return None
    rows = [
        {
            "why": translate(PLACES.get(row["place"], PLACES[4])),
            "blobs": row["blobs"],
            "size": words.size(row["bytes"]),
            "line": words.size(row["line_bytes"]),
            "ways": [f"{translate(WAYS.get(way['way'], way['way']))} {way['blobs']}" for way in row["ways"]],
        }
        for row in planned["groups"]
    ]
    return {
        "rows": rows,
        "blobs": planned["fetch_blobs"],
        "size": words.size(planned["fetch_bytes"]),
        "line": words.size(planned["line_bytes"]),
        "time": _about(planned.get("seconds"), translate),
        "left_out": planned.get("left_out", 0),
        "left_out_size": words.size(planned.get("left_out_bytes", 0)),
    }


def _run(run: SyncRun, words: Words, translate: Translate) -> dict[str, Any]:
    roads = run.details.get("roads") or {}
    stick = run.details.get("stick")
    names = ROADS | {"directory": translate("U 盘 %(name)s") % {"name": stick}} if stick else ROADS
    return {
        "at": _moment(run.at, words),
        "ended": translate(ended(run)),
        "code": run.code if run.result == "failed" else "",
        "blobs": run.details.get("fetched_blobs", 0),
        "roads": [
            f"{translate(names.get(road, road))} {words.size(count)}"
            for road, count in roads.items()
            if count
        ]
        or ([names["directory"]] if stick else []),
        "time": words.duration(run.details.get("seconds", 0)),
    }


def ended(run: SyncRun) -> str:
    """Return in the pages' first language how a run ended; a failure has its code, which a technician asks for."""
    if run.result == "ok":
        return "完成"
    if run.result == "paused":
        return REASONS["budget"] if run.code == "E-BUDGET" else "已暂停"
    return "没有完成"


def _moment(at: datetime, words: Words) -> str:
    shown = at.astimezone(CHINA)
    return f"{words.day(shown.date())} {shown:%H:%M}"


def _about(seconds: float | None, translate: Translate) -> str:
    """Return a time as people say it: nobody needs the seconds of an hour."""
    if seconds is None:
        return ""
    if seconds < 60:
        return translate("不到 1 分钟")
    if seconds < 5400:
        return translate("约 %d 分钟") % round(seconds / 60)
    if seconds < 48 * 3600:
        return translate("约 %d 小时") % round(seconds / 3600)
    return translate("约 %d 天") % round(seconds / 86400)


def _hours(text: str) -> float | None:
    """Return the hours that a form names; None for "until resumed"."""
    try:
        hours = float(text)
    except ValueError:
        return None
    return hours if 0 < hours <= MOST_HOURS else None
