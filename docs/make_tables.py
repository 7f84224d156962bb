"""Writes what the documents take from the program itself: commands, codes, columns, vocabulary, licences.

`make docs` runs this. A generated part stands between `<!-- made: NAME -->` and `<!-- /made -->`; everything else in
a document belongs to people. `tests/test_documents.py` fails where a part is not what this would write.
"""

from __future__ import annotations

import importlib.metadata
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import click

from appliance.cli import shuxiang
from appliance.health import WORDS
from catalog.curriculum import VOCABULARIES
from catalog.finding_messages import FINDINGS
from catalog.ingest import headers
from catalog.messages import MESSAGES

REPOSITORY = Path(__file__).resolve().parent.parent
HELP_WIDTH = 100
DIRECT = (
    "flask", "waitress", "whoosh-reloaded", "sqlite-utils", "libtorrent", "zeroconf", "click", "tuf", "cryptography",
    "rjieba", "pypinyin", "segno", "backports-zstd", "openpyxl", "python-calamine", "pillow",
)  # fmt: skip
"""The dependencies of `pyproject.toml`."""
SHARED = ("state", "as_json", "lang")
_PART = re.compile(r"(<!-- made: (?P<name>[a-z-]+) -->\n)(.*?)(<!-- /made -->)", re.DOTALL)
_PINNED = re.compile(
    r"^(?P<name>[a-z0-9][a-z0-9._-]*)==(?P<version>[^ \\]+)(?P<marker> ; [^\\]+)?", re.MULTILINE
)


def main() -> None:
    """Write every generated part anew."""
    for path, text in written():
        if path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(path.relative_to(REPOSITORY), file=sys.stderr)


def written() -> Iterator[tuple[Path, str]]:
    """Yield each document with generated parts, and its text as it should be; raise `KeyError` for an unknown part."""
    for path in sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")]):
        text = path.read_text(encoding="utf-8")
        if "<!-- made: " in text:
            yield path, _PART.sub(lambda part: f"{part[1]}\n{PARTS[part['name']]()}\n{part[4]}", text)


# -- commands --------------------------------------------------------------------------------------------------------


