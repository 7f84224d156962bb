"""`image format`: empty disks made into data disks, on which a box or hub keeps its content."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from appliance.cli.bar import size_text, time_text
from appliance.cli.cards import list_devices, target_at, together, written_json
from appliance.cli.options import Call, leaf
from catalog.clock import system_clock
from catalog.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from images.write import Target, Written


@click.command("format")
@click.argument("targets", type=click.Path(path_type=Path, readable=False), nargs=-1)
@click.option("--list", "only_list", is_flag=True, help="Show the cards and disks that may be used, and end.")
@click.option("--erase", is_flag=True, help="Also make a disk anew that holds something.")
@click.option("--yes-disk", is_flag=True, help="Also use a disk that is built in; never the system's.")
@click.option(
    "--record",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("cards.csv"),
    show_default=True,
    help="The table of cards and disks.",
)
@leaf
def format_disks(
    call: Call, targets: tuple[Path, ...], only_list: bool, erase: bool, yes_disk: bool, record: Path
) -> None:
    """Make empty disks, or files like them, into data disks (ext4, shuxiang-data), several at once, and read them back.

    A box or hub finds such a disk when it starts, and keeps its content there. A disk that holds something is refused,
    and what it holds is named; one that is mounted, too small, built in or the system's is refused always.
    """
    from images import records
    from images.data_disk import LEAST_BYTES, make_data_disks
    from images.write import refuse_device

    if only_list:
        list_devices(call)
        return
    if not targets:
        raise UsageError("E-USAGE", found="TARGET…")
    chosen = [target_at(path) for path in dict.fromkeys(targets)]
    for target in chosen:
        if target.device is not None:
            refuse_device(target.device, LEAST_BYTES, fixed_too=yes_disk)
        elif not target.path.is_file():
            raise ConfigError("E-CARD-NONE", where=target.path)
        if not erase:
            _refuse_contents(target)
    with together(call, "disk", len(chosen)) as progress:
        try:
            results = make_data_disks(chosen, progress, system_clock)
        except KeyboardInterrupt:
            for target in chosen:
                target.stop.set()
            raise
    records.keep(record, [records.line_of(one) for one in results])
    call.answer(
        [written_json(call, one) | {"uuid": one.image.version} for one in results],
        "\n".join(_text(call, one) for one in results),
    )
    call.end(next((one.refusal for one in results if one.refusal is not None), None))


def _refuse_contents(target: Target) -> None:
    from images.contents import contents
    from images.data_disk import refuse_contents

    size_bytes = target.device.size_bytes if target.device else target.path.stat().st_size
    model = target.device.model if target.device else ""
    refuse_contents(f"{target.path} {model}".strip(), contents(target.path, size_bytes))


def _text(call: Call, written: Written) -> str:
    place = written.target.path
    if written.refusal is not None:
        return f"{place}  {written.refusal.line(call.language)}"
    size, time = size_text(written.image.size_bytes), time_text(written.seconds)
    return call.words(
        f"{place}  数据盘做好并核对过：{size}，用时 {time}。可以拔出，插到书箱或县中心上再开机。",
        f"{place}  a data disk, made and read back: {size} in {time}. Take it out, plug it into a box or hub, switch that on.",
    )
