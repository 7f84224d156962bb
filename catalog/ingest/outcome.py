"""What an ingest tells: how far it is, what it would do, what it did."""

from __future__ import annotations

from dataclasses import dataclass

from catalog.ingest.drafts import Rejected
from catalog.ingest.findings import ERROR, Finding
from catalog.ingest.folder import FolderRule
from catalog.messages import MESSAGES

_WHOLE_LIST = ("E-ENCODING", "E-SHEET", "E-HEADER")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What an ingest would do. `resources` rows would be taken, `new` of them are not in the library yet.

    `folders` shows how each folder is read where there is no list; `unknown_words` counts words by field.
    """

    rows: int
    resources: int
    new: int
    catalogue_only: int
    files: int
    total_bytes: int
    lists: tuple[str, ...]
    findings: tuple[Finding, ...]
    rejected_rows: tuple[Rejected, ...]
    folders: tuple[FolderRule, ...]
    unknown_words: tuple[tuple[str, str, int], ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(item for item in self.findings if item.level == ERROR)

    @property
    def exit_code(self) -> int:
        """The status with which the ingest itself would end."""
        return _exit_code(self.errors)


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestResult:
    """What an ingest did. `rejected` are the errors, `warnings` what was taken and should be looked at."""

    rows: int
    added: int
    changed: int
    unchanged: int
    rejected: tuple[Finding, ...]
    warnings: tuple[Finding, ...]
    rejected_rows: tuple[Rejected, ...]

    @property
    def exit_code(self) -> int:
        """0, or the status of the finding that refused a whole list: a refused row or file does not stop the others."""
        return _exit_code(self.rejected)


def _exit_code(errors: tuple[Finding, ...]) -> int:
    lists = [item for item in errors if item.code in _WHOLE_LIST and not item.row]
    return max((MESSAGES[item.code].exit_code for item in lists), default=0)
