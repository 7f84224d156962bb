"""`shuxiang run`: what systemd starts, the same for a box and a hub.

Invariant: the state says which of the two it is, so that the two never run on one state.
"""

from __future__ import annotations

import click

from appliance.cli.options import Call, leaf
from appliance.config import CONFIG_NAME, HubConfig, read_config


@click.command()
@click.option("--port", type=int, envvar="SHUXIANG_PORT", show_envvar=True, help="Port of the pages.")
@click.option("--host", default="", help="Address to listen on; all by default.")
@leaf
def run(call: Call, port: int | None, host: str) -> None:
    """The service of this machine: box or hub, as the state's config.toml says."""
    if isinstance(read_config(call.state / CONFIG_NAME), HubConfig):
        from appliance.hub import Hub
        from appliance.hub_service import serve_hub

        with Hub.open(call.state) as hub:
            serve_hub(
                hub,
                call.answer,
                port=port,
                host=host,
                rsync_port=hub.config.rsync_port,
                torrent_port=hub.config.torrent_port,
            )
    else:
        from appliance.box import Box
        from appliance.service import serve_box

        with Box.open(call.state) as box:
            serve_box(box, call.answer, port=port, package_port=None, host=host, service=True)
