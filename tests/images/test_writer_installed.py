"""The writer of cards on a Debian 13 with its own systemd: started by its socket for the hub's page, and closed to all else."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from debian_machine import debian_machine, need_machine
from package_material import Unpacked, packed

from images.package.target import Arch

pytestmark = pytest.mark.slow

MOST_EXPOSED = 2.5
LOG_IN = """
import re, sys
from http.cookiejar import CookieJar
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, build_opener
opener = build_opener(HTTPCookieProcessor(CookieJar()))
def read(path, fields=None):
    data = urlencode(fields).encode() if fields else None
    return opener.open("http://127.0.0.1" + path, data, timeout=20).read().decode()
token = re.search(r'name="token" value="(\\w+)"', read("/hub/login"))[1]
read("/hub/login", {"token": token, "user": "admin", "password": sys.argv[1]})
print(read("/hub/cards"))
"""
ASK = """
import socket
line = socket.socket(socket.AF_UNIX)
line.connect("/run/shuxiang-writer.sock")
line.sendall(b'{"do":"standing"}')
line.shutdown(socket.SHUT_WR)
print(line.recv(65536).decode())
"""
DROP_IN = "/run/systemd/system/shuxiang-writer.service.d"
INSTEAD = "[Service]\nType=oneshot\nExecStart=\nExecStart=/bin/sh -c '{}'\n"
WRITE = "head -c 9000000 /dev/urandom >/tmp/a.img && shuxiang image write /tmp/a.img /tmp/b.img && cmp /tmp/a.img /tmp/b.img"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Unpacked:
    need_machine()
    return packed(Arch["arm64" if os.uname().machine == "aarch64" else "amd64"], tmp_path_factory)


def test_the_hubs_page_reaches_the_writer_and_nobody_else_does(package: Unpacked, tmp_path: Path) -> None:
    with debian_machine(tmp_path / "machine") as machine:
        machine.put(package.path, "/tmp/shuxiang.deb")
        machine.must("dpkg", "--install", "/tmp/shuxiang.deb")
        made = json.loads(machine.must("shuxiang", "hub", "init", "--name", "青禾县", "--json"))
        machine.must("systemctl", "start", "shuxiang")
        assert machine.must("systemctl", "is-active", "shuxiang-writer.socket").strip() == "active"
        machine.wait_for("python3", "-c", ASK)
        page = machine.must("python3", "-c", LOG_IN, made["password"])
        assert "制卡" in page and "E-CARD-WRITER" not in page

        asked = machine.must("runuser", "-u", "shuxiang", "--", "python3", "-c", ASK)
        assert json.loads(asked)["works"] == []
        stranger = machine.run("runuser", "-u", "nobody", "--", "python3", "-c", ASK)
        assert stranger.returncode != 0 and "PermissionError" in stranger.stderr
        writer = machine.must(
            "systemctl", "show", "--value", "--property", "MainPID", "shuxiang-writer"
        ).strip()
        status = machine.must("cat", f"/proc/{writer}/status")
        assert re.search(r"^CapEff:\s*0+$", status, re.MULTILINE) and re.search(
            r"^NoNewPrivs:\s*1$", status, re.MULTILINE
        )
        seen = f"/proc/{writer}/root"
        assert machine.run("ls", f"{seen}/var/lib/shuxiang/keys").returncode != 0, (
            "the hub's keys are out of its sight"
        )
        for unit in ("shuxiang-writer.service", "shuxiang-writer.socket"):
            checked = machine.run("systemd-analyze", "verify", f"/usr/lib/systemd/system/{unit}")
            assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
        rated = machine.run(
            "systemd-analyze", "security", "--offline=true", "--no-pager", "/usr/lib/systemd/system/shuxiang-writer.service"
        )  # fmt: skip
        [exposure] = re.findall(r"Overall exposure level for \S+: ([0-9.]+)", rated.stdout)
        assert float(exposure) <= MOST_EXPOSED
        # Under the unit's own rules: what it does to let go of a stick, and writing, reading back, all system calls of it.
        for number, command in enumerate(("systemctl stop shuxiang-stick@sdz1.service", WRITE)):
            machine.run(
                "sh",
                "-c",
                f"mkdir -p {DROP_IN} && cat > {DROP_IN}/{number}.conf",
                give=INSTEAD.format(command).encode(),
            )
            machine.must("systemctl", "daemon-reload")
            machine.must("systemctl", "restart", "shuxiang-writer.service")
        machine.must("dpkg", "--purge", "shuxiang")
        assert machine.run("systemctl", "is-active", "shuxiang-writer.socket").stdout.strip() != "active"
