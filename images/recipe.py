"""What an image is made of: a TOML file for each board, in `images/recipes/`, read for one role.

Invariant: a `Recipe` has no key that nothing reads, and no address: packages come from where this machine's own apt
takes its packages.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from catalog.errors import ConfigError
from images.package.target import Arch

RECIPES = Path(__file__).parent / "recipes"
BOARDS = ("pc", "rpi")
SUFFIX = ".toml"
# Lists of packages and of paths (dpkg's patterns); those of `after` come first.
_LISTS = ("components", "packages", "loader", "left_out", "kept")
_SIZES = ("boot_mib", "system_mib", "data_mib")
_WORDS = ("board", "arch", "suite")
_BOTH = (*_LISTS, *_SIZES)
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_PATTERN = re.compile(r"/[^\s\"']+")
_LEAST_MIB, _MOST_MIB = 16, 64 << 10


class Role(StrEnum):
    """What the machine will be."""

    BOX = "box"
    HUB = "hub"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One image. `loader` are packages that are laid out beside the system, for what their files give the loader.

    `left_out` and `kept` are dpkg's `path-exclude` and `path-include`, in this order.
    """

    board: str
    role: Role
    arch: Arch
    suite: str
    components: tuple[str, ...]
    packages: tuple[str, ...]
    loader: tuple[str, ...]
    left_out: tuple[str, ...]
    kept: tuple[str, ...]
    boot_mib: int
    system_mib: int
    data_mib: int


def read_recipe(board: str | Path, role: Role) -> Recipe:
    """Read the recipe of a board, or the file at a path, for `role`.

    A recipe may name another in its directory, which comes first (`after`), and add to it for a role (`[box]`,
    `[hub]`). Raises `ConfigError` E-RECIPE with every key that is wrong.
    """
    path = board if isinstance(board, Path) else RECIPES / f"{board}{SUFFIX}"
    table = _table(path)
    wrong: list[str] = []
    found: dict[str, Any] = {name: [] for name in _LISTS}
    if (base := table.pop("after", None)) is not None:
        _add(found, _table(path.with_name(f"{base}{SUFFIX}")), role, wrong)
    _add(found, table, role, wrong)
    wrong += [f"{name}: —" for name in (*_WORDS, *_SIZES) if name not in found]
    if wrong:
        raise ConfigError("E-RECIPE", where=path, found="; ".join(wrong))
    lists: dict[str, tuple[str, ...]] = {name: tuple(dict.fromkeys(found[name])) for name in _LISTS}
    return Recipe(
        board=found["board"], role=role, arch=Arch[found["arch"]], suite=found["suite"],
        components=lists["components"], packages=lists["packages"], loader=lists["loader"],
        left_out=lists["left_out"], kept=lists["kept"],
        boot_mib=found["boot_mib"], system_mib=found["system_mib"], data_mib=found["data_mib"],
    )  # fmt: skip


def _table(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError("E-RECIPE", where=path, found=error) from error


def _add(found: dict[str, Any], table: dict[str, Any], role: Role, wrong: list[str]) -> None:
    for name, value in table.items():
        if name in list(Role):
            if not isinstance(value, dict):
                wrong.append(f"{name} = {value!r}")
                continue
            for inner, own in value.items():
                if inner not in _BOTH or not _fits(inner, own):
                    wrong.append(f"{name}.{inner} = {own!r}")
                elif name == role:
                    _take(found, inner, own)
        elif _fits(name, value):
            _take(found, name, value)
        else:
            wrong.append(f"{name} = {value!r}")


def _take(found: dict[str, Any], name: str, value: Any) -> None:
    if name in _LISTS:
        found[name] = [*found[name], *value]
    else:
        found[name] = value


def _fits(name: str, value: Any) -> bool:
    if name in _LISTS:
        pattern = _PATTERN if name in ("left_out", "kept") else _PACKAGE
        return isinstance(value, list) and all(
            isinstance(one, str) and pattern.fullmatch(one) for one in value
        )
    if name in _SIZES:
        return type(value) is int and _LEAST_MIB <= value <= _MOST_MIB
    if name == "board":
        return value in BOARDS
    if name == "arch":
        return value in Arch.__members__
    return name == "suite" and isinstance(value, str) and _PACKAGE.fullmatch(value) is not None
