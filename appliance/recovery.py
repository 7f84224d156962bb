"""The recovery sheet and file of a hub, as its pages hand them out, and their end on this machine.

Invariant: both are given out and compared, never made or opened here; they leave the hub only after somebody has shown
that both are kept elsewhere, and are then removed for good.
"""

from __future__ import annotations

import hmac
from datetime import UTC, datetime
from pathlib import Path

from catalog import durable
from catalog.clock import Clock
from catalog.errors import ConfigError
from catalog.local import Local
from sync.trust.identity import RECOVERY_NAME, SHEET_NAME
from sync.trust.sheet import passphrase_on
from webui.hub.operations import RecoveryStanding, RecoveryWrong

_KEPT = "hub.recovery_kept"


class HubRecovery:
    """Fulfils `webui.hub.operations.RecoveryOperations` for the hub at `state`."""

    def __init__(self, state: Path, local: Local, clock: Clock) -> None:
        self._folder = state / "recovery"
        self._local = local
        self._clock = clock

    def standing(self) -> RecoveryStanding:
        """Return whether sheet and file are still here, and when and by whom they were said to be kept."""
        kept = self._local.get(_KEPT, {})
        return RecoveryStanding(
            has_sheet=(self._folder / SHEET_NAME).exists(),
            has_file=(self._folder / RECOVERY_NAME).exists(),
            kept_at=datetime.fromisoformat(kept["at"]) if kept else None,
            kept_by=kept.get("by", ""),
        )

    def sheet(self) -> bytes:
        """Return the sheet; raise `ConfigError` E-STATE-MISSING where it is here no more."""
        return self._read(SHEET_NAME)

    def file(self) -> bytes:
        """Return the recovery file; raise `ConfigError` E-STATE-MISSING where it is here no more."""
        return self._read(RECOVERY_NAME)

    def keep(self, file: bytes, group: str, actor: str) -> RecoveryWrong | None:
        """Compare the kept file and the paper's last group of letters with what is here; remove both where they agree."""
        standing = self.standing()
        if standing.has_file and not hmac.compare_digest(file, self.file()):
            return RecoveryWrong.FILE
        if standing.has_sheet and not self._is_last_group(group):
            return RecoveryWrong.SHEET
        now = self._clock().astimezone(UTC)
        self._local.put(_KEPT, {"at": now.isoformat(timespec="seconds"), "by": actor})
        for name in (SHEET_NAME, RECOVERY_NAME):
            path = self._folder / name
            durable.storage(lambda path=path: durable.remove_file(path), path)  # type: ignore[misc]
        return None

    def _is_last_group(self, group: str) -> bool:
        last = passphrase_on(self.sheet().decode()).rpartition("-")[2]
        return hmac.compare_digest(group.strip().upper().encode(), last.encode())

    def _read(self, name: str) -> bytes:
        path = self._folder / name
        if not path.exists():
            raise ConfigError("E-STATE-MISSING", where=name)
        return durable.storage(path.read_bytes, path)
