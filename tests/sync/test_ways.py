"""A haul carried out over a real line: patches and packs used, failing ways replaced, the bytes adding up."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from builders import Store, sha256
from hostile import HostileHub, Misbehaviour
from swarms import HERE, seeder, settings

from catalog.blobs import Blob
from catalog.errors import ConfigError
from catalog.fit import Want, fit
from catalog.progress import Progress
from catalog.resource import File
from sync import tree
from sync.formats.torrentfile import make_torrent, read_torrent
from sync.formats.transport import Offers, Pack, Patch, Torrent, transport_blob
from sync.parcels import packs, patches
from sync.parcels.packs import Packable
from sync.roads import RoadSettings
from sync.roads.collecting import Part
from sync.roads.road import Missed
from sync.roads.staging import Staging
from sync.roads.torrent import Swarm
from sync.updating.carry import Carrier
from sync.updating.loads import Held, Roads
from sync.updating.neighbours import Company, Neighbours
from sync.updating.plan import Haul, plan_content
from sync.updating.ways import Delivery

MIB = 1 << 20
QUICK = RoadSettings(timeout_seconds=3, retry_pause_seconds=0.02)


class Publisher:
    """A folder of blobs as a tree has them, and the ways that are made of them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.work = root / "work"
        self.work.mkdir(parents=True)
        self.noise = random.Random(5)

    def put(self, data: bytes) -> str:
        """Publish a blob; return its hash."""
        place = self.root / tree.blob_path(sha256(data))
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        return sha256(data)

    def path(self, name: str) -> Path:
        return self.root / tree.blob_path(name)

    def blob(self, name: str) -> Blob:
        return Blob(sha256=name, size_bytes=self.path(name).stat().st_size)

    def edited(self, size_bytes: int) -> tuple[bytes, bytes]:
        """Return an older and a newer edition of a file."""
        old = self.noise.randbytes(size_bytes)
        return old, old[: size_bytes // 2] + b"an edit" + old[size_bytes // 2 :]

    def patch(self, old: bytes, new: bytes) -> Patch:
        source, target = self.put(old), self.put(new)
        made = patches.make(
            self.blob(source), self.path(source), self.blob(target), self.path(target), self.work, release=1
        )
        assert made is not None
        self.put(made.path.read_bytes())
        return made.patch

    def pack(self, *names: str) -> Pack:
        members = [Packable(blob=self.blob(name), path=self.path(name)) for name in names]
        (made,) = packs.make(members, self.work, release=1)
        self.put(made.path.read_bytes())
        return made.pack

    def torrent(self, name: str) -> Torrent:
        made = make_torrent(self.path(name), name)
        file = transport_blob(self.put(made.data), len(made.data))
        return Torrent(
            blob=name, size_bytes=made.size_bytes, piece_length=made.piece_length, pieces_root=made.pieces_root,
            v1=made.v1, v2=made.v2, file=file,
        )  # fmt: skip


class Receiver:
    """The receiving half of a box: a store, its staging, and deliveries over HTTP."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.told: list[Progress] = []
        self.neighbours: Neighbours | None = None

    def haul(self, publisher: Publisher, names: Sequence[str], offers: Offers, staging: Staging) -> Haul:
        wants = [
            Want(
                number=number,
                rank=(4, 0.0),
                files=(
                    File(
                        role="play", name="f", media_type="x/y", sha256=name,
                        size_bytes=publisher.blob(name).size_bytes,
                    ),
                ),
            )
            for number, name in enumerate(names)
        ]  # fmt: skip
        begun = staging.begun()
        with self.store.library.reading() as reader:
            held = Held(
                has=reader.has,
                has_torrent=lambda name: reader.torrent(name) is not None,
                staged_bytes=lambda name: begun.get(name, 0),
            )
            roads = Roads(swarm=self.neighbours is not None)
            return plan_content(wants, fit(wants, 1 << 60), held, offers, roads)

    @contextmanager
    def delivery(self, *addresses: str) -> Iterator[tuple[Delivery, Staging, Carrier]]:
        with Staging(self.store.blobs.staging) as staging:
            carrier = Carrier(addresses, staging, QUICK, None, hints=False)
            try:
                company = Company(self.neighbours, self.store.library)
                delivery = Delivery(
                    carrier, staging, self.store.library, self.store.blobs, self.told.append, company
                )
                try:
                    yield delivery, staging, carrier
                finally:
                    delivery.close()
            finally:
                carrier.close()

    def bring(self, publisher: Publisher, address: str, names: Sequence[str], offers: Offers) -> Brought:
        with self.delivery(address) as (delivery, staging, carrier):
            delivery.admit_here({name: publisher.blob(name).size_bytes for name in names})
            carrier.sources[0].road()
            haul = self.haul(publisher, names, offers, staging)
            missed = delivery.run(haul)
        return Brought(delivery, haul, missed, sum(carrier.received().values()))

    def holds(self, names: Sequence[str]) -> bool:
        for name in names:
            path = self.store.blobs.path(name)
            with self.store.library.reading() as reader:
                if not reader.has(name) or sha256(path.read_bytes()) != name:
                    return False
        return True

    def left(self) -> list[str]:
        return [path.name for path in self.store.blobs.staging.iterdir() if not path.name.startswith(".")]


class Brought:
    def __init__(self, delivery: Delivery, haul: Haul, missed: list[Missed], received: int) -> None:
        self.ways = dict(delivery.arrivals.bytes_by)
        self.saved = dict(delivery.arrivals.saved)
        self.codes = [one.code for one in delivery.arrivals.warnings]
        self.blobs = delivery.arrivals.blobs
        self.haul = haul
        self.missed = missed
        self.received = received
        self.by_swarm = delivery.received()


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    return Publisher(tmp_path / "tree")


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with Store(tmp_path / "box") as store:
        yield Receiver(store)


@pytest.fixture
def hub(publisher: Publisher) -> Iterator[HostileHub]:
    with HostileHub(publisher.root) as hub:
        (publisher.root / tree.TIMESTAMP).parent.mkdir()
        (publisher.root / tree.TIMESTAMP).write_bytes(b"{}")
        yield hub


class Week:
    """An edited file, small new files in a pack with its patch, and a film with a torrent."""

    def __init__(self, publisher: Publisher, receiver: Receiver) -> None:
        old, new = publisher.edited(300_000)
        receiver.store.add(old)
        self.patch = publisher.patch(old, new)
        self.new = sha256(new)
        self.small = [publisher.put(publisher.noise.randbytes(2000 + n)) for n in range(6)]
        self.film = publisher.put(publisher.noise.randbytes(5 * MIB))
        self.torrent = publisher.torrent(self.film)
        self.pack = publisher.pack(*self.small, self.patch.file.sha256, self.torrent.file.sha256)
        self.names = [self.new, *self.small, self.film]
        self.offers = Offers(
            packs=(self.pack,), patches={self.new: (self.patch,)}, torrents={self.film: self.torrent}
        )
        self.sizes = {name: publisher.blob(name).size_bytes for name in self.names}


@pytest.fixture
def week(publisher: Publisher, receiver: Receiver) -> Week:
    return Week(publisher, receiver)


def test_a_week_comes_in_one_pack_and_one_film(
    publisher: Publisher, receiver: Receiver, hub: HostileHub, week: Week
) -> None:
    brought = receiver.bring(publisher, hub.address, week.names, week.offers)
    assert not brought.missed and not brought.codes and receiver.holds(week.names)
    assert brought.ways == {
        "patch": week.sizes[week.new],
        "pack": sum(week.sizes[name] for name in week.small),
        "whole": 5 * MIB,
    }
    assert sum(brought.ways.values()) == sum(week.sizes.values()) and brought.blobs == 8
    assert brought.saved["patch"] == week.sizes[week.new] - week.patch.file.size_bytes
    # What the line carried is what the plan said, and nothing of it stays behind.
    carried = week.pack.file.size_bytes + 5 * MIB
    assert hub.sent("blobs/") == carried == brought.haul.line_bytes
    assert len([path for path, _ in hub.requests if path.startswith("blobs/")]) == 2
    assert receiver.left() == []
    with receiver.store.library.reading() as reader:
        assert reader.torrent(week.film) is not None
    last = receiver.told[-1]
    assert (last.done, last.total, last.done_bytes, last.road) == (8, 8, carried, "http")
    again = receiver.bring(publisher, hub.address, week.names, week.offers)
    assert again.haul.steps == () and hub.sent("blobs/") == carried


@pytest.mark.parametrize("wrong", ["missing", "bytes", "short"])
def test_a_pack_that_fails_is_replaced_by_its_files_in_the_same_run(
    publisher: Publisher, receiver: Receiver, hub: HostileHub, week: Week, wrong: str
) -> None:
    name = week.pack.file.sha256
    hub.wrong = [
        {
            "missing": Misbehaviour(name, status=404),
            "bytes": Misbehaviour(name, swap=b"no"),
            "short": Misbehaviour(name, lie_length=-5),
        }[wrong]
    ]
    brought = receiver.bring(publisher, hub.address, week.names, week.offers)
    assert not brought.missed and receiver.holds(week.names)
    assert set(brought.ways) == {"patch", "whole"}
    # What there is of the pack stays until the end of the run: another source may still have the rest.
    assert set(receiver.left()) <= {name}


def test_a_patch_that_fails_is_replaced_by_the_whole(
    publisher: Publisher, receiver: Receiver, hub: HostileHub, week: Week
) -> None:
    rotten = publisher.put(b"not a patch at all")
    broken = Patch(
        source=week.patch.source, target=week.new, target_bytes=week.sizes[week.new], method=week.patch.method,
        file=transport_blob(rotten, 18), release=1,
    )  # fmt: skip
    brought = receiver.bring(publisher, hub.address, [week.new], Offers(patches={week.new: (broken,)}))
    assert not brought.missed and receiver.holds([week.new])
    assert brought.ways == {"whole": week.sizes[week.new]} and brought.codes == ["E-PATCH"]
    assert "patch" not in brought.saved and receiver.left() == []


def test_a_patch_whose_source_is_damaged_here_is_replaced_by_the_whole(
    publisher: Publisher, receiver: Receiver, hub: HostileHub, week: Week
) -> None:
    source = receiver.store.blobs.path(week.patch.source)
    source.chmod(0o644)
    with source.open("r+b") as stream:
        stream.seek(1000)
        stream.write(b"rot")
    brought = receiver.bring(publisher, hub.address, week.names, week.offers)
    assert not brought.missed and receiver.holds(week.names)
    assert brought.codes == ["E-PATCH"] and brought.ways["whole"] == 5 * MIB + week.sizes[week.new]


def test_a_pack_of_wrong_files_shows_none_of_them(
    publisher: Publisher, receiver: Receiver, hub: HostileHub, week: Week
) -> None:
    # The pack has the hash that its line names; what is in it is not what its line says.
    data = bytearray(publisher.path(week.pack.file.sha256).read_bytes())
    data[100] ^= 1
    lying = Pack(
        file=transport_blob(publisher.put(bytes(data)), len(data)), members=week.pack.members, release=1
    )
    offers = Offers(packs=(lying,), patches=week.offers.patches, torrents=week.offers.torrents)
    brought = receiver.bring(publisher, hub.address, week.names, offers)
    assert not brought.missed and receiver.holds(week.names) and brought.codes == ["E-HASH"]
    assert brought.ways["whole"] == 5 * MIB + week.sizes[week.small[0]]


def test_a_torrent_file_of_something_else_costs_nothing_but_itself(
    publisher: Publisher, receiver: Receiver, hub: HostileHub, week: Week
) -> None:
    other = Torrent(
        blob=week.film, size_bytes=5 * MIB, piece_length=1 << 18, pieces_root="0" * 64, v1="0" * 40, v2="0" * 64,
        file=transport_blob(publisher.put(b"d4:infoe"), 8),
    )  # fmt: skip
    brought = receiver.bring(publisher, hub.address, [week.film], Offers(torrents={week.film: other}))
    assert not brought.missed and receiver.holds([week.film]) and brought.codes == ["E-TORRENT"]
    hub.wrong = [Misbehaviour(week.torrent.file.sha256, status=404)]
    small = receiver.bring(publisher, hub.address, week.small[:1], Offers())
    assert not small.missed and not small.codes


def test_what_no_way_brings_is_told_and_the_rest_comes(
    publisher: Publisher, receiver: Receiver, hub: HostileHub, week: Week
) -> None:
    hub.wrong = [
        Misbehaviour(name, status=404)
        for name in (week.small[2], week.pack.file.sha256, week.patch.file.sha256, week.new)
    ]
    brought = receiver.bring(publisher, hub.address, week.names, week.offers)
    assert {one.file.sha256 for one in brought.missed} == {week.small[2], week.new}
    assert {one.error.code for one in brought.missed} == {"E-ROAD-MISSING"}
    rest = [name for name in week.names if name not in (week.small[2], week.new)]
    assert receiver.holds(rest)


def test_what_an_interrupted_run_left_is_used(
    publisher: Publisher, receiver: Receiver, hub: HostileHub, week: Week
) -> None:
    staging = receiver.store.blobs.staging
    Staging(staging).close()
    pack = publisher.path(week.pack.file.sha256).read_bytes()
    # A pack that broke off, and a film of which nearly all had come.
    (staging / week.pack.file.sha256).write_bytes(pack[:9000])
    film = publisher.path(week.film).read_bytes()
    (staging / week.film).write_bytes(film[: 4 * MIB])
    brought = receiver.bring(publisher, hub.address, week.names, week.offers)
    assert not brought.missed and receiver.holds(week.names)
    assert hub.sent("blobs/") == len(pack) - 9000 + MIB == brought.haul.line_bytes
    assert brought.haul.begun_bytes == 4 * MIB


def test_a_whole_pack_in_staging_is_used_however_little_is_still_wanted(
    publisher: Publisher, receiver: Receiver, hub: HostileHub, week: Week
) -> None:
    staging = receiver.store.blobs.staging
    Staging(staging).close()
    (staging / week.pack.file.sha256).write_bytes(publisher.path(week.pack.file.sha256).read_bytes())
    (staging / week.small[0]).write_bytes(publisher.path(week.small[0]).read_bytes())
    brought = receiver.bring(publisher, hub.address, week.small[:2], week.offers)
    assert receiver.holds(week.small[:2]) and hub.sent("blobs/") == 0
    assert brought.ways == {"here": week.sizes[week.small[0]], "pack": week.sizes[week.small[1]]}


@contextmanager
def neighbour(publisher: Publisher, *torrents: Torrent) -> Iterator[Neighbours]:
    """Give a neighbour who shares these, and what a run needs to meet it."""
    with seeder() as other:
        for one in torrents:
            other.seed(read_torrent(publisher.path(one.file.sha256).read_bytes()), publisher.path(one.blob))
        yield Neighbours(open=lambda: Swarm(settings()), meet=lambda _: Part(peers=[(HERE, other.port)]))


def test_a_neighbour_gives_what_is_big(
    publisher: Publisher, receiver: Receiver, hub: HostileHub, week: Week
) -> None:
    # The hub has all but the film; the neighbour has the film alone.
    hub.wrong = [Misbehaviour(week.film, status=404)]
    with neighbour(publisher, week.torrent) as receiver.neighbours:
        brought = receiver.bring(publisher, hub.address, week.names, week.offers)
    assert not brought.missed and receiver.holds(week.names) and not brought.codes
    assert brought.by_swarm["lan"] >= 5 * MIB and brought.saved["lan"] == brought.by_swarm["lan"]
    assert hub.sent(week.film) == 0 and brought.ways["whole"] == 5 * MIB
    assert {progress.road for progress in receiver.told} >= {"http", "swarm"}
    assert receiver.left() == []


def test_a_swarm_without_anybody_leaves_the_rest_to_the_roads(
    publisher: Publisher, receiver: Receiver, hub: HostileHub, week: Week
) -> None:
    receiver.neighbours = Neighbours(open=lambda: Swarm(settings()), meet=lambda _: Part())
    hub.wrong = [Misbehaviour(rf"{week.film}", status=503, times=3)]
    brought = receiver.bring(publisher, hub.address, week.names, week.offers)
    assert not brought.missed and receiver.holds(week.names)
    assert sum(brought.ways.values()) == sum(week.sizes.values())


def test_a_box_that_can_not_join_a_swarm_goes_without_and_says_so(
    publisher: Publisher, receiver: Receiver, hub: HostileHub, week: Week
) -> None:
    def no_library() -> Swarm:
        raise ConfigError("E-TOOL", found="libtorrent")

    receiver.neighbours = Neighbours(open=no_library, meet=lambda _: Part())
    brought = receiver.bring(publisher, hub.address, week.names, week.offers)
    assert not brought.missed and receiver.holds(week.names) and brought.codes == ["E-TOOL"]
    assert brought.ways["whole"] == 5 * MIB and not brought.by_swarm


def test_a_big_pack_comes_from_a_neighbour_and_is_shared_on_until_the_run_ends(
    publisher: Publisher, receiver: Receiver, hub: HostileHub
) -> None:
    names = [publisher.put(publisher.noise.randbytes(900_000 + n)) for n in range(6)]
    pack = publisher.pack(*names)
    torrent = publisher.torrent(pack.file.sha256)
    offers = Offers(packs=(pack,), torrents={pack.file.sha256: torrent})
    hub.wrong = [Misbehaviour(name, status=404) for name in (*names, pack.file.sha256)]
    with neighbour(publisher, torrent) as receiver.neighbours:
        brought = receiver.bring(publisher, hub.address, names, offers)
    assert not brought.missed and receiver.holds(names) and receiver.left() == []
    assert brought.ways == {"pack": pack.file.size_bytes} and brought.by_swarm["lan"] >= pack.file.size_bytes


def test_what_a_pack_of_the_swarm_tells_is_asked_of_the_swarm_too(
    publisher: Publisher, receiver: Receiver, hub: HostileHub
) -> None:
    names = [publisher.put(publisher.noise.randbytes(900_000 + n)) for n in range(6)]
    film = publisher.put(publisher.noise.randbytes(5 * MIB))
    of_film = publisher.torrent(film)
    pack = publisher.pack(*names, of_film.file.sha256)
    of_pack = publisher.torrent(pack.file.sha256)
    offers = Offers(packs=(pack,), torrents={pack.file.sha256: of_pack, film: of_film})
    # Only the neighbour has the pack and the film; the film's torrent lies in the pack.
    hub.wrong = [Misbehaviour(name, status=404) for name in (*names, film, pack.file.sha256)]
    with neighbour(publisher, of_pack, of_film) as receiver.neighbours:
        brought = receiver.bring(publisher, hub.address, [*names, film], offers)
    assert not brought.missed and receiver.holds([*names, film]) and receiver.left() == []
    assert hub.sent(film) == 0 and brought.by_swarm["lan"] > 0
