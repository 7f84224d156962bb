"""Bringing files over whatever road works: the sources in order, then the hints, each file until one has it.

Invariant: a road that refuses does not stop the next; no ban of a road or a file outlives the run; what came wrong is
asked for once more on the same road (the fault may be in what an earlier run left) and then elsewhere.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from catalog.blobs import Refusal, Staged
from catalog.errors import ConfigError, ContentError, RoadError, ShuxiangError
from catalog.local import Local
from sync import tree
from sync.formats.release import TreeFile
from sync.line.network import address_parts
from sync.roads import Road, RoadSettings, find_tree, road_for, rsync
from sync.roads.http import HttpRoad
from sync.roads.road import Missed, staged_file
from sync.roads.rsync import RsyncRoad
from sync.roads.staging import Staging

Door = Callable[[list[Staged]], list[Refusal]]
"""Lets a batch in and returns what was refused (its bytes are gone then)."""

TREES = "trees"
"""Setting of `local.db`: for each source the address below which its tree was found."""
MAX_HINTS = 16
MAX_HINT_BYTES = 64 << 10
_PASSES = 2
# A hint is unsigned: it may send us to another server, never to our own disk.
_HINT_SCHEMES = ("http", "https", "rsync")


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """What a carrier brought: `came` files over roads; `reused_bytes` were in staging already, whole or in part."""

    came: int
    reused_bytes: int
    missed: list[Missed]


class Source:
    """A place where there may be a tree; opened when first needed, and out for this run once it has failed."""

    def __init__(self, address: str, settings: RoadSettings, local: Local | None) -> None:
        self.address = address
        self.failure: ShuxiangError | None = None
        self._settings = settings
        self._local = local
        self._road: Road | None = None

    @property
    def name(self) -> str:
        """The kind of road, "" before it was opened."""
        return self._road.name if self._road else ""

    @property
    def scheme(self) -> str:
        """The scheme of its address, "" for a directory."""
        return address_parts(self.address).scheme

    @property
    def opened(self) -> Road | None:
        """The road to the tree, None before it was opened."""
        return self._road

    @property
    def received_bytes(self) -> int:
        """The bytes that came from here in this run."""
        return self._road.received_bytes if self._road else 0

    def road(self) -> Road:
        """Return the open road to the tree, at the place that answered last time where there is one."""
        if self._road is None:
            known = self._known().get(self.address)
            self._road = road_for(known, self._settings) if known else self._find()
        return self._road

    def look_again(self) -> Road:
        """Return the road to the tree after the place that was known had none."""
        if self._road is not None:
            self._road.close()
        self._road = self._find()
        return self._road

    def close(self) -> None:
        """Close the road if it is open."""
        if self._road is not None:
            self._road.close()

    def _find(self) -> Road:
        road = find_tree(self.address, self._settings)
        if self._local is not None and self._known().get(self.address) != road.address:
            self._local.put(TREES, {**self._known(), self.address: road.address})
        return road

    def _known(self) -> dict[str, str]:
        return dict(self._local.get(TREES, {})) if self._local is not None else {}


class Carrier:
    """The roads of one run."""

    def __init__(
        self,
        addresses: Iterable[str],
        staging: Staging,
        settings: RoadSettings,
        local: Local | None,
        *,
        hints: bool = True,
    ) -> None:
        self._settings = settings
        self._local = local
        self._staging = staging
        self.sources = [Source(address, settings, local) for address in dict.fromkeys(addresses)]
        self.at = ""
        """The kind of road that files are coming over now."""
        self._unread = list(self.sources) if hints else []
        """The sources whose hints were not read yet; hints of hints are not followed."""

    def bring(self, files: Iterable[TreeFile], door: Door, progress: Callable[[int], None]) -> Brought:
        """Bring `files` through `door`, first those that an earlier run left whole.

        Raises `StorageError` where our own disk fails.
        """
        waiting = {file.sha256: file for file in files}
        return self._bring(waiting, self._in_order(waiting), door, progress)

    def bring_differences(
        self, files: Iterable[TreeFile], door: Door, progress: Callable[[int], None]
    ) -> Brought:
        """Bring `files` as what differs from `Staging.bases`, over the roads that can; raises as `bring`."""
        waiting = {file.sha256: file for file in files}
        return self._bring(waiting, self._that_compare(), door, progress)

    def compares(self) -> bool:
        """Return whether a source has a road that sends differences, as far as the open roads can tell."""
        return rsync.is_installed() and bool(self._that_compare())

    def _that_compare(self) -> list[Source]:
        # To open the others is for who needs them: a dead one would cost each run its whole patience.
        self._add_hints([source for source in self._unread if source.opened is not None])
        return [one for one in self.sources if one.failure is None and one.scheme == RsyncRoad.name]

    def _bring(
        self,
        waiting: dict[str, TreeFile],
        sources: Iterable[Source],
        door: Door,
        progress: Callable[[int], None],
    ) -> Brought:
        errors: dict[str, ShuxiangError] = {}
        reused_bytes = self.admit_leftovers(waiting, door)
        asked = len(waiting)
        for source in sources:
            if source.failure is None and waiting:
                try:
                    self._try(source, waiting, errors, door, progress)
                except (RoadError, ContentError, ConfigError) as error:
                    source.failure = error
        nothing = next((source.failure for source in self.sources if source.failure), None)
        default = nothing or RoadError("E-ROAD-MISSING")
        missed = [Missed(file=file, error=errors.get(sha256, default)) for sha256, file in waiting.items()]
        return Brought(came=asked - len(missed), reused_bytes=reused_bytes, missed=missed)

    def first_open(self) -> Road | None:
        """Return the first road that is open and has not failed."""
        return next(
            (source.opened for source in self.sources if source.failure is None and source.opened), None
        )

    def is_long(self) -> bool:
        """Return whether the first road goes over a long line."""
        road = self.first_open()
        return isinstance(road, HttpRoad) and road.is_long

    def http_trees(self) -> list[str]:
        """Return the addresses of the trees that HTTP sources of this run have: where their blobs stand below."""
        opened = (source.opened for source in self.sources if source.failure is None)
        return [road.address for road in opened if road is not None and road.name == "http"]

    def received(self) -> dict[str, int]:
        """Return the bytes received by kind of road."""
        counts: Counter[str] = Counter()
        for source in self.sources:
            if source.name:
                counts[source.name] += source.received_bytes
        return dict(counts)

    def close(self) -> None:
        """Close the roads that are open."""
        for source in self.sources:
            source.close()

    def _try(
        self,
        source: Source,
        waiting: dict[str, TreeFile],
        errors: dict[str, ShuxiangError],
        door: Door,
        progress: Callable[[int], None],
    ) -> None:
        wrong: set[str] = set()

        def done(batch: list[Staged]) -> None:
            refused = {item.staged.blob.sha256: item.error for item in door(batch)}
            for item in batch:
                sha256 = item.blob.sha256
                if sha256 in refused:
                    wrong.add(sha256)
                    errors[sha256] = refused[sha256]
                else:
                    waiting.pop(sha256, None)
            self._staging.settle(item.blob.sha256 for item in batch)

        asked = list(waiting.values())
        for _ in range(_PASSES):
            wrong.clear()
            road = source.road()
            self.at = road.name
            for missed in road.fetch(asked, self._staging, done, progress):
                sha256 = missed.file.sha256
                if not isinstance(errors.get(sha256), ContentError):
                    errors[sha256] = missed.error
                if isinstance(missed.error, ContentError):
                    wrong.add(sha256)
            asked = [waiting[sha256] for sha256 in wrong if sha256 in waiting]
            if not asked:
                return

    def _in_order(self, waiting: dict[str, TreeFile]) -> Iterator[Source]:
        position = 0
        while waiting:
            if position == len(self.sources):
                if not self._unread:
                    return
                self._add_hints(tuple(self._unread))
                continue
            yield self.sources[position]
            position += 1

    def _add_hints(self, sources: Iterable[Source]) -> None:
        known = {source.address for source in self.sources}
        for source in sources:
            self._unread.remove(source)
            try:
                data = source.road().read(tree.ROADS, MAX_HINT_BYTES) if source.failure is None else b""
            except (RoadError, ContentError, ConfigError):
                continue
            for address in read_hints(data, host=address_parts(source.address).hostname):
                if address not in known:
                    known.add(address)
                    self.sources.append(Source(address, self._settings, self._local))

    def admit_leftovers(self, waiting: dict[str, TreeFile], door: Door) -> int:
        """Let in what lies whole in staging and take it out of `waiting`; return the bytes that are there already."""
        whole = [file for file in waiting.values() if self._staging.complete(file)]
        refused = {
            item.staged.blob.sha256 for item in door([staged_file(file, self._staging) for file in whole])
        }
        self._staging.settle(file.sha256 for file in whole)
        came = [file for file in whole if file.sha256 not in refused]
        for file in came:
            del waiting[file.sha256]
        partial = (self._staging.length(file) for file in waiting.values())
        return sum(file.size_bytes for file in came) + sum(partial)


def read_hints(data: bytes, *, host: str | None) -> list[str]:
    """Return the addresses in `roads.json`, `{host}` replaced; a hint that is of no use is left out."""
    try:
        roads = json.loads(data)["roads"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return []
    found = []
    for address in roads if isinstance(roads, list) else []:
        if not isinstance(address, str) or len(address) > 500 or ("{host}" in address and not host):
            continue
        name = f"[{host}]" if host and ":" in host else host
        place = address.replace("{host}", name or "")
        if _leads_somewhere(place):
            found.append(place)
    return found[:MAX_HINTS]


def _leads_somewhere(address: str) -> bool:
    """Return whether a road can be asked for `address` at all: a scheme, a host, and a port if any, each well formed."""
    if address.partition("://")[0] not in _HINT_SCHEMES or not address.isprintable():
        return False
    try:
        parts = urlsplit(address)
        host = (parts.hostname or "").encode("idna")
        return bool(host) and parts.port != 0
    except ValueError:
        return False


def worst(errors: Iterable[ShuxiangError]) -> ShuxiangError | None:
    """Return the refusal that a run ends with: storage before content before road (DESIGN 5.2), the last of each."""
    found = list(errors)
    for first, last in ((20, 30), (10, 20), (0, 256)):
        for error in reversed(found):
            if first <= error.exit_code < last:
                return error
    return None
