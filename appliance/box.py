"""A box, composed: its state directory opened, and what it can say of itself.

Serving needs only what is imported at the top; what syncing needs is imported when a sync runs.
"""

from __future__ import annotations

import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

from appliance import state
from appliance.config import CONFIG_NAME, BoxConfig, write_config
from catalog.blobs import BlobStore, SpaceReserve
from catalog.clock import Clock, display_time, is_plausible, system_clock, trusted_time
from catalog.errors import ConfigError
from catalog.library import Library
from catalog.local import Local
from catalog.scope import EVERYTHING, Scope
from sync.line.policy_layers import Layer
from webui.accounts import ACCOUNTS, make_password
from webui.operations import DiskSpace
from webui.status import box_status

DIRECTORIES = ("key", "blobs", "staging", "trust", "index", "outbox")
KEY_NAME = "key/box.pem"
# The settings of `local.db` that are shared between the packages.
SUBSCRIPTIONS, SCOPE, SCOPE_GIVEN, BOX_FILE, CLOCK_OFFSET, NEWEST_SIGNED, BOX_ID = (
    "subscriptions",
    "scope",
    "scope_given",
    "box_file",
    "clock_offset",
    "newest_signed",
    "box_id",
)
ALL = "all"
VERSION = version("shuxiang")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBox:
    """What `box init` is told. `subscriptions` None: what the hub assigns, all where it says nothing."""

    hub: str
    name: str | None
    root: bytes | None
    fingerprint: str | None
    subscriptions: tuple[str, ...] | None
    parents: tuple[str, ...] = ()
    scope: Scope = EVERYTHING
    policy: Layer = field(default_factory=dict)


