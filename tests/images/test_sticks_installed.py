"""A stick in a machine that the package was installed on: root's unit mounts it, the service, shut in, imports it.

The machine has its own systemd and no udev; the test asks for the unit as the rule does.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import call
from debian_machine import Machine, debian_machine, need_machine
from package_material import REPOSITORY, Unpacked, packed
from plugged_sticks import device, image
from supplier import write_folder

from appliance.plugging.device import BOOT_LABEL, OWN_LABELS
from images.disk import BOOT, SYSTEM_A
from images.package.target import Arch

UNITS = "images/package/files/usr/lib"
RULES = REPOSITORY / UNITS / "udev/rules.d/85-shuxiang-stick.rules"
UNIT = REPOSITORY / UNITS / "systemd/system/shuxiang-stick@.service"
PAGE = "from urllib.request import urlopen; print(urlopen('http://127.0.0.1{}', timeout=9).read().decode())"
MOST_EXPOSED = 4.5
"""It must mount for the whole machine: a view of the files of its own, which most of the scale is about, it can not have."""


def test_the_rule_leaves_the_machines_own_disks_alone_and_names_the_unit() -> None:
    rules = RULES.read_text(encoding="utf-8")
    labels, boot = re.findall(r'ENV\{ID_FS_LABEL\}=="([^"]+)"', rules)
    assert set(labels.split("|")) == set(OWN_LABELS)
    # Ours beside our system alone, whose place and name are those of the image.
    assert (boot, OWN_LABELS[0]) == (BOOT_LABEL, SYSTEM_A) == (BOOT, "sx-system-a")
    assert f'/dev/%P2", RESULT=="{SYSTEM_A}", GOTO="shuxiang_end"' in rules
    assert f'ENV{{SYSTEMD_WANTS}}+="{UNIT.name.replace("@", "@%k")}"' in rules
    # A disk in a USB case may say that its bus is ATA.
    assert 'SUBSYSTEMS=="usb"' in rules and "ENV{ID_BUS}" not in rules
    # Every way through it ends at a label that is there.
    assert set(re.findall(r'GOTO="(\w+)"', rules)) == set(re.findall(r'LABEL="(\w+)"', rules))
    unit = UNIT.read_text(encoding="utf-8")
    # Each of these gives the unit files of its own: what it mounts would be seen by nobody else.
    for option in (
        "Protect",
        "Private",
        "ReadWritePaths",
        "ReadOnlyPaths",
        "RuntimeDirectory",
        "DynamicUser",
    ):
        assert not re.search(rf"^{option}", unit, re.MULTILINE), option


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Unpacked:
    need_machine()
    return packed(Arch["arm64" if os.uname().machine == "aarch64" else "amd64"], tmp_path_factory)


@pytest.fixture
def machine(package: Unpacked, tmp_path: Path) -> Iterator[Machine]:
    with debian_machine(tmp_path / "machine") as started:
        # Outside a container systemd does this itself.
        started.must("mount", "--make-rshared", "/")
        started.put(package.path, "/tmp/shuxiang.deb")
        started.must("dpkg", "--install", "/tmp/shuxiang.deb")
        yield started


@pytest.mark.slow
def test_a_stick_is_imported_by_the_installed_service(machine: Machine, tmp_path: Path) -> None:
    hub = tmp_path / "hub"
    fingerprint = call(hub, "hub", "init", "--name", "青禾县")["fingerprint"]
    write_folder(tmp_path / "files", files=12, size_bytes=400_000)
    call(hub, "hub", "ingest", tmp_path / "files")
    call(hub, "hub", "publish")
    disk = image(
        tmp_path / "disk.img", "ext4", lambda root: call(hub, "hub", "export", root), label="县电教馆"
    )
    init = ["box", "init", "--hub", "http://127.0.0.1:1/", "--fingerprint", fingerprint, "--name", "石桥"]
    machine.must("shuxiang", *init)
    machine.must("systemctl", "start", "shuxiang")

    def page(path: str, part: str) -> None:
        machine.wait_for("sh", "-c", f'python3 -c "{PAGE.format(path)}" | grep -q "{part}"')

    page("/stick", "现在没有插 U 盘")
    with device(disk, "ext4") as path:
        numbers = path.stat().st_rdev
        machine.must("mknod", str(path), "b", str(os.major(numbers)), str(os.minor(numbers)))
        unit = f"shuxiang-stick@{path.name}"
        machine.must("systemctl", "start", unit)
        page("/", "可以拔出了")
        value = json.loads(machine.must("python3", "-c", PAGE.format("/api/v1/status")))
        assert value["cached"] == 12
        place = "/run/shuxiang/sticks/县电教馆"
        line = machine.must("sh", "-c", f"grep {place} /proc/self/mountinfo")
        assert {"ro", "nosuid", "nodev", "noexec", "nosymfollow"} <= set(line.split()[5].split(","))
        said = f"journalctl -u {unit} -o cat | grep -q 'You may pull it out'"
        machine.wait_for("sh", "-c", said)
        assert machine.must("stat", "-c", "%U", "/run/shuxiang/told/sticks.json").strip() == "shuxiang"

        # Killed: nothing stays mounted. Started again: there is nothing new on it.
        machine.must("systemctl", "kill", "--kill-whom=main", "--signal=KILL", unit)
        machine.wait_for("sh", "-c", f"! grep -q {place} /proc/self/mountinfo")
        machine.must("systemctl", "start", unit)
        page("/", "书箱里都有了")
        machine.must("systemctl", "stop", unit)
        asked = machine.must("systemctl", "show", "--value", "--property", "Result", unit)
        assert asked.strip() == "success"
        assert machine.must("ls", "/run/shuxiang/sticks", "/run/shuxiang/plugged").split() == [
            "/run/shuxiang/plugged:",
            "/run/shuxiang/sticks:",
        ]
        page("/stick", "现在没有插 U 盘")


@pytest.mark.slow
def test_the_unit_of_sticks_is_well_formed(machine: Machine) -> None:
    checked = machine.run("systemd-analyze", "verify", "shuxiang-stick@sda1.service")
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
    unit = "/usr/lib/systemd/system/shuxiang-stick@.service"
    rated = machine.run("systemd-analyze", "security", "--offline=true", "--no-pager", unit)
    [exposure] = re.findall(r"Overall exposure level for \S+: ([0-9.]+)", rated.stdout)
    assert float(exposure) <= MOST_EXPOSED
