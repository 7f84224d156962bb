"""How a run of this box meets others: the swarm that the policy allows, and whom the hub's check-in names.

libtorrent is imported when the first big blob is wanted and not before; where it is missing the run goes without.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from appliance.box import Box
from catalog.errors import ConfigError
from sync.neighbours import Neighbours, Peer
from sync.policy import Policy
from sync.rate import Governor

if TYPE_CHECKING:
    from sync.roads.torrent import Swarm


def neighbours_of(box: Box, policy: Policy, governor: Governor) -> Neighbours | None:
    """Return how a run meets others under `policy`; None where it may meet nobody."""
    if not policy.upload_lan and not policy.upload_outside:
        return None

    def join() -> Swarm:
        try:
            from sync.roads.torrent import Swarm, SwarmSettings
        except ImportError as error:
            raise ConfigError("E-TOOL", found="libtorrent") from error
        hub = urlsplit(box.config.hub).hostname
        return Swarm(
            SwarmSettings(
                lan=policy.upload_lan,
                education_line=policy.upload_outside,
                hub=(hub,) if hub else (),
                governor=governor,
                up_bytes_per_second=policy.upload_bytes_per_second,
                lan_seconds=policy.lan_seconds,
            )
        )

    def peers(swarm: Swarm) -> Sequence[Peer]:
        from appliance.seeding import meet_others

        return meet_others(box, swarm).peers(box.config.hub)

    return Neighbours(open=join, peers=peers)
