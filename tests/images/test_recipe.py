"""Recipes of images: what they hold for each role, and that every wrong key is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalog.errors import ConfigError
from images.recipe import RECIPES, Role, read_recipe

GOOD = """
board = "pc"
arch = "amd64"
suite = "trixie"
components = ["main"]
packages = ["one", "two"]
boot_mib = 64
system_mib = 512
data_mib = 64
[hub]
packages = ["three"]
system_mib = 1024
"""


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize(
    "board", sorted(path.stem for path in RECIPES.glob("*.toml") if path.stem != "debian")
)
def test_our_own_recipes_are_right(board: str, role: Role) -> None:
    recipe = read_recipe(board, role)
    assert (recipe.board, recipe.role) == (board, role)
    assert "python3" in recipe.packages
    assert len(set(recipe.packages)) == len(recipe.packages)


def test_office_programs_and_films_are_the_hubs_alone() -> None:
    assert "ffmpeg" in read_recipe("pc", Role.HUB).packages
    assert not {"ffmpeg", "libreoffice-writer-nogui"} & set(read_recipe("pc", Role.BOX).packages)


def test_a_role_adds_packages_and_changes_sizes(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(GOOD)
    box, hub = read_recipe(path, Role.BOX), read_recipe(path, Role.HUB)
    assert (box.packages, box.system_mib) == (("one", "two"), 512)
    assert (hub.packages, hub.system_mib) == (("one", "two", "three"), 1024)


def test_another_recipe_comes_first(tmp_path: Path) -> None:
    (tmp_path / "debian.toml").write_text(GOOD)
    path = tmp_path / "own.toml"
    path.write_text('after = "debian"\npackages = ["four", "one"]\ndata_mib = 128\n')
    recipe = read_recipe(path, Role.BOX)
    assert (recipe.packages, recipe.data_mib) == (("one", "two", "four"), 128)


def test_every_wrong_key_is_named(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(
        GOOD.replace('"pc"', '"toaster"')
        .replace("boot_mib = 64", 'boot_mib = "64"')
        .replace('"one"', '"--option"')
        + 'colour = "red"\nboard = "rpi"\n[other]\na = 1\n'
    )
    with pytest.raises(ConfigError) as raised:
        read_recipe(path, Role.BOX)
    assert raised.value.code == "E-RECIPE"
    for wrong in ("toaster", "boot_mib", "--option", "hub.colour", "hub.board", "other"):
        assert wrong in raised.value.found


@pytest.mark.parametrize("text", ["board = ", b"\xff\xfe".decode("latin-1"), ""])
def test_a_file_that_is_no_recipe_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ConfigError, match="E-RECIPE"):
        read_recipe(path, Role.BOX)


def test_a_recipe_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="E-RECIPE"):
        read_recipe(tmp_path / "none.toml", Role.BOX)
