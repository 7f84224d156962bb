"""`box export` and `hub export`: writing a stick."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from appliance.cli.bar import Bar, size_text
from appliance.cli.options import Call, leaf

if TYPE_CHECKING:
    from sync.export import ExportResult

_BOX_ID = re.compile("[0-9a-f]{32}")


def _box_id(_: click.Context, option: click.Parameter, value: str | tuple[str, ...] | None) -> object:
    for one in (value,) if isinstance(value, str) else value or ():
        if not _BOX_ID.fullmatch(one):
            raise click.BadParameter("32 hex digits, as box status shows", param=option)
    return value


@click.command(name="export")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--bundle", "bundles", multiple=True, help="Only this bundle; may be given more than once.")
@click.option(
    "--for",
    "box_id",
    callback=_box_id,
    help="What a hub's file on the stick assigns to the box of this id: everything where it says nothing.",
)
@leaf
def export_box(call: Call, directory: Path, bundles: tuple[str, ...], box_id: str | None) -> None:
    """Write what this box holds as a tree for another box: a stick. Run again, it adds what is new."""
    from appliance.box import Box
    from appliance.exporting import export_of_box

    progress = call.progress()
    with Box.open(call.state) as opened:
        try:
            result = export_of_box(opened, directory, progress, bundles=bundles, box_id=box_id)
        finally:
            if isinstance(progress, Bar):
                progress.close()
    _answer(call, result)


@click.command(name="export")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option(
    "--box",
    "boxes",
    multiple=True,
    callback=_box_id,
    help="What this box is assigned, and its own file; may be given more than once.",
)
@click.option("--bundle", "bundles", multiple=True, help="This bundle; may be given more than once.")
@leaf
def export_hub(call: Call, directory: Path, boxes: tuple[str, ...], bundles: tuple[str, ...]) -> None:
    """Write what is published as a tree for boxes: a stick. All of it, or what is named; run again, it adds."""
    from appliance.exporting import export_of_hub
    from appliance.hub import Hub

    progress = call.progress()
    with Hub.open(call.state) as opened:
        try:
            result = export_of_hub(opened, directory, progress, bundles=bundles, boxes=boxes)
        finally:
            if isinstance(progress, Bar):
                progress.close()
    _answer(call, result)


def _answer(call: Call, result: ExportResult) -> None:
    from appliance.exporting import export_json, warnings_of

    size, written = size_text(result.size_bytes), size_text(result.written_bytes)
    call.answer(
        export_json(result),
        call.words(
            f"盘上已有第 {result.release} 次发布的 {result.blobs} 个数据块（{size}），"
            f"这次写入 {written}，并已回读核对。可以拔盘了。",
            f"The disk has {result.blobs} blobs ({size}) of release {result.release}; "
            f"{written} written now and read back. It may be pulled out.",
        ),
    )
    for warning in warnings_of(result):
        call.say(warning.line("zh-CN"), warning.line("en"))
