"""The names on real networks: machines of the lab, asked by avahi, systemd-resolved, nmblookup and by hand."""

from __future__ import annotations

import json
import os
import random
import socket
import struct
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from name_clients import avahi, by_llmnr, by_netbios, lan, need_clients, status_by_netbios
from netlab import Lab, Node

from appliance.health import examine
from appliance.names import dns, netbios
from appliance.names.service import NameState
from appliance.reach import known_names
from catalog.local import Local

SPEAKER = textwrap.dedent("""
    import json, sys
    from contextlib import ExitStack
    from pathlib import Path
    from appliance.config import BoxConfig
    from appliance.discovery import Announcement, Announcer
    from appliance.reach import answering
    from catalog.local import Local
    place, id, mdns, settings = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4])
    config = BoxConfig(**{"name": "石桥教学点", "hub": "http://hub", "fingerprint": "", **settings})
    announcement = Announcement(name=config.name, id=id, role="box", version="0", port=8080)
    with Local.open(place / "local.db") as local, ExitStack() as stack:
        announcer = Announcer(announcement, check_seconds=0.5)
        if mdns:
            stack.enter_context(announcer)
        stack.enter_context(answering(config, local, id=id, host="", rename=announcer.rename))
        print("started", flush=True)
        sys.stdin.read()
""")
WAIT_SECONDS = 25.0


@pytest.fixture
def lab() -> Iterator[Lab]:
    need_clients()
    with Lab() as made:
        yield made


class Speaker:
    """A box that answers for its names on a machine of the lab."""

    def __init__(self, place: Path, process: int) -> None:
        self.place = place
        self.process = process

    def known(self) -> NameState:
        """Return what it last wrote down of its names."""
        if not (self.place / "local.db").exists():
            return NameState()
        with Local.open(self.place / "local.db") as local:
            return known_names(local)

    def names(self) -> list[str]:
        """Return the names that it is sure of."""
        return list(self.known().names.values())


@contextmanager
def speaking(
    node: Node, place: Path, id: str, *, mdns: bool = False, right: bool = True, **settings: Any
) -> Iterator[Speaker]:
    """Answer as a box does, with `mdns` where it is asked for; without `right` to the ports below 1024."""
    place.mkdir(exist_ok=True)
    wanting = [] if right else ["setpriv", "--bounding-set", "-net_bind_service"]
    command = node.command(
        [*wanting, sys.executable, "-c", SPEAKER, place, id, int(mdns), json.dumps(settings)]
    )
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        yield Speaker(place, process.pid)
    finally:
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
    assert process.returncode == 0


def until(wanted: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + WAIT_SECONDS
    while not wanted():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def asked(
    node: Node, packet: bytes, to: tuple[str, int], *, source: str = "", seconds: float = 0.6
) -> list[bytes]:
    """Send a datagram from `node` (to a group: by e0) and return what comes back within `seconds`."""
    with node.entered():
        asker = socket.socket(socket.AF_INET6 if ":" in to[0] else socket.AF_INET, socket.SOCK_DGRAM)
    with asker:
        asker.settimeout(seconds)
        asker.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        asker.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"e0")
        if source:
            asker.bind((source, 0))
        asker.sendto(packet, to)
        answers = []
        while True:
            try:
                answers.append(asker.recv(2000))
            except TimeoutError:
                return answers


GROUP, GROUP6 = ("224.0.0.252", 5355), ("ff02::1:3", 5355)


