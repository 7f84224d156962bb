"""What a start saw when nothing was out of the ordinary, kept on the card for the next start to compare.

`/usr/lib/shuxiang/disk-differs` (shell) compares it before any Python is started, which takes seconds on slow boards.
Invariant: it is there only while it is true of the last start: forgotten before anything is looked at or changed, kept
after everything is done. So a disk that was used since is never overlooked.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from appliance.disks.programs import ask
from appliance.disks.telling import NAME, Told
from catalog import durable

PROGRAM = Path("/usr/lib/shuxiang/disk-differs")
SEEN, DEVICE = "seen", "device"
_CARD = "-"


@dataclass(frozen=True, slots=True)
class Usual:
    """The place where it is kept, and the program that looks. A card that cannot be written only makes starts slower."""

    directory: Path
    program: Path = PROGRAM

    def forget(self) -> None:
        """Let the next start look for itself."""
        with suppress(OSError):
            durable.remove_file(self.directory / NAME)

    def keep(self, told: Told, system_disk: str) -> None:
        """Keep what there is to see beside the `system_disk`, and `told` as what came of it; no start with a fault."""
        if told.failure is not None or told.warnings or told.details:
            return
        seen = ask(["sh", self.program, system_disk])
        if seen.code:
            return
        device = _CARD if told.on_card else Path(told.device).name
        usual = json.dumps(replace(told, grown=False).to_json(), ensure_ascii=False)
        with suppress(OSError):
            durable.make_directory(self.directory)
            durable.write_file(self.directory / SEEN, seen.text.encode())
            durable.write_file(self.directory / DEVICE, f"{device}\n".encode())
            # Last: without this one the others are not looked at.
            durable.write_file(self.directory / NAME, usual.encode())
