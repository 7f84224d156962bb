"""A box's own file, `boxes/<box id>.json`: what the hub assigns to one box. Both ends, writer and reader.

Invariants: the bytes are canonical JSON signed by the hub's box key (Ed25519), which the accepted release names; a box
takes only its own file, never an older version than it has had, and never one that has expired; what it refuses is told
and stops nothing. What it took stands in `local.db` in one write, contents and floor together.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from catalog.durable import make_directory, storage, write_file
from catalog.errors import ConfigError, ContentError, RoadError, ShuxiangError
from catalog.local import Local
from catalog.manifest import is_bundle_id
from catalog.resource import canonical_json
from catalog.scope import Scope
from sync import tree
from sync.children import CHILDREN, children
from sync.line.policy_layers import Layer, read_layer
from sync.roads import Road
from sync.roads.http import HttpRoad, SmallFile
from sync.trust.heads import read_time, write_time
from sync.trust.keys import HubKeys

FORMAT = 1
MAX_BYTES = 64 << 10
MAX_BUNDLES = 2000
LIFETIME = timedelta(days=400)
# As for TUF's own files: a summer and a stick's way (rule 2).
LEAST_LEFT = timedelta(days=210)
ALL = "all"
BOX_FILE = "box_file"
"""Setting of `local.db`: `{version, key, signed, tags: {address: entity tag}}` of the file that was taken last."""
NEWEST_BOX_FILE = "newest_box_file"
"""Setting of a hub's `local.db`: the highest version that it has given any box's file."""
SCOPE, SCOPE_GIVEN = "scope", "scope_given"
"""Settings of `local.db`: the scope that pages show, and the one that config or hub have given; where they differ the
school has set its own."""
_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """What a hub assigns to one box. `subscriptions` None and `scope` None: it says nothing; `("all",)`: all bundles."""

    box: str
    version: int
    signed_at: datetime
    expires: datetime
    subscriptions: tuple[str, ...] | None = None
    scope: Scope | None = None
    policy: Layer = field(default_factory=dict)

    @property
    def bundles(self) -> frozenset[str] | None:
        """The bundles whose content is assigned; None for all of them."""
        if self.subscriptions is None or ALL in self.subscriptions:
            return None
        return frozenset(self.subscriptions)

    def to_json(self) -> dict[str, Any]:
        """Return the signed part."""
        value: dict[str, Any] = {
            "format": FORMAT,
            "box": self.box,
            "version": self.version,
            "signed_at": write_time(self.signed_at),
            "expires": write_time(self.expires),
        }
        if self.subscriptions is not None:
            value["subscriptions"] = ALL if ALL in self.subscriptions else sorted(self.subscriptions)
        if self.scope is not None:
            value["scope"] = self.scope.to_json()
        if self.policy:
            value["policy"] = dict(self.policy)
        return value

    @classmethod
    def from_json(cls, data: object, where: object) -> Assignment:
        """Return the assignment in a signed part; raise `ContentError` E-BOX-FILE, E-VERSION for a newer format."""
        if not isinstance(data, Mapping):
            raise _refused(where, "object", type(data).__name__)
        found = data.get("format")
        if type(found) is int and found > FORMAT:
            raise ContentError("E-VERSION", where=where, expected=f"<= {FORMAT}", found=found)
        box, version = data.get("box"), data.get("version")
        if not isinstance(box, str) or not _ID.fullmatch(box):
            raise _refused(where, "box: 32 hex digits", box)
        if type(version) is not int or not 1 <= version < 2**53:
            raise _refused(where, "version >= 1", version)
        try:
            return cls(
                box=box,
                version=version,
                signed_at=read_time(data.get("signed_at")),
                expires=read_time(data.get("expires")),
                subscriptions=_subscriptions(data.get("subscriptions"), where),
                scope=Scope.from_json(data["scope"]) if "scope" in data else None,
                policy=read_layer(data.get("policy", {}), where="policy", strict=False),
            )
        except ValueError as error:
            raise _refused(where, "times", error) from error
        except (ConfigError, TypeError) as error:
            raise _refused(where, "settings of a box", error) from error


def sign(assignment: Assignment, keys: HubKeys) -> bytes:
    """Return the file: the signed part and its signature under the hub's box key."""
    signed = assignment.to_json()
    signature = base64.b64encode(keys.box.sign(canonical_json(signed))).decode()
    return canonical_json({"signed": signed, "signatures": [{"keyid": keys.box_key, "sig": signature}]})


