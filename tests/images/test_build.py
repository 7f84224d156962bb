"""What stands beside a finished image, and what starts a PC."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from appliance.firstboot.template import write_request, write_template
from images.boot_pc import CONFIG, boot_files
from images.build import BOARDS, Image, describe
from images.check import PASSWORD_LINE
from images.image_file import read_description
from images.recipe import BOARDS as NAMES
from images.recipe import Role, read_recipe

MADE = Image(
    path=Path("shuxiang-box-pc-1.2.img.xz"), note=Path("shuxiang-box-pc-1.2.img.json"), version="1.2",
    size_bytes=4 << 30, sha256="a" * 64, compressed_bytes=300 << 20, compressed_sha256="b" * 64, system_bytes=900 << 20,
)  # fmt: skip


def test_the_description_is_in_the_words_of_imager_and_of_our_own_writer() -> None:
    data = describe(read_recipe("pc", Role.BOX), MADE, 1_750_000_000)
    entry = json.loads(data)
    assert entry["url"] == MADE.path.name
    assert (entry["extract_size"], entry["image_download_size"]) == (MADE.size_bytes, MADE.compressed_bytes)
    assert (entry["extract_sha256"], entry["image_download_sha256"]) == ("a" * 64, "b" * 64)
    assert (entry["release_date"], entry["init_format"]) == ("2025-06-15", "none")
    read = read_description(data)
    assert (read.board, read.role, read.version) == ("pc", "box", "1.2")
    assert (read.size_bytes, read.sha256) == (MADE.size_bytes, MADE.sha256)


def test_every_board_of_a_recipe_can_be_built() -> None:
    assert set(BOARDS) == set(NAMES)


def test_the_menu_of_a_pc_is_right_for_grub(tmp_path: Path) -> None:
    if shutil.which("grub-script-check") is None:
        pytest.skip("grub-common is not installed")
    config = boot_files(tmp_path, tmp_path)[CONFIG]
    assert isinstance(config, bytes)
    path = tmp_path / "grub.cfg"
    path.write_bytes(config)
    done = subprocess.run(["grub-script-check", path], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_pc_boots_the_disk_that_its_loader_came_from() -> None:
    config = boot_files(Path(), Path())[CONFIG]
    assert isinstance(config, bytes)
    # A card in a reader has the same labels.
    assert b"search" not in config and b"LABEL" not in config
    assert b"root=PARTUUID=$part" in config


@pytest.mark.parametrize("role", Role)
def test_the_template_on_the_card_gives_no_password(role: Role) -> None:
    assert not PASSWORD_LINE.search(write_template(role))
    assert PASSWORD_LINE.search(write_request({"role": role, "name": "a"}, {"admin_password": "12345678a"}))
