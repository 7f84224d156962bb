"""An unchanged poll: what a second `box sync` with nothing new moves over HTTP, counted on the wire.

A hub and a box as people run them; between them a proxy that counts the bytes of both directions, headers and all.
Prints one JSON object.
"""

from __future__ import annotations

import json
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parent.parent))

from command import call, service
from supplier import write_folder

FILES = 20


class Wire:
    """A TCP proxy in front of `port` that counts connections and the bytes each way."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.up_bytes = self.down_bytes = self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def reset(self) -> None:
        """Count from nothing."""
        self.up_bytes = self.down_bytes = self.connections = 0

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                self.connections += 1
                server = socket.create_connection(("127.0.0.1", self._target))
                for source, target, up in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._carry, args=(source, target, up), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, up: bool) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if up:
                    self.up_bytes += len(data)
                else:
                    self.down_bytes += len(data)
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


@contextmanager
def published(base: Path) -> Iterator[tuple[int, str]]:
    """Serve a hub with one release; give its port and the fingerprint of its root."""
    hub, folder = base / "hub", base / "folder"
    write_folder(folder, files=FILES)
    fingerprint = call(hub, "hub", "init", "--name", "bench")["fingerprint"]
    call(hub, "hub", "ingest", folder)
    call(hub, "hub", "publish")
    with service(hub, "hub", "serve", "--host", "127.0.0.1", "--port", "0") as answer:
        port = urlsplit(answer["address"]).port
        assert port is not None
        yield port, fingerprint


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name, published(Path(name)) as (port, fingerprint):
        wire, box = Wire(port), Path(name) / "box"
        call(box, "box", "init", "--hub", f"http://127.0.0.1:{wire.port}/", "--fingerprint", fingerprint)
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
