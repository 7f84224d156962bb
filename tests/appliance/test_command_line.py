"""What holds for every command: the shared options, and wrong usage told before anything is touched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from command import refusal

from appliance.cli import shuxiang
from appliance.ports import listen
from catalog.errors import ConfigError


def leaves(
    command: click.Command, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        yield from leaves(found, (*path, name))


def test_every_leaf_takes_the_shared_options() -> None:
    found = dict(leaves(shuxiang))
    assert {("hub", "bundle", "list"), ("box", "sync"), ("doctor",)} <= found.keys()
    for path, command in found.items():
        options = {option for parameter in command.params for option in parameter.opts}
        assert {"--state", "--json", "--lang"} <= options, path


@pytest.mark.parametrize(
    "arguments",
    [
        ("hub", "ingest", "x", "--licence", "free"),
        ("box", "init", "--hub", "x", "--root", "/nothing/1.root.json"),
        ("box", "init", "--hub", "x"),
        ("box", "subscribe"),
    ],
)
def test_wrong_usage_leaves_no_trace(arguments: tuple[str, ...], tmp_path: Path) -> None:
    assert refusal(tmp_path / "state", *arguments, code=2) == "E-USAGE"
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("port", [-1, 65536, 99999])
def test_a_port_that_is_none_is_refused(port: int) -> None:
    for host in ("", "127.0.0.1"):
        with pytest.raises(ConfigError) as refused:
            listen(host, port)
        assert refused.value.code == "E-PORT"
