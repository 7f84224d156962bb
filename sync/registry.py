"""Whom a hub tells of whom: the cards of the last quarter of an hour, in memory, a bounded number of them.

Boxes that the hub sees at one address share a line: they are told of each other's local addresses. All others are told
of each other only where both mark their line as the education network 专网. Of those who fetch, the first in each LAN
leads; invariant: as long as it is there nobody takes its place, and of what one LAN brings each box knows one leader.
A check-in costs what its LAN has, not what the county has: addresses are parsed when a card comes, cards are found by
name, and who leads is reckoned anew only when somebody has ended to fetch.
"""

from __future__ import annotations

import ipaddress
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import TypeVar

from sync.checkin import MOST_ANSWERED, MOST_CARDS, Card, CardError, Meeting, Peer, Share

KEPT_SECONDS = 900.0
FETCHING_SECONDS = 150.0
"""So long who fetches counts as there since its last card: a leader that vanished is followed by the next."""
# A carrier shows hundreds of schools at one address.
MOST_AT_ONE_ADDRESS, MOST_PORTS_OF_A_BOX = 400, 3
MOST_ASKED_PER_MINUTE = 300
_TOO_MANY_PLACES = 20_000

Clock = Callable[[], float]
_Key = tuple[str, int]
_T = TypeVar("_T")


@dataclass(slots=True)
class _Entry:
    card: Card
    seen: str
    until: float
    fetching_since: float | None = None
    fetching_until: float = 0.0
    subnets: tuple[str, ...] = ()
    """Those of the card's addresses, in their order."""
    lans: tuple[tuple[str, str], ...] = ()
    """What names the LANs that this box is in; who fetches in one of the same name has the same leader."""
    names: tuple[str, ...] = ()
    """What it is found by: its box, where it was seen, and its subnet where that is a neighbourhood."""
    outside: tuple[Peer, ...] = ()
    """Where a box of another line may meet it: where it was seen, and its global IPv6 addresses."""

    def __post_init__(self) -> None:
        addresses, port = self.card.addresses, self.card.port
        self.subnets = tuple(map(_subnet, addresses))
        self.names = (self.card.box, self.seen)
        # Behind one address a carrier hides many schools: so the subnets count too. Who is seen at an address of its
        # own shares its subnet, whatever else (a bridge for containers) it has.
        if self.seen in addresses and not ipaddress.ip_address(self.seen).is_loopback:
            own = _subnet(self.seen)
            self.lans = (("", own),)
            self.names = (*self.names, own)
        else:
            self.lans = tuple((self.seen, subnet) for subnet in dict.fromkeys(self.subnets or ("",)))
        found = dict.fromkeys([self.seen, *filter(_is_global, addresses)])
        self.outside = tuple((address, port) for address in found)

    @property
    def key(self) -> _Key:
        return self.card.box, self.card.port

    def stands_as(self, other: _Entry) -> bool:
        """Return whether both have the same place among those who fetch."""
        return (
            self.fetching_since is not None
            and (self.fetching_since, self.lans) == (other.fetching_since, other.lans)
            and self.card.education_line == other.card.education_line
        )


@dataclass(slots=True)
class _Team:
    """Those who fetch in one LAN, who came first at the head: the leader, as long as it fetches."""

    leader: _Entry
    marked_before: int
    """How many teams before it have a leader on a marked line."""
    members: list[_Key] = field(default_factory=list)

    @property
    def is_marked(self) -> bool:
        return self.leader.card.education_line


