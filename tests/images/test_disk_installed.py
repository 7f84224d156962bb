"""The units of the data disk on a Debian 13: what is required of them, the page where they fail, the name taken."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from debian_machine import Machine, debian_machine, need_machine
from package_material import Unpacked, packed

from images.package.target import Arch

pytestmark = pytest.mark.slow

MOST_EXPOSED = 2.5
ASK = """
import urllib.request, urllib.error
try:
    urllib.request.urlopen("http://127.0.0.1/r/abc", timeout=5)
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode())
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Unpacked:
    need_machine()
    return packed(Arch["arm64" if os.uname().machine == "aarch64" else "amd64"], tmp_path_factory)


@pytest.fixture
def machine(package: Unpacked, tmp_path: Path) -> Iterator[Machine]:
    with debian_machine(tmp_path / "machine") as started:
        started.put(package.path, "/tmp/shuxiang.deb")
        started.must("dpkg", "--install", "/tmp/shuxiang.deb")
        yield started


def active(machine: Machine, unit: str) -> str:
    return machine.must("systemctl", "show", "--value", "--property", "ActiveState", unit).strip()


def make_appliance(machine: Machine, *, data: bool) -> None:
    """Leave what the initramfs leaves, with or without the card's data partition."""
    machine.must("mkdir", "-p", "/run/shuxiang", "/data", "/boot/firmware")
    machine.must(
        "sh", "-c", "echo appliance > /etc/shuxiang/appliance; printf 'none\\n\\n' > /run/shuxiang/card"
    )
    if data:
        machine.must("mount", "-t", "tmpfs", "none", "/data")
    else:
        machine.must("sh", "-c", "printf 'damaged\\ne2fsck: 8\\n' > /run/shuxiang/data-missing")


def test_the_units_are_well_formed_and_the_page_is_closed(machine: Machine) -> None:
    for name in ("shuxiang-disk.service", "shuxiang-disk-page.service", "shuxiang-hostname.service"):
        checked = machine.run("systemd-analyze", "verify", f"/usr/lib/systemd/system/{name}")
        assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
    page = "/usr/lib/systemd/system/shuxiang-disk-page.service"
    rated = machine.run("systemd-analyze", "security", "--offline=true", "--no-pager", page)
    [exposure] = re.findall(r"Overall exposure level for \S+: ([0-9.]+)", rated.stdout)
    assert float(exposure) <= MOST_EXPOSED
    for name in ("shuxiang-disk", "shuxiang-hostname"):
        assert machine.must("systemctl", "is-enabled", name).strip() == "enabled"


def test_on_another_machine_nothing_of_it_happens(machine: Machine) -> None:
    machine.must("systemctl", "start", "shuxiang", "shuxiang-firstboot", "shuxiang-hostname")
    assert active(machine, "shuxiang-disk") == "inactive"
    assert machine.run("ls", "/run/shuxiang/disk.json").returncode != 0
    assert machine.run("systemctl", "is-failed", "shuxiang-disk").returncode != 0


def test_without_its_disk_a_machine_shows_the_page_and_begins_no_new_life(machine: Machine) -> None:
    make_appliance(machine, data=False)
    machine.must("sh", "-c", "echo role = '\"box\"' > /boot/firmware/shuxiang.toml")
    machine.run("systemctl", "start", "shuxiang-firstboot", "shuxiang")
    assert active(machine, "shuxiang-disk") == "failed"
    shown = machine.wait_for("sh", "-c", f"python3 -c '{ASK}' | grep -A99 503", seconds=30)
    assert "数据盘" in shown and "E-DATA-" in shown
    main = machine.must("systemctl", "show", "--value", "--property", "MainPID", "shuxiang-disk-page").strip()
    status = machine.must("cat", f"/proc/{main}/status")
    assert not re.search(r"^Uid:\s+0\s", status, re.MULTILINE)
    assert machine.must("ls", "/var/lib/shuxiang") == ""
    assert active(machine, "shuxiang") == active(machine, "shuxiang-firstboot") == "inactive"


def test_the_state_is_shown_from_the_card_and_the_name_is_taken(machine: Machine) -> None:
    make_appliance(machine, data=True)
    machine.must("sh", "-c", "echo sx-0001 > /etc/hostname")
    machine.must("systemctl", "start", "shuxiang-disk", "shuxiang-hostname")
    assert machine.must("uname", "-n").strip() == "sx-0001"
    assert " /var/lib/shuxiang " in machine.must("cat", "/proc/self/mounts")
    assert machine.must("stat", "-c", "%U:%G:%a", "/data/state").strip() == "shuxiang:shuxiang:750"
    assert active(machine, "shuxiang-disk-page") == "inactive"
