"""For which machines the package is made: Debian 13 on two architectures, and how each tool names them.

Invariant: the package holds machine code for its own architecture only; `foreign_code` finds any other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

PYTHON = "3.13"
"""The Python of Debian 13: compiled modules load in this one only."""
GLIBC_NEWEST, GLIBC_OLDEST = 41, 17
"""The minor version of Debian 13's glibc, and the oldest that a `manylinux_2_N` wheel is made for (PEP 600)."""
_ELF = b"\x7fELF"


@dataclass(frozen=True, slots=True)
class _Machine:
    """A machine as uname(1) names it, and its number in an ELF header (elf(5), `e_machine`)."""

    name: str
    elf: int


class Arch(Enum):
    """An architecture by Debian's name."""

    amd64 = _Machine("x86_64", 62)
    arm64 = _Machine("aarch64", 183)

    @property
    def platforms(self) -> tuple[str, ...]:
        """The platform tags of wheels that run here (PEP 425, PEP 600), newest first."""
        machine = self.value.name
        newer = (f"manylinux_2_{minor}_{machine}" for minor in range(GLIBC_NEWEST, GLIBC_OLDEST - 1, -1))
        return (*newer, f"manylinux2014_{machine}", f"linux_{machine}")


def foreign_code(directory: Path, arch: Arch) -> Iterator[Path]:
    """Yield the files of machine code below `directory` that are for another machine than `arch`."""
    for path in sorted(directory.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                head = file.read(20)
            # Both of our machines are little-endian.
            if head.startswith(_ELF) and int.from_bytes(head[18:20], "little") != arch.value.elf:
                yield path
