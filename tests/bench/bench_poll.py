"""An unchanged poll: what a second `box sync` with nothing new moves over HTTP, counted on the wire.

A hub and a box as people run them, the hub assigning the box its own file; between them a proxy that counts the bytes
of both directions, headers and all.
Prints one JSON object.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parent.parent))

from command import call, service
from supplier import write_folder
from wire import Wire

FILES = 20


@contextmanager
def published(base: Path) -> Iterator[tuple[Path, int, str]]:
    """Serve a hub with one release; give its state, its port and the fingerprint of its root."""
    hub, folder = base / "hub", base / "folder"
    write_folder(folder, files=FILES)
    fingerprint = call(hub, "hub", "init", "--name", "bench")["fingerprint"]
    call(hub, "hub", "ingest", folder)
    call(hub, "hub", "publish")
    with service(hub, "hub", "serve", "--host", "127.0.0.1", "--port", "0") as answer:
        port = urlsplit(answer["address"]).port
        assert port is not None
        yield hub, port, fingerprint


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name, published(Path(name)) as (hub, port, fingerprint):
        wire, box = Wire(port), Path(name) / "box"
        made = call(
            box, "box", "init", "--hub", f"http://127.0.0.1:{wire.port}/", "--fingerprint", fingerprint
        )
        call(hub, "hub", "assign", made["id"], "--subscribe", "main")
        call(box, "box", "sync")
        wire.reset()
        value = call(box, "box", "sync")
        figures = {
            "bytes": wire.up_bytes + wire.down_bytes,
            "up_bytes": wire.up_bytes,
            "down_bytes": wire.down_bytes,
            "connections": wire.connections,
            "said": value["roads"],
        }
        wire.close()
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