def verify(data: bytes, *, box_key: str, box_id: str, where: object = "") -> Assignment:
    """Return what `data` assigns to the box `box_id`, signed by `box_key` (64 hex digits).

    Raises `ContentError` E-BOX-FILE where it is no such file or another box's, E-SIGNATURE where the key is another's.
    """
    where = where or tree.box_path(box_id)
    try:
        value = json.loads(data)
        signed, signatures = value["signed"], value["signatures"]
        text = next(str(one["sig"]) for one in signatures if one["keyid"] == box_key)
        signature = base64.b64decode(text, validate=True)
        signed_bytes = canonical_json(signed)
    except StopIteration as error:
        raise ContentError("E-SIGNATURE", where=where, expected=box_key, found="another key") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error) as error:
        raise _refused(where, "signed JSON", f"{len(data)} B") from error
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(box_key)).verify(signature, signed_bytes)
    except (InvalidSignature, ValueError) as error:
        raise ContentError("E-SIGNATURE", where=where, expected=box_key) from error
    assignment = Assignment.from_json(signed, where)
    if assignment.box != box_id:
        raise _refused(where, box_id, assignment.box)
    return assignment


def held(local: Local) -> Assignment | None:
    """Return what was taken last: it stays in force after its end, until a newer file comes."""
    stored = local.get(BOX_FILE)
    if not stored or not stored.get("signed"):
        return None
    return Assignment.from_json(stored["signed"], BOX_FILE)


def take(road: Road, local: Local, *, box_id: str, box_key: str, now: datetime) -> ShuxiangError | None:
    """Fetch the box's file over `road` and keep it where it is newer; return what was refused, with its reason.

    A tree without such a file says nothing, and what was taken before stays. `now` is the trusted time. Raises
    `RoadError` where the road itself fails.
    """
    stored = dict(local.get(BOX_FILE) or {})
    tags = dict(stored.get("tags", {}))
    path = tree.box_path(box_id)
    try:
        data, tag = _fetch(road, path, tags.get(road.address, ""))
        if data is None:
            return None
        # A hub that was made anew from its recovery file signs with a new key and counts from one.
        floor = int(stored.get("version", 0)) if stored.get("key") == box_key else 0
        assignment = verify(data, box_key=box_key, box_id=box_id, where=road.address + path)
        if assignment.version < floor:
            raise ContentError(
                "E-ROLLBACK", where=road.address + path, expected=f">= {floor}", found=assignment.version
            )
        if assignment.expires <= now:
            raise ContentError("E-EXPIRED", where=road.address + path, found=write_time(assignment.expires))
    except ContentError as error:
        return error
    except ShuxiangError as error:
        if error.code == "E-ROAD-MISSING":
            return None
        raise
    _apply_scope(local, assignment)
    tags = {road.address: tag} if assignment.version > floor else tags | {road.address: tag}
    kept = {"version": assignment.version, "key": box_key, "signed": assignment.to_json(), "tags": tags}
    if kept != stored:
        local.put(BOX_FILE, kept)
    return None


def pass_on(road: Road, local: Local, trust: Path, *, box_key: str) -> list[ShuxiangError]:
    """Fetch over `road` the own files of the boxes that sync from this one, and keep them below `trust` for them.

    Each box judges its file by itself; here it is checked only so far that no older or foreign one is passed on. What
    was refused is returned. Raises `RoadError` where the road itself fails.
    """
    refused: list[ShuxiangError] = []
    known = found = children(local)
    for box_id, tags in known.items():
        path = tree.box_path(box_id)
        place = trust / path
        try:
            data, tag = _fetch(road, path, tags.get(road.address, ""))
            if data is None:
                continue
            came = verify(data, box_key=box_key, box_id=box_id, where=road.address + path)
            here = _signed_at(place, box_key, box_id)
            if here is None or came.version >= here.version:
                _put(place, data)
                found = found | {box_id: {road.address: tag}}
        except ContentError as error:
            refused.append(error)
        except RoadError as error:
            if error.code != "E-ROAD-MISSING":
                raise
            if not place.exists():
                found = {one: kept for one, kept in found.items() if one != box_id}
    if found != known:
        local.put(CHILDREN, found)
    return refused


def _signed_at(path: Path, box_key: str, box_id: str) -> Assignment | None:
    """Return what the file at `path` assigns; None where there is none, or one under a key that is ours no more."""
    try:
        return verify(path.read_bytes(), box_key=box_key, box_id=box_id, where=path)
    except (FileNotFoundError, ContentError):
        return None


