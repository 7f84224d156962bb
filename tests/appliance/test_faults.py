"""What is wrong with a machine, as its pages tell it: the disks at this start, the wireless network."""

from __future__ import annotations

from pathlib import Path

import pytest
from staff_hub import PASSWORD, Staff

from appliance.disks.telling import Told, tell
from appliance.faults import faults
from appliance.hub import Hub
from appliance.hub_service import hub_application
from appliance.wireless.note import Note, write_note
from catalog.errors import StorageError

REPAIRED = StorageError("E-DATA-REPAIRED", where="/dev/sdb1")
WIRELESS = Note(ssid="县电教馆", code="E-WIFI-PASSWORD")


def test_disks_first_then_the_wireless_network(tmp_path: Path) -> None:
    assert faults(tmp_path, "zh-CN") == ()
    write_note(tmp_path, WIRELESS)
    tell(tmp_path, Told(device="/dev/sdb1", on_card=False, warnings=(REPAIRED,)))
    assert faults(tmp_path, "zh-CN") == (REPAIRED.line("zh-CN"), WIRELESS.line("zh-CN"))
    assert faults(tmp_path, "en")[0].startswith("E-DATA-REPAIRED: the data disk was damaged")
    tell(tmp_path, Told(device="/dev/sda4"))
    write_note(tmp_path, Note(ssid="县电教馆", address="10.0.0.5"))
    assert faults(tmp_path, "zh-CN") == ()


def test_the_home_of_a_hub_shows_them_on_top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHUXIANG_RUN", str(tmp_path / "run"))
    (tmp_path / "run").mkdir()
    opened, _ = Hub.create(tmp_path / "hub", "青禾县", password=PASSWORD)
    with opened as hub:
        app = hub_application(hub)
        staff = Staff(app)
        staff.log_in()
        assert "E-DATA" not in staff.read("/hub/").text
        tell(tmp_path / "run", Told(device="/dev/sdb1", warnings=(REPAIRED,)))
        page = staff.read("/hub/", headers={"Accept-Language": "zh-CN"}).text
        assert "E-DATA-REPAIRED: 数据盘有损坏，已经修好" in page
        assert page.index("E-DATA-REPAIRED") < page.index('class="way"')
        app.close()
