"""Templates as code, made when the package is installed: compiling them takes longer than a small board's first page.

Invariant: pages only read what `webui.precompile` made. Each is taken only where Jinja and Python are those that made it
and the template's text is the same (Jinja's own check of a `Bucket`); anything else is compiled when it is asked for.
"""

from __future__ import annotations

from pathlib import Path

from jinja2.bccache import Bucket, BytecodeCache

PLACE = "__compiled__"


class Compiled(BytecodeCache):
    """The compiled templates of one language in `directory`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def load_bytecode(self, bucket: Bucket) -> None:
        """Read a template's code, if it was made."""
        try:
            with (self.directory / bucket.key).open("rb") as stream:
                bucket.load_bytecode(stream)
        except FileNotFoundError:
            return

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep nothing: who serves may not write here."""
