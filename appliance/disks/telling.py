"""What became of the disks at this start, told to all who must know: the page, `doctor`, the card, the console.

It lies in /run, readable by every user of the machine, and is gone with the next start.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalog import durable
from catalog.clock import CHINA, Clock
from catalog.errors import ShuxiangError, StorageError

NAME = "disk.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """`failure` None: the state lies on `device`, which is the card's own partition or a data disk.

    `warnings` are what a person should know although everything is served; `details` lines for a technician.
    """

    failure: ShuxiangError | None = None
    device: str = ""
    on_card: bool = True
    grown: bool = False
    warnings: tuple[ShuxiangError, ...] = ()
    details: str = ""

    def text(self, clock: Clock) -> str:
        """Return what is written to the card where nothing can be served, Chinese first."""
        at = clock().astimezone(CHINA)
        lines = [self.failure, *self.warnings] if self.failure else self.warnings
        return "\n".join(
            [
                "书箱现在不能使用：数据盘有问题",
                f"时间：{at:%Y-%m-%d %H:%M}（机器的时钟）",
                *(line.line("zh-CN") for line in lines),
                "",
                "This machine cannot be used: its data disk has a fault",
                f"{at:%Y-%m-%d %H:%M} by this machine's clock",
                *(line.line("en") for line in lines),
                *(["", self.details] if self.details else []),
                "",
            ]
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as it is kept and as `--json` prints it."""
        return {
            "failure": _as_json(self.failure) if self.failure else None,
            "device": self.device,
            "on_card": self.on_card,
            "grown": self.grown,
            "warnings": [_as_json(one) for one in self.warnings],
            "details": self.details,
        }


def tell(run: Path, told: Told) -> None:
    """Keep `told` in the directory `run` for whoever asks."""
    text = json.dumps(told.to_json(), ensure_ascii=False)
    durable.storage(lambda: durable.write_file(run / NAME, text.encode()), run / NAME)


def read_told(run: Path) -> Told | None:
    """Return what was told at this start; None on a machine that keeps its data as any other does."""
    try:
        value = json.loads((run / NAME).read_bytes())
    except (OSError, ValueError):
        return None
    return Told(
        failure=_from_json(value["failure"]) if value["failure"] else None,
        device=value["device"],
        on_card=value["on_card"],
        grown=value["grown"],
        warnings=tuple(_from_json(one) for one in value["warnings"]),
        details=value["details"],
    )


def _as_json(error: ShuxiangError) -> dict[str, str]:
    return {
        "code": error.code,
        "where": error.where,
        "expected": error.expected,
        "found": error.found,
        "message": error.line("en"),
    }


def _from_json(value: Mapping[str, str]) -> StorageError:
    return StorageError(value["code"], where=value["where"], expected=value["expected"], found=value["found"])
