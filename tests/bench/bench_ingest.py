"""Ingest and publish: files per second, beside copying and hashing the same folder with cp and sha256sum.

3,000 texts of 20 kB with a list of them, as `hub ingest` and `hub publish` take them: whole commands, start included.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from command import command, environment
from supplier import write_folder

FILES = 3000


def timed(*arguments: object) -> tuple[float, float]:
    """Return wall and CPU seconds of a command."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(list(map(str, arguments)), check=True, stdout=subprocess.DEVNULL, env=environment())
    wall, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        state, folder = base / "hub", base / "folder"
        write_folder(folder, files=FILES)
        timed(*command(state, "hub", "init", "--name", "bench"))
        baseline, _ = timed("sh", "-c", f"cp -r '{folder}' '{base}/copy' && sync -f '{base}/copy' &&"
                            f" find '{base}/copy' -type f -print0 | xargs -0 sha256sum")  # fmt: skip
        ingest, ingest_cpu = timed(*command(state, "hub", "ingest", folder))
        again, _ = timed(*command(state, "hub", "ingest", folder))
        publish, publish_cpu = timed(*command(state, "hub", "publish"))
        _, unchanged_cpu = timed(*command(state, "hub", "publish"))
        value = {
            "files": FILES,
            "ingest_files_per_second": round(FILES / ingest),
            "ingest_cpu_ms_per_file": round(ingest_cpu / FILES * 1000, 2),
            "ingest_to_copy_and_hash": round(ingest / baseline, 1),
            "again_files_per_second": round(FILES / again),
            "publish_files_per_second": round(FILES / publish),
            "publish_cpu_ms_per_file": round(publish_cpu / FILES * 1000, 2),
            "unchanged_cpu_seconds": round(unchanged_cpu, 2),
        }
    print(json.dumps(value))


if __name__ == "__main__":
    main()
