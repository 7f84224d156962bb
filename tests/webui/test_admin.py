"""The teacher's page: login, its limits, tokens, the audit log, and what it changes."""

from __future__ import annotations

import html
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from school import PASSWORD, logged_in, token_of, village_school
from werkzeug.test import Client

from catalog.scope import Scope
from webui.accounts import LoginGate, has_password, is_right_password, make_password, set_password
from webui.app import create_box_app


def test_nothing_without_login(served: Any) -> None:
    client = served.client()
    assert "登录" in client.get("/admin/").get_data(as_text=True)
    for path in ("/admin/sync", "/admin/clock", "/admin/scope", "/admin/logout"):
        response = client.post(path)
        assert response.status_code == 303 and response.headers["Location"].endswith("/admin/")
    assert client.get("/admin/").headers["Cache-Control"] == "no-store"


def test_sync_now_needs_the_token_of_the_session(fresh: Any) -> None:
    client = logged_in(fresh)
    page = client.get("/admin/")
    assert "立即同步" in page.get_data(as_text=True)
    other = fresh.app.house.tokens.make("login", fresh.app.house.today())
    for token in ("", "x", other):
        assert client.post("/admin/sync", data={"token": token}).status_code == 400
    cross = client.post(
        "/admin/sync", data={"token": token_of(page)}, headers={"Sec-Fetch-Site": "cross-site"}
    )
    assert cross.status_code == 400 and fresh.school.operations.syncs == 0
    assert client.post("/admin/sync", data={"token": token_of(page)}).status_code == 303
    assert fresh.school.operations.syncs == 1
    lines = [(line.actor, line.action, line.detail) for line in fresh.school.local.audit_log()]
    assert lines == [("teacher", "sync", "started"), ("teacher", "login", "")]


def test_the_display_clock_is_set_by_a_form(fresh: Any) -> None:
    client = logged_in(fresh)
    token = token_of(client.get("/admin/"))
    client.post("/admin/clock", data={"token": token, "shown": "2026-12-01T09:30"})
    assert fresh.school.operations.shown == datetime(2026, 12, 1, 1, 30, tzinfo=UTC)
    client.post("/admin/clock", data={"token": token, "shown": "2026-12-02T03:04:05.678Z"})
    assert fresh.school.operations.shown.date().isoformat() == "2026-12-02"
    for wrong in ("", "yesterday", "1970-01-01T00:00", "9999-12-31T23:59+00:00"):
        client.post("/admin/clock", data={"token": token, "shown": wrong})
    assert fresh.school.operations.shown.date().isoformat() == "2026-12-02"


def test_the_scope_is_chosen_and_taken_back(fresh: Any) -> None:
    client = logged_in(fresh)
    token = token_of(client.get("/admin/"))
    form = {"token": token, "stage": "primary", "grade": ["g3"], "edition/primary/math": "pep|2022"}
    assert client.post("/admin/scope", data=form).status_code == 303
    scope = Scope.from_json(fresh.school.local.get("scope"))
    assert scope.grades == {"g3"} and scope.editions[0].textbook_year == 2022
    text = html.unescape(client.get("/admin/").get_data(as_text=True))
    assert 'value="g3" checked' in text
    for year in ("0", "²", "9" * 5000, ""):
        odd = {"token": token, "edition/primary/math": f"pep|{year}"}
        assert client.post("/admin/scope", data=odd).status_code == 303, year
        assert Scope.from_json(fresh.school.local.get("scope")).editions[0].textbook_year is None
    client.post("/admin/scope", data={"token": token, "everything": "1"})
    assert fresh.school.local.get("scope") is None


def test_what_became_of_the_card_is_shown(fresh: Any) -> None:
    client = logged_in(fresh)
    assert "卡上的设置" not in client.get("/admin/").get_data(as_text=True)
    words = {"zh-CN": ["结果：没有成功", "第 3 行 <b>"], "en": ["result: refused"]}
    fresh.school.local.put(
        "firstboot_result", {"at": "2026-11-22T02:00:00+00:00", "fine": False, "words": words}
    )
    page = client.get("/admin/").get_data(as_text=True)
    assert "卡上的设置" in page and "第 3 行 &lt;b&gt;" in page and "10:00" in page
    assert "result: refused" in client.get("/admin/?lang=en").get_data(as_text=True)


def test_what_is_wrong_with_the_machine_stands_on_top(tmp_path: Path) -> None:
    school = village_school(tmp_path / "school", grades=("g3",))
    set_password(school.local, "teacher", PASSWORD)
    found = ["E-WIFI-PASSWORD: 无线网络的密码不对（<b>）"]
    settings = school.settings(8081, faults=lambda language: tuple(f"{language} {line}" for line in found))
    app = create_box_app(
        school.library, school.finder, school.store.blobs, school.local, school.operations, settings
    )
    client = logged_in(SimpleNamespace(client=lambda: Client(app)))
    page = client.get("/admin/").get_data(as_text=True)
    assert "zh-CN E-WIFI-PASSWORD: 无线网络的密码不对（&lt;b&gt;）" in page
    assert page.index("E-WIFI") < page.index("立即同步")
    assert "en E-WIFI-PASSWORD" in client.get("/admin/?lang=en").get_data(as_text=True)
    found.clear()
    assert "E-WIFI" not in client.get("/admin/").get_data(as_text=True)
    app.close()
    school.close()


def test_wrong_passwords_are_refused_and_then_not_even_tried(fresh: Any) -> None:
    client = fresh.client()
    token = token_of(client.get("/admin/"))
    right = {"token": token, "account": "teacher", "password": PASSWORD}
    for wrong in ({"password": "x"}, {"account": "nobody"}, {"account": "technician"}, {"password": ""}):
        assert client.post("/admin/login", data={**right, **wrong}).status_code == 403
    assert client.post("/admin/login", data={**right, "token": "x"}).status_code == 400
    assert client.post("/admin/login", data={**right, "password": "y"}).status_code == 403
    assert client.post("/admin/login", data=right).status_code == 429
    assert "login refused" in {line.action for line in fresh.school.local.audit_log()}


def test_logout(fresh: Any) -> None:
    client = logged_in(fresh)
    client.post("/admin/logout", data={"token": token_of(client.get("/admin/"))})
    assert "password" in client.get("/admin/").get_data(as_text=True)


def test_the_cookie_stays_on_the_teachers_page(fresh: Any) -> None:
    client = logged_in(fresh)
    for path in ("/", "/r/g3-math-6-video", "/api/v1/status", "/static/shuxiang.css"):
        response = client.get(path)
        assert "Set-Cookie" not in response.headers and "Cookie" not in response.headers.get("Vary", ""), path


def test_the_gate_opens_again() -> None:
    gate = LoginGate()
    for second in range(5):
        assert gate.is_open("a", second)
        gate.failed("a", second)
    assert not gate.is_open("a", 6) and gate.is_open("b", 6) and gate.is_open("a", 306)
    for number in range(60):
        gate.failed(f"address {number}", 10)
    assert not gate.is_open("another", 11)


def test_a_box_makes_its_own_password_once(tmp_path: Any) -> None:
    from catalog.local import Local

    with Local.open(tmp_path / "local.db") as local:
        assert not has_password(local)
        password = make_password(local, "technician")
        assert password and len(password) == 14
        assert make_password(local, "technician") is None
        assert is_right_password(local, "technician", password)
        assert not is_right_password(local, "technician", "x") and not is_right_password(local, "x", password)
        assert password not in str(local.get("password:technician"))
