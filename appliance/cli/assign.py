"""`shuxiang hub assign`: what one box is to keep and how it may use its line, signed into its own file."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import click

from appliance.cli.options import Call, leaf
from appliance.hub import Hub
from catalog.durable import storage
from catalog.errors import ConfigError

_NOTHING = "-"


@click.command()
@click.argument("box_id")
@click.option("--subscribe", help="all, none, or bundle ids with commas; - takes back what was said.")
@click.option(
    "--policy",
    "policy_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True),
    help="A .toml file with the tables [policy] and [scope] of a box's config; - takes back what was said.",
)
@leaf
def assign(call: Call, box_id: str, subscribe: str | None, policy_file: Path | None) -> None:
    """Assign a box its bundles and its policy; what is not named stays as it was. The box takes it with its next sync."""
    if not re.fullmatch("[0-9a-f]{32}", box_id):
        raise click.BadParameter("32 hex digits, as box status shows", param_hint="BOX_ID")
    settings: dict[str, Any] = {}
    if subscribe is not None:
        settings["subscriptions"] = _subscriptions(subscribe)
    if policy_file is not None:
        settings |= {"policy": {}, "scope": None} if str(policy_file) == _NOTHING else _tables(policy_file)
    with Hub.open(call.state) as opened:
        made = opened.assign(box_id, settings)
        call.answer(
            made,
            call.words(
                f"已分配给书箱 {box_id}（第 {made['version']} 版，有效至 {made['expires'][:10]}）。",
                f"Assigned to box {box_id} (version {made['version']}, good until {made['expires'][:10]}).",
            ),
        )


def _subscriptions(text: str) -> tuple[str, ...] | None:
    if text == _NOTHING:
        return None
    return () if text == "none" else tuple(filter(None, text.split(",")))


def _tables(path: Path) -> dict[str, Any]:
    from catalog.scope import Scope
    from sync.line.policy_layers import POLICY, read_layer

    try:
        data = tomllib.loads(storage(path.read_bytes, path).decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError("E-CONFIG", where=path, expected="TOML, UTF-8", found=error) from error
    if wrong := data.keys() - {POLICY, "scope"}:
        raise ConfigError(
            "E-CONFIG", where=path, expected="[policy], [scope]", found=", ".join(sorted(wrong))
        )
    found: dict[str, Any] = {}
    if POLICY in data:
        found["policy"] = read_layer(data[POLICY], where=POLICY)
    if "scope" in data:
        found["scope"] = Scope.from_json(data["scope"])
    return found
