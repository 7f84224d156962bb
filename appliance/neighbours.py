"""How a run of this box meets others: the swarm that the policy allows, and whom the hub's check-in names.

libtorrent is imported when a run has a load for the swarm, on a long line beside the run as soon as there is a new
release; where it is missing the run goes without.
Invariant: a run never waits for the hub's answer but once, at its first load for the swarm.
"""

from __future__ import annotations

import ipaddress
import threading
from itertools import chain, repeat
from typing import TYPE_CHECKING

from appliance.box import KEY_NAME, Box
from catalog.errors import ConfigError
from sync.line.network import address_parts
from sync.line.policy import Policy
from sync.line.rate import Governor
from sync.roads.collecting import Part
from sync.updating.neighbours import Neighbours

if TYPE_CHECKING:
    from sync.checkin import Meeting
    from sync.roads.torrent import Swarm

# Who came first learns soon of those who came right after it.
FIRST_AGAIN_SECONDS, AGAIN_SECONDS = 5.0, 60.0
TIMEOUT_SECONDS, END_SECONDS = 5.0, 2.0


def neighbours_of(box: Box, policy: Policy, governor: Governor) -> Neighbours | None:
    """Return how a run meets others under `policy`; None where it may meet nobody."""
    if not policy.upload_lan and not policy.upload_outside:
        return None

    def join() -> Swarm:
        try:
            from sync.roads.swarmsettings import SwarmSettings
            from sync.roads.torrent import Swarm
        except ImportError as error:
            raise ConfigError("E-TOOL", found="libtorrent") from error
        known = (address_parts(address).hostname for address in (box.config.hub, *box.config.parents))
        return Swarm(
            SwarmSettings(
                lan=policy.upload_lan,
                education_line=policy.upload_outside,
                hub=tuple(host for host in known if host),
                governor=governor,
                up_bytes_per_second=policy.upload_bytes_per_second,
                networks=tuple(ipaddress.ip_network(one, strict=False) for one in policy.lan_networks)
                or None,
                lan_seconds=policy.lan_seconds,
            )
        )

    attendance = Attendance(box)
    return Neighbours(open=join, meet=attendance.begin, leave=attendance.end)


class Attendance:
    """The check-ins of one run, from its begin to its end: as long as it fetches, its place in the LAN is its own."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self._swarm: Swarm | None = None
        self._card: CardMaker | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._attend, name="check-in", daemon=True)

    def begin(self, swarm: Swarm) -> Part:
        """Check in, and go on doing so beside the run, which is told of each answer; return the first."""
        self._swarm = swarm
        self._card = CardMaker(self._box, swarm)
        part = self._part(fetching=True)
        self._thread.start()
        return part

    def end(self) -> None:
        """Tell the hub that the run is over: its place goes to the next."""
        if self._swarm is not None:
            self._over.set()
            self._thread.join()

    def _attend(self) -> None:
        assert self._swarm is not None
        for seconds in chain((FIRST_AGAIN_SECONDS,), repeat(AGAIN_SECONDS)):
            if self._over.wait(seconds):
                break
            part = self._part(fetching=True)
            # A hub that is silent now and then has not changed its mind.
            if part.place is not None:
                self._swarm.part = part
        self._part(fetching=False)

    def _part(self, *, fetching: bool) -> Part:
        assert self._card is not None
        meeting = self._card.send(
            fetching=fetching, timeout_seconds=TIMEOUT_SECONDS if fetching else END_SECONDS
        )
        return Part(
            peers=(*meeting.mates, *meeting.others),
            hub=meeting.hub_peers(self._box.config.hub),
            place=meeting.place,
            stripe=meeting.stripe,
        )


class CardMaker:
    """What a hub is told of a box's swarm. Threads may use one after the other."""

    def __init__(self, box: Box, swarm: Swarm) -> None:
        from appliance.identity import read_key

        self._key = read_key(box.directory / KEY_NAME)
        self._box = box
        self._swarm = swarm

    def send(self, *, fetching: bool = False, timeout_seconds: float = TIMEOUT_SECONDS) -> Meeting:
        """Tell the hub where this box's swarm can be met and return whom it may meet; nobody where it is silent."""
        from appliance.discovery import local_addresses
        from sync.checkin import check_in, make_card

        card = make_card(
            self._key,
            port=self._swarm.port,
            addresses=[address for address in local_addresses() if not address.startswith("fe80")],
            education_line=self._swarm.settings.education_line,
            now=self._box.trusted_now(),
            fetching=fetching,
        )
        return check_in(self._box.config.hub, card, timeout_seconds=timeout_seconds)
