"""What a scan or an ingest found, kept beside its job: a file of findings, and the rejected rows as Excel.

Invariant: both files are whole or absent, and belong to the last scan or ingest of the job.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from catalog import durable
from catalog.curriculum import code_of
from catalog.ingest.drafts import Rejected
from catalog.ingest.findings import ERROR, Finding
from catalog.ingest.folder import FolderRule
from catalog.ingest.lists import Row, read_list
from catalog.ingest.rejected import write_rejected

REJECTED = "rejected.xlsx"
_FINDINGS = "findings.json"
_SAID = ("grades", "subject", "edition", "volume", "grade_volume", "lesson", "kind")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A good row as its list has it: what staff recognise a batch by. `kind` and `subject` are codes or ""."""

    title: str
    words: tuple[str, ...]
    kind: str
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """All there is to show of a batch: its findings, some good rows, how its folders were read, words that no
    vocabulary has."""

    samples: tuple[Sample, ...] = ()
    findings: tuple[Finding, ...] = ()
    folders: tuple[FolderRule, ...] = ()
    words: tuple[tuple[str, str, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Findings of one code and level."""

    code: str
    level: str
    count: int


def keep(folder: Path, found: Found, rejected: Iterable[Rejected], language: str = "zh-CN") -> None:
    """Write what was found into the job's `folder`, durably."""
    data = {
        "findings": [asdict(finding) for finding in found.findings],
        "folders": [asdict(rule) for rule in found.folders],
        "words": found.words,
        "samples": [asdict(sample) for sample in found.samples],
    }
    workbook = folder / f".{REJECTED}.new.xlsx"

    def write() -> None:
        write_rejected(rejected, workbook, language=language)
        durable.publish_file(workbook, folder / REJECTED)
        durable.write_file(folder / _FINDINGS, json.dumps(data, ensure_ascii=False).encode(), mode=0o600)

    durable.storage(write, folder)


def load(folder: Path) -> Found:
    """Return what was found; nothing where nothing was kept yet."""
    path = folder / _FINDINGS
    if not path.exists():
        return Found()
    data = json.loads(path.read_bytes())
    return Found(
        findings=tuple(Finding(**finding) for finding in data["findings"]),
        folders=tuple(
            FolderRule(
                folder=rule["folder"], files=rule["files"], values=tuple((n, v) for n, v in rule["values"])
            )
            for rule in data["folders"]
        ),
        words=tuple((field, word, count) for field, word, count in data["words"]),
        samples=tuple(Sample(**{**sample, "words": tuple(sample["words"])}) for sample in data["samples"]),
    )


def samples_of(lists: Iterable[Path], rejected: Iterable[Rejected], limit: int) -> tuple[Sample, ...]:
    """Return the first good rows of the lists."""
    bad = {(row.sheet, row.row) for row in rejected}
    rows = (row for path in lists if path.is_file() for row in read_list(path, lambda _: None))
    good = (row for row in rows if (row.sheet, row.row) not in bad and row.values.get("title"))
    return tuple(map(_sample, islice(good, limit)))


def _sample(row: Row) -> Sample:
    said = [str(row.values[name]) for name in _SAID if row.values.get(name)]
    return Sample(
        title=str(row.values["title"]),
        words=tuple(said),
        kind=code_of("kind", str(row.values.get("kind", ""))) or "",
        subject=code_of("subject", str(row.values.get("subject", ""))) or "",
    )


def grouped(findings: Iterable[Finding]) -> list[Group]:
    """Return the findings by code: what rejects rows first, then by number."""
    counts = Counter((finding.level, finding.code) for finding in findings)
    return [
        Group(code=code, level=level, count=count)
        for (level, code), count in sorted(
            counts.items(), key=lambda item: (item[0][0] != ERROR, -item[1], item[0][1])
        )
    ]


def chosen(findings: Iterable[Finding], *, level: str, code: str, sheet: str | None) -> list[Finding]:
    """Return the findings that pass the filters ("" and None let all through)."""
    return [
        finding
        for finding in findings
        if (not level or finding.level == level)
        and (not code or finding.code == code)
        and (sheet is None or finding.sheet == sheet)
    ]
