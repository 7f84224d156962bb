"""The disk of an image: an MBR with boot (FAT), two systems and data, written into a sparse file without mounting.

Layout, the same on every board:

    1  boot      FAT32, label SHUXIANG     the only one that Windows shows: shuxiang.toml, the loader
    2  system A  ext4, label sx-system-a   read-only root
    3  system B  empty, as large as A      for updates
    4  data      ext4, label sx-data       last, since it grows to the end of the disk

Invariant: the same trees with the same times, layout and date give the same bytes.
"""

from __future__ import annotations

import hashlib
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from catalog import durable
from images.commands import run

SECTOR_BYTES = 512
MIB = 1 << 20
BOOT, SYSTEM_A, SYSTEM_B, DATA = "SHUXIANG", "sx-system-a", "sx-system-b", "sx-data"
DATA_DISK = "shuxiang-data"
"""The label by which a machine finds a disk of its own for content (`appliance/disks/choose.py`)."""
# Where GRUB's core may lie: from the second sector to the first partition.
GAP_BYTES = MIB
_FAT32, _LINUX = "c", "83"
# Microsoft's FAT specification: 65,525; what FATs and reserved sectors take is far less than the rest.
_FAT32_CLUSTERS = 70_000
_NAMESPACE = uuid.UUID("5b6f4a0e-3a4c-5d0a-9a55-5d1f6f0f3c11")
# The data filesystem is made small and grows a thousandfold: its journal and inodes are those of a large one.
DATA_OPTIONS = ("-i", "32768", "-J", "size=64", "-O", "64bit,metadata_csum", "-m", "0")
_SYSTEM_OPTIONS = ("-i", "16384", "-J", "size=16", "-O", "metadata_csum", "-m", "0")


@dataclass(frozen=True, slots=True)
class Part:
    """A primary partition; `start` and `size` in sectors."""

    number: int
    start: int
    size: int
    kind: str
    label: str

    @property
    def offset_bytes(self) -> int:
        return self.start * SECTOR_BYTES

    @property
    def size_bytes(self) -> int:
        return self.size * SECTOR_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Sizes of the partitions in MiB, and the disk's 32-bit identity, from which all others are derived."""

    boot_mib: int
    system_mib: int
    data_mib: int
    identity: int

    @property
    def parts(self) -> tuple[Part, Part, Part, Part]:
        """Boot, system A, system B, data."""
        sizes = (self.boot_mib, self.system_mib, self.system_mib, self.data_mib)
        kinds = (_FAT32, _LINUX, _LINUX, _LINUX)
        start, made = GAP_BYTES // SECTOR_BYTES, []
        for number, (size, kind, label) in enumerate(zip(sizes, kinds, (BOOT, SYSTEM_A, SYSTEM_B, DATA), strict=True), 1):  # fmt: skip
            made.append(Part(number, start, size * MIB // SECTOR_BYTES, kind, label))
            start += made[-1].size
        boot, system_a, system_b, data = made
        return boot, system_a, system_b, data

    @property
    def size_bytes(self) -> int:
        """The whole disk."""
        last = self.parts[-1]
        return last.offset_bytes + last.size_bytes

    def part_uuid(self, number: int) -> str:
        """Return what the kernel knows a partition by (`root=PARTUUID=…`)."""
        return f"{self.identity:08x}-{number:02x}"


def identity_of(text: str) -> int:
    """Return a disk identity for `text`, never 0 (which the kernel takes for none)."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") or 1


def write_disk(
    image: Path,
    layout: Layout,
    *,
    boot_files: Mapping[str, bytes | Path],
    system: Path,
    data: Path | None,
    work: Path,
    date: int,
) -> None:
    """Write the disk into the new file `image`.

    `boot_files` are the paths on the FAT partition, each bytes or a file; `system` and `data` directories whose owners
    and rights are taken over (root sees them); `work` an empty directory. Raises `ConfigError` E-BUILD where something
    does not fit.
    """
    # mke2fs takes the date from the second variable before 1.47.1.
    environment = {"SOURCE_DATE_EPOCH": str(date), "E2FSPROGS_FAKE_TIME": str(date)}
    with image.open("xb") as file:
        file.truncate(layout.size_bytes)
    _partition(image, layout)
    boot, system_a, _, last = layout.parts
    _fill_boot(image, boot, layout, boot_files, work, environment)
    _make_ext4(image, system_a, layout, _SYSTEM_OPTIONS, system, environment)
    _make_ext4(image, last, layout, DATA_OPTIONS, data, environment)


def _partition(image: Path, layout: Layout) -> None:
    lines = [
        "label: dos", f"label-id: 0x{layout.identity:08x}", "unit: sectors",
        *(f"start={part.start}, size={part.size}, type={part.kind}{', bootable' if part.number == 1 else ''}" for part in layout.parts),
    ]  # fmt: skip
    run(["sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", image], give="\n".join(lines) + "\n")


def _fill_boot(
    image: Path,
    part: Part,
    layout: Layout,
    files: Mapping[str, bytes | Path],
    work: Path,
    environment: Mapping[str, str],
) -> None:
    place = f"{image}@@{part.offset_bytes}"
    run(
        ["mkfs.vfat", "--invariant", "-F", "32", "-n", part.label, "-i", f"{layout.identity:08x}",
         "-s", str(_cluster_sectors(part)), "--offset", str(part.start), image, str(part.size_bytes // 1024)],
        environment,
    )  # fmt: skip
    tree = work / "boot"
    for name, content in files.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Path):
            shutil.copyfile(content, path)
        else:
            path.write_bytes(content)
    if tree.exists():
        run(["mcopy", "-s", "-Q", "-i", place, *sorted(tree.iterdir()), "::"], environment)
        shutil.rmtree(tree)


def _cluster_sectors(part: Part) -> int:
    """Return the largest cluster up to 4 KiB with which the partition is FAT32: fewer clusters make it FAT16."""
    return next((sectors for sectors in (8, 4, 2) if part.size // sectors > _FAT32_CLUSTERS), 1)


def _make_ext4(
    image: Path,
    part: Part,
    layout: Layout,
    options: tuple[str, ...],
    tree: Path | None,
    environment: Mapping[str, str],
) -> None:
    name = uuid.uuid5(_NAMESPACE, f"{layout.identity:08x} {part.label}")
    run(
        ["mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", *options,
         "-L", part.label, "-U", str(name), "-E", f"offset={part.offset_bytes},hash_seed={name}",
         *(("-d", str(tree)) if tree else ()), image, f"{part.size_bytes // 1024}k"],
        environment,
    )  # fmt: skip


def write_gap(image: Path, sector: int, data: bytes) -> None:
    """Write `data` before the first partition, from `sector` on; the partition table stays as it is."""
    durable.overwrite(image, sector * SECTOR_BYTES, data)
