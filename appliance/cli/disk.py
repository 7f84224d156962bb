"""`data-disk`: at every start of an appliance, find and use the disk with its content; or say why there is none."""

from __future__ import annotations

from pathlib import Path

import click

from appliance.cli.options import Call, leaf
from catalog.clock import system_clock
from catalog.errors import ShuxiangError

# The page is served by a user who may read none of them but the run directory.
_DIRECTORY = click.Path(path_type=Path, file_okay=False, readable=False)


@click.command("data-disk")
@click.option("--page", is_flag=True, help="Serve the page that says what is wrong, as long as something is.")
@click.option("--port", type=int, default=80, show_default=True, help="Where the page is served.")
@click.option("--host", default="", help="Address of the page; every one by default.")
@click.option("--run", type=_DIRECTORY, default=Path("/run/shuxiang"), show_default=True, help="What the initramfs left.")  # fmt: skip
@click.option("--data", type=_DIRECTORY, default=Path("/data"), show_default=True, help="The card's data partition.")  # fmt: skip
@click.option("--card", type=_DIRECTORY, default=Path("/boot/firmware"), show_default=True, help="The card's FAT partition.")  # fmt: skip
@leaf
def data_disk(call: Call, page: bool, port: int, host: str, run: Path, data: Path, card: Path) -> None:
    """Find the disk labelled shuxiang-data, check it and use it, else the card's own data partition. For appliances."""
    if page:
        _serve(run, host, port)
        return
    from appliance.disks.attaching import Places, attach
    from appliance.disks.telling import Told, tell

    try:
        told = attach(Places(run=run, data=data, state=call.state))
    except ShuxiangError as error:
        told = Told(failure=error)
    tell(run, told)
    if told.failure is not None:
        _write_to_card(card, told.text(system_clock))
    for warning in told.warnings:
        click.echo(warning.line(call.language), err=True)
    call.answer(
        told.to_json(),
        None if told.failure else call.words(f"数据在 {told.device}", f"data on {told.device}"),
    )
    call.end(told.failure)


def _write_to_card(card: Path, text: str) -> None:
    """Tell a technician who takes the card to a PC, where there is a card that can be written."""
    from appliance.firstboot.card import Card

    if not card.is_mount():
        return
    try:
        Card(card).write_result(text)
    except ShuxiangError as error:
        click.echo(error.line("en"), err=True)


def _serve(run: Path, host: str, port: int) -> None:
    from appliance.disks.page import serve
    from appliance.disks.telling import read_told

    told = read_told(run)
    if told is not None and told.failure is not None:
        serve(told, host, port)
