"""What every leaf command shares: `--state`, `--json`, `--lang`, and how it answers."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from appliance.cli.bar import Bar
from catalog.errors import ShuxiangError
from catalog.progress import OnProgress, silent

_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of a leaf command: where its state is, and how it answers."""

    state: Path
    as_json: bool
    language: str

    @property
    def chinese(self) -> bool:
        return self.language.startswith("zh")

    def answer(self, value: Any, text: str | None = None) -> None:
        """Print the result: one JSON value with `--json`, else `text` for people."""
        if self.as_json:
            click.echo(json.dumps(value, ensure_ascii=False))
        elif text is not None:
            click.echo(text)

    def say(self, chinese: str, english: str) -> None:
        """Tell a person something on standard error, so that standard output stays the result."""
        click.echo(chinese if self.chinese else english, err=True)

    def end(self, failure: ShuxiangError | None) -> None:
        """End a command that has answered already: with the line and the exit status of what kept it from its end."""
        if failure is not None:
            click.echo(failure.line(self.language), err=True)
            click.get_current_context().exit(failure.exit_code)

    def words(self, chinese: str, english: str) -> str:
        """Return the words in the reader's language."""
        return chinese if self.chinese else english

    def progress(self) -> OnProgress:
        """Return where progress goes: a bar on a terminal, nowhere else."""
        return Bar(sys.stderr, self.language) if sys.stderr.isatty() else silent


def default_state() -> Path:
    """Return `$SHUXIANG_STATE`, else `~/.local/share/shuxiang`."""
    return Path(os.environ.get("SHUXIANG_STATE") or "~/.local/share/shuxiang").expanduser()


def language_of(option: str | None) -> str:
    """Return `zh-CN` or `en`: the option, else the first of LC_ALL, LC_MESSAGES, LANG that is set."""
    chosen = option or next(filter(None, map(os.environ.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), "")
    return "zh-CN" if chosen.lower().startswith("zh") else "en"


def leaf(function: _F) -> _F:
    """Give a command the shared options; the function gets them as one `Call`."""

    @click.option("--state", type=click.Path(path_type=Path, file_okay=False), help="State directory.")
    @click.option("--json", "as_json", is_flag=True, help="Print one JSON value on standard output.")
    @click.option("--lang", help="zh-CN or en; else by LANG.")
    @functools.wraps(function)
    def command(*args: Any, state: Path | None, as_json: bool, lang: str | None, **kwargs: Any) -> Any:
        call = Call(state=state or default_state(), as_json=as_json, language=language_of(lang))
        click.get_current_context().find_root().obj = call
        return function(*args, call=call, **kwargs)

    return command  # type: ignore[return-value]
