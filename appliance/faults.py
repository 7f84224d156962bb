"""What is wrong with the machine that people at its pages should know: its disks at this start, its wireless network.

Invariant: only what was told in the run directory is passed on; nothing is looked for here, since pages ask often.
"""

from __future__ import annotations

from pathlib import Path

from appliance.disks.telling import read_told
from appliance.wireless import note


def faults(run: Path, language: str) -> tuple[str, ...]:
    """Return a line in `zh-CN` or `en` for each thing that is wrong, disks first; none where all is well."""
    disks = read_told(run)
    warnings = disks.warnings if disks is not None else ()
    return (*(warning.line(language) for warning in warnings), *note.faults(run, language))
