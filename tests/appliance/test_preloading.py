"""Content for a card that is being made: exported as for a stick, with room for it on the data partition."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from click.testing import CliRunner

from appliance.cli import shuxiang
from appliance.hub import Hub
from appliance.preloading import PLACE, preload, with_room
from catalog.progress import silent
from images.recipe import Role, read_recipe


def test_a_card_has_room_for_what_it_is_made_with() -> None:
    recipe = read_recipe("pc", Role.BOX)
    assert with_room(recipe, 1 << 20) == recipe
    large = with_room(recipe, 10 << 30)
    assert large == replace(recipe, data_mib=large.data_mib)
    assert 10 << 10 < large.data_mib < 11 << 10


def test_bundles_are_laid_out_as_on_a_stick(tmp_path: Path) -> None:
    state, source = tmp_path / "hub", tmp_path / "batch"
    source.mkdir()
    (source / "a.txt").write_text("几分之一")
    (source / "list.jsonl").write_text(
        '{"title": "分数的初步认识", "stage": "primary", "grade": 3, "subject": "math", "kind": "document", "file": "a.txt"}\n'
    )
    for words in (["init", "--name", "青禾县"], ["ingest", str(source / "list.jsonl")], ["publish"]):
        done = CliRunner().invoke(shuxiang, ["hub", *words, "--state", str(state)])
        assert done.exit_code == 0, done.output
    data = tmp_path / "data"
    with Hub.open(state) as hub:
        size = preload(hub, ["main"], data, silent)
    tree = data / PLACE
    assert (tree / "metadata").is_dir()
    assert size == sum(path.stat().st_size for path in tree.rglob("*") if path.is_file()) > 0
    assert data.stat().st_mode & 0o777 == 0o755
