"""A stick is written from the page of an installed hub: shut in by its unit, it sees root's process turn the mount."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from debian_machine import debian_machine, need_machine
from package_material import Unpacked, packed
from plugged_sticks import image, writable_device
from supplier import write_folder

from images.package.target import Arch

pytestmark = pytest.mark.slow

FILES = 6
CLERK = """
import json, re, sys, time
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, Request, build_opener
opener = build_opener(HTTPCookieProcessor(CookieJar()))
def read(path, fields=None):
    data = urlencode(fields).encode() if fields else None
    with opener.open(Request("http://127.0.0.1" + path, data, {"Accept-Language": "zh-CN"}), timeout=60) as answer:
        return answer.url, answer.read().decode()
def token(text):
    return re.search(r'name="token" value="(\\w+)"', text)[1]
_, page = read("/hub/login")
read("/hub/login", {"token": token(page), "user": "admin", "password": sys.argv[1]})
_, page = read("/hub/sticks")
stick = re.search(r'name="stick" value="(\\w+)"', page)[1]
_, look = read("/hub/sticks/look", {"token": token(page), "stick": stick, "bundle": "main"})
assert "放得下。" in look, look
address, page = read("/hub/sticks/write", {"token": token(look), "stick": stick})
path = "/" + address.split("/", 3)[3]
while "现在不要拔" in page:
    time.sleep(0.5)
    _, page = read(path)
print(page)
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Unpacked:
    need_machine()
    return packed(Arch["arm64" if os.uname().machine == "aarch64" else "amd64"], tmp_path_factory)


def test_the_installed_hub_writes_a_stick(package: Unpacked, tmp_path: Path) -> None:
    disk = image(tmp_path / "disk.img", "ext4", lambda root: root.chmod(0o777), label="TOWN")
    write_folder(tmp_path / "files", files=FILES, size_bytes=200_000)
    with debian_machine(tmp_path / "machine") as machine, writable_device(disk) as path:
        # Outside a container systemd does this itself.
        machine.must("mount", "--make-rshared", "/")
        machine.put(package.path, "/tmp/shuxiang.deb")
        machine.must("dpkg", "--install", "/tmp/shuxiang.deb")
        made = json.loads(machine.must("shuxiang", "hub", "init", "--name", "青禾县", "--json"))
        machine.must("mkdir", "-m", "755", "/tmp/files")
        for file in sorted((tmp_path / "files").iterdir()):
            machine.put(file, f"/tmp/files/{file.name}")
        machine.must("shuxiang", "hub", "ingest", "/tmp/files")
        machine.must("shuxiang", "hub", "publish")
        machine.must("systemctl", "start", "shuxiang")
        numbers = path.stat().st_rdev
        machine.must("mknod", str(path), "b", str(os.major(numbers)), str(os.minor(numbers)))
        unit = f"shuxiang-stick@{path.name}"
        machine.must("systemctl", "start", unit)
        place = "/run/shuxiang/sticks/TOWN"
        machine.wait_for("grep", "-q", place, "/proc/self/mountinfo")

        page = machine.must("python3", "-c", CLERK, made["password"])
        assert "写好了，可以拔出" in page and f"{FILES} 个文件" in page, page
        line = machine.must("sh", "-c", f"grep {place} /proc/self/mountinfo")
        assert {"ro", "nosuid", "nodev", "noexec", "nosymfollow"} <= set(line.split()[5].split(","))
        assert machine.must("stat", "-c", "%U", f"{place}/metadata/timestamp.json").strip() == "shuxiang"
        # Nobody but the service may ask.
        asked = machine.run("runuser", "-u", "nobody", "--", "touch", "/run/shuxiang/told/write.json")
        assert asked.returncode != 0
        machine.must("systemctl", "stop", unit)
