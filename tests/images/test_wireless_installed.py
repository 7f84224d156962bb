"""The unit that looks at the wireless network, on a Debian 13 with its own systemd: what it forbids itself it can do without.

There is no radio here: `nmcli` plays what the real one printed (`tests/machines/test_pc_wireless.py` has radios).
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from debian_machine import debian_machine, need_machine
from package_material import packed

from appliance.firstboot.template import write_request
from images.package.target import Arch

pytestmark = pytest.mark.slow

UNIT = "shuxiang-wireless.service"
NMCLI = """#!/bin/sh
case "$*" in
    *"device show"*) cat /etc/test-devices ;;
    *"device wifi list"*) echo school:WPA2 ;;
    *"connection up"*) echo 'Error: Connection activation failed: Secrets were required, but not provided' >&2; exit 4 ;;
esac
"""
OFF = "GENERAL.DEVICE:wlan0\nGENERAL.TYPE:wifi\nGENERAL.STATE:30 (disconnected)\nGENERAL.CONNECTION:\n"
ON = "GENERAL.DEVICE:wlan0\nGENERAL.TYPE:wifi\nGENERAL.STATE:100 (connected)\nGENERAL.CONNECTION:shuxiang-wifi\nIP4.ADDRESS[1]:10.9.8.57/24\n"


def test_the_unit_tells_and_takes_back_on_a_mounted_card(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    need_machine()
    package = packed(Arch["arm64" if os.uname().machine == "aarch64" else "amd64"], tmp_path_factory)
    with debian_machine(tmp_path / "machine") as machine:
        machine.put(package.path, "/tmp/shuxiang.deb")
        machine.must("dpkg", "--install", "/tmp/shuxiang.deb")
        assert machine.must("systemctl", "is-enabled", "shuxiang-wireless.timer").strip() == "enabled"
        machine.must("systemctl", "start", UNIT)
        assert (
            machine.must("systemctl", "show", "--value", "--property", "ConditionResult", UNIT).strip()
            == "no"
        )

        machine.must("mkdir", "-p", "/boot/firmware")
        machine.must("mount", "-t", "tmpfs", "card", "/boot/firmware")
        said = {
            "role": "box",
            "name": "石桥",
            "hub.url": "http://10.0.0.1:8088",
            "hub.fingerprint": "ab" * 32,
            "wifi.ssid": "school",
        }
        data = write_request(said, {"admin_password": "12345678", "wifi.password": "87654321"})
        machine.run("sh", "-c", "cat > /boot/firmware/shuxiang.toml", give=data)
        machine.must("systemctl", "start", "shuxiang-firstboot")
        machine.run("sh", "-c", "cat > /usr/bin/nmcli; chmod 755 /usr/bin/nmcli", give=NMCLI.encode())
        machine.run("sh", "-c", "cat > /etc/test-devices", give=OFF.encode())
        before = machine.must("cat", "/boot/firmware/shuxiang-result.txt")
        machine.must("systemctl", "start", UNIT)
        told = machine.must("cat", "/boot/firmware/shuxiang-result.txt")
        assert "E-WIFI-PASSWORD: 无线网络的密码不对（school）" in told and "结果：成功" in told
        assert json.loads(machine.must("cat", "/run/shuxiang/wireless.json"))["code"] == "E-WIFI-PASSWORD"
        assert "E-WIFI-PASSWORD" in machine.must("journalctl", "-u", UNIT)
        assert "E-WIFI-PASSWORD" in machine.run("runuser", "-u", "shuxiang", "shuxiang", "doctor").stdout

        machine.run("sh", "-c", "cat > /etc/test-devices", give=ON.encode())
        machine.must("systemctl", "start", UNIT)
        assert machine.must("cat", "/boot/firmware/shuxiang-result.txt") == before
        assert "E-WIFI" not in machine.run("shuxiang", "doctor").stdout
        assert "10.9.8.57" in machine.must("journalctl", "-u", UNIT)
