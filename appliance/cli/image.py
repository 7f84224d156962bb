"""`shuxiang image …`: what is made and checked for machines that are none of ours yet."""

from __future__ import annotations

import click

from appliance.cli.preseed import check, make_preseed


@click.group()
def image() -> None:
    """What is installed on machines."""


image.add_command(make_preseed)
image.add_command(check)
