"""A hub, composed: its state directory opened, ingest and publish under its lock, and what the staff pages ask for."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appliance import state
from appliance.config import CONFIG_NAME, HubConfig, write_config
from catalog.blobs import BlobStore, SpaceReserve
from catalog.clock import Clock, system_clock
from catalog.collect import collect_unused
from catalog.errors import ConfigError, ContentError
from catalog.library import Library
from catalog.local import Local
from catalog.manifest import Bundle, is_bundle_id
from catalog.progress import OnProgress, both, silent
from sync import boxfile, tree
from sync.publishing.publish import Preview, PublishResult, preview, publish, write_roads
from sync.trust.heads import current_head, heads
from sync.trust.identity import HubIdentity, fingerprint_of, initialise, made_before
from sync.trust.keys import load_keys
from sync.trust.signing import renew, signing_time
from webui.hub.accounts import FIRST_USER, new_password, set_password

if TYPE_CHECKING:
    from catalog.ingest.session import IngestSession

DIRECTORIES = ("keys", "blobs", "staging", "public", "recovery", "uploads")
MAIN = "main"
MAIN_TITLE = "全部资源"
SECRET = "page_secret"
OWN_ROADS = "own_roads"
RESERVE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class NewHub:
    """A hub that was just made: what goes on the printed sheet, and the first login, shown once."""

    identity: HubIdentity
    user: str
    password: str


class Hub:
    """An open hub. Close it; pages of several threads may share it."""

    def __init__(self, directory: Path, config: HubConfig, clock: Clock = system_clock) -> None:
        self.directory = directory
        self.config = config
        self.clock = clock
        self.library = Library.open(directory / "library.db")
        self.local = Local.open(directory / "local.db")
        self.blobs = BlobStore(directory / "blobs", directory / "staging", self.library.add_blobs)
        self.public = directory / "public"
        self.reserve = SpaceReserve(directory / "reserve", RESERVE_BYTES)

    @classmethod
    def open(cls, directory: Path) -> Hub:
        """Open the hub at `directory`; raise `ConfigError` where there is none of ours."""
        config = state.open_hub(directory)
        reserve = SpaceReserve(directory / "reserve", RESERVE_BYTES)
        return state.with_reserve(lambda: cls(directory, config), reserve)

    @classmethod
    def create(
        cls, directory: Path, name: str, clock: Clock = system_clock, *, password: str = ""
    ) -> tuple[Hub, NewHub]:
        """Make a new hub at `directory`: its databases, first login, keys, and its configuration, written last.

        Goes on where a cut left it: keys that are there stay. `password` is the first login's; else it is made.
        """
        state.create(directory, DIRECTORIES)
        Library.open(directory / "library.db", create=True).close()
        password = password or new_password()
        with Local.open(directory / "local.db") as local:
            set_password(local, FIRST_USER, password)
        identity = made_before(directory, name=name) or initialise(directory, name=name, now=clock())
        write_config(directory / CONFIG_NAME, HubConfig(name=name))
        return cls.open(directory), NewHub(identity=identity, user=FIRST_USER, password=password)

    def close(self) -> None:
        """Close the databases."""
        self.library.close()
        self.local.close()

    def __enter__(self) -> Hub:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def id(self) -> str:
        """The hub's id on the network: the start of its trust root's fingerprint."""
        return self.fingerprint[:32]

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the trust root that boxes are given."""
        return fingerprint_of(self.directory)

    def new_password(self, user: str) -> str:
        """Give the user of the staff pages a new password, end the user's sessions, and return it."""
        made = new_password()
        set_password(self.local, user, made)
        return made

    def secret(self) -> bytes:
        """Return the secret that keys form tokens and sessions; made on first use."""
        found = self.local.get(SECRET)
        if found is None:
            found = secrets.token_hex(32)
            self.local.put(SECRET, found)
        return bytes.fromhex(found)

    # -- bundles -------------------------------------------------------------------------------------------------

    def create_bundle(self, bundle_id: str, title: str) -> None:
        """Add an empty bundle; raise `ConfigError` where the id is not one or is taken."""
        if not is_bundle_id(bundle_id):
            raise ConfigError("E-CONFIG", where="bundle", expected="0-9a-z._-", found=bundle_id)
        with self.library.reading() as reader:
            if any(bundle.id == bundle_id for bundle in reader.bundles()):
                raise ConfigError("E-BUNDLE-EXISTS", where=bundle_id)
        with self.library.writing() as writer:
            writer.put_bundle(Bundle(id=bundle_id, version=0, title=title, publisher=self.config.name))

    def need_bundle(self, bundle_id: str) -> None:
        """Make the bundle where it is not there yet."""
        with self.library.reading() as reader:
            if any(bundle.id == bundle_id for bundle in reader.bundles()):
                return
        self.create_bundle(bundle_id, MAIN_TITLE if bundle_id == MAIN else bundle_id)

    def change_members(self, bundle_id: str, resource_ids: tuple[str, ...], *, add: bool) -> int:
        """List resources in a bundle or take them off; return how many changed. Unknown ids are refused."""
        with self.library.reading() as reader:
            if not any(bundle.id == bundle_id for bundle in reader.bundles()):
                raise ConfigError("E-BUNDLE", where=bundle_id)
            numbers = reader.numbers_of(resource_ids)
        for resource_id in resource_ids:
            if resource_id not in numbers:
                raise ContentError("E-RESOURCE", where=resource_id)
        with self.library.writing() as writer:
            if add:
                return sum(writer.add_member(bundle_id, number) for number in numbers.values())
            return writer.delist(bundle_id, resource_ids)

    # -- ingest and publish --------------------------------------------------------------------------------------

    @contextmanager
    def ingesting(
        self,
        source: Path,
        *,
        bundle: str = MAIN,
        sheet: Path | None = None,
        licence: str | None = None,
        work: Path | None = None,
        source_name: str | None = None,
        progress: OnProgress = silent,
        dry_run: bool = False,
    ) -> Iterator[IngestSession]:
        """Hold the hub for one batch and give its session."""
        # Whoever writes a stick has no use for what reads lists and pictures: a third of a second.
        from catalog.ingest.session import IngestSession

        with state.locked(self.directory, "ingest") as hold:
            if not dry_run:
                self.need_bundle(bundle)
            with IngestSession(
                self.library,
                self.blobs,
                source,
                sheet=sheet,
                bundle=bundle,
                licence=licence or self.config.licence,
                default_state="review" if self.config.review == "required" else "published",
                work=work or self.directory / "staging" / "ingest",
                progress=both(progress, hold.show),
                source_name=source_name,
            ) as session:
                yield session

    def publish(self, progress: OnProgress = silent) -> PublishResult:
        """Sign and publish the library as it is."""
        keys = load_keys(self.directory / "keys")
        with state.locked(self.directory, "publish") as hold:
            result = publish(
                self.library,
                self.blobs,
                self.directory,
                keys,
                publisher=self.config.name,
                now=self.clock(),
                roads=self.roads(),
                progress=both(progress, hold.show),
            )
            # What a new edition of a lesson replaced stays only as long as a kept release names it.
            collect_unused(self.library, self.blobs)
            self.reserve.hold()
            return result

    def renew(self) -> None:
        """Sign the timestamp anew where it is older than a day, and the boxes' own files where they grow old."""
        if not (self.public / tree.TIMESTAMP).exists():
            # Nothing is published yet.
            return
        with state.locked(self.directory, "renew"):
            keys = load_keys(self.directory / "keys")
            renew(self.public, keys, self.clock())
            boxfile.renew_all(self.public, keys, self._signing_time(), self.local)

    def assign(self, box_id: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Sign what the box `box_id` is assigned into its own file and return it; what `settings` do not name stays.

        `settings`: `subscriptions`, `scope`, `policy` of `sync.boxfile.Assignment`. Raises `ConfigError` E-BUNDLE for
        a bundle that there is not, E-CLOCK.
        """
        with self.library.reading() as reader:
            known = {bundle.id for bundle in reader.bundles()}
        for bundle in settings.get("subscriptions") or ():
            if bundle not in known | {boxfile.ALL}:
                raise ConfigError("E-BUNDLE", where=bundle, expected=", ".join(sorted(known)))
        with state.locked(self.directory, "assign"):
            keys = load_keys(self.directory / "keys")
            made = boxfile.new_assignment(
                self.public, box_id, self._signing_time(), keys, settings, self.local
            )
            boxfile.assign(self.public, keys, made, self.local)
            return made.to_json()

    def _signing_time(self) -> datetime:
        head = current_head(self.public) if (self.public / tree.TIMESTAMP).exists() else None
        return signing_time(self.clock(), head)

    def preview(self) -> Preview:
        """Return what publishing now would do."""
        keys = load_keys(self.directory / "keys")
        return preview(self.library, self.directory, publisher=self.config.name, keys=keys, now=self.clock())

    def roads(self) -> tuple[str, ...]:
        """Return the other roads to hint at: those of the configuration, and the daemon's while it runs."""
        return (*self.config.roads, *self.local.get(OWN_ROADS, []))

    def announce_roads(self, own: tuple[str, ...]) -> None:
        """Say which roads of its own the hub serves now."""
        self.local.put(OWN_ROADS, list(own))
        if (self.public / tree.TIMESTAMP).exists():
            write_roads(self.public, self.roads())

    # -- what it says of itself ----------------------------------------------------------------------------------

    def release_dates(self) -> list[tuple[int, datetime]]:
        """Return number and date of the releases that the tree keeps, newest first."""
        return [(head.release.number, head.release.date) for head in heads(self.public)]