class _Teams:
    """Those who fetch, LAN by LAN, in the order in which they came."""

    def __init__(self, fetching: Iterable[_Entry] = ()) -> None:
        self.of: dict[_Key, _Team] = {}
        """By the keys of their members."""
        self.leaders: list[_Key] = []
        """The leaders on a marked line."""
        self._in: dict[tuple[str, str], _Team] = {}
        for entry in sorted(fetching, key=lambda one: (one.fetching_since or 0.0, one.card.box)):
            self.add(entry)

    def add(self, entry: _Entry) -> None:
        """Add one who came after all the others."""
        team = next((self._in[lan] for lan in entry.lans if lan in self._in), None)
        if team is None:
            team = _Team(leader=entry, marked_before=len(self.leaders))
            if team.is_marked:
                self.leaders.append(entry.key)
        team.members.append(entry.key)
        self.of[entry.key] = team
        for lan in entry.lans:
            self._in.setdefault(lan, team)

    def part(self, own: _Entry) -> tuple[Share | None, Share]:
        """Return the place of `own` in its team, and of its team among those that reach each other."""
        team = self.of.get(own.key)
        if team is None:
            return None, (0, 1)
        place = team.members.index(own.key), len(team.members)
        if not own.card.education_line:
            return place, (0, 1)
        return place, (team.marked_before, len(self.leaders) + (not team.is_marked))


