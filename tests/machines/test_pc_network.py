"""A box on a school's network: QEMU's cable ends in a switch of the lab, beside a hub, a pupil's PC and a router.

One machine for all tests, started once on a network where nobody gives addresses: the box does, as its card asks. The
last test switches a router on.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from command import call, command, environment
from name_clients import avahi, by_llmnr, by_netbios, need_clients
from netlab import Lab, Node
from qemu_machine import Started, copy_disk, need_image, pc
from supplier import write_folder

from appliance.firstboot.template import write_request

pytestmark = pytest.mark.machine

SYSTEM_BYTES = 6 << 30
BOOT_SECONDS, WAIT_SECONDS = 900.0, 300.0
BOX, HUB, ROUTER = "192.168.88.88", "192.168.88.2", "192.168.88.1"
NAME = "shiqiao"
SERVED = {80, 81, 5355}
# Open to the network for services that this box does not run: the machine itself says that nobody is there.
LET_THROUGH = {8873, 8874}
AT_ONCE = 400
# What the hardware address of a card of QEMU begins with.
QEMU_CARD = "52:54:00:"
_PUT = """#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr add "$ip/$mask" brd + dev "$interface"
echo "$ip $serverid ${router:--} ${dns:--}" > "$TOLD"
"""


@dataclass(frozen=True)
class School:
    """The machines of the network: the box in QEMU, a hub with `files` published, a PC, and a router that is off."""

    box: Started
    hub: Node
    pc: Node
    router: Node
    hub_state: Path
    files: Path
    place: Path

    def get(self, path: str, host: str = BOX) -> bytes:
        """Return what the box answers to the PC."""
        with self.pc.entered(), urllib.request.urlopen(f"http://{host}{path}", timeout=30) as answer:
            body: bytes = answer.read()
        return body

    def until(self, done: Callable[[], Any], what: str, seconds: float = WAIT_SECONDS) -> None:
        """Wait until `done`; no answer yet counts as not."""

        def asked() -> bool:
            try:
                return bool(done())
            except OSError:
                return False

        self.box.wait_until(asked, what, seconds)


@pytest.fixture(scope="module")
def school(tmp_path_factory: pytest.TempPathFactory) -> Iterator[School]:
    need_clients()
    if shutil.which("udhcpc") is None:
        pytest.skip("not installed: udhcpc")
    image = need_image("pc", "box")
    place = tmp_path_factory.mktemp("school")
    state, files = place / "hub", place / "files"
    fingerprint = call(state, "hub", "init", "--name", "青禾县电教馆")["fingerprint"]
    write_folder(files, files=12, size_bytes=300_000)
    call(state, "hub", "ingest", files)
    call(state, "hub", "publish")
    disk = copy_disk(image, place / "system.img", SYSTEM_BYTES)
    request = {
        "role": "box", "name": NAME, "hub.url": f"http://{HUB}:8088", "hub.fingerprint": fingerprint,
        "network.fixed_address": f"{BOX}/24", "network.dhcp": True,
    }  # fmt: skip
    disk.put("shuxiang.toml", write_request(request, {"admin_password": "12345678a"}))
    with Lab() as lab, ExitStack() as running:
        switch = lab.node("switch")
        switch.ip("link add bridge type bridge")
        switch.ip("link set bridge up")
        nodes = {name: lab.node(name) for name in ("hub", "pc", "router")}
        for name, node in nodes.items():
            lab.cable(node, "e0", switch, name)
            switch.ip(f"link set {name} master bridge")
        switch.ip("tuntap add box mode tap")
        switch.ip("link set box master bridge up")
        nodes["hub"].ip(f"addr add {HUB}/24 brd + dev e0")
        nodes["router"].ip(f"addr add {ROUTER}/24 brd + dev e0")
        hub = subprocess.Popen(
            nodes["hub"].command(command(state, "hub", "run", "--port", 8088)),
            env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        running.callback(hub.wait, 30)
        running.callback(hub.terminate)
        with pc(disk, place / "pc", lan=(switch, "box")) as box:
            yield School(box, nodes["hub"], nodes["pc"], nodes["router"], state, files, place)


@pytest.fixture(scope="module")
def leased(school: School) -> dict[str, str]:
    """Ask for an address as a PC does, with Debian's udhcpc; return what it was told."""
    script, told = school.place / "put", school.place / "told"
    script.write_text(_PUT)
    script.chmod(0o755)

    def asked() -> bool:
        subprocess.run(
            school.pc.command(["udhcpc", "-i", "e0", "-f", "-q", "-n", "-t", 5, "-T", 3, "-s", script]),
            env={**environment(), "TOLD": str(told)}, capture_output=True, timeout=60,
        )  # fmt: skip
        return told.exists()

    school.until(asked, "an address for the PC", BOOT_SECONDS)
    return dict(zip(("ip", "server", "router", "dns"), told.read_text().split(), strict=True))