@pytest.mark.slow
def test_every_kind_of_computer_finds_the_box_by_a_word(lab: Lab, tmp_path: Path) -> None:
    box, pc = lan(lab, "box", "pc")
    with speaking(box, tmp_path / "box", "ab" * 16, mdns=True, own_word="shiqiao") as speaker:
        assert until(lambda: speaker.names() == ["shuxiang", "shiqiao"])
        with avahi(pc, tmp_path / "avahi") as mdns:
            for name in ("shuxiang.local", "shiqiao.local"):
                assert until(lambda name=name: mdns.address(name, 4) == "10.77.0.1"), name  # type: ignore[misc]
                assert mdns.address(name, 6) in ("fd77::1", *linklocal(box))
            assert mdns.address("nobody.local", 4) == ""

            for name in ("shuxiang", "SHIQIAO", "shuxiang#20"):
                assert by_netbios(pc, name) == {"10.77.0.1"}, name
            assert by_netbios(pc, "nobody") == by_netbios(pc, "shuxiang#1b") == set()
            status = status_by_netbios(pc, "10.77.0.1")
            assert all(
                f"{name:15} <{suffix}>" in status
                for name in ("SHUXIANG", "SHIQIAO")
                for suffix in ("00", "20")
            )
            mac = json.loads(box.run(["ip", "-j", "link", "show", "e0"]))[0]["address"]
            assert mac.replace(":", "-").upper() in status

            assert by_llmnr(pc, "shuxiang") == {"10.77.0.1", "fd77::1"}

            box.ip("addr del 10.77.0.1/24 dev e0")
            box.ip("addr add 10.77.0.9/24 brd + dev e0")
            assert until(lambda: by_netbios(pc, "shuxiang") == {"10.77.0.9"})
            assert until(lambda: mdns.address("shuxiang.local", 4) == "10.77.0.9")
        assert by_llmnr(pc, "shiqiao") == {"10.77.0.9", "fd77::1"}
        assert speaker.names() == ["shuxiang", "shiqiao"]


def linklocal(node: Node) -> list[str]:
    found = json.loads(node.run(["ip", "-j", "-6", "addr", "show", "dev", "e0"]))
    return [one["local"] for one in found[0]["addr_info"] if one["scope"] == "link"]


@pytest.mark.slow
def test_the_second_box_of_a_name_gets_a_clear_word_and_keeps_it(lab: Lab, tmp_path: Path) -> None:
    first, second, pc = lan(lab, "first", "second", "pc")
    with speaking(first, tmp_path / "first", "ab" * 16, mdns=True, name="box"):
        assert until(lambda: by_netbios(pc, "shuxiang") == {"10.77.0.1"})
        with speaking(second, tmp_path / "second", "cd" * 16, mdns=True, name="box") as speaker:
            assert until(lambda: speaker.names() == ["shuxiang-2", "box-2"])
            assert speaker.known().taken == {"shuxiang": "10.77.0.1", "box": "10.77.0.1"}
            assert by_netbios(pc, "shuxiang") == {"10.77.0.1"}
            assert by_netbios(pc, "shuxiang-2") == {"10.77.0.2"}
            assert by_llmnr(pc, "box-2") == {"10.77.0.2", "fd77::2"}
            with avahi(pc, tmp_path / "avahi") as mdns:
                assert until(lambda: mdns.address("shuxiang-2.local", 4) == "10.77.0.2")
                assert mdns.address("shuxiang.local", 4) == "10.77.0.1"
        # Switched off and on again, it is still the second, and still says whose the word is.
        with speaking(second, tmp_path / "second", "cd" * 16, name="box") as speaker:
            assert until(lambda: by_netbios(pc, "shuxiang-2") == {"10.77.0.2"})
            assert speaker.known().taken == {"shuxiang": "10.77.0.1", "box": "10.77.0.1"}
    (tmp_path / "second" / "config.toml").write_text('role = "hub"\nname = "box"\n')
    [told] = [one for one in examine(tmp_path / "second", "zh-CN") if one.code == "D-NAME-TAKEN"]
    assert "shuxiang 10.77.0.1" in told.found
    assert "shuxiang-2" in told.found

    # In the morning it is switched on first, and is still the second; under another name on its label it is not.
    with speaking(second, tmp_path / "second", "cd" * 16, name="box") as speaker:
        assert until(lambda: by_netbios(pc, "shuxiang-2") == {"10.77.0.2"})
        assert until(lambda: speaker.known().taken == {})
    with speaking(second, tmp_path / "second", "cd" * 16, name="moved") as speaker:
        assert until(lambda: speaker.names() == ["shuxiang", "moved"])