@dataclass(slots=True)
class Registry:
    """The cards of the last quarter of an hour. Thread-safe. `hub_port` tells the hub's own BitTorrent port now."""

    hub_port: Callable[[], int | None] = lambda: None
    clock: Clock = time.monotonic
    # All in the order of the check-ins: the oldest is the first.
    _entries: dict[_Key, _Entry] = field(default_factory=dict)
    _fetching: dict[_Key, _Entry] = field(default_factory=dict)
    _sharers: dict[_Key, _Entry] = field(default_factory=dict)
    """Those on a marked line that do not fetch."""
    _named: dict[str, dict[_Key, _Entry]] = field(default_factory=dict)
    """By box, by the address it was seen at, by subnet: no two of these look alike."""
    _teams: _Teams | None = None
    """Who leads whom; None where that is to be reckoned anew."""
    _asked: dict[str, deque[float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def admits(self, seen: str) -> bool:
        """Return whether this address may ask again now."""
        now = self.clock()
        with self._lock:
            if len(self._asked) > _TOO_MANY_PLACES:
                self._asked.clear()
            times = self._asked.setdefault(seen, deque())
            while times and times[0] < now - 60:
                times.popleft()
            if len(times) >= MOST_ASKED_PER_MINUTE:
                return False
            times.append(now)
            return True

    def check_in(self, card: Card, seen: str) -> Meeting:
        """Remember the card, seen at the address `seen`, and return whom its box may meet.

        Raises `CardError` for a card older than one of the same box.
        """
        entry = _Entry(card, seen, 0.0)
        with self._lock:
            now = self.clock()
            self._expire(now)
            own = list(self._named.get(card.box, {}).values())
            if any(other.card.at > card.at for other in own):
                raise CardError("older than one that came before")
            before = self._entries.get(entry.key)
            entry.until = now + KEPT_SECONDS
            if card.fetching:
                same = before is not None and before.seen == seen
                since = before.fetching_since if before is not None and same else None
                entry.fetching_since = now if since is None else since
                entry.fetching_until = now + FETCHING_SECONDS
            self._replace(before, entry)
            if card.fetching:
                for other in own:
                    # A box fetches once at a time: the other run is gone.
                    if other is not before:
                        self._end_fetching(other)
            return self._meeting(entry)

    def __len__(self) -> int:
        return len(self._entries)

    # -- what is kept --------------------------------------------------------------------------------------------

    def _expire(self, now: float) -> None:
        while self._entries and (oldest := next(iter(self._entries.values()))).until <= now:
            self._drop(oldest)
        while self._fetching and (oldest := next(iter(self._fetching.values()))).fetching_until <= now:
            self._end_fetching(oldest)

    def _replace(self, before: _Entry | None, entry: _Entry) -> None:
        """Keep `entry` instead of `before`, in the room that the oldest leave: of its box, at its address, in all."""
        teams = self._teams
        if before is not None:
            self._drop(before)
            if entry.stands_as(before):
                # Who goes on fetching changes nobody's place.
                self._teams = teams
        box, seen = (self._named.get(name, {}) for name in (entry.card.box, entry.seen))
        for most, entries in (
            (MOST_PORTS_OF_A_BOX, box),
            (MOST_AT_ONE_ADDRESS, seen),
            (MOST_CARDS, self._entries),
        ):
            for oldest in list(islice(entries.values(), max(0, len(entries) - most + 1))):
                self._drop(oldest)
        self._entries[entry.key] = entry
        for name in entry.names:
            self._named.setdefault(name, {})[entry.key] = entry
        if entry.fetching_since is not None:
            self._fetching[entry.key] = entry
            if self._teams is not None and (before is None or not entry.stands_as(before)):
                self._teams.add(entry)
        elif entry.card.education_line:
            self._sharers[entry.key] = entry

    def _drop(self, entry: _Entry) -> None:
        del self._entries[entry.key]
        for name in entry.names:
            named = self._named[name]
            del named[entry.key]
            if not named:
                del self._named[name]
        self._sharers.pop(entry.key, None)
        if self._fetching.pop(entry.key, None) is not None:
            self._teams = None

    def _end_fetching(self, entry: _Entry) -> None:
        if self._fetching.pop(entry.key, None) is not None:
            entry.fetching_since = self._teams = None
            if entry.card.education_line:
                self._sharers[entry.key] = entry

    # -- who meets whom ------------------------------------------------------------------------------------------

    def _meeting(self, own: _Entry) -> Meeting:
        if self._teams is None:
            self._teams = _Teams(self._fetching.values())
        near = {key: entry for name in own.names for key, entry in self._named[name].items()}
        place, stripe = self._teams.part(own)
        return Meeting(
            seen=own.seen,
            hub_port=self.hub_port(),
            mates=_mates(own, [entry for entry in near.values() if entry.card.box != own.card.box]),
            others=self._others(near, self._teams.leaders) if own.card.education_line else (),
            place=place,
            stripe=stripe,
        )

    def _others(self, near: Collection[_Key], leaders: list[_Key]) -> tuple[Peer, ...]:
        """Return whom other LANs should meet: leaders, and who only shares; so each byte crosses a line once."""
        known = [*leaders, *self._sharers]
        # So many that enough are left without those that are near.
        some = random.sample(known, min(len(known), MOST_ANSWERED + len(near)))
        far = islice((self._entries[key] for key in some if key not in near), MOST_ANSWERED)
        return _some([peer for entry in far for peer in entry.outside])


def _mates(own: _Entry, near: list[_Entry]) -> tuple[Peer, ...]:
    """Return as many as an answer holds, those in our subnets first: a carrier's NAT hides many lines."""
    subnets = frozenset(own.subnets)
    chosen = _chosen(near, lambda entry: not subnets.isdisjoint(entry.subnets))
    peers = [
        ((address, entry.card.port), subnet in subnets)
        for entry in chosen
        for address, subnet in zip(entry.card.addresses, entry.subnets, strict=True)
    ]
    return tuple(peer for peer, _ in _chosen(peers, lambda one: one[1]))


def _some(peers: list[Peer]) -> tuple[Peer, ...]:
    return tuple(_chosen(peers, lambda _: True))


def _chosen(found: list[_T], is_first: Callable[[_T], bool]) -> list[_T]:
    """Return as many as an answer holds, by chance, but those that `is_first` before the others."""
    if len(found) <= MOST_ANSWERED:
        return found
    parts: tuple[list[_T], list[_T]] = [], []
    for one in found:
        parts[not is_first(one)].append(one)
    shuffled = (random.sample(part, min(len(part), MOST_ANSWERED)) for part in parts)
    return list(islice(chain.from_iterable(shuffled), MOST_ANSWERED))


def _is_global(text: str) -> bool:
    address = ipaddress.ip_address(text)
    return address.version == 6 and address.is_global


def _subnet(address: str) -> str:
    length = 64 if ":" in address else 24
    return str(ipaddress.ip_network(f"{address}/{length}", strict=False))
