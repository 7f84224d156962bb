"""Why a machine is not on the wireless network: read from what nmcli prints, and told on each channel."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import call

from appliance.firstboot.apply import first_boot
from appliance.firstboot.card import RESULT_NAME, Card
from appliance.firstboot.system import System
from appliance.firstboot.template import write_request
from appliance.wireless.networkmanager import (
    Device,
    Network,
    Refusal,
    read_devices,
    read_networks,
    read_refusal,
)
from appliance.wireless.note import NAME, Note, faults, read_note, write_note
from appliance.wireless.telling import HEAD, tell, tell_on_card
from appliance.wireless.verdict import Asked, Judge, Next, why
from catalog.clock import system_clock
from catalog.wireless_messages import WIRELESS

SCHOOL = Asked(ssid="school", secured=True)
NEAR = (Network(ssid="school", security="WPA2"), Network(ssid="office", security=""))
NO_SECRETS = Refusal(reason=7, words="no-secrets")
NOT_FOUND = Refusal(reason=53, words="ssid-not-found")
TIMEOUT = Refusal(reason=11, words="supplicant-timeout")
WRONG = Note(ssid="school", code="E-WIFI-PASSWORD", expected="WPA2", found=NO_SECRETS.words)
FINE = Note(ssid="school", address="10.9.8.57")


# What nmcli 1.52 of Debian 13 printed, there and below: two radios of mac80211_hwsim, one of them an access point.
HINT = "Hint: use 'journalctl -xe NM_CONNECTION=7f5a6a9e-0000-5000-8000-000000000001 + NM_DEVICE=wlan0' to get more details.\n"
WRONG_PASSWORD = f"""\
Passwords or encryption keys are required to access the wireless network 'school'.
Warning: password for '802-11-wireless-security.psk' not given in 'passwd-file' and nmcli cannot ask without '--ask' option.
Error: Connection activation failed: Secrets were required, but not provided
{HINT}"""


def adapter(state: int, connection: str = "", *addresses: str, word: str = "") -> Device:
    return Device(name="wlan0", state=state, word=word, connection=connection, addresses=addresses)


# -- what nmcli prints -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("printed", "refusal"),
    [
        (WRONG_PASSWORD, NO_SECRETS),
        (f"Error: Connection activation failed: The Wi-Fi network could not be found\n{HINT}", NOT_FOUND),
        # As an older one says it.
        ("Error: Connection activation failed: (7) Secrets were required, but not provided.\n", NO_SECRETS),
        ("Error: Timeout expired (45 seconds)\n", Refusal(reason=0, words="Timeout expired (45 seconds)")),
        ("", Refusal(reason=0, words="")),
    ],
)  # fmt: skip
def test_refusals_are_known_by_number_or_words(printed: str, refusal: Refusal) -> None:
    assert read_refusal(printed) == refusal


def test_networks_are_read_with_colons_and_without_names() -> None:
    printed = "school:WPA2\nschool:WPA2\n:WPA1 WPA2\n教师\\: 办公室\\\\2:\noffice:--\n\nhalf\n"
    assert read_networks(printed) == (
        Network(ssid="school", security="WPA2"),
        Network(ssid="教师: 办公室\\2", security=""),
        Network(ssid="office", security=""),
    )


@pytest.mark.parametrize("between", ["\n", "\n\n"])
def test_wireless_devices_are_read_out_of_all(between: str) -> None:
    printed = (
        "GENERAL.DEVICE:wlan0\nGENERAL.TYPE:wifi\nGENERAL.STATE:100 (connected)\nGENERAL.CONNECTION:shuxiang-wifi\n"
        "IP4.ADDRESS[1]:169.254.7.9/16\nIP4.ADDRESS[2]:10.9.8.57/24\nIP6.ADDRESS[1]:fe80::ff:fe00:0/64",
        "GENERAL.DEVICE:ens3\nGENERAL.TYPE:ethernet\nGENERAL.STATE:100 (connected)\nIP4.ADDRESS[1]:10.0.2.15/24",
        "GENERAL.DEVICE:p2p-dev-wlan0\nGENERAL.TYPE:wifi-p2p\nGENERAL.STATE:30 (disconnected)\nGENERAL.CONNECTION:",
        "GENERAL.DEVICE:wlan1\nGENERAL.TYPE:wifi\nGENERAL.STATE:20 (unavailable)\nGENERAL.CONNECTION:\n",
    )
    joined, off = read_devices(between.join(printed))
    assert joined == adapter(
        100, "shuxiang-wifi", "169.254.7.9", "10.9.8.57", "fe80::ff:fe00:0", word="connected"
    )
    assert joined.useful_address == "10.9.8.57"
    assert off == Device(name="wlan1", state=20, word="unavailable")
    assert read_devices("") == ()


# -- what it means ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "refusal", "near", "code", "expected", "found"),
    [
        (SCHOOL, NO_SECRETS, NEAR, "PASSWORD", "WPA2", NO_SECRETS.words),
        # A hidden network is in no list, yet refuses.
        (SCHOOL, NO_SECRETS, (), "PASSWORD", "WPA", NO_SECRETS.words),
        # WPA3 refuses before anybody is associated.
        (SCHOOL, NOT_FOUND, (Network(ssid="school", security="WPA3"),), "PASSWORD", "WPA3", NOT_FOUND.words),
        (SCHOOL, NOT_FOUND, (Network(ssid="school", security=""),), "PASSWORD", "open", NOT_FOUND.words),
        (Asked(ssid="school", secured=False), NOT_FOUND, NEAR, "PASSWORD", "WPA2", "open"),
        (SCHOOL, NOT_FOUND, NEAR[1:], "NOT-FOUND", "school", "office"),
        (SCHOOL, NOT_FOUND, (), "NOT-FOUND", "school", "0"),
        (SCHOOL, TIMEOUT, NEAR[1:], "NOT-FOUND", "school", "office"),
        (SCHOOL, TIMEOUT, NEAR, "PASSWORD", "WPA2", "supplicant-timeout"),
        (SCHOOL, Refusal(reason=17, words="dhcp-failed"), NEAR, "ADDRESS", "DHCP", "dhcp-failed"),
        (SCHOOL, Refusal(reason=0, words="Timeout expired (45 seconds)"), NEAR, "JOIN", "", "Timeout expired (45 seconds)"),
    ],
)  # fmt: skip
def test_a_refusal_is_explained_by_what_is_in_reach(
    asked: Asked, refusal: Refusal, near: tuple[Network, ...], code: str, expected: str, found: str
) -> None:
    note = why(asked, refusal, near)
    assert (note.code, note.expected, note.found) == (f"E-WIFI-{code}", expected, found)
    assert note.ssid == "school"


def test_many_networks_are_not_all_told() -> None:
    near = tuple(Network(ssid=f"n{number}", security="WPA2") for number in range(30))
    assert why(SCHOOL, NOT_FOUND, near).found == "n0, n1, n2, n3, n4"


def test_one_refusal_is_not_enough_and_the_same_as_before_is() -> None:
    judge = Judge(SCHOOL, None)
    assert judge.look([adapter(30)], 0) is Next.TRY
    assert judge.refused(NO_SECRETS, NEAR) is None
    assert judge.refused(NOT_FOUND, NEAR[1:]) is None, "another fault is the first of its kind"
    assert judge.refused(NO_SECRETS, NEAR) == WRONG
    assert Judge(SCHOOL, WRONG).refused(NO_SECRETS, NEAR) == WRONG
    assert Judge(SCHOOL, FINE).refused(NO_SECRETS, NEAR) is None


def test_what_networkmanager_is_at_is_waited_for() -> None:
    judge = Judge(SCHOOL, None)
    for state in (40, 50, 60, 110, 120):
        assert judge.look([adapter(state, "shuxiang-wifi")], 0) is Next.WAIT
    assert judge.look([adapter(100, "guest"), adapter(20)], 0) is Next.WAIT, "a person chose another one"


def test_what_it_begins_anew_for_ever_is_tried_by_us() -> None:
    judge = Judge(SCHOOL, None)
    for at, state in ((0, 50), (25, 40), (39, 50)):
        assert judge.look([adapter(state, "shuxiang-wifi")], at) is Next.WAIT
    assert judge.look([adapter(50, "shuxiang-wifi")], 40) is Next.TRY
    assert judge.look([adapter(40, "shuxiang-wifi")], 41) is Next.WAIT


def test_an_adapter_has_its_time_to_come_up() -> None:
    judge = Judge(SCHOOL, None)
    assert judge.look([], 5) is Next.WAIT and judge.look([], 24) is Next.WAIT
    missing = judge.look([], 25)
    assert isinstance(missing, Note) and (missing.code, missing.found) == ("E-WIFI-ADAPTER", "0")
    off = Judge(SCHOOL, missing).look([adapter(20, word="unavailable")], 0)
    assert isinstance(off, Note) and off.found == "wlan0 unavailable"


def test_a_router_has_its_time_to_give_an_address() -> None:
    judge, own = Judge(SCHOOL, None), ("169.254.7.9", "fe80::1")
    assert judge.look([adapter(70, "shuxiang-wifi")], 0) is Next.WAIT
    assert judge.look([adapter(100, "shuxiang-wifi", *own)], 44) is Next.WAIT
    without = judge.look([adapter(100, "shuxiang-wifi", *own)], 45)
    assert isinstance(without, Note) and (without.code, without.found) == ("E-WIFI-ADDRESS", "169.254.7.9")
    joined = judge.look([adapter(100, "shuxiang-wifi", *own, "10.9.8.57")], 46)
    assert joined == FINE


# -- where it is told ------------------------------------------------------------------------------------------------


def test_each_fault_has_words_for_people() -> None:
    for code in WIRELESS:
        note = Note(ssid="school", code=code, expected="a", found="b")
        assert note.line("zh-CN").startswith(f"{code}: ") and "（school）：应为 a，实为 b。" in note.line(
            "zh-CN"
        )
        assert " (school): expected a, found b. " in note.line("en")


@pytest.fixture
def card(tmp_path: Path) -> Card:
    """The card of a machine that was set up, with its result."""
    for name in ("card", "root"):
        (tmp_path / name).mkdir()
    said = {
        "role": "box", "name": "石桥教学点", "hub.url": "http://192.168.1.10:8088", "hub.fingerprint": "ab" * 32,
        "wifi.ssid": "school",
    }  # fmt: skip
    passwords = {"admin_password": "12345678a", "wifi.password": "87654321"}
    (tmp_path / "card" / "shuxiang.toml").write_bytes(write_request(said, passwords))
    assert start(tmp_path)
    return Card(tmp_path / "card")


def start(base: Path) -> bool:
    return first_boot(base / "card", base / "state", base / "root", system_clock).failure is None


def shown(card: Card) -> str:
    return (card.directory / RESULT_NAME).read_bytes().decode("utf-8-sig")


def written(card: Card) -> int:
    return (card.directory / RESULT_NAME).stat().st_mtime_ns


def test_the_card_tells_it_above_the_result_until_it_is_over(card: Card, tmp_path: Path) -> None:
    before = shown(card)
    tell_on_card(card, FINE)
    assert shown(card) == before
    tell_on_card(card, WRONG)
    told = shown(card)
    assert told.endswith(before) and told.index("E-WIFI-PASSWORD: 无线网络的密码不对（school）：应为 WPA2") < told.index("E-WIFI-PASSWORD: the wireless network")  # fmt: skip
    assert "87654321" not in told and told.count("\n") == told.count("\r\n")
    at = written(card)
    tell_on_card(card, Note(ssid="school", code="E-WIFI-PASSWORD", expected="WPA2", found="other words"))
    assert start(tmp_path) and written(card) == at, (
        "the same fault, and a start that changes nothing, write nothing"
    )
    tell_on_card(card, Note(ssid="school", code="E-WIFI-NOT-FOUND", expected="school", found="office"))
    assert "PASSWORD" not in shown(card) and shown(card).endswith(before)
    tell_on_card(card, FINE)
    assert shown(card) == before
    (card.directory / RESULT_NAME).write_text(f"{HEAD}\r\nE-WIFI-", encoding="utf-8-sig", newline="")
    tell_on_card(card, FINE)
    assert shown(card) == "", "a cut while it was written"
    (card.directory / RESULT_NAME).unlink()
    tell_on_card(card, FINE)
    assert not (card.directory / RESULT_NAME).exists()
    tell_on_card(card, WRONG)
    assert "E-WIFI-PASSWORD" in shown(card)


def test_a_new_request_on_the_card_takes_the_old_fault_away(card: Card, tmp_path: Path) -> None:
    tell_on_card(card, WRONG)
    toml = card.path.read_text(encoding="utf-8-sig")
    card.path.write_text(toml.replace('ssid = "school"', 'ssid = "office"'), encoding="utf-8")
    start(tmp_path)
    assert "E-WIFI" not in shown(card)


def test_the_system_says_which_network_it_joins(card: Card, tmp_path: Path) -> None:
    wifi = System(tmp_path / "root").wifi()
    assert wifi is not None and (wifi.ssid, wifi.secured) == ("school", True)
    assert System(tmp_path / "nothing").wifi() is None


def test_it_is_new_once(tmp_path: Path) -> None:
    place = tmp_path / "no-card"
    assert tell(tmp_path, place, WRONG)
    at = (tmp_path / NAME).stat().st_mtime_ns
    assert not tell(tmp_path, place, Note(ssid="school", code=WRONG.code, found="other words"))
    assert (tmp_path / NAME).stat().st_mtime_ns == at
    assert tell(tmp_path, place, FINE) and read_note(tmp_path) == FINE
    assert not tell(tmp_path, place, FINE)
    assert faults(tmp_path, "en") == ()


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"ssid": 1, "more": 2}', b'{"ssid": "a", "code": "E-ELSE"}', b"\xff"])  # fmt: skip
def test_a_note_that_can_not_be_read_says_nothing(tmp_path: Path, data: bytes) -> None:
    (tmp_path / NAME).write_bytes(data)
    assert read_note(tmp_path) is None and faults(tmp_path, "zh-CN") == ()


def test_doctor_tells_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call(tmp_path / "hub", "hub", "init", "--name", "青禾县")
    monkeypatch.setenv("SHUXIANG_RUN", str(tmp_path))
    write_note(tmp_path, WRONG)
    [found] = [one for one in call(tmp_path / "hub", "doctor") if one["code"] == WRONG.code]
    assert found["message"] == WRONG.line("en") and found["hint"] == WIRELESS[WRONG.code].hint_en
    write_note(tmp_path, FINE)
    assert not [one for one in call(tmp_path / "hub", "doctor") if "WIFI" in one["code"]]


def test_a_machine_that_asks_for_none_is_left_alone(tmp_path: Path) -> None:
    assert call(tmp_path / "state", "wireless", "--root", tmp_path, "--card", tmp_path) is None
