"""The Debian package on a Debian 13 without a network: installed, served, restarted, upgraded, removed.

The machine runs its own systemd, so that what the unit forbids is forbidden here as in a school.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from debian_machine import Machine, debian_machine, need_machine
from package_material import Unpacked, packed

from appliance.firstboot.template import write_request
from images.package.target import Arch

pytestmark = pytest.mark.slow

MOST_EXPOSED = 2.5
LATER = "9.9.9"
DROP_IN = "/run/systemd/system/shuxiang.service.d"
PAGE = "from urllib.request import urlopen; print(urlopen('http://127.0.0.1{}', timeout=9).read().decode())"
RECORD = {
    "title": "分数的初步认识",
    "stage": "primary",
    "grade": 3,
    "subject": "math",
    "kind": "document",
    "file": "a.txt",
}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Unpacked:
    need_machine()
    return packed(Arch["arm64" if os.uname().machine == "aarch64" else "amd64"], tmp_path_factory)


@pytest.fixture
def machine(package: Unpacked, tmp_path: Path) -> Iterator[Machine]:
    with debian_machine(tmp_path / "machine") as started:
        yield started


def install(machine: Machine, package: Path) -> str:
    machine.put(package, "/tmp/shuxiang.deb")
    return machine.must("dpkg", "--install", "/tmp/shuxiang.deb")


def page(machine: Machine, path: str, seconds: float = 60) -> str:
    return machine.wait_for("python3", "-c", PAGE.format(path), seconds=seconds)


def shown(machine: Machine, name: str) -> str:
    return machine.must("systemctl", "show", "--value", "--property", name, "shuxiang").strip()


def signal_service(machine: Machine, name: str) -> None:
    machine.must("systemctl", "kill", "--kill-whom=main", f"--signal={name}", "shuxiang")


def restarted(machine: Machine, before: str) -> str:
    """Wait until the service has another process than `before`, and return that."""
    asking = "main=$(systemctl show --value --property MainPID shuxiang)"
    return machine.wait_for(
        "sh", "-c", f'{asking}; [ "$main" != 0 ] && [ "$main" != {before} ] && echo "$main"'
    ).strip()


def hub_beside(machine: Machine) -> str:
    """Publish one resource from a hub that is none of the package's service; return its fingerprint."""
    machine.must("install", "-d", "-o", "shuxiang", "/var/lib/hub", "/var/lib/batch")
    told = json.loads(
        machine.must("shuxiang", "hub", "init", "--name", "青禾县", "--state", "/var/lib/hub", "--json")
    )
    machine.must("sh", "-c", "echo 几分之一 > /var/lib/batch/a.txt")
    machine.run("sh", "-c", "cat > /var/lib/batch/list.jsonl", give=json.dumps(RECORD).encode())
    machine.must(
        "shuxiang", "hub", "ingest", "/var/lib/batch/list.jsonl", "--state", "/var/lib/hub", "--json"
    )
    machine.must("shuxiang", "hub", "publish", "--state", "/var/lib/hub", "--json")
    fingerprint: str = told["fingerprint"]
    return fingerprint


def make_box(machine: Machine) -> None:
    """Make the machine a box that holds what the hub beside it published, and start the service."""
    fingerprint = hub_beside(machine)
    machine.must(
        "shuxiang",
        "box",
        "init",
        "--hub",
        "/var/lib/hub/public",
        "--fingerprint",
        fingerprint,
        "--name",
        "石桥",
    )
    machine.must("shuxiang", "box", "sync")
    machine.must("systemctl", "start", "shuxiang")


def test_a_box_serves_as_an_ordinary_user_and_comes_back(machine: Machine, package: Unpacked) -> None:
    assert "warning" not in install(machine, package.path).lower()
    assert machine.must("shuxiang", "--version").startswith("shuxiang, version ")
    assert machine.must("dpkg", "--verify", "shuxiang") == ""
    # Neither box nor hub yet: enabled, not failed, not running.
    assert (shown(machine, "UnitFileState"), shown(machine, "ActiveState")) == ("enabled", "inactive")

    make_box(machine)
    assert "分数的初步认识" in page(machine, "/search?q=fsdcbrs")
    assert json.loads(page(machine, "/healthz"))["role"] == "box"
    first = shown(machine, "MainPID")
    status = machine.must("cat", f"/proc/{first}/status")
    assert re.search(r"^CapEff:\s+0*400$", status, re.MULTILINE), "CAP_NET_BIND_SERVICE alone"
    [user] = re.findall(r"^Uid:\s+(\d+)", status, re.MULTILINE)
    assert user == machine.must("id", "-u", "shuxiang").strip() != "0"
    assert machine.must("stat", "-c", "%U %a", "/var/lib/shuxiang").split() == ["shuxiang", "750"]

    signal_service(machine, "KILL")
    second = restarted(machine, first)
    page(machine, "/healthz")

    # A process that hangs says nothing to the watchdog; its 90 seconds are shortened here.
    machine.must("mkdir", "-p", DROP_IN)
    machine.must("sh", "-c", f"printf '[Service]\nWatchdogSec=4\n' > {DROP_IN}/quick.conf")
    machine.must("systemctl", "daemon-reload")
    machine.must("systemctl", "restart", "shuxiang")
    third = restarted(machine, second)
    signal_service(machine, "STOP")
    restarted(machine, third)
    page(machine, "/healthz")


