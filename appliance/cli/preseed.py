"""`image preseed`, the check of `image check --preseed`, `hub preseed` and `firstboot`: the request for change on the card."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from appliance.cli.options import Call, leaf
from catalog.clock import system_clock
from catalog.durable import storage
from catalog.errors import ConfigError, ContentError, ShuxiangError
from catalog.ingest.findings import ERROR, Finding

if TYPE_CHECKING:
    from appliance.firstboot.request import Request


def finding_text(call: Call, finding: Finding) -> str:
    """Return a finding as the line of a terminal: where, then what."""
    place = call.words(f"第 {finding.row} 行 ", f"line {finding.row} ") if finding.row else ""
    return place + finding.line(call.language)


def finding_json(call: Call, finding: Finding) -> dict[str, Any]:
    """Return a finding as `--json` prints it: line 0 is the whole file."""
    return {
        "line": finding.row,
        "key": finding.column,
        "level": finding.level,
        "code": finding.code,
        "expected": finding.expected,
        "found": finding.found,
        "message": finding.line(call.language),
    }


def _say(call: Call, findings: Iterable[Finding]) -> None:
    for finding in findings:
        click.echo(finding_text(call, finding), err=True)


@click.command(name="preseed")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--role", type=click.Choice(["box", "hub"]), default="box", show_default=True)
@leaf
def make_preseed(call: Call, file: Path, role: str) -> None:
    """Write a new shuxiang.toml to FILE, with a word in Chinese for every key; an existing file stays as it is."""
    from appliance.firstboot.request import FILE_NAME
    from appliance.firstboot.template import write_template

    target = file / FILE_NAME if file.is_dir() else file
    if target.exists():
        raise ConfigError("E-FILE-EXISTS", where=target)
    storage(lambda: target.write_bytes(write_template(role)), target)
    call.answer({"path": str(target)}, call.words(f"已写好 {target}", f"{target} is written"))


def check_preseed(call: Call, preseed: Path) -> None:
    """Answer whether the machine takes this shuxiang.toml at its first start."""
    request, findings, _ = _read(preseed)
    value = {
        "request": None
        if request is None
        else {**request.settings, "fingerprint": request.fingerprint, "passwords": sorted(request.passwords)},
        "findings": [finding_json(call, finding) for finding in findings],
    }
    _say(call, findings)
    call.answer(
        value,
        call.words(f"{preseed.name} 可以用：{request.name}", f"{preseed.name} is sound: {request.name}")
        if request is not None
        else None,
    )
    call.end(None if request is not None else ConfigError("E-PRESEED", where=preseed.name))


def sound_request(call: Call, preseed: Path) -> bytes:
    """Return what a shuxiang.toml holds; raise `ConfigError` E-PRESEED, its findings told, where a machine would not take it."""
    request, findings, data = _read(preseed)
    _say(call, findings)
    if request is None:
        raise ConfigError("E-PRESEED", where=preseed.name)
    return data


def _read(preseed: Path) -> tuple[Request | None, tuple[Finding, ...], bytes]:
    from appliance.firstboot.card import Card
    from appliance.firstboot.request import read_request

    card = Card(preseed.parent)
    data = card.beside(preseed.name)
    if data is None:
        raise ConfigError("E-PRESEED-MISSING", where=preseed)
    reading = read_request(data, card.beside)
    return reading.request, reading.findings, data


@click.command()
@click.option(
    "--from",
    "card",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    required=True,
    help="Where the card's FAT partition is mounted.",
)
@click.option(
    "--root",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=Path(os.sep),
    show_default=True,
    help="Root directory of the system that is set up.",
)
@leaf
def firstboot(call: Call, card: Path, root: Path) -> None:
    """Apply shuxiang.toml once: state, name, networks. Run at every start; only a changed file changes anything."""
    from appliance.firstboot.apply import first_boot

    outcome = first_boot(card, call.state, root, system_clock)
    result = outcome.result
    call.answer(
        {
            "fine": result.fine,
            "unchanged": outcome.unchanged,
            "role": result.role,
            "id": result.machine,
            "name": result.name,
            "host_name": result.host_name,
            "applied": list(result.applied),
            "findings": [finding_json(call, finding) for finding in result.findings],
        },
        "\n".join(result.words(call.language)),
    )
    failure: ShuxiangError | None = outcome.failure
    if failure is not None:
        click.get_current_context().exit(failure.exit_code)


@click.command(name="preseed")
@click.argument("schools", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--hub", required=True, help="Address of this hub for boxes whose row names none.")
@leaf
def preseed_schools(call: Call, schools: Path, directory: Path, hub: str) -> None:
    """Make a shuxiang.toml for every school of an Excel or CSV list, each in a folder of DIRECTORY, with new passwords.

    The passwords stand in one sheet beside the folders, written this once; folders that are there stay as they are.
    """
    from appliance.firstboot.bulk import make_for_schools
    from appliance.hub import Hub

    with Hub.open(call.state) as opened:
        made = make_for_schools(schools, directory, fingerprint=opened.fingerprint, hub=hub)
    for finding in made.findings:
        place = call.words(f"{finding.sheet} 第 {finding.row} 行 ", f"{finding.sheet} row {finding.row} ")
        click.echo((place if finding.row else "") + finding.line(call.language), err=True)
    errors = [one for one in made.findings if one.level == ERROR]
    call.answer(
        {
            "made": list(made.folders),
            "kept": list(made.kept),
            "passwords": str(made.sheet) if made.sheet else None,
            "findings": [
                {
                    "sheet": one.sheet,
                    "row": one.row,
                    "column": one.column,
                    "level": one.level,
                    "code": one.code,
                    "message": one.line(call.language),
                }
                for one in made.findings
            ],
        },
        call.words(
            f"做好 {len(made.folders)} 个，原有 {len(made.kept)} 个，有误 {len(errors)} 处。密码表：{made.sheet or '无'}",
            f"{len(made.folders)} made, {len(made.kept)} kept, {len(errors)} wrong. Passwords: {made.sheet or 'none'}",
        ),
    )
    call.end(ContentError("E-PRESEED-ROWS", found=len(errors)) if errors else None)
