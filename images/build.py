"""An image from a recipe and a checkout: package, root, disk, loader, compressed, with a description beside it.

Invariant: what stands under its name in the output directory is whole; the description is written last and holds the
hash of both forms, in the words of Raspberry Pi Imager's os_list.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from catalog import durable
from images import boot_pc, boot_rpi
from images.commands import run
from images.disk import Layout, identity_of, write_disk
from images.foreign import let_run
from images.package.build import build_package, date_of
from images.recipe import Recipe, Role
from images.root import make_loader, make_root, remove_tree
from images.steps import OnStep, Steps

XZ_LEVEL = "-3"
_BLOCK_BYTES = 1 << 20
_TITLES = {Role.BOX: "书箱（学校）Shuxiang box", Role.HUB: "县中心 Shuxiang hub"}


@dataclass(frozen=True, slots=True)
class Board:
    """How a board starts: the files of its FAT partition, and what lies before that.

    Both take the system's root and the directory of the recipe's `loader` packages.
    """

    boot_files: Callable[[Path, Path], Mapping[str, bytes | Path]]
    install_loader: Callable[[Path, Path, Path], None] | None


BOARDS = {
    "pc": Board(boot_pc.boot_files, boot_pc.install_loader),
    "rpi": Board(boot_rpi.boot_files, None),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A finished image: `path` is the compressed form, `note` its description."""

    path: Path
    note: Path
    version: str
    size_bytes: int
    sha256: str
    compressed_bytes: int
    compressed_sha256: str
    system_bytes: int


def build_image(
    recipe: Recipe,
    source: Path,
    output: Path,
    *,
    cache: Path,
    version: str | None,
    given: Mapping[str, bytes],
    data: Path | None,
    step: OnStep,
) -> Image:
    """Build the image of `recipe` from the checkout `source` into the directory `output`.

    `given` are files for the FAT partition beside the loader's, `data` a directory for the data partition. `cache`
    keeps Debian's part of the work between builds. Raises `ConfigError`: E-ROOT-ONLY for another user than root,
    E-APT without a source of Debian, E-BUILD or E-TOOL where a step fails.
    """
    board = BOARDS[recipe.board]
    date = date_of(source)
    durable.storage(lambda: output.mkdir(parents=True, exist_ok=True), output)
    with Steps(step) as steps:
        work = Path(tempfile.mkdtemp(prefix=".image-", dir=output))
        steps.undone_by(lambda: remove_tree(work))
        package = build_package(source, recipe.arch, work / "package", version=version, step=step)
        steps.undone_by(let_run(recipe.arch))
        name = f"shuxiang-{recipe.role}-{recipe.board}-{package.version}"
        root = steps.do("debian", lambda: make_root(recipe, package.path, work, cache, date))
        loader = make_loader(recipe, cache) if recipe.loader else root
        files = {**board.boot_files(root, loader), **given}
        layout = Layout(
            boot_mib=recipe.boot_mib, system_mib=recipe.system_mib, data_mib=recipe.data_mib,
            identity=identity_of(f"{name} {package.sha256}"),
        )  # fmt: skip
        raw = work / f"{name}.img"
        steps.do(
            "disk",
            lambda: write_disk(raw, layout, boot_files=files, system=root, data=data, work=work, date=date),
        )
        if board.install_loader is not None:
            board.install_loader(raw, loader, work)
        system_bytes = int(run(["du", "--summarize", "--block-size=1", root]).split()[0])
        remove_tree(root)
        steps.do("compress", lambda: run(["xz", XZ_LEVEL, "--threads=0", "--keep", raw]))
        packed = raw.with_name(f"{raw.name}.xz")
        made = Image(
            path=output / packed.name,
            note=output / f"{raw.name}.json",
            version=package.version,
            size_bytes=layout.size_bytes,
            sha256=_sha256(raw),
            compressed_bytes=packed.stat().st_size,
            compressed_sha256=_sha256(packed),
            system_bytes=system_bytes,
        )
        made.note.unlink(missing_ok=True)
        durable.sync_file(packed)
        durable.publish_file(packed, made.path)
        durable.write_file(made.note, describe(recipe, made, date))
    return made


def describe(recipe: Recipe, made: Image, date: int) -> bytes:
    """Return the description of an image: an entry of Raspberry Pi Imager's os_list, and what else we say of it."""
    entry = {
        "name": f"{_TITLES[recipe.role]} {recipe.board} {made.version}",
        "description": "Debian 13, Shuxiang",
        "url": made.path.name,
        "icon": "",
        "extract_size": made.size_bytes,
        "extract_sha256": made.sha256,
        "image_download_size": made.compressed_bytes,
        "image_download_sha256": made.compressed_sha256,
        "release_date": f"{datetime.fromtimestamp(date, UTC):%Y-%m-%d}",
        # Imager must not write settings of its own: ours are in shuxiang.toml.
        "init_format": "none",
        "version": made.version,
        "board": recipe.board,
        "role": recipe.role,
        "system_bytes": made.system_bytes,
    }
    return (json.dumps(entry, ensure_ascii=False, indent=1) + "\n").encode()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
