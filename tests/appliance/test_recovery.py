"""The recovery sheet and file by the browser: asked for by the home page, given for the password only, gone when both are kept."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from staff_hub import PASSWORD, Staff
from werkzeug.test import TestResponse

from appliance.hub import Hub
from appliance.hub_service import HubApp, hub_application
from sync.trust.recovery import open_recovery
from sync.trust.sheet import passphrase_on

CHINESE = {"Accept-Language": "zh-CN"}


@dataclass
class Office:
    hub: Hub
    app: HubApp
    folder: Path

    def staff(self) -> tuple[Staff, TestResponse]:
        """Log in; return who did, and what the log-in answered."""
        staff = Staff(self.app)
        return staff, staff.log_in()

    def passphrase(self) -> str:
        return passphrase_on((self.folder / "sheet.html").read_text("utf-8"))


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    monkeypatch.setenv("SHUXIANG_RUN", str(tmp_path / "run"))
    opened, made = Hub.create(tmp_path / "hub", "青禾县", password=PASSWORD)
    with opened as hub:
        app = hub_application(hub)
        office = Office(hub, app, tmp_path / "hub" / "recovery")
        assert office.passphrase() == made.identity.passphrase
        yield office
        app.close()


def test_the_home_page_asks_for_it(office: Office) -> None:
    staff, answer = office.staff()
    assert answer.headers["Location"] == "/hub/"
    page = staff.read("/hub/", headers=CHINESE).text
    assert "恢复单和恢复文件还没有收好" in page and 'href="/hub/recovery"' in page


def test_nobody_gets_them_without_a_log_in_and_the_password_anew(office: Office) -> None:
    for address in ("/hub/recovery", "/hub/recovery/sheet", "/hub/recovery/file"):
        assert Staff(office.app).get(address).headers["Location"].startswith("/hub/login")
    for address in ("/hub/recovery/sheet", "/hub/recovery/file", "/hub/recovery/kept"):
        assert Staff(office.app).post(address, data={"password": PASSWORD}).status_code == 403
    staff, _ = office.staff()
    staff.read("/hub/recovery")
    for address in ("/hub/recovery/sheet", "/hub/recovery/file"):
        assert staff.get(address).status_code == 405
        assert staff.post(address, data={"password": PASSWORD, "token": "x"}).status_code == 403
        for wrong in ("", "wrong"):
            answer = staff.send(address, password=wrong)
            assert answer.status_code == 403 and office.passphrase() not in answer.text
    # The fifth wrong one from here closes the door for a while, also for the right one.
    assert staff.send("/hub/recovery/sheet", password="wrong").status_code == 403
    answer = staff.send("/hub/recovery/sheet", password=PASSWORD)
    assert answer.status_code == 429 and office.passphrase() not in answer.text
    assert [line.action for line in office.hub.local.audit_log()].count("recovery refused") == 5


def test_sheet_and_file_come_as_they_are_and_the_log_says_so(office: Office) -> None:
    staff, _ = office.staff()
    staff.read("/hub/recovery")
    sheet = staff.send("/hub/recovery/sheet", password=PASSWORD)
    assert office.passphrase() in sheet.text and sheet.mimetype == "text/html"
    assert sheet.headers["Cache-Control"] == "no-store"
    policy = sheet.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'") and "script" not in policy
    file = staff.send("/hub/recovery/file", password=PASSWORD)
    assert file.headers["Cache-Control"] == "no-store"
    assert file.headers["Content-Disposition"] == "attachment; filename=recovery.json"
    assert open_recovery(file.data, office.passphrase()).fingerprint == office.hub.fingerprint
    actions = [line.action for line in office.hub.local.audit_log()]
    assert actions[:2] == ["take recovery file", "take sheet"]
    page = staff.read("/hub/log", headers=CHINESE).text
    assert "打开恢复单" in page and "下载恢复文件" in page and office.passphrase() not in page


def test_they_leave_the_hub_only_when_both_are_kept(office: Office) -> None:
    staff, _ = office.staff()
    staff.read("/hub/recovery")
    right = (office.folder / "recovery.json").read_bytes()
    last = office.passphrase()[-5:]

    def keep(file: bytes, group: str) -> TestResponse:
        return staff.send("/hub/recovery/kept", file=(io.BytesIO(file), "recovery.json"), group=group)

    for file, group in ((right[:-3], last), (b"", last), (right, ""), (right, "22222"), (right, office.passphrase()[:5])):  # fmt: skip
        assert keep(file, group).status_code == 400
        assert len(list(office.folder.iterdir())) == 2
    assert keep(b"x" * (200 << 10), last).status_code == 413
    assert keep(right, f" {last.lower()} ").headers["Location"] == "/hub/recovery"
    assert list(office.folder.iterdir()) == []
    page = staff.read("/hub/recovery", headers=CHINESE).text
    assert re.search(r"已经收好：今天 \d\d:\d\d，admin 核对过，并从这台主机上删除", page)
    assert "还没有收好" not in staff.read("/hub/", headers=CHINESE).text
    for address in ("/hub/recovery/sheet", "/hub/recovery/file"):
        assert staff.send(address, password=PASSWORD).status_code == 400
    kept = office.hub.local.get("hub.recovery_kept")
    assert kept["by"] == "admin" and json.dumps(kept).count("-") > 1
    assert office.hub.local.audit_log(1)[0].action == "recovery kept"


def test_what_a_technician_has_taken_away_is_not_asked_for(office: Office) -> None:
    (office.folder / "recovery.json").unlink()
    staff, _ = office.staff()
    page = staff.read("/hub/recovery", headers=CHINESE).text
    assert "下载恢复文件" not in page and "打开恢复单" in page
    staff.send("/hub/recovery/kept", group=office.passphrase()[-5:])
    assert list(office.folder.iterdir()) == []


def test_a_hub_without_them_says_nothing(office: Office) -> None:
    for path in office.folder.iterdir():
        path.unlink()
    staff, answer = office.staff()
    assert answer.headers["Location"] == "/hub/"
    assert "还没有收好" not in staff.read("/hub/", headers=CHINESE).text
    assert "已经不在这台主机上" in staff.read("/hub/recovery", headers=CHINESE).text
