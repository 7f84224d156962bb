"""Serving: the sockets, the one waitress on both ports, and the threads of a running box or hub.

Invariant: what takes time runs in a process of its own (`box sync`), so that serving keeps its memory and its speed.
"""

from __future__ import annotations

import ctypes
import logging
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any

from appliance.box import VERSION, Box
from appliance.config import BoxConfig, HubConfig
from appliance.keeper import Keeper
from appliance.notify import answers, notified
from appliance.operations import BoxOperations
from appliance.ports import listen, listen_near, port_of
from appliance.streaming import Watched
from catalog.errors import ShuxiangError
from catalog.finder import Finder
from catalog.library import Library
from catalog.local import Local
from webui.operations import BoxSettings, Reach

# Threads wait for disks, not for the processor; connections are many and cheap.
THREADS = 8
CONNECTIONS = 600
MOST_UPLOAD_BYTES = 1 << 40
# glibc's mallopt(3): without a bound each thread gets a heap of its own, and keeps what it once needed.
M_ARENA_MAX, HEAPS = -8, 2
SECRET = "page_secret"
TREE = "/tree/"
LOOK_SECONDS = 5.0
# What the first pages do not need (the announcement, the index) is loaded this long after the first answer.
SETTLE_SECONDS = 2.0

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
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(M_ARENA_MAX, HEAPS)
    operations = BoxOperations(box)
    finder = Finder(box.library, box.index)
    application = box_application(
        box, operations, finder, page_port=port_of(pages), package_port=port_of(packages), host=host
    )
    keeper = operations.keeper = Keeper(box, application.streamed_seconds) if service else None

    def company() -> AbstractContextManager[None]:
        tell_addresses(answer, box.config.name, host, port_of(pages), package_port=port_of(packages))
        # The first search of a lesson should not pay for opening the index.
        warming = threading.Timer(SETTLE_SECONDS, _warm, (finder,))
        warming.daemon = True
        warming.start()
        return announced(
            box.library, box.local, box.config, id=box.id, role="box", port=port_of(pages), host=host
        )

    with (
        keeper.keeping() if keeper else nullcontext(),
        notified(lambda: answers(host, port_of(pages)), company),
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
    # Whoever started this and went away needs no addresses; the pages are for others.
    with suppress(OSError):
        answer({"address": here, "port": port, **more}, "\n".join([f"{name}  {here}", *there]))
        sys.stdout.flush()


def _in_address(host: str) -> str:
    return f"[{host}]" if ":" in host else host


@contextmanager
def announced(
    library: Library, local: Local, config: BoxConfig | HubConfig, *, id: str, role: str, port: int, host: str
) -> Iterator[None]:
    """Announce the service on the network while the block runs, with the release that its pages show, and answer
    for its names."""
    from appliance.discovery import Announcement, Announcer
    from appliance.reach import answering

    def state() -> str:
        return f"release {library.generation().release}"

    ended = threading.Event()
    announcement = Announcement(
        name=config.name, id=id, role=role, version=VERSION, state=state(), port=port, host=host
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
            with answering(config, local, id=id, host=host, rename=announcer.rename):
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


def box_application(
    box: Box, operations: BoxOperations, finder: Finder, *, page_port: int, package_port: int, host: str
) -> Watched:
    """Return the WSGI application of a box: pages, files, the tree, packages by port; it notes who is watching."""
    from sync.children import note_child
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
        reach=lambda: _reach(box.local, host),
        sticks=operations.sticks,
        faults=_faults,
    )
    tree = held_tree(
        box.trust,
        box.blobs.path,
        _Holds(box),
        box.directory / "parcels",
        asked=lambda box_id: note_child(box.local, box_id),
    )
    application = create_box_app(
        library=box.library,
        finder=finder,
        blobs=box.blobs,
        local=box.local,
        operations=operations,
        settings=settings,
        mounts={TREE: under(TREE, tree)},
    )
    return Watched(application, package_port)


def _reach(local: Local, host: str) -> Reach:
    from appliance.reach import reach_of

    return reach_of(local, host)


def _faults(language: str) -> tuple[str, ...]:
    from appliance.faults import faults
    from appliance.plugging.notes import run_directory

    return faults(run_directory(), language)


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
