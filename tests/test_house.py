"""The arrows of the house: who may import whom, and what only one module may do."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent
ALLOWED = {
    "catalog": {"catalog"},
    "sync": {"sync", "catalog"},
    "webui": {"webui", "catalog"},
    "images": {"images", "catalog"},
    "appliance": {"appliance", "catalog", "sync", "webui", "images"},
}
# The rooms of `sync`, from the ground up: each imports those before it that stand here.
ROOMS: dict[str, set[str]] = {
    "formats": set(),
    "line": set(),
    "roads": {"formats", "line"},
    "trust": {"formats", "roads"},
    "parcels": {"formats", "roads"},
    "publishing": {"formats", "trust", "parcels"},
    "updating": {"formats", "line", "roads", "trust", "parcels"},
    "exporting": {"formats", "roads", "trust", "updating"},
}
LIMIT_LINES = 400
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}


def modules(package: str) -> list[Path]:
    return sorted((HOUSE / package).rglob("*.py"))


ALL = [path for package in ALLOWED for path in modules(package)]


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


def names(path: Path) -> str:
    return str(path.relative_to(HOUSE))


@pytest.mark.parametrize("package", ALLOWED)
def test_packages_import_only_downwards(package: str) -> None:
    wrong = [
        f"{names(path)} imports {name}"
        for path in modules(package)
        for name in imports(path)
        if name.split(".")[0] in ALLOWED and name.split(".")[0] not in ALLOWED[package]
    ]
    assert not wrong


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_of_sync_import_only_downwards(room: str) -> None:
    wrong = [
        f"{names(path)} imports {name}"
        for path in modules(f"sync/{room}")
        for name in imports(path)
        if name.startswith("sync.")
        and (other := name.split(".")[1]) in ROOMS
        and other not in {room, *ROOMS[room]}
    ]
    assert not wrong


@pytest.mark.parametrize(
    ("library", "home"),
    [
        ("whoosh", "catalog/search/"),
        ("rjieba", "catalog/search/"),
        ("pypinyin", "catalog/search/"),
        ("tuf", "sync/"),
        ("tuf.ngclient", "sync/trust/accept.py"),
        ("zeroconf", "appliance/discovery.py"),
        ("openpyxl", "catalog/ingest/"),
        ("python_calamine", "catalog/ingest/"),
        ("flask", "webui/"),
        ("sqlite3", "catalog/"),
    ],
)
def test_a_library_has_one_home(library: str, home: str) -> None:
    wrong = [
        names(path)
        for path in ALL
        for name in imports(path)
        if (name == library or name.startswith(f"{library}."))
        and not names(path).startswith(home)
        # The sample county is a supplier: it writes its lists and cards with what it likes.
        and not names(path).startswith("appliance/demo/")
    ]
    assert not wrong


def calls(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            yield (
                (f"{owner.id}.{node.func.attr}" if isinstance(owner, ast.Name) else f".{node.func.attr}"),
                node.lineno,
            )


def test_only_one_module_makes_things_durable() -> None:
    dangerous = {"os.replace", "os.rename", "os.fsync", "os.fdatasync", "os.link"}
    wrong = [
        f"{names(path)}:{line} {name}"
        for path in ALL
        for name, line in calls(path)
        if name in dangerous and names(path) != "catalog/durable.py"
    ]
    assert not wrong


def test_modules_are_small_and_have_names_that_say_something() -> None:
    long = [names(path) for path in ALL if len(path.read_text(encoding="utf-8").splitlines()) > LIMIT_LINES]
    assert not long
    assert not [names(path) for path in ALL if path.stem in EMPTY_NAMES]


def test_every_module_says_what_it_is() -> None:
    silent = [
        names(path)
        for path in ALL
        if path.read_text(encoding="utf-8").strip()
        and not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not silent
