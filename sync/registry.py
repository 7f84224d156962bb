"""Whom a hub tells of whom: the cards of the last quarter of an hour, in memory, a bounded number of them.

Boxes that the hub sees at one address share a line: they are told of each other's local addresses. All others are told
of each other only where both mark their line as the education network 专网. Of those who fetch, the first in each LAN
leads; invariant: as long as it is there nobody takes its place, and of what one LAN brings each box knows one leader.
"""

from __future__ import annotations

import ipaddress
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from sync.checkin import MOST_ANSWERED, MOST_CARDS, Card, CardError, Meeting, Peer, Share

KEPT_SECONDS = 900.0
FETCHING_SECONDS = 150.0
"""So long who fetches counts as there since its last card: a leader that vanished is followed by the next."""
# A carrier shows hundreds of schools at one address.
MOST_AT_ONE_ADDRESS, MOST_PORTS_OF_A_BOX = 400, 3
MOST_ASKED_PER_MINUTE = 300
_TOO_MANY_PLACES = 20_000

Clock = Callable[[], float]


@dataclass(slots=True)
class _Entry:
    card: Card
    seen: str
    until: float
    fetching_since: float | None = None
    fetching_until: float = 0.0

    def lans(self) -> list[tuple[str, str]]:
        """Return what names the LANs that this box is in; boxes that share a name are neighbours.

        Behind one address a carrier hides many schools: so the subnets count too. Who is seen at an address of its own
        shares its subnet, whatever else (a bridge for containers) it has.
        """
        subnets = {_subnet(address): None for address in self.card.addresses}
        if self.seen in self.card.addresses and not ipaddress.ip_address(self.seen).is_loopback:
            return [("", _subnet(self.seen))]
        return [(self.seen, subnet) for subnet in subnets] or [(self.seen, "")]


@dataclass(slots=True)
class Registry:
    """The cards of the last quarter of an hour. Thread-safe. `hub_port` tells the hub's own BitTorrent port now."""

    hub_port: Callable[[], int | None] = lambda: None
    clock: Clock = time.monotonic
    _entries: dict[tuple[str, int], _Entry] = field(default_factory=dict)
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
        now = self.clock()
        with self._lock:
            self._expire(now)
            own = [entry for entry in self._entries.values() if entry.card.box == card.box]
            if any(entry.card.at > card.at for entry in own):
                raise CardError("older than one that came before")
            before = self._entries.pop((card.box, card.port), None)
            entry = _Entry(card, seen, now + KEPT_SECONDS)
            if card.fetching:
                same = before is not None and before.seen == seen
                since = before.fetching_since if before is not None and same else None
                entry.fetching_since = now if since is None else since
                entry.fetching_until = now + FETCHING_SECONDS
                for other in own:
                    # A box fetches once at a time: the other run is gone.
                    other.fetching_since = None
            self._make_room(card.box, seen)
            self._entries[card.box, card.port] = entry
            return self._meeting(entry)

    def __len__(self) -> int:
        return len(self._entries)

    def _expire(self, now: float) -> None:
        for key in [key for key, entry in self._entries.items() if entry.until <= now]:
            del self._entries[key]
        for entry in self._entries.values():
            if entry.fetching_until <= now:
                entry.fetching_since = None

    def _make_room(self, box: str, seen: str) -> None:
        """Drop the oldest where there are too many: of the box, at the address, in all."""
        for most, keys in (
            (MOST_PORTS_OF_A_BOX, [key for key in self._entries if key[0] == box]),
            (MOST_AT_ONE_ADDRESS, [key for key, entry in self._entries.items() if entry.seen == seen]),
            (MOST_CARDS, list(self._entries)),
        ):
            for key in keys[: max(0, len(keys) - most + 1)]:
                self._entries.pop(key, None)

    def _meeting(self, own: _Entry) -> Meeting:
        lans = set(own.lans())
        teams = self._teams()
        mates: list[Peer] = []
        others: list[Peer] = []
        for entry in self._entries.values():
            port = entry.card.port
            if entry.card.box == own.card.box:
                continue
            if entry.seen == own.seen or not lans.isdisjoint(entry.lans()):
                mates += [(address, port) for address in entry.card.addresses]
            elif entry.card.education_line and own.card.education_line and _speaks_for(entry, teams):
                others += [(address, port) for address in _outside(entry)]
        place, stripe = _part(own, teams)
        return Meeting(
            seen=own.seen,
            hub_port=self.hub_port(),
            mates=_some(mates, {_subnet(address) for address in own.card.addresses}),
            others=_some(others),
            place=place,
            stripe=stripe,
        )

    def _teams(self) -> list[list[_Entry]]:
        """Return those who fetch, LAN by LAN, who came first at the head: the leader, as long as it fetches."""
        teams: dict[tuple[str, str], list[_Entry]] = {}
        found: list[list[_Entry]] = []
        fetching = [entry for entry in self._entries.values() if entry.fetching_since is not None]
        for entry in sorted(fetching, key=lambda one: (one.fetching_since or 0.0, one.card.box)):
            lans = entry.lans()
            team = next((teams[lan] for lan in lans if lan in teams), None)
            if team is None:
                team = []
                found.append(team)
            team.append(entry)
            for lan in lans:
                teams.setdefault(lan, team)
        return found


def _part(own: _Entry, teams: Sequence[Sequence[_Entry]]) -> tuple[Share | None, Share]:
    """Return the place of `own` in its team, and of its team among those that reach each other."""
    team = next((team for team in teams if own in team), None)
    if team is None:
        return None, (0, 1)
    place = team.index(own), len(team)
    if not own.card.education_line:
        return place, (0, 1)
    reached = [one for one in teams if one is team or one[0].card.education_line]
    return place, (reached.index(team), len(reached))


def _speaks_for(entry: _Entry, teams: Sequence[Sequence[_Entry]]) -> bool:
    """Return whether other LANs should meet this one: a leader, or who only shares; each byte crosses a line once."""
    return entry.fetching_since is None or any(team[0] is entry for team in teams)


def _outside(entry: _Entry) -> list[str]:
    """Return where a box of another line may be met: where it was seen, and its global IPv6 addresses."""
    found = {entry.seen: None}
    for address in map(ipaddress.ip_address, entry.card.addresses):
        if address.version == 6 and address.is_global:
            found[str(address)] = None
    return list(found)


def _some(peers: Sequence[Peer], subnets: Collection[str] = ()) -> tuple[Peer, ...]:
    """Return as many as an answer holds, those in `subnets` first: a carrier's NAT hides many lines."""
    if len(peers) <= MOST_ANSWERED:
        return tuple(peers)
    shuffled = random.sample(peers, len(peers))
    return tuple(sorted(shuffled, key=lambda peer: _subnet(peer[0]) not in subnets)[:MOST_ANSWERED])


def _subnet(address: str) -> str:
    length = 64 if ":" in address else 24
    return str(ipaddress.ip_network(f"{address}/{length}", strict=False))
