"""The command as a person in China runs it, a small county, and what a box of it shows: for tests of refusals."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from supplier import write_folder

from appliance.box import Box, NewBox
from appliance.config import BoxConfig, read_config
from appliance.hub import Hub
from appliance.syncing import run_sync
from catalog.finder import Finder

FILES = 6
CHINESE = re.compile("[\u4e00-\u9fff]")
MODULES = (
    "appliance.cli.box, appliance.cli.hub, appliance.syncing, appliance.health, catalog.search.index, "
    "concurrent.futures.thread, encodings.idna, encodings.utf_8_sig, _strptime"
)


def said(
    state: Path, *arguments: object, code: int, preloaded: str | None = None, ours: int = 1
) -> tuple[str, str]:
    """Run the command as a person in China does; return the code of its one line on standard error, and the line.

    `ours` is how many lines there may be. With `preloaded` the command loads what it needs and does that before it
    starts: a test environment may be out of reach of the user that it goes on as.
    """
    program = ["-m", "appliance"]
    if preloaded is not None:
        program = ["-c", f"import os, {MODULES}\nfrom appliance.cli import main\n{preloaded}\nmain()"]
    done = subprocess.run(
        [sys.executable, *program, *map(str, arguments), "--state", str(state)],
        capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL,
        env={**os.environ, "LANG": "zh_CN.UTF-8", "LC_ALL": "", "LC_MESSAGES": "", "PYTHONUTF8": "1"},
    )  # fmt: skip
    assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    lines = done.stderr.splitlines()
    assert len(lines) == ours, done.stderr
    if not lines:
        return "", ""
    # A finding says its sheet and row first.
    found = re.match(r"(?:\S+ 第 \d+ 行 |\S+ )?([EW]-[A-Z-]+): ", lines[0])
    assert found and CHINESE.search(lines[0]), lines[0]
    return found[1], lines[0]


def published(hub: Path, folder: Path, files: int = FILES, size_bytes: int = 4000, seed: int = 1) -> int:
    """Take the supplier's folder anew and publish it; return the number of the release."""
    write_folder(folder, files=files, size_bytes=size_bytes, seed=seed)
    with Hub.open(hub) as opened:
        with opened.ingesting(folder) as session:
            assert not session.run().rejected
        return opened.publish().release


def new_hub(state: Path, folder: Path, **kwargs: int) -> Path:
    Hub.create(state, "青禾县")[0].close()
    published(state, folder, **kwargs)
    return state


def new_box(state: Path, hub: Path, address: object = None) -> Path:
    """Make a box of `hub` that holds what is published now."""
    root = (hub / "public" / "metadata" / "1.root.json").read_bytes()
    new = NewBox(
        hub=str(address or hub / "public"), name="书箱", root=root, fingerprint=None, subscriptions=None
    )
    with Box.create(state, new) as box:
        assert run_sync(box, str(hub / "public")).failure is None
    return state


@dataclass(frozen=True)
class Standing:
    """What a box shows: its releases, the bytes of every file that it serves, and what a search finds."""

    release: int
    content_release: int
    served: tuple[tuple[str, bytes], ...]
    found: int


def standing(state: Path) -> Standing:
    config = read_config(state / "config.toml")
    assert isinstance(config, BoxConfig)
    with Box(state, config) as box:
        finder = Finder(box.library, box.index)
        with box.library.reading() as reader:
            generation = reader.generation()
            served = sorted(
                (entry.resource.id, box.blobs.path(file.sha256).read_bytes())
                for entry in reader.entries()
                for file in entry.serving
            )
        found = finder.search("认识几分之几").total
        finder.close()
    return Standing(generation.release, generation.content_release, tuple(served), found)


def tree_of(hub: Path) -> dict[str, bytes]:
    return {
        path.relative_to(hub).as_posix(): path.read_bytes()
        for path in (hub / "public").rglob("*")
        if path.is_file()
    }
