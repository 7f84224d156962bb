"""What is known of the wireless network, kept in the run directory for whoever asks: pages, `doctor`, the next look.

Invariant: no password stands in it. It is gone with the next start of the machine.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from catalog import durable
from catalog.errors import RoadError
from catalog.wireless_messages import WIRELESS

NAME = "wireless.json"
MOST_BYTES = 16 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """How it is with the network `ssid`: `code` "" where the machine is on it, with `address`; else why it is not."""

    ssid: str
    code: str = ""
    expected: str = ""
    found: str = ""
    address: str = ""

    @property
    def fault(self) -> RoadError | None:
        """What keeps the machine off the network, as it is told on every channel."""
        if not self.code:
            return None
        return RoadError(self.code, where=self.ssid, expected=self.expected, found=self.found)

    def is_as(self, other: Note | None) -> bool:
        """Return whether `other` tells a person the same: networks nearby and addresses come and go."""
        return other is not None and (self.ssid, self.code) == (other.ssid, other.code)

    def line(self, language: str) -> str:
        """Return what is said of it in one line."""
        if self.fault is not None:
            return self.fault.line(language)
        words = "已连上无线网络" if language.startswith("zh") else "on the wireless network"
        return " ".join(filter(None, (words, self.ssid, self.address)))


def write_note(run: Path, note: Note) -> None:
    """Keep `note` for whoever asks; raise `StorageError`."""
    path, data = run / NAME, json.dumps(asdict(note), ensure_ascii=False).encode()
    durable.storage(lambda: durable.write_file(path, data), path)


def read_note(run: Path) -> Note | None:
    """Return what is known; None where nothing is, or nothing that can be read."""
    try:
        with (run / NAME).open("rb") as stream:
            value = json.loads(stream.read(MOST_BYTES))
        note = Note(**{name: str(text) for name, text in value.items()})
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return note if not note.code or note.code in WIRELESS else None


def faults(run: Path, language: str) -> tuple[str, ...]:
    """Return the lines for a page that says what is wrong with this machine; none where nothing is."""
    note = read_note(run)
    return (note.line(language),) if note is not None and note.code else ()
