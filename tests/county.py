"""A county hub for tests of `sync`: real keys, a real library, real blobs; and a road that reads its tree."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from builders import Store, file_of, resource

from catalog.errors import ContentError, RoadError
from catalog.manifest import Bundle
from catalog.resource import Resource
from sync.publishing.publish import PublishResult, publish
from sync.trust.accept import AcceptedHead, fetch_head, publish_head
from sync.trust.floors import Floors
from sync.trust.identity import HubIdentity, initialise
from sync.trust.keys import HubKeys, load_keys
from sync.trust.pinned import pin_root, write_pinned_root

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
DAY = timedelta(days=1)


class County:
    """A hub in `directory` with its state as `hub init` leaves it."""

    def __init__(self, directory: Path, name: str = "雷山县电教馆") -> None:
        self.state = directory
        self.identity: HubIdentity = initialise(directory, name=name, now=NOW)
        self.keys: HubKeys = load_keys(directory / "keys")
        self.store = Store(directory)
        self.name = name

    @property
    def public(self) -> Path:
        return self.state / "public"

    def bundle(self, bundle_id: str = "main", title: str = "全县资源") -> None:
        with self.store.library.writing() as writer:
            writer.put_bundle(Bundle(id=bundle_id, version=1, title=title, publisher=self.name))

    def add(self, resource_id: str, *contents: bytes, bundle: str = "main", **fields: Any) -> Resource:
        """Put a resource with one file per content into the library, its blobs into the store."""
        for content in contents:
            self.store.add(content)
        files = tuple(file_of(content) for content in contents)
        made = resource(resource_id, **{"files": files, **fields})
        known = self.bundles()
        with self.store.library.writing() as writer:
            if bundle not in known:
                writer.put_bundle(Bundle(id=bundle, version=1, title=bundle, publisher=self.name))
            writer.put_resource(made, bundle)
        return made

    def bundles(self) -> list[str]:
        with self.store.library.reading() as reader:
            return [state.id for state in reader.bundles()]

    def publish(self, now: datetime = NOW, roads: Sequence[str] = ()) -> PublishResult:
        return publish(
            self.store.library,
            self.store.blobs,
            self.state,
            self.keys,
            publisher=self.name,
            now=now,
            roads=roads,
        )

    def close(self) -> None:
        self.store.close()

    def __enter__(self) -> County:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class DirectoryRoad:
    """A road to a tree on this disk; it notes what was asked, and `lies` replace single files."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.asked: list[str] = []
        self.lies: dict[str, bytes] = {}

    def __call__(self, path: str, max_bytes: int) -> bytes:
        self.asked.append(path)
        try:
            data = self.lies.get(path) or (self.directory / path).read_bytes()
        except FileNotFoundError as error:
            raise RoadError("E-ROAD-MISSING", where=path) from error
        if len(data) > max_bytes:
            raise ContentError("E-SIZE", where=path, expected=max_bytes, found=len(data))
        return data


class Box:
    """The trust side of a box that follows `county`."""

    def __init__(self, directory: Path, county: County) -> None:
        self.trust = directory / "trust"
        self.staging = directory / "staging"
        self.staging.mkdir(parents=True)
        self.fingerprint = county.identity.fingerprint
        self.floors = Floors()
        write_pinned_root(self.trust, pin_root(county.identity.root_path.read_bytes(), self.fingerprint))

    def fetch(self, road: DirectoryRoad, now: datetime = NOW) -> AcceptedHead:
        return fetch_head(
            road,
            fingerprint=self.fingerprint,
            trust_dir=self.trust,
            staging_dir=self.staging,
            now=now,
            floors=self.floors,
        )

    def follow(self, road: DirectoryRoad, now: datetime = NOW) -> AcceptedHead:
        head = self.fetch(road, now)
        publish_head(head, self.trust)
        self.floors = self.floors.raised_to(head.floors)
        return head
