"""A wrong Wi-Fi password on a PC's image, told on every channel, and taken back: two radios of Linux' own simulator.

The test puts a school's router into the image: an access point and its DHCP on the second radio. The first one is the
box's, joined by NetworkManager as in a school.
"""

from __future__ import annotations

import http.cookiejar
import re
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from first_boots import SETTINGS
from plugged_sticks import wait_for
from qemu_machine import Disk, Started, copy_disk, need_image, pc

from appliance.firstboot.template import write_request

pytestmark = pytest.mark.machine

DISK_BYTES = 6 << 30
START_SECONDS, TOLD_SECONDS = 900.0, 600.0
RESULT = "shuxiang-result.txt"
OLD, NEW, ADMIN = "password-of-old", "password-of-now", "12345678a"
UNITS = "/etc/systemd/system"
ROUTER = """
country=CN
ap_scan=1
network={
    ssid="school"
    mode=2
    frequency=2437
    key_mgmt=WPA-PSK
    proto=RSN
    pairwise=CCMP
    psk="%s"
}
"""
# Somebody changed the router's password, and puts the old one back two minutes after the machine has complained.
ROUTER_DAY = """
wpa_supplicant -i wlan1 -D nl80211 -c /etc/test-router-new.conf &
until grep -q E-WIFI-PASSWORD /run/shuxiang/wireless.json; do sleep 2; done
sleep 120
kill $!
wait
exec wpa_supplicant -i wlan1 -D nl80211 -c /etc/test-router-old.conf
"""
ROUTER_UNIT = """
[Unit]
After=nftables.service
Before=NetworkManager.service
[Service]
TimeoutStartSec=infinity
ExecStartPre=/usr/sbin/modprobe mac80211_hwsim
ExecStartPre=/usr/sbin/ip address add 10.9.8.1/24 dev wlan1
ExecStartPre=/usr/sbin/nft add element inet shuxiang open_udp { 67 }
ExecStart=/bin/sh /etc/test-router.sh
"""
ADDRESSES_UNIT = """
[Unit]
After=test-router.service
[Service]
ExecStart=/usr/sbin/dnsmasq --conf-file=/dev/null --keep-in-foreground --port=0 --interface=wlan1 --bind-dynamic \
  --dhcp-range=10.9.8.20,10.9.8.90,1h --user=root --leasefile-ro
Restart=on-failure
RestartSec=5
"""
# Sooner than a school needs it. An empty value takes back every time that the timer has.
OFTEN = """
[Timer]
OnUnitInactiveSec=
OnActiveSec=20s
OnUnitInactiveSec=60s
"""
# As a technician asks by SSH, after each look.
DOCTOR = """
[Service]
ExecStartPost=+/bin/sh -c 'shuxiang doctor --lang en --state /var/lib/shuxiang | sed "s/^/doctor says /"'
"""
ADDED = {
    "/etc/NetworkManager/conf.d/zz-test.conf": "[keyfile]\nunmanaged-devices=interface-name:wlan1\n",
    "/etc/test-router-old.conf": ROUTER % OLD,
    "/etc/test-router-new.conf": ROUTER % NEW,
    "/etc/test-router.sh": ROUTER_DAY,
    f"{UNITS}/test-router.service": ROUTER_UNIT,
    f"{UNITS}/test-addresses.service": ADDRESSES_UNIT,
    f"{UNITS}/shuxiang-wireless.timer.d/often.conf": OFTEN,
    f"{UNITS}/shuxiang-wireless.service.d/doctor.conf": DOCTOR,
}
STARTED = ("test-router.service", "test-addresses.service")


def with_router(disk: Disk, place: Path) -> None:
    """Put radios and router into the system that the disk starts, and a `doctor` beside each look."""
    place.mkdir()
    lines = []
    for number, (path, text) in enumerate(ADDED.items()):
        source = place / str(number)
        source.write_text(text)
        if Path(path).parent.name.startswith("shuxiang-"):
            lines.append(f"mkdir {Path(path).parent}")
        lines += [f"cd {Path(path).parent}", f"write {source} {Path(path).name}"]
    lines += [f"cd {UNITS}/multi-user.target.wants", *(f"symlink {name} {UNITS}/{name}" for name in STARTED)]
    system = f"{disk.path}?offset={disk.parts()[1]['start'] * 512}"
    done = subprocess.run(
        ["debugfs", "-w", "-f", "/dev/stdin", system],
        input="\n".join(lines), text=True, capture_output=True, check=True,
    )  # fmt: skip
    refused = [line for line in done.stderr.splitlines()[1:] if line]
    assert not refused, refused


def request() -> bytes:
    said = {key: value for key, value in SETTINGS.items() if key != "network.fixed_address"}
    return write_request(said, {"admin_password": ADMIN, "wifi.password": OLD})


def admin_page(machine: Started) -> str:
    """Return the page of a technician who logged in."""
    base = f"http://127.0.0.1:{machine.doors[80]}"
    browser = urllib.request.build_opener(
        urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()), urllib.request.ProxyHandler({})
    )
    with browser.open(f"{base}/admin/", timeout=60) as answer:
        [token] = set(re.findall(r'name="token" value="([^"]+)"', answer.read().decode()))
    form = urllib.parse.urlencode({"token": token, "account": "technician", "password": ADMIN}).encode()
    with browser.open(f"{base}/admin/login", form, timeout=60) as answer:
        page: str = answer.read().decode()
    return page


def result(disk: Disk) -> str:
    """Return what is on the card while the machine runs: it is durable there when it is written."""
    return disk.get(RESULT).decode("utf-8-sig") if RESULT in disk.names() else ""


def test_a_wrong_password_is_told_everywhere_and_taken_back(tmp_path: Path) -> None:
    disk = copy_disk(need_image("pc", "box"), tmp_path / "disk.img", DISK_BYTES)
    with_router(disk, tmp_path / "router")
    disk.put("shuxiang.toml", request())
    with pc(disk, tmp_path / "pc") as machine:
        machine.wait_for_words("E-WIFI-PASSWORD: 无线网络的密码不对（school）", START_SECONDS)
        told = wait_for(lambda: found if "E-WIFI-PASSWORD" in (found := result(disk)) else "", 60)
        machine.wait_for_page("/healthz", seconds=60)
        assert "E-WIFI-PASSWORD: 无线网络的密码不对（school）" in admin_page(machine)
        machine.wait_for_words("doctor says E-WIFI-PASSWORD: the wireless network refuses the password (school)", 100)  # fmt: skip
        assert "E-WIFI-PASSWORD: 无线网络的密码不对（school）：应为 WPA2，实为 no-secrets" in told
        assert "结果：成功" in told and "\r\n" in told
        assert OLD not in told and OLD not in machine.said()

        machine.wait_for_words("on the wireless network school 10.9.8.", TOLD_SECONDS)
        wait_for(lambda: "E-WIFI" not in result(disk), 60)
        assert told.endswith(result(disk)) and "结果：成功" in result(disk)
        assert "E-WIFI" not in admin_page(machine)
        machine.press_the_button()
