"""QEMU's log of writes, read and replayed: nothing flushed is missing, the rest is lost, torn and reordered."""

from __future__ import annotations

from pathlib import Path

import pytest
from outage_harness.blocklog import SECTOR_BYTES, BlockLog, Cut, Survival
from outage_harness.journal import FLUSH, MARK, THROUGH, WRITE, Record
from outage_harness.writelog import DISCARD, ENTRY, FLUSHED, FUA, HEAD, MAGIC, VERSION, apply, read_log

Entry = tuple[int, bytes, int]


def sectors(*values: int) -> bytes:
    return b"".join(bytes([value]) * SECTOR_BYTES for value in values)


def write_log(
    path: Path, entries: list[Entry], *, counted: int | None = None, cut_short: int = 0
) -> list[int]:
    """Write a log as QEMU does; return the byte behind each entry."""
    stored = HEAD.pack(MAGIC, VERSION, len(entries) if counted is None else counted, SECTOR_BYTES)
    stored = stored.ljust(SECTOR_BYTES, b"\0")
    ends = []
    for sector, data, flags in entries:
        stored += ENTRY.pack(sector, len(data) // SECTOR_BYTES, flags, 0).ljust(SECTOR_BYTES, b"\0") + data
        ends.append(len(stored))
    path.write_bytes(stored[: len(stored) - cut_short])
    return ends


def test_it_is_read_behind_what_its_head_counts_and_up_to_what_is_cut_short(tmp_path: Path) -> None:
    log = tmp_path / "log"
    entries = [(8, sectors(1, 2), 0), (0, b"", FLUSHED), (3, sectors(3), FUA), (4, sectors(4, 5), 0)]
    wanted = [
        Record(WRITE, 8 * SECTOR_BYTES, sectors(1, 2)),
        Record(FLUSH, 0, b""),
        Record(THROUGH, 3 * SECTOR_BYTES, sectors(3)),
    ]
    write_log(log, entries, counted=2, cut_short=1)
    assert read_log(log) == wanted
    # What a kill left as a hole is no entry.
    write_log(log, [*entries[:3], (0, b"", 0), entries[0]])
    assert read_log(log) == wanted


def test_marks_stand_behind_what_began_before_them(tmp_path: Path) -> None:
    log = tmp_path / "log"
    ends = write_log(log, [(8, sectors(1), 0), (9, sectors(2), FLUSHED), (1, sectors(3), 0)])
    read = read_log(log, [(ends[0], "first"), (ends[0] + 1, "second"), (ends[2] + 9, "last")])
    assert [record.data.decode() if record.kind == MARK else record.kind for record in read] == [
        WRITE, "first", FLUSH, WRITE, "second", WRITE, "last",
    ]  # fmt: skip


@pytest.mark.parametrize("entry", [(0, sectors(1), DISCARD), None])
def test_discards_and_other_files_are_refused(tmp_path: Path, entry: Entry | None) -> None:
    log = tmp_path / "log"
    if entry:
        write_log(log, [entry])
    else:
        log.write_bytes(sectors(1))
    with pytest.raises(ValueError):
        read_log(log)


def disks(place: Path, survival: Survival, cuts: int) -> set[bytes]:
    """The first six sectors after many cuts at the end of a log: two flushed, one through, two that were not."""
    log = place / "log"
    write_log(
        log, [(0, sectors(1, 2), 0), (0, b"", FLUSHED), (0, sectors(3), 0), (3, sectors(4), FUA), (4, sectors(5, 6), 0)]
    )  # fmt: skip
    blocks = BlockLog(b"", read_log(log), 0, filesystems=())
    found = set()
    for seed in range(cuts):
        disk = place / "disk"
        disk.write_bytes(sectors(9, 9, 9, 9, 9, 9, 9))
        apply(Cut(blocks, len(blocks.records), survival, seed), disk)
        found.add(disk.read_bytes()[::SECTOR_BYTES])
    return found


def test_a_disk_keeps_what_was_flushed_and_any_part_of_the_rest(tmp_path: Path) -> None:
    assert disks(tmp_path, Survival.NOTHING, 1) == {bytes((1, 2, 9, 4, 9, 9, 9))}
    assert disks(tmp_path, Survival.EVERYTHING, 1) == {bytes((3, 2, 9, 4, 5, 6, 9))}
    whole = {bytes((a, 2, 9, 4, *rest, 9)) for a in (1, 3) for rest in ((9, 9), (5, 6))}
    assert disks(tmp_path, Survival.WHOLE, 100) == whole
    torn = {bytes((a, 2, 9, 4, b, c, 9)) for a in (1, 3) for b in (5, 9) for c in (6, 9)}
    assert disks(tmp_path, Survival.TORN, 200) == torn
    # A later write is there, an earlier one is not.
    assert bytes((1, 2, 9, 4, 5, 6, 9)) in disks(tmp_path, Survival.LATEST, 100)


def test_a_part_of_a_disk_may_be_made(tmp_path: Path) -> None:
    log = [Record(WRITE, SECTOR_BYTES, sectors(1, 2)), Record(WRITE, 4 * SECTOR_BYTES, sectors(3))]
    part = tmp_path / "part"
    part.write_bytes(sectors(9, 9, 9))
    apply(Cut(BlockLog(b"", log, 0, ()), 2, Survival.EVERYTHING, 0), part, 2 * SECTOR_BYTES)
    assert part.read_bytes() == sectors(2, 9, 3)


def test_filesystems_on_partitions_have_whole_superblocks(tmp_path: Path) -> None:
    start = 1 << 20
    log = [Record(WRITE, start + 1024, sectors(1, 1))]
    blocks = BlockLog(b"", log, 0, filesystems=(start,))
    found = {
        tuple(content[0] for content in Cut(blocks, 1, Survival.TORN, seed).image().values())
        for seed in range(100)
    }
    assert found == {(), (1, 1)}