def test_boxes_that_start_together_agree(lab: Lab, tmp_path: Path) -> None:
    nodes = lan(lab, "first", "second", "third")
    with (
        speaking(nodes[0], tmp_path / "first", "ab" * 16) as first,
        speaking(nodes[1], tmp_path / "second", "cd" * 16) as second,
        speaking(nodes[2], tmp_path / "third", "ef" * 16) as third,
    ):
        boxes = (first, second, third)
        wanted = ["shuxiang", "shuxiang-2", "shuxiang-3"]
        assert until(lambda: sorted(name for box in boxes for name in box.names()[:1]) == wanted)


def test_two_that_meet_later_end_with_two_names(lab: Lab, tmp_path: Path) -> None:
    near, far = lab.node("near"), lab.node("far")
    for node, last in ((near, 1), (far, 2)):
        node.ip("link add e0 type veth peer name e9")
        node.ip("link set e9 up")
        node.ip("link set e0 up")
        node.ip(f"addr add 10.7{last}.0.1/24 brd + dev e0")
    with (
        speaking(near, tmp_path / "near", "ab" * 16) as here,
        speaking(far, tmp_path / "far", "cd" * 16) as there,
    ):
        assert until(lambda: here.names()[:1] == there.names()[:1] == ["shuxiang"])
        lab.cable(near, "e1", far, "e1")
        near.ip("addr add 10.77.0.1/24 brd + dev e1")
        far.ip("addr add 10.77.0.2/24 brd + dev e1")
        assert until(lambda: there.names()[:1] == ["shuxiang-2"])
        assert here.names()[:1] == ["shuxiang"]


@pytest.mark.parametrize("family", [4, 6])
def test_one_family_is_enough(lab: Lab, tmp_path: Path, family: int) -> None:
    box, pc = lan(lab, "box", "pc")
    for node in (box, pc):
        if family == 4:
            node.set_kernel("net.ipv6.conf.all.disable_ipv6", 1)
        else:
            node.ip("-4 addr flush dev e0")
    with speaking(box, tmp_path / "box", "ab" * 16) as speaker:
        assert until(lambda: speaker.names()[:1] == ["shuxiang"])
        assert by_llmnr(pc, "shuxiang") == ({"10.77.0.1"} if family == 4 else {"fd77::1"})


def test_only_neighbours_are_answered_and_only_what_is_asked_rightly(lab: Lab, tmp_path: Path) -> None:
    box, pc = lan(lab, "box", "pc")
    with speaking(box, tmp_path / "box", "ab" * 16) as speaker:
        assert until(lambda: speaker.names()[:1] == ["shuxiang"])
        query = dns.make_query(7, "shuxiang", dns.A)
        [answer] = asked(pc, query, GROUP)
        assert answer[:2] == b"\0\7"
        assert dns.read_reply(answer) == dns.Reply(7, "shuxiang", (dns.ipaddress.ip_address("10.77.0.1"),))
        [answer6] = asked(pc, dns.make_query(8, "SHUXIANG", dns.AAAA), GROUP6)
        assert dns.read_reply(answer6) == dns.Reply(8, "shuxiang", (dns.ipaddress.ip_address("fd77::1"),))
        assert len(asked(pc, dns.make_query(9, "shuxiang", 15), GROUP)) == 1  # ours, but it has no MX

        assert asked(pc, dns.make_query(7, "shuxiang.local"), GROUP) == []
        assert asked(pc, query, ("10.77.0.1", 5355)) == []  # by UDP only the group is asked
        assert asked(pc, query[:2] + b"\x04\x00" + query[4:], GROUP) == []  # the C bit
        broadcast = ("10.77.0.255", 137)
        assert len(asked(pc, netbios.make_query(7, "shuxiang"), broadcast)) == 1
        assert len(asked(pc, netbios.make_query(7, "shuxiang"), ("10.77.0.1", 137))) == 1

        # A machine of another subnet on the same wire, to which an answer would find its way.
        pc.ip("addr add 192.0.2.9/24 dev e0")
        box.ip("route add 192.0.2.0/24 dev e0")
        assert asked(pc, query, GROUP, source="192.0.2.9") == []
        assert asked(pc, netbios.make_query(7, "shuxiang"), ("10.77.0.1", 137), source="192.0.2.9") == []


