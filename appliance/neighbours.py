"""How a run of this box meets others: the swarm that the policy allows, and whom the hub's check-in names.

libtorrent is imported when the first big blob is wanted and not before; where it is missing the run goes without.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from appliance.box import KEY_NAME, Box
from catalog.errors import ConfigError
from sync.line.policy import Policy
from sync.line.rate import Governor
from sync.updating.neighbours import Neighbours, Peer

if TYPE_CHECKING:
    from sync.checkin import Meeting
    from sync.roads.torrent import Swarm


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
        known = (urlsplit(address).hostname for address in (box.config.hub, *box.config.parents))
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

    def peers(swarm: Swarm) -> Sequence[Peer]:
        return meet_others(box, swarm).peers(box.config.hub)

    return Neighbours(open=join, peers=peers)


def meet_others(box: Box, swarm: Swarm) -> Meeting:
    """Tell the hub where this box's `swarm` can be met and return whom it may meet; nobody where the hub is silent."""
    from appliance.discovery import local_addresses
    from appliance.identity import read_key
    from sync.checkin import check_in, make_card

    card = make_card(
        read_key(box.directory / KEY_NAME),
        port=swarm.port,
        addresses=[address for address in local_addresses() if not address.startswith("fe80")],
        education_line=swarm.settings.education_line,
        now=box.trusted_now(),
    )
    return check_in(box.config.hub, card)