def leaves(command: click.Command = shuxiang, name: str = "shuxiang") -> Iterator[tuple[str, click.Command]]:
    """Yield every command that does something, with its full name."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for part in command.list_commands(context):
            found = command.get_command(context, part)
            assert found is not None
            yield from leaves(found, f"{name} {part}")
    else:
        yield name, command


def commands() -> str:
    """Return a section for each command: its `--help`, without the three options that all share."""
    return "\n".join(f"### {name}\n```text\n{_help(name, command)}\n```\n" for name, command in leaves())


def _help(name: str, command: click.Command) -> str:
    shown = [option for option in command.params if option.name not in SHARED]
    lean = click.Command(command.name, params=shown, help=command.help, add_help_option=False)
    # click writes `[OPTIONS]` into each usage line, since --state, --json and --lang are always accepted.
    context = click.Context(lean, info_name=name, terminal_width=HELP_WIDTH, max_content_width=HELP_WIDTH)
    return "\n".join(line.rstrip() for line in context.get_help().splitlines())


# -- codes -----------------------------------------------------------------------------------------------------------


def refusals_zh() -> str:
    """Return the table of refusals for Chinese readers, by exit status."""
    rows = sorted((message.exit_code, code) for code, message in MESSAGES.items() if code not in FINDINGS)
    return _table(
        ("代码", "退出码", "意思", "怎么办"),
        ((code, status, MESSAGES[code].zh, MESSAGES[code].hint_zh) for status, code in rows),
    )


def refusals_en() -> str:
    """Return the table of refusals, by exit status."""
    rows = sorted((message.exit_code, code) for code, message in MESSAGES.items() if code not in FINDINGS)
    return _table(
        ("code", "exit status", "meaning", "what to do"),
        ((code, status, MESSAGES[code].en, MESSAGES[code].hint_en) for status, code in rows),
    )


def findings_zh() -> str:
    """Return the table of what may be wrong with a row of a list, for Chinese readers."""
    return _table(
        ("代码", "意思", "怎么办"), ((code, one.zh, one.hint_zh) for code, one in sorted(FINDINGS.items()))
    )


def findings_en() -> str:
    """Return the table of what may be wrong with a row of a list."""
    return _table(
        ("code", "meaning", "what to do"),
        ((code, one.en, one.hint_en) for code, one in sorted(FINDINGS.items())),
    )


def ailments_zh() -> str:
    """Return the table of what `doctor` says, for Chinese readers."""
    return _table(
        ("代码", "意思", "怎么办"), ((code, one.zh, one.hint_zh) for code, one in sorted(WORDS.items()))
    )


def ailments_en() -> str:
    """Return the table of what `doctor` says."""
    return _table(
        ("code", "meaning", "what to do"),
        ((code, one.en, one.hint_en) for code, one in sorted(WORDS.items())),
    )


# -- lists and vocabulary --------------------------------------------------------------------------------------------


def columns() -> str:
    """Return the table of column names that a list may have; the source of `catalog.ingest.headers` is read for it."""
    source = inspect.getsource(headers)
    block = source.split('_SYNONYMS = """\n', 1)[1].split('"""', 1)[0]
    rows = (line.partition(": ") for line in block.strip().splitlines())
    return _table(
        ("字段 field", "认得的列名 column names"),
        ((f"`{name}`", "、".join(words.split())) for name, _, words in rows),
    )


def vocabulary() -> str:
    """Return the codes of the curriculum with their labels."""
    parts = []
    for name, table in VOCABULARIES.items():
        words = " · ".join(f"`{code}` {chinese} {english}" for code, (chinese, english, _) in table.items())
        parts.append(f"**{name}**: {words}\n")
    return "\n".join(parts)


def decisions() -> str:
    """Return the table of the decisions, by the heading of each."""
    rows = []
    for path in sorted((REPOSITORY / "docs" / "adr").glob("[0-9]*.md")):
        heading = path.read_text(encoding="utf-8").partition("\n")[0]
        rows.append((f"[{path.name[:4]}]({path.name})", re.sub(r"^#\s*(\d+\.\s*)?", "", heading)))
    return _table(("", ""), rows)


# -- what is installed -----------------------------------------------------------------------------------------------


TAKEN_OUT = frozenset({"pip"})
"""Installs the others and is removed at the end of set-up."""


def pinned(lock: str) -> dict[str, tuple[str, str]]:
    """Return name -> (version, marker) of the lock file `lock`."""
    text = (REPOSITORY / lock).read_text(encoding="utf-8")
    return {
        found["name"]: (found["version"], (found["marker"] or "").removeprefix(" ; ").strip())
        for found in _PINNED.finditer(text)
        if found["name"] not in TAKEN_OUT
    }


def runtime_licences() -> str:
    """Return the table of the packages that `make setup` installs."""
    return _licences(pinned("requirements.txt"))


def test_licences() -> str:
    """Return the table of the packages that only the tests need."""
    runtime = pinned("requirements.txt")
    return _licences(
        {name: one for name, one in pinned("requirements-test.txt").items() if name not in runtime}
    )


def dependency_sizes() -> str:
    """Return the table of what each package that we import ourselves takes on disk here, itself alone."""
    rows = []
    for name in DIRECT:
        files = importlib.metadata.files(name) or []
        found = [
            path for file in files if (path := Path(str(file.locate()))).is_file() and path.suffix != ".pyc"
        ]
        size = sum(path.stat().st_size for path in found)
        rows.append((name, licence_of(name), f"{size / 1e6:.1f} MB"))
    return _table(("package", "licence", "size"), rows)


def _licences(packages: dict[str, tuple[str, str]]) -> str:
    rows = []
    for name, (version, marker) in sorted(packages.items()):
        try:
            rows.append((name, version, licence_of(name)))
        except importlib.metadata.PackageNotFoundError:
            rows.append((name, version, f"(not installed on Linux: `{marker}`)"))
    return _table(("package", "version", "licence"), rows)


def licence_of(package: str) -> str:
    """Return the licence that the installed package states: its SPDX expression, else its words."""
    about = importlib.metadata.metadata(package)
    if expression := about.get("License-Expression"):
        return str(expression)
    classified = [
        line.rpartition(" :: ")[2]
        for line in about.get_all("Classifier", [])
        if line.startswith("License ::")
    ]
    return classified[0] if classified else (about.get("License") or "").partition("\n")[0]


def _table(head: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    lines = [" | ".join(str(cell).replace("|", "\\|") for cell in row) for row in (head, *rows)]
    lines.insert(1, "|".join("---" for _ in lines[0].split(" | ")))
    return "".join(f"| {line} |\n" if number != 1 else f"|{line}|\n" for number, line in enumerate(lines))


PARTS: dict[str, Callable[[], str]] = {
    "commands": commands,
    "refusals-zh": refusals_zh,
    "refusals-en": refusals_en,
    "findings-zh": findings_zh,
    "findings-en": findings_en,
    "ailments-zh": ailments_zh,
    "ailments-en": ailments_en,
    "columns": columns,
    "vocabulary": vocabulary,
    "runtime-licences": runtime_licences,
    "test-licences": test_licences,
    "decisions": decisions,
    "dependency-sizes": dependency_sizes,
}
MEASURED = frozenset({"dependency-sizes"})
"""Parts that differ from machine to machine, and so are not compared by the test."""

if __name__ == "__main__":
    main()
