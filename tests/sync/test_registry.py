"""Who leads its LAN and which stripe it brings: the registry alone, without a network."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sync.checkin import NOBODY, Meeting, make_card, read_card, read_meeting
from sync.registry import FETCHING_SECONDS, KEPT_SECONDS, Registry

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
SCHOOL, OTHER = "203.0.113.9", "198.51.100.7"


class County:
    """A registry, its clock, and boxes that check in."""

    def __init__(self) -> None:
        self.now, self.tick = 1000.0, 1.0
        self.registry = Registry(clock=lambda: self.now)

    def box(self, *addresses: str, seen: str = SCHOOL, marked: bool = False) -> Box:
        return Box(self, addresses, seen, marked)


class Box:
    """A box with a key of its own."""

    def __init__(self, county: County, addresses: tuple[str, ...], seen: str, marked: bool) -> None:
        self.county, self.addresses, self.seen, self.marked = county, addresses, seen, marked
        self.key = Ed25519PrivateKey.generate()

    def asks(self, *, fetching: bool = True, port: int = 7000, seen: str = "") -> Meeting:
        self.county.now += self.county.tick
        card = make_card(
            self.key,
            port=port,
            addresses=self.addresses,
            education_line=self.marked,
            now=NOW,
            fetching=fetching,
        )
        return self.county.registry.check_in(read_card(card), seen or self.seen)


@pytest.fixture
def county() -> County:
    return County()


def test_who_comes_first_leads_and_stays_the_leader(county: County) -> None:
    boxes = [county.box(f"192.168.1.{n}") for n in range(5, 9)]
    assert [box.asks().place for box in boxes] == [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert [box.asks().place for box in reversed(boxes)] == [(3, 4), (2, 4), (1, 4), (0, 4)]
    assert {box.asks().stripe for box in boxes} == {(0, 1)}


def test_the_next_follows_when_the_leader_is_through_or_gone(county: County) -> None:
    first, second, third = (county.box(f"192.168.1.{n}") for n in range(5, 8))
    for box in (first, second, third):
        box.asks()
    assert first.asks(fetching=False).place is None
    assert (second.asks().place, third.asks().place) == ((0, 2), (1, 2))
    # It is met all the same: it has what the others want.
    assert ("192.168.1.5", 7000) in second.asks().mates
    county.now += FETCHING_SECONDS - 1
    third.asks()
    county.now += 2
    assert third.asks().place == (0, 1) and KEPT_SECONDS > FETCHING_SECONDS
    assert ("192.168.1.6", 7000) in third.asks().mates


def test_who_comes_back_stands_last(county: County) -> None:
    first, second = county.box("192.168.1.5"), county.box("192.168.1.6")
    first.asks(), second.asks()
    first.asks(fetching=False)
    assert first.asks().place == (1, 2) and second.asks().place == (0, 2)


def test_two_lans_behind_one_address_have_a_leader_each(county: County) -> None:
    """A carrier shows many schools at one address."""
    here, there = county.box("192.168.1.5"), county.box("192.168.7.5")
    assert here.asks().place == there.asks().place == (0, 1)
    assert county.box("192.168.7.6").asks().place == (1, 2)
    # Who is in both hears of one leader only.
    assert county.box("192.168.1.9", "192.168.7.9").asks().place in ((1, 2), (2, 3))


def test_the_same_addresses_elsewhere_are_another_lan(county: County) -> None:
    county.box("192.168.1.5").asks()
    assert county.box("192.168.1.6", seen=OTHER).asks().place == (0, 1)


def test_on_a_routed_network_the_subnet_counts(county: County) -> None:
    """Nobody translates addresses there: each box is seen at its own."""
    first = county.box("10.1.0.11", "172.17.0.1", seen="10.1.0.11")
    mate = county.box("10.1.0.12", "172.17.0.1", seen="10.1.0.12")
    far = county.box("10.2.0.11", "172.17.0.1", seen="10.2.0.11")
    assert [box.asks().place for box in (first, mate, far)] == [(0, 1), (1, 2), (0, 1)]
    assert ("10.1.0.11", 7000) in mate.asks().mates and not far.asks().mates


def test_loopback_and_boxes_without_an_address_share_what_they_are_seen_at(county: County) -> None:
    boxes = [county.box(*addresses, seen="127.0.0.1") for addresses in ((), (), ("127.0.0.1",))]
    assert [box.asks().place for box in boxes] == [(0, 1), (1, 2), (0, 1)]


def test_the_ports_of_one_box_are_one_box(county: County) -> None:
    box, mate = county.box("192.168.1.5"), county.box("192.168.1.6")
    assert box.asks(port=6881, fetching=False).place is None
    assert box.asks(port=7000).place == (0, 1)
    assert mate.asks().place == (1, 2)
    # A run that was killed, and the next one on another port.
    assert box.asks(port=7001).place == (1, 2)
    assert mate.asks().place == (0, 2)
    # The process that shares is no run.
    assert box.asks(port=6881, fetching=False).place is None
    assert box.asks(port=7001).place == (1, 2)


def test_lans_that_reach_each_other_have_stripes(county: County) -> None:
    towns = [
        [county.box(f"10.{town}.0.{n}", seen=f"10.{town}.0.{n}", marked=town != 3) for n in (11, 12)]
        for town in (1, 2, 3, 4)
    ]
    for town in towns:
        for box in town:
            box.asks()
    answers = [town[0].asks() for town in towns]
    assert [one.stripe for one in answers] == [(0, 3), (1, 3), (0, 1), (2, 3)]
    assert [one.place for one in answers] == [(0, 2)] * 4
    # A leader meets leaders only: each byte crosses a line once. Who only shares is met too.
    assert set(answers[0].others) == {("10.2.0.11", 7000), ("10.4.0.11", 7000)}
    towns[1][1].asks(fetching=False)
    assert ("10.2.0.12", 7000) in towns[0][0].asks().others
    assert towns[2][0].asks().others == ()
    # A mate has its leader's stripe.
    assert towns[3][1].asks().stripe == (2, 3)


def lines_run(work: Callable[[], object]) -> int:
    """Return how many lines of Python `work` runs: what it costs, on any machine."""
    count = 0

    def trace(frame: Any, event: str, _: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("seen_at", ["10.{}.0.1", "10.{}.0.{}"])
def test_a_check_in_costs_what_its_lan_has(county: County, seen_at: str) -> None:
    """The hub serves pages with the same processor; a county has a thousand schools, a LAN a few boxes."""
    costs, county.tick = [], 0.01
    mine = [county.box(f"10.250.0.{n}", seen=seen_at.format(250, n), marked=True) for n in range(1, 7)]
    for towns in (range(60), range(60, 240)):
        for town in towns:
            for n in (1, 2):
                county.box(f"10.{town}.0.{n}", seen=seen_at.format(town, n), marked=True).asks()
        for box in mine:
            box.asks()
        costs.append(lines_run(mine[3].asks))
    assert costs[1] < 1.2 * costs[0]


def test_whatever_comes_and_goes_each_lan_has_one_order(county: County) -> None:
    """Compared with the plain rule: LAN by LAN, in the order in which they began."""
    chance = random.Random(7)
    boxes = [
        county.box(
            f"192.168.{chance.randrange(3)}.{n}", seen=chance.choice([SCHOOL, OTHER]), marked=n % 3 > 0
        )
        for n in range(1, 40)
    ]
    began: dict[Box, None] = {}
    for _ in range(200):
        box, fetching = chance.choice(boxes), chance.random() < 0.8
        answer = box.asks(fetching=fetching)
        if fetching:
            began.setdefault(box)
        else:
            began.pop(box, None)
            assert (answer.place, answer.stripe) == (None, (0, 1))
        # Nobody is forgotten meanwhile: each of those who fetch is heard.
        for other in list(began):
            other.asks()
        if not fetching:
            continue
        lans: dict[tuple[str, str], list[Box]] = {}
        for one in began:
            lans.setdefault((one.seen, one.addresses[0].rpartition(".")[0]), []).append(one)
        team = lans[box.seen, box.addresses[0].rpartition(".")[0]]
        reached = [one for one in lans.values() if one is team or one[0].marked]
        found = box.asks()
        assert found.place == (team.index(box), len(team))
        assert found.stripe == ((reached.index(team), len(reached)) if box.marked else (0, 1))


@pytest.mark.parametrize(
    ("place", "stripe"),
    [
        (b"[0]", b"[1, 1]"),
        (b"[1, 1]", b"[-1, 2]"),
        (b'"0"', b"7"),
        (b"[true, 2]", b"[0.0, 1]"),
        (b"[0, 99999999]", b"[0, 1e9]"),
        (b"{}", b"null"),
        (b"null", b"[]"),
    ],
)
def test_a_part_that_is_none(place: bytes, stripe: bytes) -> None:
    found = read_meeting(b'{"place": ' + place + b', "stripe": ' + stripe + b', "hub_port": 5}')
    assert (found.place, found.stripe, found.hub_port) == (None, (0, 1), 5)


def test_an_old_hub_and_an_old_box(county: County) -> None:
    old_answer: Any = b'{"seen": "203.0.113.9", "hub_port": 8874, "mates": [], "others": []}'
    assert read_meeting(old_answer).place is None and read_meeting(b"{}") == NOBODY
    old_box = county.box("192.168.1.5").asks(fetching=False)
    assert old_box.place is None
    assert county.box("192.168.1.6").asks().place == (0, 1)
