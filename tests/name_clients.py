"""Who asks for names in the tests, none of them ours: avahi (mDNS), systemd-resolved (LLMNR), Samba's nmblookup.

nmblookup and systemd-resolved are Debian 13's, laid out by `tools/name-clients`; all run on a machine of the lab.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from netlab import Lab, Node, why_not

FETCHED = Path(__file__).resolve().parent.parent / "build" / "name-clients"
_ROOM = """
set -e
root={root}
mount -t tmpfs none $root/etc; mount -t tmpfs none $root/run; mount -t proc none $root/proc; mount --bind /dev $root/dev
echo 'root:x:0:0::/:/bin/sh' > $root/etc/passwd; echo 'systemd-resolve:x:990:990::/:/bin/sh' >> $root/etc/passwd
echo 'root:x:0:' > $root/etc/group; echo 'systemd-resolve:x:990:' >> $root/etc/group
mkdir -p $root/etc/systemd $root/run/systemd/resolve; chown 990:990 $root/run/systemd/resolve
printf '[Resolve]\\nLLMNR=resolve\\nMulticastDNS=no\\nFallbackDNS=\\n' > $root/etc/systemd/resolved.conf
echo 'nameserver 127.0.0.53' > $root/etc/resolv.conf; mount --bind $root/etc/resolv.conf /etc/resolv.conf
echo 'hosts: dns' > $root/etc/nsswitch.conf; mount --bind $root/etc/nsswitch.conf /etc/nsswitch.conf
chroot $root /usr/lib/systemd/systemd-resolved & daemon=$!
trap 'kill $daemon; wait $daemon' EXIT
for i in $(seq 100); do ss -Huln 'sport = 53' | grep -q . && break; sleep 0.1; done
getent ahosts {name} || true
"""


def need_clients() -> None:
    """Skip where there is no lab or a client is missing; in continuous integration that is a failure."""
    missing = why_not() or next(
        (
            tool
            for tool in ("avahi-daemon", "avahi-resolve", "dbus-daemon", "ss")
            if shutil.which(tool) is None
        ),
        "",
    )
    if not missing and not (FETCHED / ".stamp").exists():
        missing = "nmblookup and systemd-resolved are not here: tools/name-clients"
    if missing and os.environ.get("CI") == "true":
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)


def lan(lab: Lab, *names: str) -> list[Node]:
    """Return machines on one switch: the n-th has the addresses 10.77.0.n and fd77::n on its interface e0."""
    switch = lab.node("switch")
    switch.ip("link add bridge type bridge")
    switch.ip("link set bridge up")
    made = []
    for number, name in enumerate(names, 1):
        node = lab.node(name)
        lab.cable(node, "e0", switch, f"p{number}")
        switch.ip(f"link set p{number} master bridge")
        node.ip(f"addr add 10.77.0.{number}/24 brd + dev e0")
        node.ip(f"addr add fd77::{number}/64 dev e0 nodad")
        made.append(node)
    return made


def by_netbios(node: Node, name: str) -> set[str]:
    """Return the addresses that nmblookup finds for `name`, perhaps with a suffix (`shuxiang#20`)."""
    done = subprocess.run(
        node.command([*_samba("nmblookup"), "-s", "/dev/null", name]),
        capture_output=True,
        text=True,
        timeout=30,
    )
    return set(re.findall(r"^([0-9.]+) .*<..>", done.stdout, re.MULTILINE))


def status_by_netbios(node: Node, address: str) -> str:
    """Return what nmblookup prints of a machine's node status."""
    return node.run([*_samba("nmblookup"), "-s", "/dev/null", "-A", address])


def by_llmnr(node: Node, name: str) -> set[str]:
    """Return the addresses that glibc gets for `name` by systemd-resolved, which knows nothing but LLMNR."""
    script = _ROOM.format(root=FETCHED, name=name)
    done = subprocess.run(
        node.command(["unshare", "--mount", "--propagation", "slave", "sh", "-c", script]),
        capture_output=True,
        text=True,
        timeout=60,
    )
    return {line.split()[0] for line in done.stdout.splitlines() if "STREAM" in line}


@contextmanager
def avahi(node: Node, place: Path) -> Iterator[Avahi]:
    """Run avahi-daemon on `node`, on a bus of its own."""
    place.mkdir()
    bus = f"unix:path={place}/bus"
    policy = '<allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>'
    (place / "bus.conf").write_text(
        '<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"'
        ' "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">'
        f"<busconfig><type>system</type><listen>{bus}</listen><auth>EXTERNAL</auth>"
        f'<policy context="default"><allow user="*"/>{policy}</policy></busconfig>'
    )
    (place / "avahi.conf").write_text(
        "[server]\nhost-name=pc\nuse-ipv4=yes\nuse-ipv6=yes\n[wide-area]\n[publish]\n"
    )
    environment = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": bus}
    start = (
        "mkdir -p /run/avahi-daemon && mount -t tmpfs none /run/avahi-daemon && "
        f"exec avahi-daemon --no-drop-root --no-chroot --no-rlimits -f {place}/avahi.conf"
    )
    bus_daemon = subprocess.Popen(["dbus-daemon", "--nofork", f"--config-file={place}/bus.conf"])
    try:
        deadline = time.monotonic() + 10
        while not (place / "bus").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        daemon = subprocess.Popen(
            node.command(["unshare", "--mount", "--propagation", "slave", "sh", "-c", start]),
            env=environment,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield Avahi(environment)
        finally:
            daemon.terminate()
            daemon.wait(10)
    finally:
        bus_daemon.terminate()
        bus_daemon.wait(10)


class Avahi:
    """A running avahi-daemon."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment

    def address(self, name: str, family: int) -> str:
        """Return the address of `name` (`shuxiang.local`) in this family; "" where nobody answers."""
        done = subprocess.run(
            ["avahi-resolve", f"-{family}", "-n", name],
            env=self._environment, capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        return done.stdout.split("\t")[-1].strip()

    def browse(self, kind: str) -> list[list[str]]:
        """Return what avahi-browse resolves of this kind of service (`_http._tcp`): the fields of each of its lines."""
        done = subprocess.run(
            ["avahi-browse", "-t", "-r", "-p", kind],
            env=self._environment, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        return [line.split(";") for line in done.stdout.splitlines() if line.startswith("=")]


def _samba(program: str) -> list[str]:
    [libc] = (FETCHED / "usr" / "lib").glob("*/libc.so.6")
    loader = next((FETCHED / "usr").glob("lib*/ld-linux*"), None) or next(libc.parent.glob("ld-linux*"))
    libraries = f"{libc.parent}:{libc.parent / 'samba'}"
    return [str(loader), "--library-path", libraries, str(FETCHED / "usr" / "bin" / program)]
