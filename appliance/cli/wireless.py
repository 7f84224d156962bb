"""`wireless`: whether an appliance is on the wireless network of its shuxiang.toml, and why not, told on every channel."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

import click

from appliance.cli.options import Call, leaf

_DIRECTORY = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.option("--seconds", type=float, default=90.0, show_default=True, help="How long to look at most.")
@click.option("--card", type=_DIRECTORY, default=Path("/boot/firmware"), show_default=True, help="The card's FAT partition.")  # fmt: skip
@click.option("--root", type=_DIRECTORY, default=Path(os.sep), show_default=True, help="Root directory of the system.")  # fmt: skip
@leaf
def wireless(call: Call, seconds: float, card: Path, root: Path) -> None:
    """Look whether the machine is on the Wi-Fi that shuxiang.toml asks for; tell what keeps it off, or take that back.

    Told on the console, in shuxiang-result.txt on the card, on /admin and by doctor. For appliances, every ten minutes.
    """
    from appliance.firstboot.system import System
    from appliance.plugging.notes import run_directory
    from appliance.wireless.note import read_note
    from appliance.wireless.telling import tell
    from appliance.wireless.verdict import Asked
    from appliance.wireless.watching import watch

    wifi = System(root).wifi()
    if wifi is None:
        call.answer(
            None, call.words("shuxiang.toml 没有要连的无线网络。", "shuxiang.toml asks for no Wi-Fi.")
        )
        return
    run = run_directory()
    note = watch(Asked(ssid=wifi.ssid, secured=wifi.secured), read_note(run), seconds)
    if note is None:
        call.answer(None, call.words("还在连，过一会儿再看。", "not sure yet: it is looked at again later."))
        return
    is_new = tell(run, card, note)
    # A console may have no Chinese letters.
    call.answer(asdict(note), f"{note.line('zh-CN')}\n{note.line('en')}" if is_new else None)
