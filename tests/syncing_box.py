"""A box for tests of the road's receiving end: a real state directory, updated by the real `Update`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from builders import sha256
from county import NOW, County

from catalog.blobs import BlobStore
from catalog.library import Entry, Library
from catalog.local import Local
from catalog.search.query import Searcher, SearchRequest
from sync.roads import RoadSettings
from sync.trust.pinned import pin_root, write_pinned_root
from sync.updating.plan import Plan
from sync.updating.update import Update, UpdateResult, UpdateSettings

QUICK = RoadSettings(timeout_seconds=3, retry_pause_seconds=0.02)


class SyncingBox:
    """The state of a box that trusts `county`."""

    def __init__(self, state: Path, county: County) -> None:
        for name in ("blobs", "staging", "trust", "index"):
            (state / name).mkdir(parents=True, exist_ok=True)
        self.state = state
        self.fingerprint = county.identity.fingerprint
        if not (state / "trust" / "metadata").exists():
            write_pinned_root(
                state / "trust", pin_root(county.identity.root_path.read_bytes(), self.fingerprint)
            )
        self.library = Library.open(state / "library.db", create=True)
        self.local = Local.open(state / "local.db")
        self.blobs = BlobStore(state / "blobs", state / "staging", self.library.add_blobs)

    def update(self, *sources: str | Path, now: datetime = NOW, **settings: Any) -> UpdateResult:
        """Run once; see `Update.run`."""
        return self._update(sources, settings).run(now)

    def preview(self, *sources: str | Path, now: datetime = NOW, **settings: Any) -> Plan:
        return self._update(sources, settings).preview(now)

    def _update(self, sources: tuple[str | Path, ...], settings: dict[str, Any]) -> Update:
        settings.setdefault("road", QUICK)
        return Update(
            self.state,
            library=self.library,
            blobs=self.blobs,
            local=self.local,
            settings=UpdateSettings(
                sources=tuple(map(str, sources)), fingerprint=self.fingerprint, **settings
            ),
        )

    def entry(self, resource_id: str) -> Entry:
        with self.library.reading() as reader:
            found = reader.resource(resource_id)
        assert found is not None, resource_id
        return found

    def ids(self) -> set[str]:
        with self.library.reading() as reader:
            return {entry.resource.id for entry in reader.entries()}

    def held(self) -> set[str]:
        with self.library.reading() as reader:
            return {blob.sha256 for blob in reader.blobs()}

    def found(self, text: str) -> int:
        """How many hits the index of the current state has."""
        searcher = Searcher(self.state / "index" / str(self.library.generation().index))
        try:
            return searcher.search(SearchRequest(text=text)).total
        finally:
            searcher.close()

    def check(self) -> None:
        """Every visible blob has its hash, and what counts as here is here."""
        with self.library.reading() as reader:
            for blob in reader.blobs():
                assert sha256(self.blobs.path(blob.sha256).read_bytes()) == blob.sha256
            for entry in reader.entries():
                for file in entry.serving:
                    assert reader.has(file.sha256), entry.resource.id

    def close(self) -> None:
        self.library.close()
        self.local.close()

    def __enter__(self) -> SyncingBox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


MakeBox = Callable[[str], SyncingBox]
