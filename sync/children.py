"""The boxes that sync from this one, as far as their own files go: who asks here is asked for at the hub.

Invariant: bounded, and forgotten where the hub knows no such box; so whoever invents ids costs a few small requests.
"""

from __future__ import annotations

from catalog.local import Local

CHILDREN = "children"
"""Setting of `local.db`: box id -> {address: entity tag} of the file that is passed on to it."""
MOST_CHILDREN = 64


def note_child(local: Local, box_id: str) -> None:
    """Remember that the box `box_id` asked for its own file; the next sync brings it."""
    known = children(local)
    if box_id not in known and len(known) < MOST_CHILDREN:
        local.put(CHILDREN, known | {box_id: {}})


def children(local: Local) -> dict[str, dict[str, str]]:
    """Return the boxes that asked, each with the tags of its file at the addresses it was last read from."""
    return dict(local.get(CHILDREN) or {})
