"""The command `shuxiang`: its groups, and the one edge where every refusal becomes a line and an exit status."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from typing import Any

import click

from appliance.cli.options import Call, language_of
from catalog.durable import storage_error
from catalog.errors import ShuxiangError, UsageError

# Modules of commands are imported when they are called: `box serve` must not pay for what the hub needs.
_COMMANDS = {
    "hub": "appliance.cli.hub:hub",
    "box": "appliance.cli.box:box",
    "run": "appliance.cli.run:run",
    "image": "appliance.cli.image:image",
    "firstboot": "appliance.cli.preseed:firstboot",
    "data-disk": "appliance.cli.disk:data_disk",
    "dhcp": "appliance.cli.leases:dhcp",
    "wireless": "appliance.cli.wireless:wireless",
    "plugged": "appliance.cli.plugging:plugged",
    "unplugged": "appliance.cli.plugging:unplugged",
    "discover": "appliance.cli.network:discover",
    "doctor": "appliance.cli.network:doctor",
    "demo": "appliance.cli.demo:demo",
}

_AGAIN_SECONDS = 0.05


class _Lazy(click.Group):
    """A group that imports a command only when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module_name, name = _COMMANDS[cmd_name].split(":")
        module = __import__(module_name, fromlist=[name])
        command: click.Command = getattr(module, name)
        return command


@click.group(cls=_Lazy)
@click.version_option(package_name="shuxiang", prog_name="shuxiang")
def shuxiang() -> None:
    """书箱: a county library box. The county publishes, a box syncs over any road, a classroom opens it."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit by the contract (0, 2, 3, 4, 10-19, 20-29, 30-39; 130 when a signal ends it)."""
    signal.signal(signal.SIGTERM, _interrupt)
    sys.unraisablehook = _unheard
    try:
        _run(arguments)
    except KeyboardInterrupt:
        # It came while the end was told already.
        os._exit(130)


def _run(arguments: list[str] | None) -> None:
    try:
        code = shuxiang.main(arguments, prog_name="shuxiang", standalone_mode=False, obj=None)
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        _refuse(UsageError("E-USAGE", found=error.format_message().rstrip(".")))
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except ShuxiangError as error:
        _refuse(error)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:
        _refuse(storage_error(error, error.filename or ""))
    finally:
        # Python is about to wait for its threads: there is nobody left whom an exception could reach.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _leave)


def _interrupt(number: int, frame: Any) -> None:
    # Said again it would break off the end that it began; the kernel says a parent's death once for each of its
    # threads (prctl(2), PDEATHSIG). A handler, for processes begun from now on would inherit SIG_IGN.
    signal.signal(signal.SIGTERM, _heard)
    raise KeyboardInterrupt


def _heard(number: int, frame: Any) -> None:
    pass


def _leave(number: int, frame: Any) -> None:
    os._exit(130)


def _unheard(what: Any) -> None:
    """Ask again where Python let go of what ends the program: in a callback of the collector nobody can raise it."""
    sys.__unraisablehook__(what)
    if what.exc_type is KeyboardInterrupt:
        signal.signal(signal.SIGTERM, _interrupt)
        main_thread = threading.main_thread().ident or 0
        threading.Timer(_AGAIN_SECONDS, signal.pthread_kill, (main_thread, signal.SIGTERM)).start()


def _refuse(error: ShuxiangError) -> None:
    language = language_of(_option("--lang"))
    if "--json" in sys.argv:
        value = {
            "error": {
                "code": error.code,
                "message": error.line(language),
                "where": error.where,
                "expected": error.expected,
                "found": error.found,
            }
        }
        click.echo(json.dumps(value, ensure_ascii=False))
    click.echo(error.line(language), err=True)
    sys.exit(error.exit_code)


def _option(name: str) -> str | None:
    for place, word in enumerate(sys.argv):
        if word == name and place + 1 < len(sys.argv):
            return sys.argv[place + 1]
        if word.startswith(f"{name}="):
            return word.split("=", 1)[1]
    return None


__all__ = ["Call", "main", "shuxiang"]
