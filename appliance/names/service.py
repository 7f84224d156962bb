"""The names of this box or hub on its local network: claimed, answered, given way to others, followed as links change.

One thread and a few sockets. LLMNR and NetBIOS are answered here; mDNS answers come from `appliance.discovery`,
which is told the names when they are sure. Invariant: only neighbours on the link that a question came by are
answered, only about names of ours, at a bounded rate, with addresses of that link.
"""

from __future__ import annotations

import ipaddress
import logging
import random
import selectors
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType

from appliance.names import dns, netbios
from appliance.names.calls import Calls
from appliance.names.claim import ASKINGS, Claim
from appliance.names.dns import Address
from appliance.names.links import Link, local_links
from appliance.names.sockets import (
    LLMNR_GROUPS,
    LLMNR_PORT,
    MDNS_GROUPS,
    MDNS_PORT,
    NETBIOS_PORT,
    Ear,
    Heard,
    Sockets,
)

CHECK_SECONDS = 3.0
ANSWERS_PER_SECOND, ANSWERS_AT_ONCE = 100.0, 300.0
LOCAL = ".local"

_log = logging.getLogger("shuxiang.names")


@dataclass(frozen=True, slots=True)
class NameState:
    """What is known of our names: what each word became, once that is sure; `taken` ones with the address of who has them.

    `missing` says which protocols this machine does not let us answer, and why (an errno's name).
    """

    names: Mapping[str, str] = field(default_factory=dict)
    taken: Mapping[str, str] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)


# Returns those of our addresses that answer: a server that listens on one address does not on the others.
Reaches = Callable[[tuple[str, ...]], tuple[str, ...]]


