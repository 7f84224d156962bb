"""Steps of a build in order, each with what undoes it.

Invariant: whatever ends the block (its end, an error, Ctrl-C), what was begun is undone in reverse order, once.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Self, TypeVar

_T = TypeVar("_T")

# Takes the name of the step that begins.
OnStep = Callable[[str], None]


class Steps:
    """A context: `do` runs a step now and its `undo` when the block ends."""

    def __init__(self, told: OnStep) -> None:
        self._told = told
        self._undone = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undone.__exit__(kind, error, trace)

    def undone_by(self, undo: Callable[[], object]) -> None:
        """Run `undo` when the block ends, before what was named earlier."""
        self._undone.callback(undo)

    def do(self, name: str, action: Callable[[], _T], undo: Callable[[], object] | None = None) -> _T:
        """Run `action` as the step `name` and return its result; `undo` runs also where it fails half-way."""
        self._told(name)
        if undo is not None:
            self.undone_by(undo)
        return action()
