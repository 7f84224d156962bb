"""Would nginx in front send files cheaper? Ranges of a film by a box, and by nginx alone with the same file.

Run: `python tests/bench/bench_nginx.py` with Debian's `nginx-light` installed. nginx alone is the least that X-Accel
could cost: with it a box's own process still looks at every request (`kept page` of `bench_pages.py`) and nginx
passes it on. Prints one JSON object: MB/s, CPU milliseconds per MiB, and what both processes hold in memory.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

from bench_pages import BIG_BYTES, ROUNDS, box, fill
from serving import Server, free_port

RECORDS = 100
CLIENTS, TOTAL = 8, 2048
_CONFIGURATION = """
daemon off; master_process off; pid {work}/pid; error_log {work}/error.log; user root;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000;
  client_body_temp_path {work}/a; proxy_temp_path {work}/b; fastcgi_temp_path {work}/c; uwsgi_temp_path {work}/d;
  scgi_temp_path {work}/e;
  server {{ listen 127.0.0.1:{port}; location = / {{ return 200 "ok"; }} location /blobs/ {{ root {root}; }} }}
}}
"""


def nginx(program: str, root: Path, work: Path) -> Server:
    """Serve `root` by an nginx of one process."""
    port = free_port()
    path = work / "nginx.conf"
    path.write_text(_CONFIGURATION.format(work=work, port=port, root=root))
    return Server([program, "-c", str(path), "-e", str(work / "error.log")], port)


def main() -> None:
    """Measure and print."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    if program is None:
        sys.exit("missing: the Debian package nginx-light")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        state = work / "box"
        sha256 = fill(state, RECORDS)
        work.chmod(0o755)
        servers = {"box": box(state), "nginx": nginx(program, state, work)}
        paths = {"box": f"/files/{sha256}/a.mp4", "nginx": f"/blobs/{sha256[:2]}/{sha256}"}
        try:
            figures: dict[str, dict[str, float]] = {}
            for _ in range(ROUNDS):
                for way, server in servers.items():
                    found = server.ranges(paths[way], BIG_BYTES, CLIENTS, TOTAL)
                    best = figures.setdefault(way, found)
                    if found["cpu_ms_per_mib"] < best["cpu_ms_per_mib"]:
                        best.update(found)
            for way, server in servers.items():
                figures[way]["rss_mb"] = server.memory()["rss_mb"]
        finally:
            for server in servers.values():
                server.end()
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
