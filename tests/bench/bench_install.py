"""How large the installed program is: the bytes on the disk of `.venv` with everything in it, and of our own packages.

`python tests/bench/bench_install.py [VENV]`. The environment refers to our packages in the working tree, so they are
counted beside it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("catalog", "sync", "webui", "appliance")


def megabytes(folder: Path) -> float:
    """Return what the files below `folder` take on the disk, in MB."""
    size = sum(path.lstat().st_blocks * 512 for path in folder.rglob("*") if not path.is_symlink())
    return size / 1e6


def main() -> None:
    venv = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / ".venv"
    if not venv.is_dir():
        raise SystemExit(f"{venv}: run `make setup` first")
    environment, ours = megabytes(venv), sum(megabytes(ROOT / name) for name in PACKAGES)
    print(
        json.dumps(
            {
                "megabytes": round(environment + ours, 1),
                "environment_megabytes": round(environment, 1),
                "own_megabytes": round(ours, 1),
            }
        )
    )


if __name__ == "__main__":
    main()
