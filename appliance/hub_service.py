"""Serving a hub: the staff pages and the published tree on one port, and the rsync daemon beside them."""

from __future__ import annotations

import logging
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from appliance.box import VERSION
from appliance.faults import faults
from appliance.hub import Hub
from appliance.notify import answers, notified
from appliance.plugging.notes import STICKS, filesystem_at, read_notes, run_directory, stick_of_note
from appliance.ports import listen, port_of
from appliance.recovery import HubRecovery
from appliance.seeder import Seeder
from appliance.service import TREE, Answer, announced, run_waitress, tell_addresses, under
from appliance.sticks import StickDesk
from catalog.clock import CHINA
from catalog.errors import RoadError, ShuxiangError
from catalog.ingest.session import IngestSession
from sync.daemon import MODULE, DaemonSettings, RsyncDaemon
from sync.publishing.publish import BundlePreview
from sync.serve import published_tree
from webui.hub.operations import (
    MEDIA,
    BundleChange,
    HubSettings,
    IngestRequest,
    Preview,
    Published,
    ReleaseLine,
    Tell,
)

SAMPLES = 5
RENEW_SECONDS = 24 * 3600
CHECK_IN = "/checkin"

_log = logging.getLogger(__name__)


def serve_hub(
    hub: Hub,
    answer: Answer,
    *,
    port: int | None,
    host: str,
    rsync_port: int | None,
    torrent_port: int | None = None,
) -> None:
    """Serve console and tree until interrupted; with their ports also the rsync daemon and BitTorrent. Announce it."""
    # An upload is collected whole before it is read: on the big disk, not in /tmp.
    tempfile.tempdir = str(hub.directory / "staging")
    listening = listen(host, hub.config.port if port is None else port)
    application = hub_application(hub)

    def company() -> AbstractContextManager[None]:
        tell_addresses(answer, hub.config.name, host, port_of(listening), rsync_port=rsync_port)
        return announced(
            hub.library, hub.local, hub.config, id=hub.id, role="hub", port=port_of(listening), host=host
        )

    with (
        _daemon(hub, rsync_port),
        _seeder(hub, application, torrent_port, host),
        notified(lambda: answers(host, port_of(listening)), company),
    ):
        try:
            run_waitress(application, [listening])
        finally:
            application.close()


@contextmanager
def _seeder(hub: Hub, application: HubApp, port: int | None, host: str) -> Iterator[None]:
    """Share by BitTorrent in a process of its own, and tell who checks in where."""
    if port is None:
        yield
        return
    options = ["--port", str(port), *(["--host", host] if host else [])]
    with Seeder("hub", hub.directory, options) as seeder:
        application.share_from(lambda: seeder.port)
        yield


@contextmanager
def _daemon(hub: Hub, port: int | None) -> Iterator[None]:
    hub.announce_roads(() if port is None else (f"rsync://{{host}}:{port}/{MODULE}",))
    if port is None:
        yield
        return
    settings = DaemonSettings(port=port, hosts_allow=hub.config.rsync_allow)
    daemon = RsyncDaemon(hub.public, hub.directory / "rsyncd", settings)
    daemon.start()
    try:
        yield
    finally:
        daemon.stop()


class HubApp:
    """The WSGI application of a hub: the tree under `/tree/`, `/checkin` for boxes, everything else the staff pages."""

    def __init__(self, hub: Hub) -> None:
        from appliance.cards.desk import CardDesk
        from sync.checkin import CheckIn
        from sync.registry import Registry
        from webui.hub.app import create_hub_app

        self._cards = CardDesk(hub.directory, lambda: hub.fingerprint)
        settings = HubSettings(
            hub_id=hub.id,
            name=hub.config.name,
            version=VERSION,
            secret=hub.secret(),
            uploads=hub.directory / "uploads",
            blobs=hub.directory / "blobs",
            licence=hub.config.licence,
            clock=lambda: hub.clock().astimezone(CHINA),
            media=(*MEDIA, run_directory() / STICKS),
            sticks=lambda: tuple(map(stick_of_note, read_notes(run_directory()))),
            filesystem_at=filesystem_at,
            cards=self._cards,
            faults=lambda language: faults(run_directory(), language),
            recovery=HubRecovery(hub.directory, hub.local, hub.clock),
            carrier=StickDesk(hub, run_directory()),
        )
        self._ended = threading.Event()
        threading.Thread(target=self._keep_fresh, args=(hub,), name="renew", daemon=True).start()
        self._tree = under(TREE, published_tree(hub.public))
        self._registry = Registry()
        self._check_in = CheckIn(self._registry)
        self._pages = create_hub_app(hub.library, hub.local, HubWork(hub), settings)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        application = (
            self._tree if path.startswith(TREE) else self._check_in if path == CHECK_IN else self._pages
        )
        answer: Iterable[bytes] = application(environ, start_response)
        return answer

    def share_from(self, port: Callable[[], int | None]) -> None:
        """Tell boxes that check in the BitTorrent port that `port` returns then."""
        self._registry.hub_port = port

    def close(self) -> None:
        """End the work under way; it goes on when the hub starts again."""
        self._ended.set()
        self._pages.close()
        self._cards.close()

    def _keep_fresh(self, hub: Hub) -> None:
        """Sign the timestamp anew each day, so that no box's state ends while the hub is on."""
        while True:
            try:
                hub.renew()
            except RoadError:
                _log.info("busy: signatures are renewed later")
            except ShuxiangError as error:
                _log.error("%s", error)
            if self._ended.wait(RENEW_SECONDS):
                return


def hub_application(hub: Hub) -> HubApp:
    """Return the WSGI application of a hub."""
    return HubApp(hub)


@dataclass(frozen=True, slots=True)
class HubWork:
    """What the staff pages ask for, done."""

    hub: Hub

    def create_bundle(self, bundle_id: str, title: str) -> None:
        """Add an empty bundle."""
        self.hub.create_bundle(bundle_id, title)

    def ingesting(self, request: IngestRequest, tell: Tell) -> AbstractContextManager[IngestSession]:
        """Hold the hub for one batch."""
        return self.hub.ingesting(
            request.source,
            bundle=request.bundle,
            sheet=request.sheet,
            dry_run=request.dry_run,
            licence=request.licence,
            work=request.work,
            source_name=request.source_name,
            progress=tell,
        )

    def preview(self) -> Preview:
        """Return what publishing now would do."""
        found = self.hub.preview()
        return Preview(
            release=found.release,
            changed=found.changed,
            bundles=tuple(map(_change, found.bundles)),
            bytes_new=found.bytes_new,
            bytes_total=found.bytes_total,
        )

    def publish(self, tell: Tell) -> Published:
        """Sign and publish."""
        done = self.hub.publish(tell)
        return Published(
            new=done.published,
            release=done.release,
            signed_at=done.date,
            added=done.added,
            changed=done.changed,
            gone=done.recalled,
            bytes_new=done.bytes_new,
        )

    def releases(self, limit: int) -> list[ReleaseLine]:
        """Return the releases that the tree keeps."""
        lines: list[tuple[int, datetime]] = self.hub.release_dates()
        return [ReleaseLine(release=number, signed_at=date) for number, date in lines[:limit]]


def _change(found: BundlePreview) -> BundleChange:
    titles = [named.title for named in (*found.added, *found.changed)]
    return BundleChange(
        id=found.id,
        title=found.title,
        version=found.version,
        resources=found.resources,
        added=len(found.added),
        changed=len(found.changed),
        gone=len(found.gone),
        samples=tuple(titles[:SAMPLES]),
        gone_samples=tuple(named.title for named in found.gone[:SAMPLES]),
    )
