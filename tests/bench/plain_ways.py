"""Plain ways to carry files, which ours stand beside: HTTP over kept connections, and a bare BitTorrent session.

`serve FOLDER` · `fetch HOST:PORT NAMES TARGET CONNECTIONS` · `seed FOLDER TORRENT PORT` · `peer TORRENT TARGET HOST PORT`.
The session is libtorrent's with all its defaults; only the place of the seed is told, since there is no tracker here.
"""

from __future__ import annotations

import http.client
import queue
import sys
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_BLOCK_BYTES = 1 << 18


class Server(ThreadingHTTPServer):
    """A static server with room for a class of callers."""

    daemon_threads = True
    request_queue_size = 128


class Handler(SimpleHTTPRequestHandler):
    """Kept connections, no talk."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def serve(folder: str) -> None:
    """Serve `folder` until ended; print the port."""
    with Server(("0.0.0.0", 0), partial(Handler, directory=folder)) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()


def fetch(place: str, names: str, target: str, connections: str) -> None:
    """Fetch the named files, each by its own GET, over some kept connections."""
    left: queue.SimpleQueue[str] = queue.SimpleQueue()
    for name in Path(names).read_text().split():
        left.put(name)
    failures: list[BaseException] = []

    def work() -> None:
        connection = http.client.HTTPConnection(place, timeout=120)
        try:
            while True:
                name = left.get_nowait()
                connection.request("GET", f"/{name}")
                response = connection.getresponse()
                with (Path(target) / Path(name).name).open("wb") as stream:
                    while block := response.read(_BLOCK_BYTES):
                        stream.write(block)
                assert response.status == 200, (name, response.status)
        except queue.Empty:
            pass
        except (OSError, http.client.HTTPException, AssertionError) as error:
            failures.append(error)
        finally:
            connection.close()

    Path(target).mkdir(parents=True, exist_ok=True)
    threads = [threading.Thread(target=work) for _ in range(int(connections))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        sys.exit(str(failures[0]))


def _session(port: str = "6881") -> Any:
    import libtorrent

    return libtorrent, libtorrent.session({"listen_interfaces": f"0.0.0.0:{port}"})


def seed(folder: str, torrent: str, port: str) -> None:
    """Make one torrent of the folder and seed it until the input ends."""
    libtorrent, session = _session(port)
    files = libtorrent.file_storage()
    libtorrent.add_files(files, folder)
    made = libtorrent.create_torrent(files)
    libtorrent.set_piece_hashes(made, str(Path(folder).parent))
    Path(torrent).write_bytes(libtorrent.bencode(made.generate()))
    parameters = libtorrent.load_torrent_file(torrent)
    parameters.save_path = str(Path(folder).parent)
    handle = session.add_torrent(parameters)
    while not handle.status().is_seeding:
        time.sleep(0.05)
    print("ready", flush=True)
    sys.stdin.read()


def peer(torrent: str, target: str, host: str, port: str) -> None:
    """Fetch once told to, say when all is here, and share until ended."""
    libtorrent, session = _session()
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.monotonic()
    parameters = libtorrent.load_torrent_file(torrent)
    parameters.save_path = target
    handle = session.add_torrent(parameters)
    handle.connect_peer((host, int(port)))
    while not handle.status().is_seeding:
        time.sleep(0.05)
    print(round(time.monotonic() - began, 2), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    {"serve": serve, "fetch": fetch, "seed": seed, "peer": peer}[sys.argv[1]](*sys.argv[2:])
