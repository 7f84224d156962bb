"""`shuxiang box pause|resume|policy`: when the box may use its line, said at a terminal."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import click

from appliance.box import Box
from appliance.cli.bar import size_text
from appliance.cli.options import Call, leaf
from catalog.clock import CHINA
from sync.line.policy import Decision, Reason
from sync.line.policy_layers import KEYS, change_stored, default_layer, read_assignment

_REASONS = {
    Reason.FREE: ("可以同步", "may sync"),
    Reason.BY_HAND: ("可以同步（手动）", "may sync (by hand)"),
    Reason.NOW: ("现在起同步，不等空闲", "syncs now, whatever windows and watchers say"),
    Reason.LESSON: ("上课时间", "lessons"),
    Reason.STREAMING: ("有人正在看", "someone is watching"),
    Reason.WINDOW: ("不在同步时段", "outside the windows"),
    Reason.PAUSED: ("已暂停", "paused"),
    Reason.BUDGET: ("本月流量已用完", "the month's budget is used up"),
}
_FROM = {
    "here": ("本机", "here"),
    "hub": ("县中心", "hub"),
    "config": ("配置", "config"),
    "": ("默认", "default"),
}
_HOURS = click.FloatRange(min=0, min_open=True, max=24 * 366)


@click.command()
@click.option("--hours", type=_HOURS, help="For so many hours; until resumed without it.")
@leaf
def pause(call: Call, hours: float | None) -> None:
    """Fetch nothing for a while, whoever asks. It survives a restart; a sync under way stops and goes on later."""
    from appliance import policies

    with Box.open(call.state) as opened:
        span = policies.pause(opened, hours)
        until = span.end.isoformat() if span.end else None
        call.answer(
            {"paused": True, "until": until},
            call.words(
                f"同步已暂停{f' {hours:g} 小时' if hours else '，直到恢复（box resume）'}。",
                f"Sync is paused {f'for {hours:g} h' if hours else 'until it is resumed (box resume)'}.",
            ),
        )


@click.command()
@click.option("--now", "hours", type=_HOURS, help="And sync at once for so many hours, whatever windows say.")
@leaf
def resume(call: Call, hours: float | None) -> None:
    """End a pause."""
    from appliance import policies

    with Box.open(call.state) as opened:
        policies.resume(opened, hours)
        call.answer(
            {"paused": False, "now_hours": hours},
            call.words(
                "同步已恢复。" + (f"接下来 {hours:g} 小时不等空闲。" if hours else ""),
                "Sync goes on." + (f" For {hours:g} h it waits for nobody." if hours else ""),
            ),
        )


@click.command()
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set a key on this box; lists with ';', an empty value gives the key back.",
)
@leaf
def policy(call: Call, assignments: tuple[str, ...]) -> None:
    """Show what holds and who says it, and what it means now; or change it on this box."""
    from appliance import policies
    from sync.line.rate import used_bytes

    changes = [read_assignment(text) for text in assignments]
    with Box.open(call.state) as opened:
        if changes:
            change_stored(opened.local, changes)
        layers = policies.layers_of(opened)
        holds = policies.policy_of(opened)
        decision = policies.decision_of(opened, holds)
        used = used_bytes(opened.local, policies.month(opened))
        said = {name: (who, layer[name]) for who, layer in layers.items() for name in layer}
        missed = bool(holds.windows) and policies.on_hours(opened).never_within(holds.windows)
        rows = {name: said.get(name, ("", value)) for name, value in default_layer().items()}
        call.answer(
            {
                "policy": {name: value for name, (_, value) in rows.items()},
                "from": {name: who or "default" for name, (who, _) in rows.items()},
                "decision": policies.decision_json(decision),
                "windows_missed": missed,
                "month": policies.month(opened),
                "used_bytes": used,
                "budget_bytes": holds.budget_bytes,
            },
            "\n".join(_lines(call, rows, decision, used, holds.budget_bytes, missed)),
        )


def _lines(
    call: Call,
    rows: dict[str, tuple[str, Any]],
    decision: Decision,
    used: int,
    budget: int | None,
    missed: bool,
) -> list[str]:
    text = call.words(*_REASONS[decision.reason])
    if decision.bytes_per_second:
        text += f"  ≤ {size_text(decision.bytes_per_second)}/s"
    if decision.until:
        text += call.words("  到 ", "  until ") + _moment(decision.until)
    lines = [call.words("现在：", "now: ") + text]
    if decision.clock_ignored:
        lines.append(
            call.words(
                "时钟不可信，时段暂不生效（请在管理页校准）",
                "the clock can not be right: hours are ignored (set it on the page)",
            )
        )
    if missed:
        lines.append(
            call.words(
                "这些时段里本机平时不开机，永远轮不到同步：请改时段，或改开机时间",
                "the box is usually off in its windows: it would never sync; change the windows",
            )
        )
    lines.append(
        call.words("本月已用：", "used this month: ")
        + size_text(used)
        + (f" / {size_text(budget)}" if budget else "")
    )
    for name, (who, value) in rows.items():
        shown = json.dumps(value, ensure_ascii=False)
        words = call.words(KEYS[name].zh, KEYS[name].en)
        lines.append(f"{name} = {shown}  [{call.words(*_FROM[who])}]  {words}")
    return lines


def _moment(at: datetime) -> str:
    return f"{at.astimezone(CHINA):%Y-%m-%d %H:%M}"