class NameService:
    """Answers for `words` until it is closed; `first` are the names that they became before (word -> name).

    `tell` is called, in the service's thread, whenever the state has changed.
    """

    def __init__(
        self,
        words: Sequence[str],
        *,
        tell: Callable[[NameState], None],
        first: Mapping[str, str] | None = None,
        reaches: Reaches = lambda addresses: addresses,
        check_seconds: float = CHECK_SECONDS,
    ) -> None:
        now = time.monotonic()
        before = first or {}
        self._claims = [Claim(word, first=before.get(word, word), now=now) for word in dict.fromkeys(words)]
        self._tell = tell
        self._told: NameState | None = None
        self._reaches = reaches
        self._check_seconds = check_seconds
        self._links: dict[int, Link] = {}
        self._bucket = _Bucket(ANSWERS_PER_SECOND, ANSWERS_AT_ONCE)
        self._selector = selectors.DefaultSelector()
        self._sockets = Sockets((), self._selector)
        self._calls = Calls(set(), self._selector, self._on_call)
        self._wake, self._woken = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ, None)
        # One for all that we ask, so that an answer to nothing is none.
        self._id = random.randrange(1, 0x10000)
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, in a thread of its own."""
        self._thread = threading.Thread(target=self._run, name="names", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering."""
        self._wake.close()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._sockets.close()
        self._calls.close()
        self._selector.close()
        self._woken.close()

    def __enter__(self) -> NameService:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- the loop ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        look_at = 0.0
        while True:
            now = time.monotonic()
            if now >= look_at:
                self._follow(now)
                look_at = now + self._check_seconds
            if self._links:
                self._ask(now)
            self._say()
            waits = [look_at - now, *(claim.wait(now) for claim in self._claims if self._links)]
            if self._calls.busy:
                self._calls.sweep(now)
                waits.append(1.0)
            for key, _ in self._selector.select(max(0.0, min(waits))):
                if key.data is None:
                    return
                owner, what = key.data
                if isinstance(owner, Calls):
                    owner.ready(what, time.monotonic())
                else:
                    for heard in self._sockets.heard(owner, what):
                        self._on_datagram(heard)

    def _follow(self, now: float) -> None:
        """Open the sockets anew where links or addresses have changed, and look again whether the names are ours."""
        try:
            links = {link.index: link for link in self._reached(local_links())}
        except OSError as error:  # the kernel has no memory for the list at this moment
            _log.warning("interfaces not read, trying again: %s", error)
            return
        if links == self._links:
            return
        self._links = links
        self._sockets.close()
        self._calls.close()
        families: set[int] = {place.version for link in links.values() for place in link.places}
        self._sockets = Sockets(tuple(links.values()), self._selector)
        self._calls = Calls(families, self._selector, self._on_call)
        for claim in self._claims:
            claim.ask_again(now)

    def _reached(self, links: Sequence[Link]) -> list[Link]:
        found = []
        for link in links:
            answering = set(self._reaches(tuple(str(place.ip) for place in link.places)))
            places = tuple(place for place in link.places if str(place.ip) in answering)
            if places:
                found.append(Link(link.index, link.name, places))
        return found

    def _say(self) -> None:
        sure = {claim.word: claim.label for claim in self._claims if claim.sure and self._links}
        taken = {label: other for claim in self._claims for label, other in claim.taken.items()}
        state = NameState(sure, taken, dict(self._sockets.missing))
        if state == self._told:
            return
        if taken and (self._told is None or taken != self._told.taken):
            _log.warning("names of others on this network: %s; ours: %s", taken, " ".join(sure.values()))
        self._told = state
        self._tell(state)

    # -- asking --------------------------------------------------------------------------------------------------

    def _ask(self, now: float) -> None:
        for claim in self._claims:
            asking = claim.due(now)
            if asking is None:
                continue
            for link in self._links.values():
                for name in claim.questions:
                    self._query(name, link)
                self._register(claim.label, link, demand=asking == ASKINGS - 1)

    def _query(self, label: str, link: Link) -> None:
        for family in {address.version for address in link.addresses}:
            for group, port, name in (
                (LLMNR_GROUPS[family], LLMNR_PORT, label),
                (MDNS_GROUPS[family], MDNS_PORT, label + LOCAL),
            ):
                to = ipaddress.ip_address(group)
                self._sockets.send(Ear.ASK, link, to, port, dns.make_query(self._id, name))

    def _register(self, label: str, link: Link, *, demand: bool) -> None:
        for place in link.places:
            if place.version == 4 and place.network.prefixlen < 31:
                everybody = place.network.broadcast_address
                for suffix in netbios.SUFFIXES:
                    packet = netbios.make_registration(self._id, label, suffix, place.ip, demand=demand)
                    self._sockets.send(Ear.NETBIOS, link, everybody, NETBIOS_PORT, packet)
                return

    # -- hearing -------------------------------------------------------------------------------------------------

    def _on_datagram(self, heard: Heard) -> None:
        link = self._links.get(heard.link)
        if link is None or self._is_ours(heard.source) or not link.has_neighbour(heard.source):
            return
        answer: bytes | None = None
        if heard.ear is Ear.ASK:
            self._on_reply(heard, link)
        elif heard.ear is Ear.NETBIOS:
            answer = self._on_netbios(heard, link)
        elif heard.to_group:  # RFC 4795 section 2.4: what is asked of us alone is asked by TCP
            answer = self._llmnr_answer(heard.data, link)
        if answer is not None and self._bucket.take(time.monotonic()):
            self._sockets.send(heard.ear, link, heard.source, heard.port, answer)

    def _on_reply(self, heard: Heard, link: Link) -> None:
        reply = dns.read_reply(heard.data)
        if reply is None or reply.id != self._id or heard.port not in (LLMNR_PORT, MDNS_PORT):
            return
        if reply.addresses and all(self._is_ours(address) for address in reply.addresses):
            return  # a router that reflects mDNS between its networks tells us of ourselves
        mine = next((one.ip for one in link.places if one.version == heard.source.version), None)
        label = reply.name.removesuffix(LOCAL) if heard.port == MDNS_PORT else reply.name
        for claim in self._claims:
            claim.heard(label, heard.source, mine, time.monotonic(), unsure=reply.tentative)

    def _on_netbios(self, heard: Heard, link: Link) -> bytes | None:
        packet = netbios.read(heard.data)
        if packet is None or not isinstance(heard.source, ipaddress.IPv4Address) or not link.ipv4:
            return None
        if packet.response:
            if packet.refused and packet.id == self._id and packet.operation == netbios.REGISTRATION:
                for claim in self._claims:
                    claim.heard(packet.name, heard.source, link.ipv4[0], time.monotonic(), unsure=False)
            return None
        names = [claim.label for claim in self._claims if claim.sure]
        if packet.type == netbios.NBSTAT:
            known = packet.name == netbios.ANYBODY or packet.name in names
            return netbios.make_status_reply(packet, names, link.mac()) if known and names else None
        if packet.name not in names or packet.suffix not in netbios.SUFFIXES:
            return None
        if packet.operation == netbios.QUERY:
            return netbios.make_query_reply(packet, link.ipv4)
        if packet.operation in netbios.REGISTRATIONS:
            return netbios.make_refusal(packet, link.ipv4[0])
        return None

    def _on_call(self, data: bytes, there: Address, here: Address) -> bytes | None:
        for link in self._links.values():
            if any(place.ip == here for place in link.places) and link.has_neighbour(there):
                return self._llmnr_answer(data, link) if self._bucket.take(time.monotonic()) else None
        return None

    def _llmnr_answer(self, data: bytes, link: Link) -> bytes | None:
        question = dns.read_query(data)
        if question is None:
            return None
        for claim in self._claims:
            if claim.label != question.name:
                continue
            if question.conflict:  # somebody saw two answers: be silent and look (section 2.1.1)
                claim.ask_again(time.monotonic())
                return None
            return dns.make_reply(question, link.addresses, tentative=not claim.sure)
        return None

    def _is_ours(self, address: Address) -> bool:
        return any(address == place.ip for link in self._links.values() for place in link.places)


class _Bucket:
    """So many answers a second on average, so many at once."""

    def __init__(self, per_second: float, most: float) -> None:
        self._per_second, self._most = per_second, most
        self._left, self._at = most, 0.0

    def take(self, now: float) -> bool:
        """Return whether one more may go out now."""
        self._left = min(self._most, self._left + (now - self._at) * self._per_second)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