def _put(path: Path, data: bytes) -> None:
    def write() -> None:
        make_directory(path.parent)
        path.parent.chmod(0o755)
        write_file(path, data)

    storage(write, path)


def _apply_scope(local: Local, assignment: Assignment) -> None:
    """Let the pages narrow to the assigned scope, unless the school has set its own."""
    if assignment.scope is None:
        return
    given, assigned_scope = local.get(SCOPE_GIVEN), assignment.scope.to_json()
    if assigned_scope != given and local.get(SCOPE) in (None, given):
        local.put_all({SCOPE: assigned_scope, SCOPE_GIVEN: assigned_scope})


def asked_of(address: str, local: Local, box_id: str) -> SmallFile:
    """Return what `take` asks the tree at `address` for: it may be asked for ahead."""
    tags = dict((local.get(BOX_FILE) or {}).get("tags", {}))
    return SmallFile(tree.box_path(box_id), MAX_BYTES, tags.get(address, ""))


def _fetch(road: Road, path: str, tag: str) -> tuple[bytes | None, str]:
    """Return the file's bytes and tag; no bytes where it is as it was."""
    if not isinstance(road, HttpRoad):
        return road.read(path, MAX_BYTES), ""
    answer = road.read_changed(path, MAX_BYTES, tag)
    return (None, tag) if answer is None else (answer.data, answer.tag[:200])


# -- the hub's end ---------------------------------------------------------------------------------------------------


def assigned(public: Path, box_id: str, keys: HubKeys) -> Assignment | None:
    """Return what the tree `public` assigns to the box now; None where nothing, or under a key that is ours no more."""
    return _signed_at(public / tree.box_path(box_id), keys.box_key, box_id)


def assign(public: Path, keys: HubKeys, assignment: Assignment, local: Local) -> None:
    """Put the signed file into the tree, durably and in one step; raise `StorageError`."""
    path = public / tree.box_path(assignment.box)
    # First, so that no cut and no lost tree ever gives a number twice.
    local.put(NEWEST_BOX_FILE, max(assignment.version, int(local.get(NEWEST_BOX_FILE) or 0)))
    _put(path, sign(assignment, keys))


def next_version(public: Path, box_id: str, local: Local) -> int:
    """Return a version that the box can not have seen: above its file's, whoever signed that, and above all that this
    hub has ever given: a tree may be lost, or come back from an old copy."""
    try:
        value = json.loads((public / tree.box_path(box_id)).read_bytes())
        last = int(value["signed"]["version"])
    except (OSError, ValueError, KeyError, TypeError):
        last = 0
    return max(last, int(local.get(NEWEST_BOX_FILE) or 0)) + 1


def renew_all(public: Path, keys: HubKeys, now: datetime, local: Local) -> int:
    """Sign anew the files whose time grows short, and return how many; call it daily.

    A renewed file has a new end and a new version; each costs its box one small answer.
    """
    renewed = 0
    for path in sorted((public / "boxes").glob("*.json")):
        found = assigned(public, path.stem, keys) if _ID.fullmatch(path.stem) else None
        if found is not None and found.expires - now < LEAST_LEFT:
            assign(public, keys, _signed_now(found, next_version(public, found.box, local), now), local)
            renewed += 1
    return renewed


def new_assignment(
    public: Path, box_id: str, now: datetime, keys: HubKeys, settings: Mapping[str, Any], local: Local
) -> Assignment:
    """Return an assignment of the next version, signed `now` and good for 400 days.

    `settings` are fields of `Assignment`; those that it does not name stay as they are assigned now.
    """
    blank = Assignment(box=box_id, version=1, signed_at=now, expires=now)
    found = assigned(public, box_id, keys) or blank
    return _signed_now(replace(found, **settings), next_version(public, box_id, local), now)


def _signed_now(found: Assignment, version: int, now: datetime) -> Assignment:
    now = now.replace(microsecond=0)
    return replace(found, version=version, signed_at=now, expires=now + LIFETIME)


def _subscriptions(value: object, where: object) -> tuple[str, ...] | None:
    if value is None:
        return None
    if value == ALL:
        return (ALL,)
    if (
        not isinstance(value, list)
        or len(value) > MAX_BUNDLES
        or not all(isinstance(one, str) and is_bundle_id(one) for one in value)
    ):
        raise _refused(where, "subscriptions: bundle ids", value)
    return tuple(value)


def _refused(where: object, expected: object, found: object) -> ContentError:
    return ContentError("E-BOX-FILE", where=where, expected=expected, found=str(found)[:120])
