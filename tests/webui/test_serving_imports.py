"""Serving stays small: what it must never import is read from `sys.modules` of a process that served."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FORBIDDEN = (
    "pypinyin",
    "tuf",
    "securesystemslib",
    "openpyxl",
    "PIL",
    "libtorrent",
    "zeroconf",
    "python_calamine",
)

SERVE = """
import sys
from pathlib import Path
from werkzeug.test import Client
from catalog.blobs import BlobStore
from catalog.finder import Finder
from catalog.library import Library
from catalog.local import Local
from webui.app import create_box_app
from webui.operations import BoxSettings, DiskSpace, Work
import waitress
from datetime import datetime, timezone

class Operations:
    def sync_now(self): return True
    def request_resource(self, resource_id): pass
    def set_display_clock(self, shown): pass
    def work(self): return Work()
    def disk(self): return DiskSpace(total_bytes=1, free_bytes=1, reserve_bytes=0)

state = Path(sys.argv[1])
library = Library.open(state / "library.db")
local = Local.open(state / "local.db")
settings = BoxSettings(box_id="0", name="x", version="0", secret=b"x", package_port=1,
    clock=lambda: datetime.now(timezone.utc), clock_mark=lambda: "trusted", blobs=state / "blobs")
app = create_box_app(library, Finder(library, state / "index"), BlobStore(state / "blobs", state / "staging", library.add_blobs),
    local, Operations(), settings)
client = Client(app)
for path in ("/", "/browse", "/search?q=fs", "/search?q=分数", "/r/g3-math-6-video", "/api/v1/search?q=fs", "/api/v1/status", "/healthz", "/admin/"):
    assert client.get(path).status_code == 200, path
app.close(); local.close(); library.close()
print(" ".join(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def test_serving_imports_nothing_heavy(fresh: object) -> None:
    directory: Path = fresh.school.directory  # type: ignore[attr-defined]
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", SERVE, str(directory)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "whoosh" in loaded and "flask" in loaded
    assert sorted(loaded & set(FORBIDDEN)) == []
