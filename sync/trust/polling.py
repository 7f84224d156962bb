"""Asking a source whether there is anything new, at the price of an entity tag.

Invariant: a 304 stands for the bytes of `timestamp.json` that `trust/` has, and a tag is only sent where it was given
for those very bytes: whatever is lost or exchanged on either side, the file itself is asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

from catalog.local import Local
from sync import tree
from sync.roads import Road
from sync.roads.http import HttpRoad, SmallFile
from sync.trust.ahead import paths_ahead
from sync.trust.heads import versions

TAGS = "timestamp_tags"
"""Setting of `local.db`: address of a tree -> `[tag, SHA-256]` of the timestamp that it gave."""
MOST_TAG = 200
MAX_CHAIN_BYTES = 4 << 20
"""The most of one file of the chain that is taken before it is known how long it may be."""


class Polling:
    """The small files of `road`, as `sync.trust.accept.Fetch`; the timestamp by `If-None-Match` (RFC 9110 §13.1.2)."""

    def __init__(
        self,
        road: Road,
        trust: Path,
        local: Local,
        *,
        beside: Iterable[SmallFile] = (),
        after: Iterable[SmallFile] = (),
        on_news: Callable[[], None] = lambda: None,
    ) -> None:
        """`beside`: what is read in every poll, asked for along with the timestamp; `after`: what only a new one needs.

        `on_news` is called once a new timestamp has come and all that it leads to was asked for.
        """
        self._road = road
        self._trust = trust
        self._local = local
        self._beside = tuple(beside)
        self._after = tuple(after)
        self._on_news = on_news

    def __call__(self, path: str, max_bytes: int) -> bytes:
        """Return the file at `path`; raises as `Road.read`."""
        if path != tree.TIMESTAMP or not isinstance(self._road, HttpRoad):
            return self._road.read(path, max_bytes)
        held = self._held()
        tags = dict(self._local.get(TAGS, {}))
        tag, known = tags.get(self._road.address, ("", ""))
        same = held is not None and known == hashlib.sha256(held).hexdigest()
        tag = tag if same else ""
        self._road.ask_ahead([SmallFile(path, max_bytes, tag), *self._beside])
        answer = self._road.read_changed(path, max_bytes, tag)
        if answer is None:
            assert held is not None
            return held
        found = hashlib.sha256(answer.data).hexdigest()
        if found != known and 0 < len(answer.tag) <= MOST_TAG:
            self._local.put(TAGS, tags | {self._road.address: [answer.tag, found]})
        if answer.data != held:
            self._ask_for_the_chain(self._road, answer.data)
        return answer.data

    def _ask_for_the_chain(self, road: HttpRoad, timestamp: bytes) -> None:
        """Ask at once for all that a new timestamp leads to and `trust/` has not; open connections for what that names.

        A mere new signature leads to nothing new, and comes every day.
        """
        root = max(versions(self._trust, "root"), default=1) + 1
        # These names tell what is in the files, so what stands here need not come again.
        left = [path for path in paths_ahead(timestamp) if not (self._trust / path).is_file()]
        asked = [SmallFile(path, MAX_CHAIN_BYTES) for path in (tree.root_path(root), *left)]
        road.ask_ahead([*asked, *(self._after if left else ())])
        if left:
            road.open_ahead()
            self._on_news()

    def _held(self) -> bytes | None:
        try:
            return (self._trust / tree.TIMESTAMP).read_bytes()
        except OSError:
            return None
