"""Power cuts while a swarm brings files: nothing wrong is visible, nothing admitted is gone, and little is sent again.

Real libtorrent on both ends; the one that fetches writes to the disk of the bench. What a cut may cost is 1 MiB that was
not flushed, and a piece.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from builders import Store
from outage_harness import Acknowledge, Outage
from outage_harness.blocklog import BlockLog, Cut
from swarms import HERE, MIB, NOWHERE, Shared, seeder, settings, shared

from catalog.blobs import Blob, Staged, hash_file
from sync.formats.release import TreeFile
from sync.line.rate import Governor
from sync.roads.road import staged_file
from sync.roads.staging import Staging
from sync.roads.torrent import Swarm

SIZES = (4 * MIB, 4 * MIB + 70_001)
# Both are under way at once. The swarm goes on while the disk flushes, so a faster line loses more to a cut.
LINE_BYTES_PER_SECOND = 1 * MIB
LATE_SECONDS = 1.5
ADMITTED, CAME = "admitted", "came"


@dataclass(frozen=True)
class Source:
    """Who has all the blobs: over a line to the box that is cut, at once to the one that starts again."""

    blobs: list[Shared]
    line_port: int
    near_port: int

    @property
    def size_bytes(self) -> int:
        return sum(blob.file.size_bytes for blob in self.blobs)

    @property
    def piece_bytes(self) -> int:
        return max(blob.torrent.piece_length for blob in self.blobs)

    def fetch(self, root: Path, acknowledge: Acknowledge, *, over_the_line: bool, boot: str) -> int:
        """Bring what the box in `root` lacks through its one door; return the bytes that came."""
        came = 0
        # The cap is kept where the bytes arrive, tenth by tenth of a second; who sends gives them in larger bursts.
        line = Governor(LINE_BYTES_PER_SECOND, lan=lambda _: False)
        changes = {"networks": NOWHERE, "education_line": True, "governor": line} if over_the_line else {}
        with (
            Store(root) as store,
            Staging(root / "staging", boot=boot) as staging,
            Swarm(settings(stall_seconds=60.0, **changes)) as swarm,
        ):
            with store.library.reading() as reader:
                wanted = [blob for blob in self.blobs if not reader.has(blob.file.sha256)]
            # As a run does: what was cut at the door lies whole in the store without its row, or in staging.
            here = [item for blob in wanted if (item := left(store, staging, blob.file)) is not None]
            refused = {item.staged.blob.sha256 for item in store.blobs.admit(here)}
            admitted = {item.blob.sha256 for item in here} - refused
            staging.settle(admitted)
            wanted = [blob for blob in wanted if blob.file.sha256 not in admitted]

            def done(batch: list[Staged]) -> None:
                assert not store.blobs.admit(batch)
                staging.settle(item.blob.sha256 for item in batch)
                for item in batch:
                    acknowledge(f"{ADMITTED} {item.blob.sha256}")

            def progress(count: int) -> None:
                nonlocal came
                came += count
                acknowledge(f"{CAME} {came} {time.monotonic()}")

            peers = [(HERE, self.line_port if over_the_line else self.near_port)]
            assert not swarm.fetch([blob.wanted for blob in wanted], staging, done, progress, peers=peers)
            return swarm.received.total()


def left(store: Store, staging: Staging, file: TreeFile) -> Staged | None:
    stray = store.blobs.path(file.sha256)
    if stray.exists():
        return Staged(path=stray, blob=Blob(sha256=file.sha256, size_bytes=file.size_bytes))
    whole = staging.length(file) == file.size_bytes and staging.complete(file)
    return staged_file(file, staging) if whole else None


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Source]:
    root = tmp_path_factory.mktemp("source")
    blobs = [shared(root, size, seed) for seed, size in enumerate(SIZES)]
    with seeder(*blobs, networks=NOWHERE, education_line=True) as far, seeder(*blobs) as near:
        yield Source(blobs, far.port, near.port)


def record(outage: Outage, source: Source, seed: int = 0) -> BlockLog:
    def workload(root: Path, acknowledge: Acknowledge) -> None:
        source.fetch(root, acknowledge, over_the_line=True, boot="before the cut")

    return outage.record(workload, seed=seed)


def visible(root: Path, source: Source) -> set[str]:
    """Return the visible blobs; each has its hash, and so has every file that bears a blob's name."""
    sizes = {blob.file.sha256: blob.file.size_bytes for blob in source.blobs}
    with Store(root) as store, store.library.reading() as reader:
        found = list(reader.blobs())
        assert all(blob == Blob(sha256=blob.sha256, size_bytes=sizes[blob.sha256]) for blob in found)
        for path in (*store.blobs.files(), *(store.blobs.path(blob.sha256) for blob in found)):
            assert hash_file(path) == path.name
        return {blob.sha256 for blob in found}


def told_before(cut: Cut) -> tuple[int, float]:
    """Return how many bytes are known to have come before the cut, and the seconds between the last two tellings."""
    told = [(0, 0.0)]
    for kind, value, *at in map(str.split, cut.acknowledged):
        if kind == CAME:
            told.append((int(value), float(at[0])))
    return told[-1][0], told[-1][1] - told[-2][1] if len(told) > 2 else 0.0


def check(root: Path, source: Source, cut: Cut) -> int:
    """Return how many bytes came again after the cut."""
    admitted = {line.split()[1] for line in cut.acknowledged if line.startswith(ADMITTED)}
    came, seconds = told_before(cut)
    assert admitted <= visible(root, source)
    again = source.fetch(root, lambda _: None, over_the_line=False, boot="after the cut")
    assert visible(root, source) == {blob.file.sha256 for blob in source.blobs}
    twice = again - (source.size_bytes - came)
    # What came while this machine did other work for seconds is lost too, and nobody's fault.
    late_bytes = LINE_BYTES_PER_SECOND * seconds if seconds > LATE_SECONDS else 0
    assert twice <= MIB + source.piece_bytes + late_bytes
    return twice


def check_all(outage: Outage, source: Source, cuts: list[Cut]) -> None:
    twice = []
    for cut in cuts:
        with outage.mounted(cut) as root:
            twice.append(check(root, source, cut))
    print(f"sent again: {sorted(twice)}")


def test_a_cut_while_a_swarm_fetches_costs_a_mib_and_a_piece(outage: Outage, source: Source) -> None:
    log = record(outage, source)
    check_all(outage, source, log.cuts(25, seed=91))


@pytest.mark.slow
def test_a_swarm_survives_two_hundred_cuts(outage: Outage, source: Source) -> None:
    for seed in range(2):
        log = record(outage, source, seed)
        check_all(outage, source, log.cuts(100, seed))