def test_another_who_registers_our_name_is_refused(lab: Lab, tmp_path: Path) -> None:
    box, pc = lan(lab, "box", "pc")
    with speaking(box, tmp_path / "box", "ab" * 16) as speaker:
        assert until(lambda: speaker.names()[:1] == ["shuxiang"])
        here = dns.ipaddress.IPv4Address("10.77.0.2")
        registration = netbios.make_registration(5, "shuxiang", 0, here, demand=False)
        [refusal] = asked(pc, registration, ("10.77.0.255", 137))
        read = netbios.read(refusal)
        assert read is not None
        assert (read.id, read.refused, read.name) == (5, True, "shuxiang")


def test_calls_are_answered_and_slow_callers_hung_up_on(lab: Lab, tmp_path: Path) -> None:
    box, pc = lan(lab, "box", "pc")
    with speaking(box, tmp_path / "box", "ab" * 16) as speaker:
        assert until(lambda: speaker.names()[:1] == ["shuxiang"])
        query = dns.make_query(7, "shuxiang", dns.A)
        for split in (0, 1, 9):
            with called(pc) as call:
                data = struct.pack("!H", len(query)) + query
                call.send(data[:split])
                time.sleep(0.05)
                call.send(data[split:])
                answer = call.recv(2000)
                assert struct.unpack_from("!H", answer)[0] == len(answer) - 2
                assert dns.read_reply(answer[2:]) is not None
        slow = [called(pc) for _ in range(20)]
        with slow[0] as call:
            call.send(b"\0")
            assert call.recv(10) == b""  # hung up on within the socket's timeout
        for one in slow[1:]:
            one.close()
        with called(pc) as call:
            call.send(b"\xff\xff" + bytes(700))
            with pytest.raises((ConnectionError, EOFError)):
                raise EOFError if call.recv(10) == b"" else AssertionError
        assert len(asked(pc, query, GROUP)) == 1


def called(node: Node) -> socket.socket:
    with node.entered():
        made = socket.socket()
    made.settimeout(6)
    made.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)
    made.connect(("10.77.0.1", 5355))
    return made


def test_a_flood_and_garbage_do_no_harm(lab: Lab, tmp_path: Path) -> None:
    box, pc = lan(lab, "box", "pc")
    with speaking(box, tmp_path / "box", "ab" * 16) as speaker:
        assert until(lambda: speaker.names()[:1] == ["shuxiang"])
        query = dns.make_query(7, "shuxiang", dns.A)
        chance = random.Random(4)
        with pc.entered():
            asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with asker:
            asker.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            asker.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"e0")
            for _ in range(2000):
                start = chance.choice(
                    (query, netbios.make_query(7, "shuxiang"), netbios.make_query(7, "*", type=0x21))
                )
                noise = bytearray(start) + chance.randbytes(chance.randrange(20))
                for _ in range(chance.randrange(1, 5)):
                    noise[chance.randrange(len(noise))] = chance.randrange(256)
                asker.sendto(
                    noise[: chance.randrange(len(noise) + 1)], chance.choice((GROUP, ("10.77.0.255", 137)))
                )
            time.sleep(3)
            asker.settimeout(0.1)
            drain(asker)
            began = time.monotonic()
            for _ in range(1500):
                asker.sendto(query, GROUP)
            answers = drain(asker)
            seconds = time.monotonic() - began
        assert 50 <= answers <= 300 + 100 * seconds + 10
        time.sleep(1.5)
        assert len(asked(pc, query, GROUP)) == 1
        assert speaker.names()[:1] == ["shuxiang"]


def drain(asker: socket.socket) -> int:
    count = 0
    while True:
        try:
            asker.recv(2000)
        except TimeoutError:
            return count
        count += 1


def test_without_the_right_to_port_137_the_rest_answers_and_doctor_says_so(lab: Lab, tmp_path: Path) -> None:
    box, pc = lan(lab, "box", "pc")
    with speaking(box, tmp_path / "box", "ab" * 16, right=False) as speaker:
        assert until(lambda: speaker.names()[:1] == ["shuxiang"])
        assert speaker.known().missing == {"netbios": "EACCES"}
        assert len(asked(pc, dns.make_query(7, "shuxiang"), GROUP)) == 1
        assert by_netbios(pc, "shuxiang") == set()
    (tmp_path / "box" / "config.toml").write_text('role = "hub"\nname = "box"\n')
    [told] = [one for one in examine(tmp_path / "box", "en") if one.code == "D-NAME-PORT"]
    assert told.found == "netbios EACCES"


