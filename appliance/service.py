"""Serving: the sockets, the one waitress on both ports, and the threads of a running box or hub.

Invariant: what takes time runs in a process of its own (`box sync`), so that serving keeps its memory and its speed.
"""

from __future__ import annotations

import ctypes
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from appliance.box import CLOCK_OFFSET, VERSION, Box
from appliance.ports import listen, listen_near, port_of
from appliance.state import work_under_way
from catalog.clock import clock_offset
from catalog.errors import ShuxiangError
from catalog.finder import Finder
from catalog.library import Library
from webui.operations import BoxSettings, DiskSpace, Work

# Threads wait for disks, not for the processor; connections are many and cheap.
THREADS = 8
CONNECTIONS = 600
MOST_UPLOAD_BYTES = 1 << 40
FIRST_SYNC_SECONDS = 2.0
# glibc's mallopt(3): without a bound each thread gets a heap of its own, and keeps what it once needed.
M_ARENA_MAX, HEAPS = -8, 2
SECRET = "page_secret"
TREE = "/tree/"
LOOK_SECONDS = 5.0
# The first page comes first: what it does not need (the announcement, the index) is loaded after this.
SETTLE_SECONDS = 1.0

_log = logging.getLogger(__name__)

# Takes where the pages are: as a value for programs, and in words for people.
Answer = Callable[[dict[str, Any], str], None]


def serve_box(
    box: Box, answer: Answer, *, port: int | None, package_port: int | None, host: str, service: bool
) -> None:
    """Serve the pages of `box` until interrupted; as a `service` also sync by itself. Announce it on the network."""
    pages = listen(host, box.config.port if port is None else port)
    packages = listen_near(
        host, package_port if package_port is not None else box.config.package_port, port_of(pages)
    )
    operations = BoxOperations(box)
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(M_ARENA_MAX, HEAPS)
    application = box_application(box, operations, page_port=port_of(pages), package_port=port_of(packages))
    tell_addresses(answer, box.config.name, host, port_of(pages), package_port=port_of(packages))
    with (
        announced(box.library, name=box.config.name, id=box.id, role="box", port=port_of(pages), host=host),
        operations.syncing_by_itself(box.config.sync_minutes * 60 if service else None),
    ):
        try:
            run_waitress(application, [pages, packages])
        finally:
            application.close()


def tell_addresses(answer: Answer, name: str, host: str, port: int, **more: Any) -> None:
    """Say where the pages are: for programs the one on this machine, for people also those of the network."""
    from appliance.discovery import local_addresses

    here = f"http://{_in_address(host or '127.0.0.1')}:{port}"
    there = (
        []
        if host
        else [f"http://{_in_address(one)}:{port}" for one in local_addresses() if not one.startswith("fe80")]
    )
    answer({"address": here, "port": port, **more}, "\n".join([f"{name}  {here}", *there]))
    sys.stdout.flush()


def _in_address(host: str) -> str:
    return f"[{host}]" if ":" in host else host


@contextmanager
def announced(library: Library, *, name: str, id: str, role: str, port: int, host: str) -> Iterator[None]:
    """Announce the service on the network while the block runs, with the release that its pages show."""
    from appliance.discovery import Announcement, Announcer

    def state() -> str:
        return f"release {library.generation().release}"

    ended = threading.Event()
    announcement = Announcement(
        name=name, id=id, role=role, version=VERSION, state=state(), port=port, host=host
    )
    with Announcer(announcement, settle_seconds=SETTLE_SECONDS) as announcer:

        def follow() -> None:
            said = announcement.state
            while not ended.wait(LOOK_SECONDS):
                now = state()
                if now != said:
                    announcer.update(now)
                    said = now

        thread = threading.Thread(target=follow, name="announce", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def run_waitress(application: Any, sockets: list[Any]) -> None:
    """Answer requests on `sockets` until interrupted."""
    from waitress.server import create_server

    from webui.channel import use_channels

    # More requests at once than threads is what a class of phones does, and no reason for a line each.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    server = create_server(
        application,
        sockets=sockets,
        threads=THREADS,
        connection_limit=CONNECTIONS,
        channel_timeout=60,
        cleanup_interval=10,
        max_request_header_size=32 << 10,
        max_request_body_size=MOST_UPLOAD_BYTES,
        asyncore_use_poll=True,
        ident=None,
        clear_untrusted_proxy_headers=True,
        log_socket_errors=False,
    )
    use_channels(server)
    try:
        server.run()
    except KeyboardInterrupt:
        pass
    finally:
        server.close()


