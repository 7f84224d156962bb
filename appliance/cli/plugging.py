"""`shuxiang plugged` and `shuxiang unplugged`: what udev and systemd run for each stick."""

from __future__ import annotations

from pathlib import Path

import click

from appliance.cli.options import Call, leaf
from appliance.plugging.notes import run_directory
from catalog.stick import Stick

_DEVICE = click.argument("device", type=click.Path(path_type=Path, dir_okay=False))


@click.command()
@_DEVICE
@leaf
def plugged(call: Call, device: Path) -> None:
    """Mount a stick read-only and tell the running service of it, until it is pulled out. Started by udev."""
    from appliance.plugging.sounds import play
    from appliance.plugging.stay import stay

    def say(stick: Stick) -> None:
        for line in filter(None, (stick.line(call.language), stick.warning(call.language))):
            click.echo(line, err=True)

    try:
        stay(run_directory(), device, call.state, say, play)
    except KeyboardInterrupt:
        return


@click.command()
@_DEVICE
@leaf
def unplugged(call: Call, device: Path) -> None:
    """Take off what `plugged` left mounted when it was killed."""
    from appliance.plugging.stay import clean_up

    clean_up(run_directory(), device)
