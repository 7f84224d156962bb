"""A request on a card is applied once, completely, and again after any cut; a wrong one changes nothing."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from command import call
from small_disk import need_root
from sticks import stick

from appliance.box import Box
from appliance.config import read_config
from appliance.firstboot.apply import Outcome, first_boot
from appliance.firstboot.card import RESULT_NAME, cleaned, is_torn
from appliance.firstboot.request import read_request
from appliance.firstboot.template import write_request
from appliance.hub import Hub
from catalog.clock import system_clock
from webui.accounts import is_right_password, set_password

FINGERPRINT = "ab" * 32
SETTINGS: dict[str, Any] = {
    "role": "box",
    "name": "石桥教学点",
    "school_code": "3362000123",
    "time_zone": "Asia/Shanghai",
    "language": "zh-CN",
    "hub.url": "http://192.168.1.10:8088",
    "hub.fingerprint": FINGERPRINT,
    "scope.stages": ["primary"],
    "scope.grades": ["g1", "g3"],
    "scope.editions": [{"edition": "pep", "subject": "math"}],
    "wifi.ssid": "学校 wifi",
    "wifi.hidden": True,
    "network.fixed_address": "192.168.88.88/24",
    "sync.parents": ["http://192.168.1.20:8080"],
    "sync.subscriptions": ["main"],
    "policy.windows": ["1-5 18:00-23:30"],
    "policy.education_line": True,
}
PASSWORDS = {
    "admin_password": "技术员的密码八字",
    "teacher_password": "teacher-1",
    "wifi.password": " a\\b 12345",
}


class Machine:
    """A card, a system and a state in one directory."""

    def __init__(self, base: Path, card: Path | None = None) -> None:
        self.card, self.root, self.state = card or base / "card", base / "root", base / "state"
        for directory in (self.card, self.root):
            directory.mkdir(exist_ok=True)

    def put(self, data: bytes) -> None:
        (self.card / "shuxiang.toml").write_bytes(data)

    def ask(self, *, passwords: dict[str, str] | None = None, **changes: Any) -> None:
        said = {**SETTINGS, **{key.replace("__", "."): value for key, value in changes.items()}}
        self.put(write_request({key: value for key, value in said.items() if value is not None}, PASSWORDS if passwords is None else passwords))  # fmt: skip

    def boot(self) -> Outcome:
        return first_boot(self.card, self.state, self.root, system_clock)

    def text(self, name: str = "shuxiang.toml") -> str:
        return (self.card / name).read_bytes().decode("utf-8-sig")

    def file(self, path: str) -> str:
        return (self.root / path).read_text(encoding="utf-8")

    def change(self, old: str, new: str) -> None:
        text = (self.card / "shuxiang.toml").read_bytes()
        assert old.encode() in text
        self.put(text.replace(old.encode(), new.encode()))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def check_applied(machine: Machine) -> None:
    """Everything that the request of `SETTINGS` asks for is so."""
    with Box.open(machine.state) as box:
        config = box.config
        assert (config.name, config.hub) == ("石桥教学点", "http://192.168.1.10:8088")
        assert config.fingerprint == FINGERPRINT and config.parents == ("http://192.168.1.20:8080",)
        assert dict(config.policy) == {"windows": ["1-5 18:00-23:30"], "education_line": True}
        assert box.subscriptions == {"main"}
        assert box.local.get("scope")["grades"] == ["g1", "g3"] == sorted(config.scope.grades)
        assert box.local.get("school_code") == "3362000123"
        assert is_right_password(box.local, "technician", PASSWORDS["admin_password"])
        assert is_right_password(box.local, "teacher", "teacher-1")
        assert box.leaves == {"scope"}
        assert f"sx-{box.id[:8]}\n" == machine.file("etc/hostname")
    wifi = machine.root / "etc/NetworkManager/system-connections/shuxiang-wifi.nmconnection"
    assert wifi.stat().st_mode & 0o777 == 0o600
    assert "psk=\\sa\\\\b 12345\n" in wifi.read_text()
    assert "address1=192.168.88.88/24\n" in wifi.read_text()
    assert (machine.root / "etc/localtime").readlink() == Path("/usr/share/zoneinfo/Asia/Shanghai")
    for password in PASSWORDS.values():
        for path in machine.card.iterdir():
            assert password.strip() not in path.read_bytes().decode("utf-8-sig")
    assert machine.text("shuxiang-result.txt").splitlines()[2] == "结果：成功，已按 shuxiang.toml 设置好。"


def test_a_request_is_applied_once(machine: Machine) -> None:
    machine.ask()
    outcome = machine.boot()
    assert outcome.failure is None and not outcome.unchanged
    check_applied(machine)
    assert "已删除" in machine.text() and 'admin_password = "*"' in machine.text()
    before = {path: path.stat().st_mtime_ns for path in machine.card.iterdir()}
    assert machine.boot().unchanged
    assert {path: path.stat().st_mtime_ns for path in machine.card.iterdir()} == before
    data = (machine.card / RESULT_NAME).read_bytes()
    assert data.startswith(b"\xef\xbb\xbf") and b"\r\n" in data and b"\n" not in data.replace(b"\r\n", b"")


def test_a_changed_file_changes_only_what_is_new(machine: Machine) -> None:
    machine.ask()
    machine.boot()
    with Box.open(machine.state) as box:
        # What the school set itself since then is not touched by another line.
        box.local.put("scope", {"stages": ["junior"], "grades": [], "editions": []})
    machine.change("石桥教学点", "石桥村小学")
    machine.change("month_budget_mb = 0", "month_budget_mb = 500")
    machine.change("# month_budget_mb", "month_budget_mb")
    outcome = machine.boot()
    assert outcome.failure is None
    assert outcome.result.applied == ("name", "policy.month_budget_mb")
    with Box.open(machine.state) as box:
        assert box.config.name == "石桥村小学"
        assert box.config.policy["month_budget_mb"] == 500
        assert box.config.policy["windows"] == ["1-5 18:00-23:30"]
        assert box.local.get("scope")["stages"] == ["junior"]
        assert is_right_password(box.local, "teacher", "teacher-1")
    wifi = machine.file("etc/NetworkManager/system-connections/shuxiang-wifi.nmconnection")
    assert "psk=\\sa\\\\b 12345\n" in wifi, "a password that is kept stays"


def test_another_line_takes_back_no_change_by_hand(machine: Machine) -> None:
    machine.ask()
    machine.boot()
    config = machine.state / "config.toml"
    text = config.read_text(encoding="utf-8")
    config.write_text(
        text.replace("石桥教学点", "石桥小学").replace("192.168.1.10", "192.168.1.99"), encoding="utf-8"
    )
    machine.change("# month_budget_mb = 0", "month_budget_mb = 500")
    outcome = machine.boot()
    assert outcome.result.applied == ("policy.month_budget_mb",) and outcome.result.name == "石桥小学"
    with Box.open(machine.state) as box:
        assert (box.config.name, box.config.hub) == ("石桥小学", "http://192.168.1.99:8088")


def test_a_line_that_is_gone(machine: Machine) -> None:
    machine.ask()
    machine.boot()
    assert machine.file("etc/shuxiang/language.conf") == "LC_MESSAGES=zh_CN.UTF-8\n"
    machine.ask(language=None, time_zone=None)
    assert machine.boot().result.applied == ("admin_password", "language", "teacher_password", "time_zone", "wifi.password")  # fmt: skip
    assert not (machine.root / "etc/shuxiang/language.conf").exists()
    # A clock must show some zone: the last one that was asked for.
    assert (machine.root / "etc/localtime").readlink() == Path("/usr/share/zoneinfo/Asia/Shanghai")


@contextmanager
def read_only(directory: Path) -> Iterator[None]:
    """Let `directory` be mounted read-only, as FAT becomes after an error."""
    need_root("mounting")
    subprocess.run(["mount", "--bind", directory, directory], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", directory], check=True)
        yield
    finally:
        subprocess.run(["umount", directory], check=True)


def test_a_card_that_can_not_be_written_takes_nothing_back(machine: Machine) -> None:
    machine.ask()
    with read_only(machine.card):
        outcome = machine.boot()
        assert outcome.result.fine and not outcome.unchanged
        assert outcome.failure is not None and 20 <= outcome.failure.exit_code < 30
        words = outcome.result.words("zh-CN")
        assert words[0] == "结果：成功，已按 shuxiang.toml 设置好。"
        assert outcome.failure.line("zh-CN") in words and not any("密码已删除" in line for line in words)
        assert "out of shuxiang.toml" not in " ".join(outcome.result.words("en"))
        with Box.open(machine.state) as box:
            set_password(box.local, "technician", "changed on the page")
        assert machine.boot().result.fine
        with Box.open(machine.state) as box:
            assert is_right_password(box.local, "technician", "changed on the page")
            assert is_right_password(box.local, "teacher", "teacher-1")
            assert box.local.get("firstboot_result")["fine"]
    # Another password of the same length leaves the same file when it is taken out.
    machine.change("teacher-1", "teacher-2")
    outcome = machine.boot()
    assert outcome.failure is None and "密码已删除" in machine.text(RESULT_NAME)
    with Box.open(machine.state) as box:
        assert is_right_password(box.local, "technician", "changed on the page")
        assert is_right_password(box.local, "teacher", "teacher-2")
    assert machine.boot().unchanged


def test_another_role_or_county_is_refused_and_nothing_changes(machine: Machine) -> None:
    machine.ask()
    machine.boot()
    files = {path: path.read_bytes() for path in machine.root.rglob("*") if path.is_file()}
    machine.ask(hub__fingerprint="cd" * 32, name="别的名字")
    outcome = machine.boot()
    assert outcome.failure is not None and outcome.failure.exit_code == 3
    assert [one.code for one in outcome.result.findings] == ["E-PRESEED-COUNTY"]
    assert "属于另一个县中心" in machine.text("shuxiang-result.txt")
    machine.ask(role="hub", passwords=PASSWORDS)
    assert "E-PRESEED-ROLE" in [one.code for one in machine.boot().result.findings]
    assert files == {path: path.read_bytes() for path in machine.root.rglob("*") if path.is_file()}
    with Box.open(machine.state) as box:
        assert box.config.name == "石桥教学点"
        assert not box.local.get("firstboot_result")["fine"]
    machine.ask(passwords=dict.fromkeys(PASSWORDS, "*"))
    outcome = machine.boot()
    assert outcome.failure is None and outcome.result.fine
    assert "结果：成功" in machine.text("shuxiang-result.txt")


def test_a_wrong_file_says_everything_at_once_and_changes_nothing(machine: Machine) -> None:
    machine.ask(name="", wifi__ssid="x" * 40, network__fixed_address="192.168.88.0/24", passwords={"admin_password": "短", "wifi.password": "1234567"})  # fmt: skip
    outcome = machine.boot()
    assert outcome.failure is not None
    codes = {one.code for one in outcome.result.findings}
    assert codes == {"E-PRESEED-TYPE", "E-PRESEED-WIFI", "E-PRESEED-ADDRESS", "E-PRESEED-PASSWORD"}
    assert not machine.state.exists() and not list(machine.root.iterdir())
    assert all(f"第 {one.row} 行 {one.code}" in machine.text("shuxiang-result.txt") for one in outcome.result.findings)  # fmt: skip


def test_a_password_that_was_taken_out_must_be_here(machine: Machine, tmp_path: Path) -> None:
    machine.ask()
    machine.boot()
    taken = (machine.card / "shuxiang.toml").read_bytes()
    (tmp_path / "other").mkdir()
    other = Machine(tmp_path / "other")
    other.put(taken)
    assert {one.column for one in other.boot().result.findings} == set(PASSWORDS)
    # A new system card with the old data disk has the accounts, but not the wireless network.
    system = Machine(tmp_path / "other", machine.card)
    system.state = machine.state
    assert [one.column for one in system.boot().result.findings] == ["wifi.password"]
    machine.change('password = "*"  #', 'password = "new-pass" #')
    assert system.boot().failure is None
    assert "psk=new-pass\n" in system.file("etc/NetworkManager/system-connections/shuxiang-wifi.nmconnection")


def test_no_file(machine: Machine) -> None:
    outcome = machine.boot()
    assert outcome.failure is not None and outcome.failure.code == "E-PRESEED-MISSING"
    assert "没有 shuxiang.toml" in machine.text("shuxiang-result.txt")
    machine.ask()
    machine.boot()
    (machine.card / "shuxiang.toml").unlink()
    assert machine.boot().unchanged


def test_a_hub(machine: Machine) -> None:
    machine.put(
        write_request({"role": "hub", "name": "青禾县电教馆", "hub.url": "x"}, {"admin_password": "12345678"})
    )
    assert machine.boot().failure is None
    with Hub.open(machine.state) as hub:
        assert hub.config.name == "青禾县电教馆"
        assert hub.fingerprint in machine.text("shuxiang-result.txt")
        root = (machine.card / "1.root.json").read_bytes()
        assert root == (hub.public / "metadata" / "1.root.json").read_bytes()
    (machine.card / "1.root.json").unlink()
    assert machine.boot().unchanged and (machine.card / "1.root.json").read_bytes() == root
    machine.change("青禾县电教馆", "青禾县教育局")
    assert machine.boot().result.applied == ("name",)


def test_a_full_card_has_no_room_for_the_root(tmp_path: Path) -> None:
    with stick("vfat", 40 << 20) as place:
        machine = Machine(tmp_path, place)
        machine.put(write_request({"role": "hub", "name": "青禾县电教馆"}, {"admin_password": "12345678"}))
        block = b"x" * (1 << 16)
        with contextlib.suppress(OSError), (place / "films").open("wb", buffering=0) as stream:
            while stream.write(block):
                pass
        outcome = machine.boot()
        assert outcome.result.fine and outcome.failure is not None
        assert "密码已删除" in "".join(outcome.result.words("zh-CN")) and '"*"' in machine.text()
        (place / "films").unlink()
        outcome = machine.boot()
        assert outcome.failure is None and (place / "1.root.json").exists()
        assert outcome.result.words("en") and "E-" not in machine.text(RESULT_NAME)
        assert machine.boot().unchanged


def test_the_root_beside_may_be_gone_later(machine: Machine, tmp_path: Path) -> None:
    made, _ = Hub.create(tmp_path / "hub", "青禾县")
    made.close()
    root = (tmp_path / "hub" / "public" / "metadata" / "1.root.json").read_bytes()
    (machine.card / "1.root.json").write_bytes(root)
    machine.ask(hub__fingerprint=None)
    assert machine.boot().failure is None
    (machine.card / "1.root.json").unlink()
    assert machine.boot().unchanged
    # A cut came before the result was kept.
    with Box.open(machine.state) as box:
        box.local.put("firstboot_result", None)
    outcome = machine.boot()
    assert outcome.failure is None and outcome.result.fine and "E-" not in machine.text(RESULT_NAME)
    assert outcome.result.name == "石桥教学点"


def test_a_hub_goes_on_after_a_cut_between_its_keys_and_its_configuration(tmp_path: Path) -> None:
    made, new = Hub.create(tmp_path, "青禾县")
    made.close()
    (tmp_path / "config.toml").unlink()
    again, second = Hub.create(tmp_path, "青禾县", password="a new one")
    with again:
        assert second.identity.fingerprint == new.identity.fingerprint == again.fingerprint


def test_the_state_is_made_as_its_owner(machine: Machine) -> None:
    need_root("becoming another user")
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        base.chmod(0o755)
        machine.state = base / "state"
        machine.state.mkdir()
        os.chown(machine.state, 65534, 65534)
        arguments = ("firstboot", "--from", machine.card, "--root", machine.root)
        machine.ask()
        assert call(machine.state, *arguments)["fine"]
        assert {path.stat().st_uid for path in machine.state.rglob("*")} == {65534}
        assert (machine.root / "etc/hostname").stat().st_uid == 0
        assert call(machine.state, *arguments)["unchanged"]
        machine.ask(hub__fingerprint="cd" * 32)
        refused = call(machine.state, *arguments, code=3)
        assert [one["code"] for one in refused["findings"]] == ["E-PRESEED-COUNTY"]


# -- the card --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_passwords_leave_the_file_without_moving_anything_else(encoding: str) -> None:
    text = write_request(SETTINGS, PASSWORDS).decode("utf-8-sig").replace("admin_password = \"技术员的密码八字\"", "admin_password=“技术员的密码八字”")  # fmt: skip
    data = text.encode(encoding)
    reading = read_request(data)
    assert reading.request is not None and len(reading.secrets) == 3
    clean = cleaned(data, reading.secrets)
    assert len(clean) == len(data)
    assert data.count("\n".encode(encoding).strip(b"\xff\xfe")) == clean.count("\n".encode(encoding).strip(b"\xff\xfe"))  # fmt: skip
    again = read_request(clean)
    assert again.request is not None
    assert again.request.kept == set(PASSWORDS) and not again.request.passwords
    assert again.request.settings == reading.request.settings
    for password in PASSWORDS.values():
        assert password not in clean.decode(encoding)
    assert cleaned(clean, again.secrets) == clean


def torn(secret: bytes, clean: bytes) -> list[bytes]:
    """What a cut leaves while passwords are overwritten: old up to a sector, new from there."""
    ends = range(0, len(clean) + 512, 512)
    return list(dict.fromkeys(secret[:end] + clean[end:] for end in ends))


def test_every_cut_while_passwords_are_overwritten_is_known() -> None:
    """Wherever the sectors' ends fall: the file is torn, or each password in it is whole or gone."""
    found = 0
    for pad in range(0, 512, 7):
        secret = write_request(SETTINGS, PASSWORDS)[3:]
        secret = b"#" * pad + b"\r\n" + secret
        clean = cleaned(secret, read_request(secret).secrets)
        for mixed in torn(secret, clean):
            if is_torn(mixed, clean):
                found += 1
                continue
            request = read_request(mixed).request
            assert request is not None
            assert request.passwords.items() <= PASSWORDS.items()
            assert request.kept | request.passwords.keys() == PASSWORDS.keys()
    assert found >= 4