def test_before_it_is_sure_it_says_so(lab: Lab, tmp_path: Path) -> None:
    box, pc = lan(lab, "box", "pc")
    with speaking(box, tmp_path / "box", "ab" * 16) as speaker:
        replies = []
        deadline = time.monotonic() + WAIT_SECONDS
        while not speaker.names() and time.monotonic() < deadline:
            replies += asked(pc, dns.make_query(7, "shuxiang"), GROUP, seconds=0.05)
        assert replies
        first, last = (
            dns.read_reply(one) for one in (replies[0], *asked(pc, dns.make_query(7, "shuxiang"), GROUP))
        )
        assert first is not None and first.tentative
        assert last is not None and not last.tentative


def test_it_rests_when_nobody_asks(lab: Lab, tmp_path: Path) -> None:
    [box] = lan(lab, "box")
    with speaking(box, tmp_path / "box", "ab" * 16) as speaker:
        assert until(lambda: speaker.names()[:1] == ["shuxiang"])
        before = processor_seconds(speaker.process)
        time.sleep(6)
        # 0.3 ms a second here: two looks at the interfaces. Counted in ticks of 10 ms.
        assert processor_seconds(speaker.process) - before <= 0.05


def processor_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.slow
def test_the_commands_answer_for_box_and_hub(lab: Lab, tmp_path: Path) -> None:
    """`box run` and `hub run` on one LAN: each by its word, on the port that its page says, listed by `discover`."""
    nodes = lan(lab, "box", "hub", "pc")
    pc = nodes[2]
    shuxiang = [sys.executable, "-m", "appliance"]
    states = {"box": tmp_path / "box", "hub": tmp_path / "hub"}
    subprocess.run(
        [*shuxiang, "box", "init", "--hub", "http://10.77.0.2", "--fingerprint", "ab" * 32, "--name", "石桥教学点",
         "--subscribe", "none", "--state", states["box"]],
        check=True, capture_output=True,
    )  # fmt: skip
    subprocess.run(
        [*shuxiang, "hub", "init", "--name", "qinghe", "--state", states["hub"]],
        check=True,
        capture_output=True,
    )
    running = [
        subprocess.Popen(
            node.command([*shuxiang, role, "run", "--port", "80", "--state", states[role]]),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        for node, role in zip(nodes, states, strict=False)
    ]  # fmt: skip
    try:
        for word, address in (
            ("shuxiang", "10.77.0.1"),
            ("shuxiang-hub", "10.77.0.2"),
            ("qinghe", "10.77.0.2"),
        ):
            assert until(lambda word=word, address=address: by_netbios(pc, word) == {address}), word  # type: ignore[misc]
        assert by_llmnr(pc, "shuxiang") == {"10.77.0.1", "fd77::1"}
        ask = "import urllib.request as u; print(u.urlopen(u.Request('http://10.77.0.1/reach', headers={'Host': 'shuxiang'})).read().decode())"
        said = pc.run([sys.executable, "-X", "utf8", "-c", ask])
        assert 'href="http://shuxiang.local/"' in said
        assert 'href="http://10.77.0.1/"' in said
        found = json.loads(pc.run([*shuxiang, "discover", "--json"]))
        assert [(one["role"], one["name"], one["addresses"][0]) for one in found] == [
            ("hub", "qinghe", "10.77.0.2"),
            ("box", "石桥教学点", "10.77.0.1"),
        ]
        with avahi(pc, tmp_path / "avahi") as mdns:
            assert until(lambda: mdns.address("shuxiang.local", 4) == "10.77.0.1")
            assert until(lambda: mdns.address("shuxiang-hub.local", 4) == "10.77.0.2")
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(30)


def test_names_can_be_switched_off(lab: Lab, tmp_path: Path) -> None:
    box, pc = lan(lab, "box", "pc")
    with speaking(box, tmp_path / "box", "ab" * 16, answer_names=False) as speaker:
        assert asked(pc, dns.make_query(7, "shuxiang"), GROUP, seconds=2.0) == []
        assert speaker.names() == []
