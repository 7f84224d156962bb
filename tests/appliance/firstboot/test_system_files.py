"""The files of the system: where they go, who may read them, and that GLib reads of a keyfile what was meant."""

from __future__ import annotations

import base64
import ctypes
import ctypes.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.firstboot import values
from appliance.firstboot.request import Request
from appliance.firstboot.system import CABLE, ENVIRONMENT, LEASES, SSH_KEYS, WIFI, System, system_files
from catalog.errors import ConfigError

Lookup = Callable[[str, str], str]


@pytest.fixture(scope="module")
def key_file() -> Callable[[str], Lookup]:
    """Read a key file as NetworkManager does: with GLib."""
    name = ctypes.util.find_library("glib-2.0")
    if name is None:
        pytest.skip("GLib is not here")
    glib = ctypes.CDLL(name)
    glib.g_key_file_new.restype = ctypes.c_void_p
    glib.g_key_file_get_string.restype = ctypes.c_void_p
    glib.g_key_file_get_string.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p]
    glib.g_key_file_load_from_data.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p]  # fmt: skip

    def load(text: str) -> Lookup:
        file, data = glib.g_key_file_new(), text.encode()
        assert glib.g_key_file_load_from_data(file, data, len(data), 0, None)

        def get(group: str, key: str) -> str:
            found = glib.g_key_file_get_string(file, group.encode(), key.encode(), None)
            assert found, f"{group}.{key}"
            value = ctypes.cast(found, ctypes.c_char_p).value
            assert value is not None
            return value.decode()

        return get

    return load


def asked(passwords: dict[str, str] | None = None, **said: Any) -> Request:
    settings = {
        "role": "box",
        "name": "石桥",
        **{key.replace("__", "."): value for key, value in said.items()},
    }
    return Request(settings=settings, passwords=passwords or {}, kept=frozenset(), fingerprint="", root=None)


def texts(request: Request) -> dict[str, str | None]:
    return {file.path: file.text for file in system_files(request, "sx-1")}


@pytest.mark.parametrize("password", [" spaces ", "a\\b\\\\sc;,#=[]", "  \\s  x y z", '"quoted"!', "x" * 63])
def test_glib_reads_the_password_that_was_meant(key_file: Callable[[str], Lookup], password: str) -> None:
    text = texts(asked({"wifi.password": password}, wifi__ssid="school"))[WIFI]
    assert text is not None
    get = key_file(text)
    assert get("wifi-security", "psk") == password
    assert (get("wifi-security", "key-mgmt"), get("wifi", "ssid")) == ("wpa-psk", "school")


@pytest.mark.parametrize("ssid", ["学校 wifi", "1234", "a;b", " x ", "TP-LINK_5G", "校"])
def test_the_name_of_a_network_is_plain_or_a_list_of_bytes(
    key_file: Callable[[str], Lookup], ssid: str
) -> None:
    text = texts(asked({"wifi.password": ""}, wifi__ssid=ssid, wifi__hidden=True))[WIFI]
    assert text is not None and "wifi-security" not in text
    found = key_file(text)("wifi", "ssid")
    read = bytes(map(int, found.rstrip(";").split(";"))).decode() if found.endswith(";") else found
    assert read == ssid
    assert key_file(text)("wifi", "hidden") == "true"


def test_the_second_fixed_address_stands_beside_the_automatic_one(key_file: Callable[[str], Lookup]) -> None:
    request = asked(network__fixed_address="192.168.88.88/24", network__gateway="192.168.88.1", network__dns=["192.168.88.1", "fd00::1"])  # fmt: skip
    text = texts(request)[CABLE]
    assert text is not None
    get = key_file(text)
    assert get("ipv4", "method") == get("ipv6", "method") == "auto"
    assert get("ipv4", "address1") == "192.168.88.88/24,192.168.88.1"
    assert (get("ipv4", "dns"), get("ipv6", "dns")) == ("192.168.88.1;", "fd00::1;")


KEY = (
    "ssh-ed25519 "
    + base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes(range(32))).decode()
    + " 张老师"
)


def test_a_key_opens_ssh_and_its_line_s_end_closes_it(tmp_path: Path) -> None:
    system = System(tmp_path)
    assert SSH_KEYS in system.write(asked(ssh_keys=values.ssh_keys([KEY, f"  {KEY}"])), "sx-1")
    assert (tmp_path / SSH_KEYS).read_text() == f"{KEY}\n"
    assert system.write(asked(), "sx-1") == [SSH_KEYS]


def test_addresses_are_given_where_it_is_asked_for(tmp_path: Path) -> None:
    system = System(tmp_path)
    given = {"network__dhcp": True, "network__fixed_address": "192.168.88.88/24"}
    assert LEASES in system.write(asked(**given), "sx-1")
    assert (tmp_path / LEASES).read_text() == "SHUXIANG_ADDRESS=192.168.88.88/24\nSHUXIANG_WORD=shuxiang\n"
    system.write(asked(role="hub", **given), "sx-1")
    assert "SHUXIANG_WORD=shuxiang-hub\n" in (tmp_path / LEASES).read_text()
    assert LEASES in system.write(asked(network__fixed_address="192.168.88.88/24"), "sx-1")


@pytest.mark.parametrize(
    "wrong",
    [
        "ssh-ed25519",
        "AAAAC3Nz",
        "ssh-ed25519 !!!",
        KEY.replace("ssh-ed25519", "ssh-rsa"),
        f'command="sh" {KEY}',
        "-----BEGIN OPENSSH PRIVATE KEY-----",
        f"{KEY}\u2028{KEY}\x07",
    ],
)
def test_what_is_no_public_key_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigError) as refused:
        values.ssh_keys([wrong])
    assert refused.value.code == "E-PRESEED-TYPE"


def test_files_come_and_go(tmp_path: Path) -> None:
    system = System(tmp_path)
    full = asked({"wifi.password": "12345678"}, wifi__ssid="school", network__fixed_address="10.1.1.9/8", time_zone="Asia/Urumqi", language="en")  # fmt: skip
    changed = system.write(full, "sx-1")
    assert set(changed) == {
        str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file() or path.is_symlink()
    }
    for path in (WIFI, CABLE):
        assert (tmp_path / path).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "etc/shuxiang/language.conf").read_text() == "LC_MESSAGES=C.UTF-8\n"
    assert (tmp_path / "etc/timezone").read_text() == "Asia/Urumqi\n"
    assert system.write(full, "sx-1") == []
    (tmp_path / WIFI).chmod(0o644)
    assert system.write(full, "sx-1") == [WIFI]
    assert set(system.write(asked(), "sx-1")) == {WIFI, CABLE, ENVIRONMENT}
    assert not (tmp_path / WIFI).exists() and not (tmp_path / CABLE).exists()