@pytest.mark.parametrize("pad", [200, 230, 260])
def test_a_cut_while_passwords_are_overwritten_is_mended(machine: Machine, pad: int) -> None:
    machine.ask()
    secret = b"#" * pad + b"\r\n" + (machine.card / "shuxiang.toml").read_bytes()[3:]
    machine.put(secret)
    machine.boot()
    clean = (machine.card / "shuxiang.toml").read_bytes()
    for mixed in torn(secret, clean):
        machine.put(mixed)
        assert machine.boot().failure is None, mixed
        assert (machine.card / "shuxiang.toml").read_bytes() == clean
    machine.put(secret.replace(b"teacher-1", b'teac"er-1'))
    assert machine.boot().failure is None
    assert (machine.card / "shuxiang.toml").read_bytes() == clean
    check_applied(machine)


@pytest.fixture(scope="module")
def partition() -> Iterator[Path]:
    with stick("vfat", 64 << 20) as place:
        yield place


def test_on_a_real_fat_partition(partition: Path, tmp_path: Path) -> None:
    machine = Machine(tmp_path, partition)
    machine.ask()
    size = (partition / "shuxiang.toml").stat().st_size
    assert machine.boot().failure is None
    check_applied(machine)
    assert (partition / "shuxiang.toml").stat().st_size == size
    assert machine.boot().unchanged
    assert {path.name for path in partition.iterdir()} == {"shuxiang.toml", "shuxiang-result.txt"}


def test_a_clock_at_1970_does_not_stop_a_box(machine: Machine) -> None:
    machine.ask()
    outcome = first_boot(machine.card, machine.state, machine.root, lambda: datetime(1970, 1, 1, tzinfo=UTC))
    assert outcome.failure is None
    assert read_config(machine.state / "config.toml").name == "石桥教学点"
