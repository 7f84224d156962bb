"""`shuxiang image …`: what is made and checked for machines that are none of ours yet."""

from __future__ import annotations

from pathlib import Path

import click

from appliance.cli.bar import size_text
from appliance.cli.build import build
from appliance.cli.cards import check, write, writer
from appliance.cli.data_disks import format_disks
from appliance.cli.options import Call, leaf
from appliance.cli.preseed import make_preseed
from images.package.build import build_package, checkout
from images.package.target import Arch

_STEPS = {
    "wheels": ("取依赖包…", "fetching the wheels …"),
    "files": ("整理文件…", "laying out the files …"),
    "pack": ("打包…", "packing …"),
}


@click.group()
def image() -> None:
    """What is installed on machines."""


image.add_command(build)
image.add_command(make_preseed)
image.add_command(check)
image.add_command(write)
image.add_command(format_disks)
image.add_command(writer)


@image.command()
@click.option(
    "--arch", type=click.Choice([one.name for one in Arch]), required=True, help="Whom the package is for."
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("dist"),
    show_default=True,
    help="Directory for the package.",
)
@click.option("--version", help="Version of the package; else that of the project.")
@leaf
def package(call: Call, arch: str, output: Path, version: str | None) -> None:
    """Build the Debian package for offline installation on any Debian 13 machine."""
    made = build_package(
        checkout(), Arch[arch], output, version=version, step=lambda name: call.say(*_STEPS[name])
    )
    call.answer(
        {
            "path": str(made.path),
            "arch": made.arch.name,
            "version": made.version,
            "size_bytes": made.size_bytes,
            "installed_bytes": made.installed_bytes,
            "sha256": made.sha256,
        },
        call.words(
            f"{made.path}：{size_text(made.size_bytes)}，装上后 {size_text(made.installed_bytes)}\nSHA-256 {made.sha256}",
            f"{made.path}: {size_text(made.size_bytes)}, {size_text(made.installed_bytes)} installed\n"
            f"SHA-256 {made.sha256}",
        ),
    )
