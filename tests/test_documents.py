"""The documents say what is so: commands, codes and licences as they are, links that lead somewhere, steps that run."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import unquote
from urllib.request import urlopen
from xml.etree import ElementTree

import pytest
from PIL import Image

from appliance.health import WORDS
from appliance.ports import listen, port_of
from catalog.messages import MESSAGES

REPOSITORY = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")])
READMES = ("README.md", "README.zh-CN.md")
MAX_PICTURE_BYTES, MAX_PICTURES_BYTES = 200_000, 3_000_000
SHARED_OPTIONS = {"--state", "--json", "--lang", "--help"}

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_STEPS = re.compile(r"<!-- steps: (\w+) -->\n```sh\n(.*?)```", re.DOTALL)


def _made() -> Any:
    spec = importlib.util.spec_from_file_location("make_tables", REPOSITORY / "docs" / "make_tables.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TABLES = _made()


def tracked_files() -> list[Path]:
    """Return what is in the repository's index; everything but environments where this is no working tree."""
    listed = subprocess.run(
        ["git", "-c", "core.quotePath=off", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert listed.returncode == 0, listed.stderr
    return [path for name in listed.stdout.split("\0") if name and (path := REPOSITORY / name).is_file()]


# -- generated parts -------------------------------------------------------------------------------------------------


def test_generated_parts_are_what_the_program_says() -> None:
    for path, wanted in TABLES.written():
        measured = re.compile(rf"<!-- made: ({'|'.join(TABLES.MEASURED)}) -->.*?<!-- /made -->", re.DOTALL)
        found = path.read_text(encoding="utf-8")
        assert measured.sub("", found) == measured.sub("", wanted), f"{path.name}: run `make docs`"


def test_every_command_is_documented_with_its_help() -> None:
    page = (REPOSITORY / "docs" / "commands.md").read_text(encoding="utf-8")
    for name, command in TABLES.leaves():
        assert f"### {name}\n" in page, name
        assert command.help and command.help.splitlines()[0][:40] in page, name


def test_the_tables_name_every_locked_package_and_debian_program() -> None:
    page = (REPOSITORY / "THIRD_PARTY.md").read_text(encoding="utf-8")
    for name in (*TABLES.pinned("requirements.txt"), *TABLES.pinned("requirements-test.txt")):
        assert f"| {name} |" in page, name
    for line in re.findall(r"^DEBIAN\w* := (.*)$", (REPOSITORY / "Makefile").read_text(), re.MULTILINE):
        for package in line.split():
            assert package in page, package


def test_every_direct_dependency_has_its_line_of_reason() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    stated = {re.split(r"[>=<;]", one)[0].strip().lower() for one in project["dependencies"]}
    assert {name.replace("backports-zstd", "backports.zstd") for name in TABLES.DIRECT} == stated
    page = (REPOSITORY / "docs" / "adr" / "0003-dependencies.md").read_text(encoding="utf-8")
    for name in stated:
        assert f"| {name} |" in page, name


def test_no_runtime_package_is_under_the_gpl() -> None:
    for name in TABLES.pinned("requirements.txt"):
        assert not re.search(r"(?<!L)GPL", TABLES.licence_of(name)), name


# -- what people wrote -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_links_lead_somewhere(path: Path) -> None:
    for target in _LINK.findall(_FENCE.sub("", path.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        place, _, anchor = unquote(target).partition("#")
        file = (path.parent / place).resolve() if place else path
        assert file.is_relative_to(REPOSITORY) and file.exists(), target
        if anchor:
            assert anchor in _anchors(file), target


def _anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_commands_in_documents_exist(path: Path) -> None:
    commands = dict(TABLES.leaves())
    for line in _shown_commands(path.read_text(encoding="utf-8")):
        words = [word for word in shlex.split(line, comments=True) if word != "…"]
        depth = next((count for count in (4, 3, 2) if " ".join(words[:count]) in commands), 0)
        assert depth, line
        known = {option for one in commands[" ".join(words[:depth])].params for option in one.opts}
        for word in words[depth:]:
            if word.startswith("--"):
                assert word.partition("=")[0] in known | SHARED_OPTIONS, line


def _shown_commands(text: str) -> Iterator[str]:
    for language, block in _FENCE.findall(text):
        if language == "sh":
            yield from (line for line in block.splitlines() if line.startswith("shuxiang "))
    for code in _CODE.findall(_FENCE.sub("", text)):
        if code.startswith("shuxiang ") and "|" not in code and not code.endswith("…"):
            yield code


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_codes_in_documents_exist(path: Path) -> None:
    for code in set(re.findall(r"\b[ED]-[A-Z]+(?:-[A-Z]+)*\b", path.read_text(encoding="utf-8"))):
        assert code in MESSAGES or code in WORDS, code


def test_make_targets_in_documents_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    for path in DOCUMENTS:
        for target in re.findall(r"`make ([a-z-]+)`", path.read_text(encoding="utf-8")):
            assert target in targets, (path.name, target)


def test_pictures_are_small_and_shown() -> None:
    pictures = sorted((REPOSITORY / "docs" / "pictures").iterdir())
    for picture in pictures:
        assert picture.stat().st_size <= MAX_PICTURE_BYTES, picture.name
        if picture.suffix == ".svg":
            assert_drawn(picture)
        else:
            with Image.open(picture) as image:
                assert image.width == int(picture.stem.rpartition("-")[2]), picture.name
    assert sum(picture.stat().st_size for picture in pictures) <= MAX_PICTURES_BYTES
    shown = {unquote(link) for path in DOCUMENTS for link in _LINK.findall(path.read_text(encoding="utf-8"))}
    names = {name_of(Path(link)) for link in shown if link.endswith((".png", ".svg"))}
    assert {name_of(picture) for picture in pictures} == names


def name_of(picture: Path) -> str:
    """Return a picture's name: without its width where it was taken, whole where it was drawn."""
    return picture.stem.rpartition("-")[0] if picture.suffix == ".png" else picture.name


def assert_drawn(picture: Path) -> None:
    """A drawing is lines and words of its own, with a title for who can not see it, all within its frame."""
    root = ElementTree.parse(picture).getroot()
    kinds = {one.tag.removeprefix("{http://www.w3.org/2000/svg}") for one in root.iter()}
    assert kinds <= {"svg", "title", "g", "rect", "circle", "path", "text"}, picture.name
    assert root[0].text and root.get("viewBox") == f"0 0 {root.get('width')} {root.get('height')}", (
        picture.name
    )


def test_decisions_have_numbers_of_their_own() -> None:
    numbers = [path.name[:4] for path in (REPOSITORY / "docs" / "adr").glob("[0-9]*.md")]
    assert len(numbers) == len(set(numbers))


def test_no_file_names_a_registry_or_a_machine() -> None:
    # Written in two halves, so that this file does not name them either.
    hosts = ("pypi" + ".org", "python" + "hosted", "/sim" + "ple/", "index-" + "url =", "mirrors" + ".")
    places = (
        "/wo" + "rk/",
        "/tmp/" + "plan",
        "/tmp/" + "prep",
        "/ro" + "ot/",
        "/opt/" + "pypi",
    )
    for path in tracked_files():
        data = path.read_bytes()
        for word in (*hosts, *places):
            assert word.encode() not in data, (str(path.relative_to(REPOSITORY)), word)


# -- the five steps --------------------------------------------------------------------------------------------------


def steps(readme: str) -> dict[str, list[str]]:
    """Return the commands of the five steps, by the machine on which they are given."""
    text = (REPOSITORY / readme).read_text(encoding="utf-8")
    return {
        machine: [line for line in block.splitlines() if not line.startswith("#")]
        for machine, block in _STEPS.findall(text)
    }


def test_both_readmes_give_the_same_steps() -> None:
    chinese, english = ({machine: [line.split()[:3] for line in lines] for machine, lines in steps(one).items()} for one in READMES)  # fmt: skip
    assert chinese == english and list(chinese) == ["hub", "box"]


def test_the_five_steps_of_the_readme_run(tmp_path: Path) -> None:
    folder = tmp_path / "资源包" / "小学" / "三年级" / "数学" / "上册" / "分数的初步认识"
    folder.mkdir(parents=True)
    Image.new("RGB", (640, 360), "white").save(folder / "几分之一.png")
    values: dict[str, str] = {}
    with ExitStack() as stack:
        for machine, lines in steps("README.zh-CN.md").items():
            for line in lines:
                for shown, real in values.items():
                    line = line.replace(shown, real)
                if line.split()[2] == "run":
                    served = stack.enter_context(running(line, machine, tmp_path))
                    values["http://192.168.1.10:8088"] = served
                else:
                    values |= (
                        {"指纹": found} if (found := run(line, machine, tmp_path).get("fingerprint")) else {}
                    )
        with urlopen(f"{served}/api/v1/status", timeout=20) as answer:
            status = json.load(answer)
    assert (status["role"], status["resources"], status["cached"]) == ("box", 1, 1)


def environment(machine: str, home: Path) -> dict[str, str]:
    """Return the environment of a person at one of the two machines."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return os.environ | {"HOME": str(home), "PATH": path, "SHUXIANG_STATE": str(home / machine), "LANG": "en"}


def run(line: str, machine: str, home: Path) -> dict[str, Any]:
    """Run a line of the README in a shell and return the JSON that it prints."""
    done = subprocess.run(
        ["bash", "-c", f"{line} --json"],
        env=environment(machine, home),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, (line, done.stderr)
    value: dict[str, Any] = json.loads(done.stdout)
    return value


@contextmanager
def running(line: str, machine: str, home: Path) -> Iterator[str]:
    """Run a service of the README on free ports while the block lasts, and give its address."""
    free = " --json --host 127.0.0.1 --port 0"
    if machine == "hub":
        with listen("127.0.0.1", 0) as taken:
            free += f" --rsync-port {port_of(taken)}"
    with subprocess.Popen(
        ["bash", "-c", f"exec {line}{free}"],
        env=environment(machine, home),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            address = json.loads(process.stdout.readline())["address"]
            wait_for(address)
            yield address
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0


def wait_for(address: str) -> None:
    """Wait until the service answers; it says its address a moment before."""
    deadline = time.monotonic() + 90
    while True:
        try:
            with urlopen(f"{address}/healthz", timeout=20) as answer:
                answer.read()
                return
        except URLError:
            assert time.monotonic() < deadline, address
            time.sleep(0.1)
