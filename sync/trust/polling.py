"""Asking a source whether there is anything new, at the price of an entity tag.

Invariant: a 304 stands for the bytes of `timestamp.json` that `trust/` has, and a tag is only sent where it was given
for those very bytes: whatever is lost or exchanged on either side, the file itself is asked for.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from catalog.local import Local
from sync import tree
from sync.roads import Road
from sync.roads.http import HttpRoad

TAGS = "timestamp_tags"
"""Setting of `local.db`: address of a tree -> `[tag, SHA-256]` of the timestamp that it gave."""
MOST_TAG = 200


class Polling:
    """The small files of `road`, as `sync.trust.accept.Fetch`; the timestamp by `If-None-Match` (RFC 9110 §13.1.2)."""

    def __init__(self, road: Road, trust: Path, local: Local) -> None:
        self._road = road
        self._trust = trust
        self._local = local

    def __call__(self, path: str, max_bytes: int) -> bytes:
        """Return the file at `path`; raises as `Road.read`."""
        if path != tree.TIMESTAMP or not isinstance(self._road, HttpRoad):
            return self._road.read(path, max_bytes)
        held = self._held()
        tags = dict(self._local.get(TAGS, {}))
        tag, known = tags.get(self._road.address, ("", ""))
        same = held is not None and known == hashlib.sha256(held).hexdigest()
        answer = self._road.read_changed(path, max_bytes, tag if same else "")
        if answer is None:
            assert held is not None
            return held
        found = hashlib.sha256(answer.data).hexdigest()
        if found != known and 0 < len(answer.tag) <= MOST_TAG:
            self._local.put(TAGS, tags | {self._road.address: [answer.tag, found]})
        return answer.data

    def _held(self) -> bytes | None:
        try:
            return (self._trust / tree.TIMESTAMP).read_bytes()
        except OSError:
            return None
