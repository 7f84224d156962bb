"""`shuxiang discover` and `shuxiang doctor`."""

from __future__ import annotations

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
@leaf
def doctor(call: Call) -> None:
    """Look at this machine and its state, and say what to do."""
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
