"""Proves of a finished image what it promises: its shape, that it is only read, what it lets in, and what it must not hold.

Invariant: each promise is looked for in the image itself, never in the recipe or the overlay that it was made from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from images import boot_rpi
from images.disk import BOOT, DATA, SYSTEM_A
from images.image_file import describe, note_of
from images.opened import Opened, opened
from images.system_promises import Found, cares_for_cards, is_closed, is_our_program, is_whose_first_start

MOST_PACKED_BYTES = 700_000_000
_ROOM = 0.15
_MB = 1_000_000
PASSWORD_LINE = re.compile(rb'^[^#\n]*password\s*=\s*"[^"*]', re.MULTILINE)
"""A line of a request that gives a password; the template's examples are comments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """One promise: a stable `name`, its title in both languages, whether it holds, and what was found."""

    name: str
    zh: str
    en: str
    holds: bool
    found: str


def check_image(image: Path) -> list[Promise]:
    """Return every promise of an image, kept or not.

    Raises `ContentError` E-IMAGE, E-IMAGE-NOTE or E-IMAGE-HASH where it can not be opened as what it says it is.
    """
    description = describe(image)
    with opened(image, description) as inside:
        said = description.sha256[:12] or "—"
        promises = [
            Promise(
                name="hash",
                zh="与说明文件一致",
                en="is what its description says",
                holds=note_of(image) is not None,
                found=said,
            )
        ]
        for look in (_shape, _loader, is_our_program, cares_for_cards, is_closed, is_whose_first_start):
            promises += [_promise(found) for found in look(inside)]
        promises += [_promise(found) for found in _size(inside, image)]
    return promises


def _promise(found: Found) -> Promise:
    name, zh, en, wrong, right = found
    return Promise(name=name, zh=zh, en=en, holds=not wrong, found=wrong or right)


def _shape(image: Opened) -> Iterator[Found]:
    parts = image.partitions
    wrong = []
    if sorted(parts) != [1, 2, 3, 4]:
        wrong.append(f"{sorted(parts)}")
    order = [parts[number] for number in sorted(parts)]
    ends = [one.start_bytes + one.size_bytes for one in order]
    if any(end > after.start_bytes for end, after in zip(ends, order[1:], strict=False)):
        wrong.append("overlap")
    if ends[-1] > image.description.size_bytes:
        wrong.append("beyond the end")
    if not order[0].is_fat:
        wrong.append("1 is not FAT")
    sizes = " ".join(f"{one.number}:{one.size_bytes >> 20} MiB" for one in order)
    yield "partitions", "四个分区：启动、系统 A、系统 B、数据", "four partitions: boot, system A, system B, data", "; ".join(wrong), sizes  # fmt: skip
    labels = (
        image.boot_label(),
        image.system.about.get("Filesystem volume name", ""),
        image.data.about.get("Filesystem volume name", ""),
    )
    wanted = (BOOT, SYSTEM_A, DATA)
    yield "labels", "卷标", "labels", "" if labels == wanted else f"{labels} ≠ {wanted}", " ".join(labels)
    same = 3 in parts and parts[3].size_bytes == parts[2].size_bytes and image.is_empty(parts[3])
    yield (
        "room for B",
        "给系统 B 留了同样大的空位",
        "equal, empty room for system B",
        "" if same else "no",
        "yes",
    )
    last = order[-1].number == 4 and order[-1].start_bytes == max(one.start_bytes for one in order)
    yield (
        "data last",
        "数据分区在最后，能长到盘尾",
        "data comes last and can grow",
        "" if last else "no",
        "yes",
    )
    states = {name: tree.about.get("Filesystem state", "none") for name, tree in (("A", image.system), ("data", image.data))}  # fmt: skip
    clean = all(state == "clean" for state in states.values())
    told = " ".join(f"{name}={state}" for name, state in states.items())
    yield "clean", "文件系统完好", "filesystems are clean", "" if clean else told, told
    about = image.system.about
    free = int(about.get("Free blocks", 0)) / max(int(about.get("Block count", 1)), 1)
    yield (
        "room in A",
        "系统分区有余地",
        "room left in system A",
        "" if free >= _ROOM else f"{free:.0%}",
        f"{free:.0%}",
    )


def _loader(image: Opened) -> Iterator[Found]:
    names = {name.lower() for name in image.boot_names}
    if "config.txt" in names:
        files = {name: image.boot_file(name) for name in image.boot_names}
        findings = [*boot_rpi.table_findings(image.partitions.values()), *boot_rpi.findings(files)]
        arguments = files.get(f"{boot_rpi.PREFIX}{boot_rpi.COMMANDS}", b"").decode("utf-8", "replace")
        yield "loader", "树莓派的启动文件齐全（静态核对）", "the Raspberry Pi's boot files (by reading)", "; ".join(findings), f"{len(files)} files"  # fmt: skip
    else:
        missing = [name for name in ("efi/boot/bootx64.efi", "efi/debian/grub.cfg") if name not in names]
        if not any(image.head[:440]) or image.head[510:512] != b"\x55\xaa":
            missing.append("BIOS code")
        for name in ("vmlinuz", "initrd.img"):
            target = image.system.link(f"/{name}")
            if image.system.entry(f"/{target}" if target else f"/{name}") is None:
                missing.append(f"/{name}")
        config = image.boot_file("EFI/debian/grub.cfg").decode("utf-8", "replace")
        arguments = " ".join(re.findall(r"^\s*linux\s+\S+\s+(.*)$", config, re.MULTILINE))
        yield (
            "loader",
            "BIOS 和 UEFI 都能启动",
            "starts from BIOS and from UEFI",
            "; ".join(missing),
            "BIOS UEFI",
        )
    words = arguments.split()
    wrong = "" if "ro" in words and "rw" not in words else arguments or "no arguments"
    yield "read-only", "系统只读（内核参数）", "the system is only read (kernel arguments)", wrong, "ro"
    secret = [
        name for name in image.boot_names
        if name.lower().endswith((".toml", ".txt")) and PASSWORD_LINE.search(image.boot_file(name))
    ]  # fmt: skip
    left = [*secret, *(name for name in image.boot_names if name.lower() == "shuxiang-result.txt")]
    yield "boot secrets", "启动分区没有密码和旧结果", "no password and no old result on the boot partition", " ".join(left), "none"  # fmt: skip


def _size(image: Opened, packed: Path) -> Iterator[Found]:
    held = packed.stat().st_size
    told = f"{held / _MB:,.0f} MB"
    has_content = "state" in image.data.names("/")
    over = held > MOST_PACKED_BYTES and not has_content and packed.name != image.path.name
    yield "size", "压缩后不超过 700 MB（不算预装内容）", "packed at most 700 MB (without content)", told if over else "", told  # fmt: skip
