"""The root of an image: where its packages come from, and how the overlay lies over it."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalog.errors import ConfigError
from images.recipe import Role, read_recipe
from images.root import add_overlay, suite_lines

RECIPE = read_recipe("pc", Role.BOX)
TOLD = """\
http://mirror.test/debian/\tbookworm\tmain
http://mirror.test/debian/\tbookworm\tcontrib
http://mirror.test/debian/\tbookworm-updates\tmain
http://mirror.test/debian-security/\tbookworm-security\tmain
http://other.test/apt/\tstable\tmain
http://other.test/apt/\tbookworm-backports\tmain
"""


def test_packages_come_from_the_machines_own_source_of_debian() -> None:
    assert suite_lines(TOLD, "bookworm", RECIPE) == [
        "deb http://mirror.test/debian/ trixie main non-free-firmware",
        "deb http://mirror.test/debian/ trixie-updates main non-free-firmware",
        "deb http://mirror.test/debian-security/ trixie-security main non-free-firmware",
    ]


def test_a_machine_without_debian_is_refused() -> None:
    with pytest.raises(ConfigError, match="E-APT"):
        suite_lines("http://other.test/apt/\tstable\tmain\n", "bookworm", RECIPE)


def test_the_overlay_lies_over_the_root_with_fixed_rights(tmp_path: Path) -> None:
    overlay, root = tmp_path / "overlay", tmp_path / "root"
    (overlay / "etc" / "made").mkdir(parents=True)
    (overlay / "etc" / "made" / "settings").write_text("new")
    (overlay / "etc" / "made" / "settings").chmod(0o600)
    (overlay / "etc" / "made" / "hook").write_text("#!/bin/sh\n")
    (overlay / "etc" / "made" / "hook").chmod(0o700)
    (overlay / "etc" / "link").symlink_to("made/settings")
    (root / "etc" / "made").mkdir(parents=True)
    (root / "etc" / "made" / "settings").write_text("old")
    (root / "etc" / "link").write_text("old")
    (root / "etc" / "kept").write_text("kept")
    add_overlay(root, overlay)
    assert (root / "etc" / "made" / "settings").read_text() == "new"
    assert (root / "etc" / "made" / "settings").stat().st_mode & 0o777 == 0o644
    assert (root / "etc" / "made" / "hook").stat().st_mode & 0o777 == 0o755
    assert (root / "etc" / "link").readlink() == Path("made/settings")
    assert (root / "etc" / "kept").read_text() == "kept"


def test_a_board_without_an_overlay_has_none(tmp_path: Path) -> None:
    add_overlay(tmp_path, tmp_path / "none")
    assert not list(tmp_path.iterdir())