class Box:
    """An open box. Close it; pages of several threads may share it."""

    def __init__(self, directory: Path, config: BoxConfig, clock: Clock = system_clock) -> None:
        self.directory = directory
        self.config = config
        self.clock = clock
        self.library = Library.open(directory / "library.db")
        self.local = Local.open(directory / "local.db")
        self.blobs = BlobStore(directory / "blobs", directory / "staging", self.library.add_blobs)
        self.trust = directory / "trust"
        self.index = directory / "index"
        self.reserve = SpaceReserve(directory / "reserve", config.reserve_bytes)
        if config.scope and self.local.get(SCOPE) is None:
            given = config.scope.to_json()
            self.local.put_all({SCOPE: given, SCOPE_GIVEN: given})

    @classmethod
    def open(cls, directory: Path) -> Box:
        """Open the box at `directory`; raise `ConfigError` where there is none of ours."""
        config = state.open_box(directory)
        reserve = SpaceReserve(directory / "reserve", config.reserve_bytes)
        return state.with_reserve(lambda: cls(directory, config), reserve)

    @classmethod
    def create(cls, directory: Path, new: NewBox) -> Box:
        """Make a new box at `directory`: its key, its trust root, its configuration (written last)."""
        from appliance.identity import create_identity, read_identity
        from sync.roads import check_address
        from sync.trust.pinned import pin_root, read_fingerprint, write_pinned_root

        state.check_new(directory)
        for address in (new.hub, *new.parents):
            check_address(address)
        if new.root is None and new.fingerprint is None:
            raise ConfigError("E-CONFIG", expected="--root | --fingerprint")
        pinned = pin_root(new.root, new.fingerprint) if new.root is not None else None
        fingerprint = pinned.fingerprint if pinned else read_fingerprint(new.fingerprint or "")
        state.create(directory, DIRECTORIES)
        key = directory / KEY_NAME
        # A cut during an earlier try may have left one: it stays.
        box_id = read_identity(key) if key.exists() else create_identity(key)
        if pinned:
            write_pinned_root(directory / "trust", pinned)
        Library.open(directory / "library.db", create=True).close()
        with Local.open(directory / "local.db") as local:
            local.put(BOX_ID, box_id)
            if new.subscriptions is not None:
                local.put(SUBSCRIPTIONS, ALL if new.subscriptions == (ALL,) else list(new.subscriptions))
        name = new.name or f"{socket.gethostname()}-{box_id[:4]}"
        config = BoxConfig(
            name=name,
            hub=new.hub,
            fingerprint=fingerprint,
            parents=new.parents,
            scope=new.scope,
            policy=new.policy,
        )
        write_config(directory / CONFIG_NAME, config)
        return cls.open(directory)

    def close(self) -> None:
        """Close the databases."""
        self.library.close()
        self.local.close()

    def __enter__(self) -> Box:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def first_passwords(self) -> dict[str, str]:
        """Return account -> password of the accounts that had none until now; each is shown only this once."""
        made = {account: make_password(self.local, account) for account in ACCOUNTS}
        return {account: password for account, password in made.items() if password}

    def new_password(self, account: str) -> str:
        """Give the account a new password and return it."""
        if account not in ACCOUNTS:
            raise ConfigError("E-CONFIG", where="account", expected=", ".join(ACCOUNTS), found=account)
        self.local.put(f"password:{account}", None)
        password = make_password(self.local, account)
        assert password is not None
        return password

    @property
    def id(self) -> str:
        """The box's id: 32 hex digits. Kept in `local.db`, so that serving need not load cryptography."""
        found = self.local.get(BOX_ID)
        if found is None:
            from appliance.identity import read_identity

            found = read_identity(self.directory / KEY_NAME)
            self.local.put(BOX_ID, found)
        return str(found)

    @property
    def subscriptions(self) -> frozenset[str] | None:
        """The bundles whose content is kept; None for all. Where the box says nothing the hub does, else it is all."""
        stored = self.local.get(SUBSCRIPTIONS)
        if stored is None:
            stored = self.assigned().get("subscriptions", ALL)
        return None if stored == ALL else frozenset(stored)

    def assigned(self) -> Mapping[str, Any]:
        """Return what the hub assigns to this box: the signed part of its own file, checked when it came."""
        signed: Mapping[str, Any] = (self.local.get(BOX_FILE) or {}).get("signed", {})
        return signed

    @property
    def leaves(self) -> frozenset[str]:
        """What the box leaves to the hub: its subscriptions and its scope, unless they were set here."""
        own_scope = self.local.get(SCOPE) not in (None, self.local.get(SCOPE_GIVEN))
        left = {SUBSCRIPTIONS: self.local.get(SUBSCRIPTIONS) is None, SCOPE: not own_scope}
        return frozenset(name for name, is_left in left.items() if is_left)

    def subscribe(self, bundles: tuple[str, ...] | None) -> frozenset[str] | None:
        """Add `bundles` to the subscription (None: all of them) and return what is subscribed now."""
        if bundles is None:
            self.local.put(SUBSCRIPTIONS, ALL)
            return None
        with self.library.reading() as reader:
            known = {bundle.id for bundle in reader.bundles()}
        for bundle in bundles:
            if known and bundle not in known:
                raise ConfigError("E-BUNDLE", where=bundle, expected=", ".join(sorted(known)))
        stored = self.local.get(SUBSCRIPTIONS, self.assigned().get("subscriptions"))
        before = [] if stored in (None, ALL) else stored
        self.local.put(SUBSCRIPTIONS, sorted({*before, *bundles}))
        return self.subscriptions

    # -- clocks --------------------------------------------------------------------------------------------------

    def newest_signed(self) -> datetime | None:
        """Return the newest signed time that was accepted."""
        stored = self.local.get(NEWEST_SIGNED)
        return datetime.fromisoformat(stored) if stored else None

    def trusted_now(self) -> datetime:
        """Return the time by which signatures are judged."""
        return trusted_time(self.clock(), self.newest_signed())

    def shown_now(self) -> datetime:
        """Return the time on the school's wall: the system's, or what a teacher set; never before what was signed."""
        system = self.clock()
        offset = self.local.get(CLOCK_OFFSET)
        if offset is not None:
            return display_time(system, timedelta(seconds=offset))
        signed = self.newest_signed()
        return display_time(
            system if is_plausible(system, signed) else trusted_time(system, signed), timedelta(0)
        )

    def clock_mark(self) -> str:
        """Return which clock the shown time follows: `display` set here, `trusted`, or `untrusted`."""
        if self.local.get(CLOCK_OFFSET) is not None:
            return "display"
        return "trusted" if is_plausible(self.clock(), self.newest_signed()) else "untrusted"

    # -- what it says of itself ----------------------------------------------------------------------------------

    def disk(self) -> DiskSpace:
        """Return the space of the content disk."""
        found = shutil.disk_usage(self.directory)
        return DiskSpace(
            total_bytes=found.total, free_bytes=found.free, reserve_bytes=self.config.reserve_bytes
        )

    def status(self) -> dict[str, Any]:
        """Return the box's status as `/api/v1/status` and `box status --json` print it (DESIGN 5.5)."""
        return box_status(
            self.library, self.local, box_id=self.id, name=self.config.name, version=VERSION, disk=self.disk()
        )
