"""Gives addresses by dnsmasq as long as no other DHCP server answers on the link of our fixed address.

Invariant: two servers on one network do not last. We ask before we begin and again and again while we give; where
another one answers, ours ends, and begins anew only after it was silent several times. On a wireless link nothing is
given: an access point drops what comes from the made-up address that we ask with, and nobody would ever answer.
"""

from __future__ import annotations

import logging
import os
import random
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

from appliance.leases.packets import MARK, offering_server, question
from appliance.names.links import Link, local_links
from catalog.errors import ConfigError

MOST_LEASES, LEAST_LEASES = 200, 4
CLASS = Path("/sys/class/net")
_RADIO = ("phy80211", "wireless")
_FRAMES = 0x0003
_log = logging.getLogger("shuxiang.leases")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long an answer is waited for, how long between questions, and how many silent ones make us begin.

    A router's server may first see whether the address that it offers is in use: dnsmasq does for three seconds.
    """

    answer_seconds: float = 8.0
    pause_seconds: float = 15.0
    silent: int = 3


def pool(own: IPv4Interface) -> tuple[IPv4Address, IPv4Address]:
    """Return the first and last address to give (pure): from the second quarter of the network on, at most 200.

    Raises `ConfigError` E-CONFIG for a network that has no room.
    """
    first = own.network.network_address + own.network.num_addresses // 4
    last = min(first + MOST_LEASES - 1, own.network.broadcast_address - 1)
    if int(last) - int(first) + 1 < LEAST_LEASES:
        raise ConfigError("E-CONFIG", where="network.fixed_address", expected="/8 - /29", found=own)
    return first, last


def command(link: str, own: IPv4Interface, word: str, leases: Path, asking: bytes) -> list[str]:
    """Return how dnsmasq is run (pure): leases of an hour, no way out, and no name but ours; dnsmasq(8).

    It ignores the hardware address `asking`, with which we ask for other servers; another box's questions it answers.
    """
    first, last = pool(own)
    return [
        "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=",
        # Its unit has no right to become anybody else: without a group it does not try.
        "--user=root", "--group=",
        "--no-resolv", "--no-hosts", "--no-poll", "--log-facility=-",
        f"--interface={link}", "--except-interface=lo", "--bind-interfaces",
        f"--dhcp-range={first},{last},{own.netmask},1h", f"--dhcp-leasefile={leases}",
        # A network without a way out: none is named.
        "--dhcp-option=option:router",
        "--domain=lan", f"--address=/{word}/{own.ip}", f"--address=/{word}.lan/{own.ip}", "--local=/lan/",
        f"--dhcp-mac=set:question,{asking.hex(':')}", "--dhcp-ignore=tag:question",
    ]  # fmt: skip


def asking_address() -> bytes:
    """Return a hardware address to ask with, which nobody else has."""
    return MARK + os.urandom(3)


def other_servers(link: str, own: IPv4Address, asking: bytes, seconds: float) -> set[IPv4Address]:
    """Ask on the interface `link` with the hardware address `asking` and return the servers but `own` that answer within
    `seconds`."""
    transaction = random.getrandbits(32)
    found = set()
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_FRAMES)) as line:
        line.bind((link, _FRAMES))
        line.send(question(transaction, asking))
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            line.settimeout(left)
            try:
                server = offering_server(line.recv(2048), transaction)
            except TimeoutError:
                break
            if server is not None and server != own:
                found.add(server)
    return found


def give(own: IPv4Interface, word: str, leases: Path, *, pace: Pace, tell: Callable[[str], None]) -> None:
    """Give addresses by cable where nobody else does, until interrupted; `tell` hears when that begins, ends or has to
    wait, and why.

    Raises `ConfigError` E-CONFIG for a network without room, E-TOOL where dnsmasq is not installed.
    """
    pool(own)
    asking = asking_address()
    silent, known = 0, ""
    with ExitStack() as serving:
        running: subprocess.Popen[bytes] | None = None
        while True:
            links = [link for link in local_links() if own.ip in link.ipv4]
            link = next((link for link in links if not is_wireless(link.name)), None)
            others = _asked(link, own.ip, asking, pace.answer_seconds)
            silent = 0 if link is None or others else silent + 1
            wireless = [f"{one.name} is wireless" for one in links] if link is None else []
            why = ", ".join([*wireless, *map(str, sorted(others))])
            ended = running is not None and (silent == 0 or running.poll() is not None)
            if ended:
                serving.close()
                running = None
            if ended or (running is None and why not in ("", known)):
                tell(f"off {why}".strip())
                known = why
            if running is None and link is not None and silent >= pace.silent:
                running = serving.enter_context(_served(command(link.name, own, word, leases, asking)))
                tell(f"on {link.name}")
                known = ""
            # Two boxes that begin in the same moment do not go on in step.
            time.sleep(pace.pause_seconds * random.uniform(0.5, 1.5))


def is_wireless(name: str) -> bool:
    """Return whether the interface `name` is a radio's (sysfs-class-net: cfg80211's, and older drivers' own folder)."""
    return any((CLASS / name / entry).exists() for entry in _RADIO)


def _asked(link: Link | None, own: IPv4Address, asking: bytes, seconds: float) -> set[IPv4Address]:
    if link is None:
        return set()
    try:
        return other_servers(link.name, own, asking, seconds)
    except OSError as error:
        # The cable was pulled while we asked.
        _log.info("%s: %s", link.name, error)
        return set()


@contextmanager
def _served(words: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL)
    except FileNotFoundError as error:
        raise ConfigError("E-TOOL", where=words[0]) from error
    with process:
        try:
            yield process
        finally:
            process.terminate()
