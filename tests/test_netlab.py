"""The network lab itself: rates and delays as stated, towns that reach what they should, and nothing left over."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from netlab import Lab, Node, Speeds, one_lan, two_towns, why_not

MBIT = 1_000_000
PAYLOAD = bytes(1200)
HEADERS_BYTES = 28


@pytest.fixture
def lab() -> Iterator[Lab]:
    need_lab()
    with Lab() as made:
        yield made


def need_lab() -> None:
    """Skip where there can be no lab; in continuous integration that is a failure."""
    if reason := why_not(nat=True):
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


def joined(lab: Lab, **line: float) -> tuple[Node, Node]:
    near, far = lab.node("near"), lab.node("far")
    settings = {"there_bits": 8 * MBIT, "back_bits": 2 * MBIT, "delay_ms": 25, **line}
    lab.line(near, "e0", far, "e1", **settings)  # type: ignore[arg-type]
    near.ip("addr add 10.9.0.1/24 dev e0")
    far.ip("addr add 10.9.0.2/24 dev e1")
    return near, far


def udp_at(node: Node, host: str) -> socket.socket:
    with node.entered():
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((host, 9000))
    made.settimeout(5)
    return made


def received_bits(sender: socket.socket, receiver: socket.socket, host: str, seconds: float) -> float:
    """Send faster than the line carries and return the rate of what arrives, in bits of IP packets per second."""
    stop = threading.Event()

    def flood() -> None:
        while not stop.is_set():
            for _ in range(3):
                sender.sendto(PAYLOAD, (host, 9000))
            time.sleep(0.002)

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        receiver.recv(2000)
        began, count = time.monotonic(), 0
        while time.monotonic() - began < seconds:
            count += len(receiver.recv(2000)) + HEADERS_BYTES
        return count * 8 / (time.monotonic() - began)
    finally:
        stop.set()
        thread.join()


def test_a_line_has_its_rates(lab: Lab) -> None:
    near, far = joined(lab)
    with udp_at(near, "10.9.0.1") as here, udp_at(far, "10.9.0.2") as there:
        for sender, receiver, host, rate in (
            (here, there, "10.9.0.2", 8 * MBIT),
            (there, here, "10.9.0.1", 2 * MBIT),
        ):
            # A line never carries more; where the machine is busy elsewhere it may carry less for a while.
            found = [received_bits(sender, receiver, host, 2)]
            while max(found) < rate * 0.95 and len(found) < 4:
                found.append(received_bits(sender, receiver, host, 2))
            assert rate * 0.95 <= max(found) <= rate * 1.05


def test_a_line_has_its_delay(lab: Lab) -> None:
    near, far = joined(lab)
    with udp_at(near, "10.9.0.1") as here, udp_at(far, "10.9.0.2") as there:

        def echo() -> None:
            for _ in range(31):
                there.sendto(*there.recvfrom(2000))

        thread = threading.Thread(target=echo)
        thread.start()
        found = []
        for _ in range(31):
            began = time.monotonic()
            here.sendto(b"x", ("10.9.0.2", 9000))
            here.recv(100)
            found.append((time.monotonic() - began) * 1000)
        thread.join()
    # The first asks for the neighbour's address too; the others wait for nothing but the line, and now and then for
    # this machine.
    assert sorted(found[1:])[len(found) // 4] == pytest.approx(50, abs=2)


def test_a_transfer_by_tcp_fills_the_line_and_is_counted(lab: Lab) -> None:
    near, far = lab.node("near"), lab.node("far")
    line = lab.line(near, "e0", far, "e1", there_bits=8 * MBIT, back_bits=8 * MBIT, delay_ms=10)
    near.ip("addr add 10.9.0.1/24 dev e0")
    far.ip("addr add 10.9.0.2/24 dev e1")
    with far.entered():
        listening = socket.create_server(("10.9.0.2", 9000))
    total = 2_000_000

    def send() -> None:
        with near.entered(), socket.create_connection(("10.9.0.2", 9000)) as connection:
            connection.sendall(bytes(total))

    thread = threading.Thread(target=send)
    with listening:
        began = time.monotonic()
        thread.start()
        came = 0
        with listening.accept()[0] as connection:
            while data := connection.recv(1 << 16):
                came += len(data)
        seconds = time.monotonic() - began
        thread.join()
    assert came == total
    there, back = line.carried()
    # Headers are a thirtieth; what a full queue dropped is sent again.
    assert 1.02 * total < there.size_bytes < 1.1 * total
    assert there.size_bytes / there.frames > 1000 and back.size_bytes < 0.1 * total
    assert seconds > 0.95 * there.size_bytes * 8 / (8 * MBIT)


def test_a_line_is_cut_and_joined(lab: Lab) -> None:
    near, far = lab.node("near"), lab.node("far")
    line = lab.line(near, "e0", far, "e1", there_bits=MBIT, back_bits=MBIT, delay_ms=1)
    near.ip("addr add 10.9.0.1/24 dev e0")
    far.ip("addr add 10.9.0.2/24 dev e1")
    with udp_at(near, "10.9.0.1") as here, udp_at(far, "10.9.0.2") as there:
        here.sendto(b"before", ("10.9.0.2", 9000))
        assert there.recv(100) == b"before"
        line.cut()
        there.settimeout(0.3)
        here.sendto(b"lost", ("10.9.0.2", 9000))
        with pytest.raises(TimeoutError):
            there.recv(100)
        line.join()
        here.sendto(b"after", ("10.9.0.2", 9000))
        assert there.recv(100) == b"after"


def reaches(caller: Node, called: Node, host: str) -> str:
    """Return the address under which `called` sees a connection of `caller`, "" where none comes."""
    with called.entered():
        listening = socket.create_server((host, 9001))
    with listening, caller.entered(), socket.socket() as connection:
        connection.settimeout(0.5)
        try:
            connection.connect((host, 9001))
        except OSError:
            return ""
        accepted, (seen, _) = listening.accept()
        accepted.close()
        return str(seen)


@pytest.mark.parametrize("nat", [False, True], ids=["routed", "nat"])
def test_towns_reach_what_they_should(lab: Lab, nat: bool) -> None:
    towns = two_towns(lab, nat=nat, speeds=Speeds(delay_ms=1))
    first, neighbour, *_, other = towns.boxes
    assert reaches(first, neighbour, towns.hosts[1]) == towns.hosts[0]
    assert reaches(first, towns.hub, towns.hub_host) == ("198.51.101.2" if nat else towns.hosts[0])
    assert reaches(first, other, towns.hosts[5]) == ("" if nat else towns.hosts[0])
    assert len(towns.boxes) == len(towns.hosts) == 6 and len(towns.town_lines) == 2


def test_nothing_outlives_a_killed_test(tmp_path: Path) -> None:
    need_lab()
    program = (
        "import sys, time; from netlab import Lab, one_lan\n"
        "with Lab() as lab:\n"
        " towns = one_lan(lab, boxes=1)\n"
        " print(towns.hub.pid, towns.boxes[0].pid, towns.hub_line._process.pid, flush=True)\n"
        " time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent
    ) as process:
        assert process.stdout is not None
        pids = [int(word) for word in process.stdout.readline().split()]
        assert len(pids) == 3 and all(Path(f"/proc/{pid}").exists() for pid in pids)
        process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 5
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < deadline, pids
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_one_lan_has_as_many_boxes_as_asked(lab: Lab) -> None:
    assert one_lan(lab, boxes=2).hosts == ("10.1.0.11", "10.1.0.12")