def test_the_only_machine_gives_addresses(school: School, leased: dict[str, str]) -> None:
    assert leased["ip"].startswith("192.168.88.")
    # No router: what a telephone has beside Wi-Fi goes on working.
    assert (leased["server"], leased["router"], leased["dns"]) == (BOX, "-", BOX)
    school.until(lambda: json.loads(school.get("/healthz"))["role"] == "box", "the page at the fixed address")
    assert NAME in school.get("/").decode()


def test_it_is_found_without_knowing_its_address(
    school: School, leased: dict[str, str], tmp_path: Path
) -> None:
    id = json.loads(school.get("/api/v1/status"))["id"]
    words = [sys.executable, "-m", "appliance", "discover", "--json", "--timeout", "5"]
    found: dict[str, dict[str, Any]] = {}

    def listed() -> bool:
        found.update({one["role"]: one for one in json.loads(school.pc.run(words, timeout=60))})
        return {"box", "hub"} <= found.keys()

    school.until(listed, "box and hub in `discover`")
    assert (found["box"]["id"], found["box"]["name"], found["box"]["port"]) == (id, NAME, 80)
    assert BOX in found["box"]["addresses"]
    assert HUB in found["hub"]["addresses"]
    with avahi(school.pc, tmp_path / "avahi") as mdns:
        rows: list[list[str]] = []

        def browsed() -> bool:
            rows[:] = [fields for fields in mdns.browse("_shuxiang._tcp") if f'"id={id}"' in fields[9]]
            return any(fields[7] == BOX for fields in rows)

        school.until(browsed, "the box in avahi-browse")
        assert {fields[3] for fields in rows} == {NAME}
        for word in ("shuxiang", NAME):
            school.until(lambda word=word: mdns.address(f"{word}.local", 4) == BOX, f"{word}.local")  # type: ignore[misc]
    for word in ("shuxiang", NAME):
        school.until(lambda word=word: by_netbios(school.pc, word) == {BOX}, f"{word} by NetBIOS")  # type: ignore[misc]
        school.until(lambda word=word: BOX in by_llmnr(school.pc, word), f"{word} by LLMNR")  # type: ignore[misc]


def test_it_takes_by_itself_what_the_hub_publishes(school: School, leased: dict[str, str]) -> None:
    def status() -> dict[str, Any]:
        told: dict[str, Any] = json.loads(school.get("/api/v1/status"))
        return told

    school.until(lambda: (told := status())["cached"] == told["resources"] == 12, "the bundle")
    hits = json.loads(school.get("/api/v1/search?q=%E6%95%99%E6%A1%88&per_page=100"))["hits"]
    assert len(hits) == 12
    taken = set()
    for hit in hits:
        [file] = [
            file
            for file in json.loads(school.get(f"/api/v1/resources/{hit['id']}"))["files"]
            if file["role"] == "source"
        ]
        taken.add(school.get(file["url"]))
    assert taken == {path.read_bytes() for path in school.files.glob("*.txt")}


def test_nothing_but_what_is_served_is_open(school: School, leased: dict[str, str]) -> None:
    asked = [*range(1, 1025), 2049, 3306, 3389, 5000, 5353, 5355, 5432, 6771, 8080, 8088, 8873, 8874, 9090]
    opened, refused = set[int](), set[int]()
    for start in range(0, len(asked), AT_ONCE):
        found = knock(school.pc, asked[start : start + AT_ONCE])
        opened |= found[0]
        refused |= found[1]
    assert (opened, refused) == (SERVED, LET_THROUGH)


def knock(node: Node, ports: list[int], seconds: float = 10.0) -> tuple[set[int], set[int]]:
    """Return the TCP ports of the box that answer, and those at which nobody is there; the rest is silent."""
    with node.entered():
        calls = {port: socket.socket() for port in ports}
    for port, one in calls.items():
        one.setblocking(False)
        one.connect_ex((BOX, port))
    time.sleep(seconds)
    opened, refused = set(), set()
    for port, one in calls.items():
        with one:
            error = one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            try:
                one.getpeername()
                opened.add(port)
            except OSError:
                if error:
                    refused.add(port)
    return opened, refused


def test_where_a_router_comes_the_box_steps_back_and_takes_an_address_too(
    school: School, leased: dict[str, str]
) -> None:
    words = [
        "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--interface=e0", "--bind-interfaces",
        "--user=root", "--dhcp-range=192.168.88.200,192.168.88.250,1h", "--dhcp-authoritative",
        f"--dhcp-leasefile={school.place / 'leases'}", f"--pid-file={school.place / 'pid'}",
    ]  # fmt: skip
    router = subprocess.Popen(
        school.router.command(words), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        school.box.wait_for_words(f"dhcp off {ROUTER}", WAIT_SECONDS)
        leases = school.place / "leases"
        given = ""

        def noted() -> bool:
            nonlocal given
            lines = [line.split() for line in leases.read_text().splitlines()]
            given = next((line[2] for line in lines if line[1].startswith(QEMU_CARD)), "")
            return given != ""

        school.until(noted, "the box's lease")
        assert given.startswith("192.168.88.2")
        assert NAME in school.get("/", host=given).decode()
        assert NAME in school.get("/").decode()
    finally:
        router.terminate()
        router.wait(20)
