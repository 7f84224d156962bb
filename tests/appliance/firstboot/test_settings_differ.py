"""A start after which nothing is to be applied is known by a few lines of shell; every doubt is left to first boot."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from first_boots import HUB, PASSWORDS, SETTINGS

from appliance.firstboot.apply import first_boot
from appliance.firstboot.card import RESULT_NAME, Card
from appliance.firstboot.request import FILE_NAME, ROOT_NAME
from appliance.firstboot.system import STAMP
from appliance.firstboot.template import write_request
from appliance.wireless.note import Note
from appliance.wireless.telling import tell_on_card
from catalog.clock import system_clock

PROGRAM = Path(__file__).parents[3] / "images/package/files/usr/lib/shuxiang/settings-differ"
FAULT = Note(ssid="school", code="E-WIFI-NOT-FOUND", expected="school", found="0")


class Machine:
    """A card, a system and a state that were set up once."""

    def __init__(self, base: Path, asked: bytes) -> None:
        self.card, self.root, self.state = base / "card", base / "root", base / "state"
        for place in (self.card, self.root):
            place.mkdir()
        (self.card / FILE_NAME).write_bytes(asked)
        self.boot()

    def boot(self) -> None:
        assert first_boot(self.card, self.state, self.root, system_clock).failure is None

    def differs(self) -> tuple[bool, str]:
        """Return whether first boot is to look, and what the console is told where it is not."""
        done = subprocess.run(
            ["/bin/sh", PROGRAM, self.card, self.state, self.root / "etc" / "shuxiang"],
            capture_output=True,
            text=True,
        )
        assert done.returncode in (0, 1) and not done.stderr
        return done.returncode == 0, done.stdout


@pytest.fixture(params=["box", "hub"])
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    asked = {
        "box": write_request(SETTINGS, PASSWORDS),
        "hub": write_request(HUB, {"admin_password": "12345678a"}),
    }
    return Machine(tmp_path, asked[request.param])


def test_what_is_applied_is_known_again_and_the_console_is_told_how_it_ended(machine: Machine) -> None:
    differs, said = machine.differs()
    assert not differs
    assert said == (machine.card / RESULT_NAME).read_text(encoding="utf-8-sig")
    kept = {path.name: path.stat().st_mtime_ns for path in (machine.state / "settings").iterdir()}
    machine.boot()
    assert kept == {path.name: path.stat().st_mtime_ns for path in (machine.state / "settings").iterdir()}
    for path in (machine.state / "settings").iterdir():
        assert b"12345678a" not in path.read_bytes() and b"87654321" not in path.read_bytes()


def test_a_fault_told_above_the_result_is_no_difference(machine: Machine) -> None:
    tell_on_card(Card(machine.card), FAULT)
    assert "E-WIFI-NOT-FOUND" in (machine.card / RESULT_NAME).read_text(encoding="utf-8-sig")
    assert not machine.differs()[0]


def _wrong_then_back(machine: Machine) -> None:
    path = machine.card / FILE_NAME
    asked = path.read_bytes()
    path.write_bytes(b"role = 'boat'\n")
    assert first_boot(machine.card, machine.state, machine.root, system_clock).failure is not None
    path.write_bytes(asked)


CHANGES: dict[str, Callable[[Machine], object]] = {
    "the request": lambda machine: (machine.card / FILE_NAME).write_bytes(
        (machine.card / FILE_NAME).read_bytes() + b"\n"
    ),
    "no result on the card": lambda machine: (machine.card / RESULT_NAME).unlink(),
    "a torn result": lambda machine: (machine.card / RESULT_NAME).write_bytes(b""),
    "a fault above half a result": lambda machine: (
        tell_on_card(Card(machine.card), FAULT),
        (machine.card / RESULT_NAME).write_bytes((machine.card / RESULT_NAME).read_bytes()[:-9]),
    ),
    "the system's own": lambda machine: (machine.root / STAMP).unlink(),
    "what was kept": lambda machine: shutil.rmtree(machine.state / "settings"),
    "torn in keeping": lambda machine: (machine.state / "settings" / FILE_NAME).write_bytes(b""),
    "the settings of the state": lambda machine: (machine.state / "local.db").unlink(),
    "a wrong request, then the old one": _wrong_then_back,
}


@pytest.mark.parametrize("change", CHANGES, ids=[name.replace(" ", "-") for name in CHANGES])
def test_in_doubt_first_boot_looks(machine: Machine, change: str) -> None:
    CHANGES[change](machine)
    assert machine.differs() == (True, "")


def test_first_boot_ends_the_difference(machine: Machine) -> None:
    (machine.card / RESULT_NAME).unlink()
    if (machine.card / ROOT_NAME).exists():
        (machine.card / ROOT_NAME).unlink()
    assert machine.differs()[0]
    machine.boot()
    assert not machine.differs()[0]


def test_another_machine_s_state_is_not_taken_for_set_up(machine: Machine, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    asked = write_request({**HUB, "name": "别的县"}, {"admin_password": "12345678a"})
    machine.state = Machine(other, asked).state
    assert machine.differs() == (True, "")
