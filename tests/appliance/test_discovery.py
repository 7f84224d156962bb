"""Boxes and hubs find each other between two network namespaces that are joined by a cable (veth)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.discovery import Announcement, _service_label, discover, local_addresses, reachable_at

BOX_ID = "0123456789abcdef0123456789abcdef"
SPEAKER = textwrap.dedent("""
    import sys
    from appliance.discovery import Announcement, Announcer
    name, id, role, port = sys.argv[1:5]
    announcement = Announcement(name=name, id=id, role=role, version="0.1.0", port=int(port), state="release 1")
    with Announcer(announcement, check_seconds=0.5) as announcer:
        print("started", flush=True)
        for line in sys.stdin:
            announcer.update(line.strip())
""")
LISTENER = textwrap.dedent("""
    import json, sys
    from appliance.discovery import discover
    print(json.dumps([found.to_json() for found in discover(float(sys.argv[1]))]))
""")


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


def missing() -> str:
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "the `ip` command (iproute2) is not installed"
    probe = f"sxp{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True)
    if made.returncode != 0:
        return f"no network namespaces here: {made.stderr.strip()}"
    run("ip", "netns", "del", probe)
    return ""


@dataclass(frozen=True)
class Cable:
    """Two namespaces, `near` and `far`, each with an interface `e0`, an IPv4 and an IPv6 address."""

    near: str
    far: str

    def command(self, side: str, *command: str) -> str:
        return run("ip", "netns", "exec", side, *command)

    def spoken(
        self, name: str, *, id: str = BOX_ID, role: str = "box", port: int = 8080
    ) -> subprocess.Popen[str]:
        speaker = subprocess.Popen(
            ["ip", "netns", "exec", self.near, sys.executable, "-c", SPEAKER, name, id, role, str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert speaker.stdout is not None
        assert speaker.stdout.readline() == "started\n"
        return speaker

    def heard(self, seconds: float = 2.0) -> list[dict[str, object]]:
        answer: list[dict[str, object]] = json.loads(
            self.command(self.far, sys.executable, "-c", LISTENER, str(seconds))
        )
        return answer

    def heard_until(self, wanted: object, seconds: float = 60.0) -> list[dict[str, object]]:
        """Listen again and again until `wanted(answers)`; bounded."""
        deadline = time.monotonic() + seconds
        while True:
            answers = self.heard()
            if wanted(answers) or time.monotonic() > deadline:  # type: ignore[operator]
                return answers


@pytest.fixture
def cable() -> Iterator[Cable]:
    why = missing()
    if why and os.environ.get("CI") == "true":
        pytest.fail(why)
    if why:
        pytest.skip(why)
    mark = f"{os.getpid()}{time.monotonic_ns() % 10_000}"
    near, far = f"sxn{mark}", f"sxf{mark}"
    made = []
    try:
        for space in (near, far):
            run("ip", "netns", "add", space)
            made.append(space)
            run("ip", "-n", space, "link", "set", "lo", "up")
        run("ip", "link", "add", "e0", "netns", near, "type", "veth", "peer", "name", "e0", "netns", far)
        for space, last in ((near, 1), (far, 2)):
            run("ip", "-n", space, "link", "set", "e0", "up")
            run("ip", "-n", space, "addr", "add", f"10.77.0.{last}/24", "dev", "e0")
            run("ip", "-n", space, "addr", "add", f"fd77::{last}/64", "dev", "e0", "nodad")
        yield Cable(near, far)
    finally:
        for space in made:
            run("ip", "netns", "del", space)


def ended(speaker: subprocess.Popen[str]) -> None:
    """Let the speaker go in good order: the end of its input closes the announcer."""
    try:
        speaker.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        speaker.kill()
        speaker.communicate()
        raise
    assert speaker.returncode == 0


def test_a_box_is_found_over_both_families_and_follows_its_address(cable: Cable) -> None:
    speaker = cable.spoken("青禾县中心")
    try:
        [box] = cable.heard_until(lambda answers: answers and len(answers[0]["addresses"]) >= 3)
        assert box["name"] == "青禾县中心"
        assert (box["id"], box["role"], box["version"], box["port"]) == (BOX_ID, "box", "0.1.0", 8080)
        assert box["state"] == "release 1"
        assert box["addresses"][:2] == ["10.77.0.1", "fd77::1"]
        assert box["addresses"][2].startswith("fe80::")

        run("ip", "-n", cable.near, "addr", "del", "10.77.0.1/24", "dev", "e0")
        run("ip", "-n", cable.near, "addr", "add", "10.77.0.9/24", "dev", "e0")
        [moved] = cable.heard_until(lambda answers: answers and answers[0]["addresses"][0] == "10.77.0.9")
        assert moved["addresses"][:2] == ["10.77.0.9", "fd77::1"]
        assert moved["name"] == "青禾县中心"

        assert speaker.stdin is not None
        speaker.stdin.write("release 2\n")
        speaker.stdin.flush()
        [newer] = cable.heard_until(lambda answers: answers and answers[0]["state"] == "release 2")
        assert newer["state"] == "release 2"
    finally:
        ended(speaker)
    assert cable.heard(1.0) == []


@pytest.mark.parametrize("family", ["4", "6"])
def test_one_family_is_enough(cable: Cable, family: str) -> None:
    for side in (cable.near, cable.far):
        if family == "4":
            cable.command(side, "sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6")
        else:
            run("ip", "-n", side, "-4", "addr", "flush", "dev", "e0")
    speaker = cable.spoken("村小书箱")
    try:
        [box] = cable.heard_until(bool)
    finally:
        ended(speaker)
    assert box["name"] == "村小书箱"
    assert all((":" in address) == (family == "6") for address in box["addresses"])


def test_a_taken_name_is_changed_and_both_are_listed(cable: Cable) -> None:
    first = cable.spoken("书箱", id="a" * 32)
    try:
        cable.heard_until(bool)
        second = cable.spoken("书箱", id="b" * 32, role="hub", port=8090)
        try:
            both = cable.heard_until(lambda answers: len(answers) == 2)
        finally:
            ended(second)
    finally:
        ended(first)
    assert [(one["role"], one["id"], one["name"]) for one in both] == [
        ("hub", "b" * 32, "书箱-2"),
        ("box", "a" * 32, "书箱"),
    ]


def test_a_cable_plugged_in_later_is_noticed(cable: Cable) -> None:
    run("ip", "-n", cable.near, "link", "set", "e0", "down")
    run("ip", "-n", cable.near, "addr", "flush", "dev", "e0")
    speaker = cable.spoken("晚到的书箱")
    try:
        assert cable.heard(1.0) == []
        run("ip", "-n", cable.near, "link", "set", "e0", "up")
        run("ip", "-n", cable.near, "addr", "add", "10.77.0.7/24", "dev", "e0")
        [box] = cable.heard_until(lambda answers: answers and "10.77.0.7" in answers[0]["addresses"])
        assert "10.77.0.7" in box["addresses"]
    finally:
        ended(speaker)


def test_avahi_sees_what_we_announce(cable: Cable, tmp_path: Path) -> None:
    """Another implementation agrees: avahi-daemon on a bus of its own, in the other namespace."""
    if any(shutil.which(tool) is None for tool in ("avahi-daemon", "avahi-browse", "dbus-daemon")):
        if os.environ.get("CI") == "true":
            pytest.fail("avahi-daemon, avahi-utils and dbus are needed")
        pytest.skip("avahi is not installed")
    bus = f"unix:path={tmp_path}/bus"
    policy = '<allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>'
    (tmp_path / "bus.conf").write_text(
        '<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"'
        ' "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">'
        f"<busconfig><type>system</type><listen>{bus}</listen><auth>EXTERNAL</auth>"
        f'<policy context="default"><allow user="*"/>{policy}</policy></busconfig>'
    )
    (tmp_path / "avahi.conf").write_text("[server]\nuse-ipv4=yes\nuse-ipv6=yes\n[wide-area]\n[publish]\n")
    environment = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": bus}
    inside = ["ip", "netns", "exec", cable.far, "unshare", "--mount", "--propagation", "slave", "sh", "-c"]
    daemon = (
        "mkdir -p /run/avahi-daemon && mount -t tmpfs none /run/avahi-daemon && "
        f"exec avahi-daemon --no-drop-root --no-chroot --no-rlimits -f {tmp_path}/avahi.conf"
    )
    speaker = cable.spoken("青禾县中心", role="hub")
    bus_daemon = subprocess.Popen(["dbus-daemon", "--nofork", f"--config-file={tmp_path}/bus.conf"])
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "bus").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        avahi = subprocess.Popen([*inside, daemon], env=environment, stderr=subprocess.DEVNULL)
        try:
            seen = dict.fromkeys(("_shuxiang._tcp", "_http._tcp"), "")
            deadline = time.monotonic() + 90
            while not all(BOX_ID in lines for lines in seen.values()) and time.monotonic() < deadline:
                time.sleep(0.5)
                for kind in seen:
                    browse = ["avahi-browse", "-t", "-r", "-p", kind]
                    seen[kind] = subprocess.run(
                        browse, env=environment, capture_output=True, text=True, timeout=30
                    ).stdout
        finally:
            avahi.terminate()
            avahi.wait(10)
    finally:
        bus_daemon.terminate()
        bus_daemon.wait(10)
        ended(speaker)
    resolved = [line.split(";") for line in seen["_shuxiang._tcp"].splitlines() if line.startswith("=")]
    assert {fields[2] for fields in resolved} == {"IPv4", "IPv6"}
    assert {"10.77.0.1", "fd77::1"} & {fields[7] for fields in resolved}
    assert all(fields[6] == f"shuxiang-{BOX_ID[:12]}.local" and fields[8] == "8080" for fields in resolved)
    assert all(f'"id={BOX_ID}"' in fields[9] and '"role=hub"' in fields[9] for fields in resolved)
    assert BOX_ID in seen["_http._tcp"]


def test_only_addresses_that_answer_are_announced() -> None:
    here = ("10.77.0.1", "fd77::1", "fe80::1")
    assert reachable_at("", here) == here == reachable_at("::", here)
    assert reachable_at("0.0.0.0", here) == ("10.77.0.1",)
    assert reachable_at("fd77::1", here) == ("fd77::1",)
    assert reachable_at("127.0.0.1", here) == ()


def test_a_label_fits_dns() -> None:
    assert _service_label("青禾县.中心\n") == "青禾县·中心"
    assert _service_label(" . ") == "shuxiang"
    long = _service_label("书" * 40)
    assert len(long.encode()) <= 57
    assert set(long) == {"书"}


def test_discover_is_bounded_and_needs_no_zeroconf_until_called() -> None:
    assert "127.0.0.1" not in local_addresses()
    started = time.monotonic()
    assert isinstance(discover(0.5), list)
    # Half a second was asked for; a busy machine may take some more to begin and to end.
    assert time.monotonic() - started < 20
    probe = "import sys, appliance.discovery; assert 'zeroconf' not in sys.modules"
    run(sys.executable, "-c", probe)
    assert Announcement(name="书箱", id="a", role="box", version="1", port=1).state == ""
