"""What lies at the root of a mounted stick: trees, and what a virus leaves there. Nothing is opened but folders.

A virus of Windows hides a stick's folders and puts `folder.exe` or a link of the same name in their place. Hidden or
not, folders are read as folders here; the rest is never opened, only told of.
"""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

from sync import tree

MOST_ENTRIES = 2000
MOST_TREES = 8
MOST_SUSPECTS = 5
_PROGRAMS = (".exe", ".scr", ".pif", ".com", ".bat", ".cmd", ".vbs", ".vbe", ".js", ".wsf")
_ALWAYS = (".scr", ".pif", ".vbs", ".vbe", ".wsf", ".lnk")


def trees_on(root: Path) -> tuple[str, ...]:
    """Return the folders that begin as a tree does: the root itself (`.`) and those in it. Raises `OSError`."""
    folders = [".", *(entry.name for entry in _entries(root) if entry.is_dir(follow_symlinks=False))]
    found = (name for name in folders if _is_tree(root / name))
    return tuple(islice(found, MOST_TREES))


def suspects_on(root: Path) -> tuple[str, ...]:
    """Return names at the root that a virus leaves there: autorun.inf, links, programs named like a folder."""
    entries = _entries(root)
    folders = {entry.name.lower() for entry in entries if entry.is_dir(follow_symlinks=False)}
    found = [
        _printable(entry.name)
        for entry in entries
        if not entry.is_dir(follow_symlinks=False) and _is_suspect(entry.name.lower(), folders)
    ]
    return tuple(found[:MOST_SUSPECTS])


def _is_suspect(name: str, folders: set[str]) -> bool:
    stem, suffix = Path(name).stem, Path(name).suffix
    return name == "autorun.inf" or suffix in _ALWAYS or (suffix in _PROGRAMS and stem.strip() in folders)


def _printable(name: str) -> str:
    """Return a name as it may stand on a console: a stick must not speak to a terminal."""
    return "".join(letter if letter.isprintable() else "�" for letter in name)


def _entries(root: Path) -> list[os.DirEntry[str]]:
    with os.scandir(root) as entries:
        return sorted(islice(entries, MOST_ENTRIES), key=lambda entry: entry.name)


def _is_tree(folder: Path) -> bool:
    try:
        root, targets = folder / tree.PINNED_ROOT, folder / "targets"
        linkless = not any(path.is_symlink() for path in (root.parent, root, targets))
        return linkless and root.is_file() and targets.is_dir()
    except OSError:
        return False
