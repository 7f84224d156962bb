"""What may be on a disk after a cut: the rules of `outage_harness.blocklog`, on logs that hypothesis invents."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from outage_harness.blocklog import BLOCK_BYTES, SECTOR_BYTES, BlockLog, Cut, Survival
from outage_harness.journal import FLUSH, MARK, THROUGH, WRITE, Record, decode, encode

SECTORS = 6


def _sector(value: int) -> bytes:
    return bytes([value]) * SECTOR_BYTES


records = st.lists(
    st.one_of(
        st.builds(
            lambda kind, sector, values: Record(kind, sector * SECTOR_BYTES, b"".join(map(_sector, values))),
            st.sampled_from([WRITE, WRITE, WRITE, THROUGH]),
            st.integers(0, SECTORS - 3),
            st.lists(st.integers(1, 255), min_size=1, max_size=3),
        ),
        st.just(Record(FLUSH, 0, b"")),
        st.builds(lambda number: Record(MARK, 0, str(number).encode()), st.integers(0, 99)),
    ),
    max_size=25,
)
BASE = _sector(7) + bytes(SECTOR_BYTES * (SECTORS - 1))


def versions(log: list[Record], sector: int, start: int, end: int) -> list[bytes]:
    """The contents that the writes of `log[start:end]` give to a sector, in order."""
    found = []
    for record in log[start:end]:
        at = sector * SECTOR_BYTES - record.offset
        if record.kind in (WRITE, THROUGH) and 0 <= at < len(record.data):
            found.append(record.data[at : at + SECTOR_BYTES])
    return found


def stored(cut: Cut, sector: int) -> bytes:
    return bytes(cut.image().get(sector, bytes(SECTOR_BYTES)))


@settings(deadline=None)
@given(records, st.integers(0, 1000))
def test_each_sector_holds_its_flushed_content_or_a_later_version(log: list[Record], seed: int) -> None:
    for cut in BlockLog(BASE, log, 0).cuts(12, seed):
        flushed = max((at for at in range(cut.position) if log[at].kind == FLUSH), default=-1)
        for sector in range(SECTORS):
            base = BASE[sector * SECTOR_BYTES :][:SECTOR_BYTES]
            durable = [base, *versions(log, sector, 0, flushed + 1)][-1]
            through = [
                at
                for at in range(flushed + 1, cut.position)
                if log[at].kind == THROUGH and versions(log, sector, at, at + 1)
            ]
            if through:
                [durable] = versions(log, sector, through[-1], through[-1] + 1)
            later = versions(log, sector, [flushed, *through][-1] + 1, cut.position)
            found = stored(cut, sector)
            assert found in (durable, *later)
            if cut.survival is Survival.NOTHING:
                assert found == durable
            if cut.survival is Survival.EVERYTHING:
                assert found == [durable, *later][-1]


@settings(deadline=None)
@given(records, st.integers(0, 1000))
def test_a_cut_knows_what_was_acknowledged_before_it_and_repeats_itself(log: list[Record], seed: int) -> None:
    blocks = BlockLog(BASE, log, 0)
    first, second = blocks.cuts(12, seed), blocks.cuts(12, seed)
    assert first == second
    for cut, again in zip(first, second, strict=True):
        said = [record.data.decode() for record in log[: cut.position] if record.kind == MARK]
        assert list(cut.acknowledged) == said
        assert cut.image() == again.image()


@settings(deadline=None)
@given(records)
def test_a_log_reads_back_as_it_was_written(log: list[Record]) -> None:
    assert list(decode(b"".join(encode(it.kind, it.offset, it.data) for it in log))) == log


def contents(log: list[Record]) -> set[tuple[int, ...]]:
    """The first bytes of the three sectors of block 1, after many cuts at the end of `log`."""
    blocks = BlockLog(bytes(2 * BLOCK_BYTES), log, 0)
    first = BLOCK_BYTES // SECTOR_BYTES
    return {
        tuple(stored(cut, sector)[0] for sector in range(first, first + 3))
        for survival in Survival
        for cut in (Cut(blocks, len(log), survival, seed) for seed in range(200))
    }


def test_unflushed_writes_are_lost_torn_and_reordered() -> None:
    log = [
        Record(WRITE, BLOCK_BYTES, _sector(1) + _sector(1)),
        Record(FLUSH, 0, b""),
        Record(WRITE, BLOCK_BYTES, _sector(2) + _sector(2)),
        Record(WRITE, BLOCK_BYTES + 2 * SECTOR_BYTES, _sector(3)),
    ]
    assert contents(log) == {(a, b, c) for a in (1, 2) for b in (1, 2) for c in (0, 3)}


def test_the_superblock_of_a_journal_is_lost_but_not_torn() -> None:
    magic = bytes.fromhex("c03b399800000004").ljust(SECTOR_BYTES, b"\0")
    log = [Record(WRITE, BLOCK_BYTES, magic + _sector(2) + _sector(2))]
    assert contents(log) == {(0, 0, 0), (magic[0], 2, 2)}
