"""`shuxiang box seed` and `shuxiang hub seed`: share what is here by BitTorrent.

What they need is imported when they are called: `box serve` must not pay for it.
"""

from __future__ import annotations

from contextlib import ExitStack

import click

from appliance.cli.options import Call, leaf

_PORT = click.option("--port", type=int, help="Port for BitTorrent.")
_HOST = click.option("--host", default="", help="Address to listen on; all by default.")
_RATE = click.option(
    "--upload-rate",
    type=click.IntRange(min=1),
    help="Most bytes per second to hosts outside the local network.",
)


@click.command("seed")
@_PORT
@_HOST
@_RATE
@click.option("--education-line", is_flag=True, help="Share with other schools too (教育专网).")
@click.option("--no-lan", is_flag=True, help="Do not share inside the local network.")
@leaf
def seed_box(
    call: Call, port: int | None, host: str, upload_rate: int | None, education_line: bool, no_lan: bool
) -> None:
    """Share what this box holds by BitTorrent, until interrupted."""
    from appliance import seeding
    from appliance.box import Box
    from appliance.policies import governor_of, policy_of
    from sync.line.rate import Governor
    from sync.roads.swarmsettings import SwarmSettings
    from sync.roads.torrent import Swarm

    with Box.open(call.state) as opened, ExitStack() as end:
        governor = Governor()
        if education_line:
            # What is given to other sites counts in the month's budget.
            governor = governor_of(opened, policy_of(opened), None)
            end.callback(governor.close)
        settings = SwarmSettings(
            port=port or 0,
            listen=(host,) if host else (),
            lan=not no_lan,
            education_line=education_line,
            governor=governor,
            up_bytes_per_second=upload_rate,
        )
        swarm = end.enter_context(Swarm(settings))
        call.answer({"port": swarm.port}, f"{opened.config.name}  BitTorrent {swarm.port}")
        seeding.seed_box(opened, swarm)


@click.command("seed")
@_PORT
@_HOST
@_RATE
@leaf
def seed_hub(call: Call, port: int | None, host: str, upload_rate: int | None) -> None:
    """Share what this hub has published by BitTorrent, until interrupted."""
    from appliance import seeding
    from appliance.hub import Hub
    from sync.roads.swarmsettings import SwarmSettings
    from sync.roads.torrent import Swarm

    with Hub.open(call.state) as opened:
        settings = SwarmSettings(
            port=opened.config.torrent_port if port is None else port,
            listen=(host,) if host else (),
            education_line=True,
            up_bytes_per_second=upload_rate,
        )
        with Swarm(settings) as swarm:
            call.answer({"port": swarm.port}, f"{opened.config.name}  BitTorrent {swarm.port}")
            seeding.seed_hub(opened, swarm)