def box_application(box: Box, operations: BoxOperations, *, page_port: int, package_port: int) -> Any:
    """Return the WSGI application of a box: pages, files, the tree, packages by port."""
    from sync.serve import held_tree
    from webui.app import create_box_app

    secret = box.local.get(SECRET)
    if secret is None:
        import secrets

        secret = secrets.token_hex(32)
        box.local.put(SECRET, secret)
    settings = BoxSettings(
        box_id=box.id,
        name=box.config.name,
        version=VERSION,
        secret=bytes.fromhex(secret),
        package_port=package_port,
        clock=box.shown_now,
        clock_mark=box.clock_mark,
        blobs=box.directory / "blobs",
    )
    tree = held_tree(box.trust, box.blobs.path, _Holds(box))
    finder = Finder(box.library, box.index)
    # The first search of a lesson should not pay for opening the index.
    warming = threading.Timer(SETTLE_SECONDS, _warm, (finder,))
    warming.daemon = True
    warming.start()
    return create_box_app(
        library=box.library,
        finder=finder,
        blobs=box.blobs,
        local=box.local,
        operations=operations,
        settings=settings,
        mounts={TREE: under(TREE, tree)},
    )


def _warm(finder: Finder) -> None:
    try:
        finder.warm()
    except ShuxiangError as error:
        _log.error("%s", error)


def under(prefix: str, application: Any) -> Any:
    """Return `application` as it is seen below `prefix` (`/tree/`): WSGI's SCRIPT_NAME and PATH_INFO (PEP 3333)."""
    script = prefix.rstrip("/")

    def mounted(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        inner = dict(environ)
        inner["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + script
        inner["PATH_INFO"] = environ["PATH_INFO"][len(script) :]
        answer: Iterable[bytes] = application(inner, start_response)
        return answer

    return mounted


@dataclass(frozen=True, slots=True)
class _Holds:
    """Whether the library has a row for a blob: what a cut left in the store is nobody's to give away."""

    box: Box

    def __call__(self, sha256: str) -> bool:
        with self.box.library.reading() as reader:
            return reader.has(sha256)


class BoxOperations:
    """What the pages ask for, done: each call returns at once."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def sync_now(self) -> bool:
        """Start a sync in a process of its own; return False where one is at work."""
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                return False
            if work_under_way(self._box.directory) is not None:
                return False
            self._process = subprocess.Popen(
                [sys.executable, "-m", "appliance", "box", "sync", "--state", str(self._box.directory)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
            return True

    def request_resource(self, resource_id: str) -> None:
        """Keep the wish; the next sync fetches it."""
        self._box.local.add_request(resource_id, self._box.clock())

    def set_display_clock(self, shown: datetime) -> None:
        """Let the display clock show `shown` from now on."""
        self._box.local.put(CLOCK_OFFSET, clock_offset(self._box.clock(), shown).total_seconds())

    def work(self) -> Work:
        """Return what a sync under way says of itself."""
        found = work_under_way(self._box.directory)
        if found is None:
            return Work()
        task, progress = found
        share = progress.share
        return Work(
            running=True, text=f"{task} {progress.phase}" + (f" {share:.0%}" if share is not None else "")
        )

    def disk(self) -> DiskSpace:
        """Return the space of the content disk."""
        return self._box.disk()

    @contextmanager
    def syncing_by_itself(self, every_seconds: float | None) -> Iterator[None]:
        """Sync soon and then every so often while the block runs; None: only when asked to."""
        ended = threading.Event()

        def follow() -> None:
            wait = FIRST_SYNC_SECONDS
            while not ended.wait(wait):
                self.sync_now()
                wait = every_seconds or 0

        thread = threading.Thread(target=follow, name="sync", daemon=True)
        if every_seconds:
            thread.start()
        try:
            yield
        finally:
            ended.set()
            with self._lock:
                if self._process is not None and self._process.poll() is None:
                    self._process.terminate()
                    self._process.wait(10)