def test_a_hub_runs_its_daemon_and_seeds_under_the_same_unit(machine: Machine, package: Unpacked) -> None:
    install(machine, package.path)
    machine.must("shuxiang", "hub", "init", "--name", "青禾县")
    machine.must("systemctl", "start", "shuxiang")
    assert json.loads(page(machine, "/healthz"))["role"] == "hub"
    assert "tree" not in machine.must("rsync", "--timeout=20", "rsync://127.0.0.1:8873/"), (
        "modules are not listed"
    )
    assert machine.run("rsync", "--timeout=20", "rsync://127.0.0.1:8873/tree/").returncode == 0
    machine.wait_for("grep", f":{8874:04X} ", "/proc/net/tcp")
    # One state has one role: what a box would be told here is refused.
    refused = machine.run("shuxiang", "box", "status")
    assert refused.returncode == 3 and "E-STATE-ROLE" in refused.stderr


def test_the_units_are_well_formed_and_closed(machine: Machine, package: Unpacked) -> None:
    install(machine, package.path)
    for name in ("shuxiang.service", "shuxiang-firstboot.service", "shuxiang-wireless.service"):
        unit = f"/usr/lib/systemd/system/{name}"
        checked = machine.run("systemd-analyze", "verify", unit)
        assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
        rated = machine.run("systemd-analyze", "security", "--offline=true", "--no-pager", unit)
        [exposure] = re.findall(r"Overall exposure level for \S+: ([0-9.]+)", rated.stdout)
        assert float(exposure) <= MOST_EXPOSED


def test_the_card_makes_the_box_before_the_service_starts(machine: Machine, package: Unpacked) -> None:
    install(machine, package.path)
    first = "shuxiang-firstboot"
    assert machine.must("systemctl", "is-enabled", first).strip() == "enabled"
    machine.must("systemctl", "start", first)
    asked = machine.must("systemctl", "show", "--value", "--property", "ConditionResult", first)
    assert asked.strip() == "no", "no card, nothing happens"
    assert machine.run("ls", "/etc/shuxiang/firstboot.json").returncode != 0

    data = write_request(
        {
            "role": "box",
            "name": "石桥教学点",
            "language": "zh-CN",
            "hub.url": "http://192.168.1.10:8088",
            "hub.fingerprint": "ab" * 32,
            "wifi.ssid": "school",
        },
        {"admin_password": "12345678", "wifi.password": "87654321"},
    )
    machine.must("mkdir", "-p", "/boot/firmware")
    machine.run("sh", "-c", "cat > /boot/firmware/shuxiang.toml", give=data)
    # As at a start of the machine: both are asked for at once, and the card goes first.
    machine.must("systemctl", "start", first, "shuxiang")
    assert machine.must("systemctl", "show", "--value", "--property", "Result", first).strip() == "success"
    assert json.loads(page(machine, "/healthz"))["role"] == "box"
    assert "结果：成功" in machine.must("cat", "/boot/firmware/shuxiang-result.txt")
    assert "12345678" not in machine.must("cat", "/boot/firmware/shuxiang.toml")
    assert "psk=87654321" in machine.must("cat", "/etc/NetworkManager/system-connections/shuxiang-wifi.nmconnection")  # fmt: skip
    assert machine.must("find", "/var/lib/shuxiang", "!", "-user", "shuxiang") == ""
    assert "LC_MESSAGES=zh_CN.UTF-8" in machine.must("cat", f"/proc/{shown(machine, 'MainPID')}/environ")
    machine.must("systemctl", "stop", "shuxiang")
    machine.must("systemctl", "start", first)
    machine.must("dpkg", "--purge", "shuxiang")
    assert machine.run("ls", "/etc/shuxiang").returncode != 0


