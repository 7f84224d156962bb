"""The sync page: what runs, what comes next, the month, the rules; and its buttons."""

from __future__ import annotations

import html
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from school import logged_in, token_of

from catalog.local import SyncRun
from webui.operations import PolicyField, Work

GROUP = {
    "place": 0,
    "blobs": 12,
    "bytes": 30_000_000,
    "line_bytes": 4_000_000,
    "ways": [{"way": "patch", "blobs": 9, "bytes": 1}, {"way": "swarm", "blobs": 3, "bytes": 1}],
}
RATE = PolicyField(
    key="rate_kb_per_s", label="速度上限", text="", inherited="200", inherited_from="hub", switch=False
)
METERED = PolicyField(
    key="metered", label="按流量计费", text="true", inherited="false", inherited_from="", switch=True
)


def page(client: Any, path: str = "/admin/sync") -> str:
    response = client.get(path)
    assert response.status_code == 200 and response.headers["Cache-Control"] == "no-store"
    text: str = response.get_data(as_text=True)
    return text


@pytest.mark.parametrize("path", ("/admin/sync", "/admin/policy"))
def test_nothing_is_seen_without_login(served: Any, path: str) -> None:
    response = served.client().get(path)
    assert response.status_code == 303 and response.headers["Location"].endswith("/admin/")


def test_work_under_way_is_shown_with_rate_time_and_road(
    served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Work(
        running=True,
        task="sync",
        phase="content",
        share=0.37,
        done_bytes=37_000_000,
        total_bytes=100_000_000,
        bytes_per_second=250_000,
        seconds_left=252,
        road="lan",
    )
    monkeypatch.setattr(served.school.operations, "work", lambda: work)
    text = page(logged_in(served))
    assert "正在同步 · 取内容 37%" in text and 'value="0.3700"' in text
    assert "250 kB/s" in text and "约 4 分钟" in text and "邻近书箱" in text and "37.0 MB / 100 MB" in text
    assert 'http-equiv="refresh"' in text


def test_the_plan_says_what_why_and_how(served: Any) -> None:
    served.school.operations.plan = {
        "groups": [GROUP],
        "fetch_blobs": 12,
        "fetch_bytes": 30_000_000,
        "line_bytes": 4_000_000,
        "seconds": 7200,
        "left_out": 3,
        "left_out_bytes": 5_000_000,
    }
    text = page(logged_in(served))
    assert "点播申请" in text and "补丁 9 · 互传 3" in text and "约 2 小时" in text
    assert "磁盘放不下 3 个资源（5.0 MB）" in text


def test_the_month_and_the_history_are_the_runs(served: Any) -> None:
    client = logged_in(served)
    now = served.app.house.now()
    for number in range(3):
        details = {
            "roads": {"http": 2_000_000, "lan": 1_000_000},
            "saved": {"patch": 9_000_000},
            "fetched_blobs": 7,
            "seconds": 65,
        }
        served.school.local.record_sync(
            SyncRun(at=now - timedelta(seconds=number), result="ok", code="", details=details)
        )
    served.school.local.record_sync(SyncRun(at=now, result="failed", code="E-ROAD", details={}))
    served.school.local.record_sync(SyncRun(at=now, result="paused", code="E-PAUSED", details={}))
    served.school.local.record_sync(SyncRun(at=now, result="paused", code="E-BUDGET", details={}))
    text = page(client)
    # The rules of the line stopped it: that is no failure.
    assert "<td>已暂停</td>" in text and "<td>本月流量已用完</td>" in text and "没有完成 1" in text
    assert "本月流量已用完" in client.get("/admin/").get_data(as_text=True)
    english = client.get("/admin/sync?lang=en").get_data(as_text=True)
    assert "<td>Paused</td>" in english and "The month's data budget is used up" in html.unescape(english)
    text = page(client)
    assert "没有完成 E-ROAD" in text and "补丁 27.0 MB" in text and "网络 2.0 MB · 邻近书箱 1.0 MB" in text
    assert '<svg class="chart"' in text and "1:05" in text


@pytest.mark.parametrize(
    ("path", "form", "asked"),
    (
        ("pause", {"hours": "4"}, ("pause", 4.0)),
        ("pause", {"hours": ""}, ("pause", None)),
        ("pause", {"hours": "-1"}, ("pause", None)),
        ("resume", {}, ("resume", None)),
        ("hour", {}, ("now", 1.0)),
    ),
)
def test_buttons_do_what_they_say(
    served: Any, path: str, form: dict[str, str], asked: tuple[str, Any]
) -> None:
    client = logged_in(served)
    token = token_of(client.get("/admin/sync"))
    response = client.post(f"/admin/{path}", data={**form, "token": token})
    assert response.status_code == 303 and f"/admin/sync?done={path}" in response.headers["Location"]
    assert served.school.operations.asked[-1] == asked
    assert served.school.local.audit_log(1)[0].action == path


def test_a_button_without_its_token_does_nothing(served: Any) -> None:
    client = logged_in(served)
    before = list(served.school.operations.asked)
    assert client.post("/admin/pause", data={"hours": "4", "token": "0" * 40}).status_code == 400
    assert client.post("/admin/policy", data={"p.metered": "false", "token": ""}).status_code == 400
    assert served.school.operations.asked == before


def test_rules_show_who_says_them_and_only_changes_are_set(served: Any) -> None:
    state = served.school.operations.line_state
    served.school.operations.line_state = replace(state, fields=(RATE, METERED), reason="window")
    try:
        client = logged_in(served)
        text = page(client, "/admin/policy")
        assert "县中心：200" in text and "出厂：否" in text and 'aria-label="这台书箱平时开着的时间"' in text
        token = token_of(client.get("/admin/policy"))
        before = len(served.school.operations.asked)
        form = {"token": token, "p.rate_kb_per_s": "50", "p.metered": "true", "p.unknown": "1"}
        assert client.post("/admin/policy", data=form).status_code == 303
        assert served.school.operations.asked[before:] == [("rate_kb_per_s", "50")]
        refused = client.post("/admin/policy", data={**form, "p.rate_kb_per_s": "wrong"})
        assert refused.status_code == 400
        said = refused.get_data(as_text=True)
        assert "E-CONFIG" in said and 'value="wrong"' in said
        assert "还没到允许同步的时段" in page(client)
    finally:
        served.school.operations.line_state = state


def test_a_pause_offers_to_go_on(served: Any) -> None:
    state = served.school.operations.line_state
    served.school.operations.line_state = replace(
        state,
        allowed=False,
        reason="paused",
        until=datetime(2026, 11, 21, 10, 30, tzinfo=UTC),
        clock_ignored=True,
    )
    try:
        text = page(logged_in(served))
        assert "已暂停 · 到 11月21日 18:30" in text and "继续同步" in text and "时钟未经核对" in text
        assert "/admin/pause" not in text
    finally:
        served.school.operations.line_state = state
