"""`image build`: the image of a card or disk, from the checkout that runs it."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from appliance.cli.bar import size_text
from appliance.cli.options import Call, leaf
from appliance.firstboot.template import write_template
from appliance.hub import Hub
from appliance.preloading import preload, with_room
from catalog import durable
from images.build import build_image
from images.package.build import checkout
from images.recipe import BOARDS, Role, read_recipe

_STEPS = {
    "wheels": ("取依赖包…", "fetching the wheels …"),
    "files": ("整理文件…", "laying out the files …"),
    "pack": ("打包…", "packing …"),
    "debian": ("安装 Debian 系统…", "installing Debian …"),
    "disk": ("写分区和文件系统…", "writing partitions and filesystems …"),
    "compress": ("压缩…", "compressing …"),
}
REQUEST = "shuxiang.toml"


@click.command()
@click.option("--board", type=click.Choice(BOARDS), help="For which machines.")
@click.option(
    "--role", type=click.Choice([one.value for one in Role]), default=Role.BOX.value, show_default=True
)
@click.option(
    "--recipe",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="A recipe of your own instead of the board's.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("build/images"),
    show_default=True,
    help="Directory for the image and its description.",
)
@click.option(
    "--cache",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("build/image-parts"),
    show_default=True,
    help="Directory that keeps Debian's part of the work for a week.",
)
@click.option(
    "--bundle",
    "bundles",
    multiple=True,
    help="A bundle that the hub in --state has published, for the card of a box; may be given more than once.",
)
@click.option("--version", help="Version of the image; else that of the project.")
@leaf
def build(
    call: Call,
    board: str | None,
    role: str,
    recipe: Path | None,
    output: Path,
    cache: Path,
    bundles: tuple[str, ...],
    version: str | None,
) -> None:
    """Build the image of a card or disk, as root, from this machine's own source of Debian."""
    if (board is None) == (recipe is None):
        raise click.UsageError("--board | --recipe")
    asked = read_recipe(recipe or str(board), Role(role))
    if bundles and asked.role is not Role.BOX:
        raise click.UsageError("--bundle: --role box")
    with ExitStack() as stack:
        data = None
        if bundles:
            durable.storage(lambda: output.mkdir(parents=True, exist_ok=True), output)
            data = Path(stack.enter_context(TemporaryDirectory(prefix=".preload-", dir=output)))
            with Hub.open(call.state) as hub:
                asked = with_room(asked, preload(hub, bundles, data, call.progress()))
        made = build_image(
            asked,
            checkout(),
            output,
            cache=cache.absolute(),
            version=version,
            given={REQUEST: write_template(role)},
            data=data,
            step=lambda name: call.say(*_STEPS[name]),
        )
    call.answer(
        {
            "path": str(made.path),
            "note": str(made.note),
            "version": made.version,
            "size_bytes": made.size_bytes,
            "sha256": made.sha256,
            "compressed_bytes": made.compressed_bytes,
            "compressed_sha256": made.compressed_sha256,
            "system_bytes": made.system_bytes,
        },
        call.words(
            f"{made.path}：{size_text(made.compressed_bytes)}，写到卡上 {size_text(made.size_bytes)}\nSHA-256 {made.compressed_sha256}",
            f"{made.path}: {size_text(made.compressed_bytes)}, {size_text(made.size_bytes)} on the card\n"
            f"SHA-256 {made.compressed_sha256}",
        ),
    )