def repacked(package: Unpacked, place: Path) -> Path:
    """Return a later version of the package that lacks a folder of modules and has another instead."""
    subprocess.run(["dpkg-deb", "--raw-extract", package.path, place], check=True)
    site = place / "usr/lib/shuxiang/lib/python3.13/site-packages"
    (site / "appliance" / "demo").rename(site / "appliance" / "sample")
    control = place / "DEBIAN" / "control"
    control.write_text(
        re.sub(
            r"^Version: .*$", f"Version: {LATER}", control.read_text(encoding="utf-8"), flags=re.MULTILINE
        ),
        encoding="utf-8",
    )
    made = place.with_suffix(".deb")
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Znone", "--build", place, made],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return made


def test_an_upgrade_keeps_state_and_settings_and_leaves_nothing_old(
    machine: Machine, package: Unpacked, tmp_path: Path
) -> None:
    install(machine, package.path)
    make_box(machine)
    page(machine, "/healthz")
    machine.must("sh", "-c", "echo SHUXIANG_PORT=8000 > /etc/shuxiang/service.conf")
    before = machine.must(
        "sh", "-c", "cd /var/lib/shuxiang && sha256sum config.toml key/* && find blobs -type f | sort"
    )
    first = shown(machine, "MainPID")

    install(machine, repacked(package, tmp_path / "later"))
    assert (
        machine.must("dpkg-query", "-W", "-f", "${Version} ${db:Status-Status}", "shuxiang")
        == f"{LATER} installed"
    )
    assert "分数的初步认识" in page(machine, ":8000/search?q=fsdcbrs"), "the changed setting holds"
    assert shown(machine, "MainPID") not in ("0", first)
    after = machine.must(
        "sh", "-c", "cd /var/lib/shuxiang && sha256sum config.toml key/* && find blobs -type f | sort"
    )
    assert after == before
    site = "/usr/lib/shuxiang/lib/python3.13/site-packages"
    assert machine.run("ls", f"{site}/appliance/demo").returncode != 0, "compiled modules keep no folder"
    machine.must("ls", f"{site}/appliance/sample/__pycache__")
    # A script that ran already may run again.
    machine.must("sh", "-c", f"/var/lib/dpkg/info/shuxiang.postinst configure {LATER}")


def test_removal_keeps_content_and_purge_says_so(machine: Machine, package: Unpacked) -> None:
    install(machine, package.path)
    make_box(machine)
    page(machine, "/healthz")
    held = machine.must("sh", "-c", "find /var/lib/shuxiang/blobs -type f | sort")
    assert held

    machine.must("dpkg", "--remove", "shuxiang")
    assert machine.run("systemctl", "is-active", "shuxiang").stdout.strip() == "inactive"
    assert machine.run("ls", "/usr/lib/shuxiang").returncode != 0
    assert machine.must("sh", "-c", "find /var/lib/shuxiang/blobs -type f | sort") == held
    assert machine.must("ls", "/etc/shuxiang").split() == ["service.conf"]

    purged = machine.run("dpkg", "--purge", "shuxiang")
    assert purged.returncode == 0 and "/var/lib/shuxiang" in purged.stderr
    assert machine.must("sh", "-c", "find /var/lib/shuxiang/blobs -type f | sort") == held
    assert machine.run("ls", "/etc/shuxiang").returncode != 0
    assert machine.run("sh", "-c", "ls /etc/systemd/system/*/shuxiang.service").returncode != 0

    # Installed again it is the same box; and of an empty state nothing stays.
    install(machine, package.path)
    page(machine, "/healthz")
    machine.must("systemctl", "stop", "shuxiang")
    machine.must("sh", "-c", "rm -r /var/lib/shuxiang/*")
    assert machine.run("dpkg", "--purge", "shuxiang").stderr == ""
    assert machine.run("ls", "/var/lib/shuxiang").returncode != 0


def test_a_data_disk_of_another_machine_is_taken_over(machine: Machine, package: Unpacked) -> None:
    install(machine, package.path)
    make_box(machine)
    machine.must("systemctl", "stop", "shuxiang")
    machine.must("chown", "-R", "4242:4242", "/var/lib/shuxiang")
    machine.must("systemctl", "start", "shuxiang")
    assert "分数的初步认识" in page(machine, "/search?q=fsdcbrs")
    assert machine.must("find", "/var/lib/shuxiang", "-uid", "4242") == ""
