"""How large the installed program is: the bytes of `.venv` with everything in it."""

from __future__ import annotations

import json
from pathlib import Path

VENV = Path(__file__).parent.parent.parent / ".venv"


def main() -> None:
    size = sum(path.lstat().st_blocks * 512 for path in VENV.rglob("*") if not path.is_symlink())
    print(json.dumps({"megabytes": round(size / 1e6, 1)}))


if __name__ == "__main__":
    main()
