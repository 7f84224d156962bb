"""`shuxiang discover` and `shuxiang doctor`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from appliance.cli.options import Call, leaf


@click.command()
@click.option(
    "--timeout", "timeout_seconds", type=float, default=3.0, show_default=True, help="Seconds to listen."
)
@leaf
def discover(call: Call, timeout_seconds: float) -> None:
    """Find the boxes and hubs on this network."""
    from appliance.discovery import discover as look

    found = look(timeout_seconds)
    lines = [
        f"{item.role:4} {item.name}  http://{_host(item.addresses)}:{item.port}/  {item.state}"
        for item in found
    ]
    call.answer(
        [item.to_json() for item in found],
        "\n".join(lines) or call.words("没有找到书箱或县中心。", "no box or hub was found."),
    )


def _host(addresses: tuple[str, ...]) -> str:
    first = addresses[0] if addresses else "?"
    return f"[{first}]" if ":" in first else first


@click.command()
@click.option("--report", is_flag=True, help="The field report instead: one page on this machine.")
@click.option(
    "--to",
    type=click.Path(path_type=Path, dir_okay=False),
    help="With --report: write it there, for Notepad.",
)
@leaf
def doctor(call: Call, report: bool, to: Path | None) -> None:
    """Look at this machine and its state, and say what to do."""
    if report or to:
        return _report(call, to)
    from appliance.health import ERROR, examine

    found = examine(call.state, call.language)
    call.answer(
        [
            {
                "code": item.code,
                "level": item.level,
                "message": item.line(call.language),
                "hint": item.hint(call.language),
            }
            for item in found
        ],
        "\n".join(item.line(call.language) for item in found),
    )
    if any(item.level == ERROR for item in found):
        click.get_current_context().exit(4)


def _report(call: Call, to: Path | None) -> None:
    from appliance.doctor.machine import Machine
    from appliance.doctor.report import examine_machine, page, ports_of, write_page

    lines = examine_machine(Machine(), ports_of(call.state))
    text = page(lines, datetime.now(UTC).astimezone())
    if to is not None:
        write_page(to, text)
    call.answer([line.to_json(call.chinese) for line in lines], text.rstrip("\n"))
