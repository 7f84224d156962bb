"""`shuxiang demo`: a whole county on one machine."""

from __future__ import annotations

import click

from appliance.cli.bar import Bar
from appliance.cli.options import Call, leaf


@click.command()
@click.option("--port", type=int, default=8080, show_default=True, help="Port of the box's pages.")
@click.option("--once", is_flag=True, help="On free ports: build, sync, check, end.")
@leaf
def demo(call: Call, port: int, once: bool) -> None:
    """Build a sample county, publish, sync, and serve the box. Ctrl-C ends all."""
    from appliance.demo.run import LOOPBACK, check, running_county
    from appliance.processes import service

    progress = call.progress()
    with running_county(call.state, progress, call.say) as county:
        if isinstance(progress, Bar):
            progress.close()
        arguments = ("box", "serve", "--host", LOOPBACK, "--port", "0" if once else str(port))
        with service(county.box, *arguments) as box:
            seen = check(box["address"], call.say)
            value = {
                "box": box["address"],
                "hub": county.hub_address,
                "roads": [result.roads for result in county.syncs],
                **seen,
            }
            call.answer(
                value,
                call.words(
                    f"\n书箱（教室打开）：{box['address']}   管理页 /admin   用户 technician   密码 {county.box_password}"
                    f"\n县中心（县电教馆）：{county.hub_address}"
                    f"   用户 {county.user}   密码 {county.password}\n按 Ctrl-C 结束。",
                    f"\nbox, for the classroom: {box['address']}   /admin   user technician"
                    f"   password {county.box_password}\nhub, for the county:    {county.hub_address}"
                    f"   user {county.user}   password {county.password}\nCtrl-C ends all.",
                ),
            )
            if not once:
                _wait()


def _wait() -> None:
    import signal

    try:
        while True:
            signal.pause()
    except KeyboardInterrupt:
        pass
