"""Roads: how the files of a tree travel. One protocol (`road.Road`), chosen by the address's scheme."""

from __future__ import annotations

from collections.abc import Callable

from catalog.errors import ConfigError, RoadError
from sync import tree
from sync.line.network import address_parts
from sync.roads.directory import DirectoryRoad
from sync.roads.http import HttpRoad
from sync.roads.road import Road, RoadSettings
from sync.roads.rsync import RsyncRoad

ROADS: dict[str, Callable[[str, RoadSettings], Road]] = {
    "http": HttpRoad,
    "https": HttpRoad,
    "rsync": RsyncRoad,
    "file": DirectoryRoad,
    "": DirectoryRoad,
}
_TIMESTAMP_BYTES = 64 << 10


def check_address(address: str) -> str:
    """Return the scheme of `address`, "" for a directory; raise `ConfigError` E-CONFIG where no road leads there."""
    is_url = "://" in address or address.startswith("file:")
    scheme = address_parts(address).scheme if is_url else ""
    if scheme not in ROADS or (is_url and not scheme):
        known = ", ".join(name for name in ROADS if name)
        where = address.rpartition("@")[2]
        raise ConfigError("E-CONFIG", where=where, expected=known, found=scheme)
    return scheme


def road_for(address: str, settings: RoadSettings | None = None) -> Road:
    """Return the road to the tree at exactly `address`; raise `ConfigError` E-CONFIG where none leads there."""
    return ROADS[check_address(address)](address, settings or RoadSettings())


def find_tree(address: str, settings: RoadSettings | None = None) -> Road:
    """Return the road to the tree at `address` + `tree/`, else at `address` itself; its `address` says which.

    Raises `RoadError` E-NO-TREE where neither has one (E-PLAIN-FOLDER: other files lie there, E-STICK-CUT: a stick that
    was not written to its end), and the road's own refusal where it does not answer.
    """
    below = address.rstrip("/") + "/"
    missing = ""
    for place in (below + "tree/", below):
        road = road_for(place, settings)
        try:
            road.read(tree.TIMESTAMP, _TIMESTAMP_BYTES)
            return road
        except RoadError as error:
            road.close()
            if error.code not in ("E-ROAD-MISSING", "E-NO-TREE") and (
                error.code != "E-PORTAL" or place == below
            ):
                raise
            missing = error.code
        except BaseException:
            road.close()
            raise
    if isinstance(road, DirectoryRoad) and road.cut:
        raise RoadError("E-STICK-CUT", where=address, expected=tree.TIMESTAMP, found=missing)
    if isinstance(road, DirectoryRoad) and (names := road.plain_names()):
        raise RoadError("E-PLAIN-FOLDER", where=address, expected=tree.TIMESTAMP, found=", ".join(names))
    raise RoadError("E-NO-TREE", where=address, expected=tree.TIMESTAMP, found=missing)


__all__ = ["ROADS", "Road", "RoadSettings", "check_address", "find_tree", "road_for"]
