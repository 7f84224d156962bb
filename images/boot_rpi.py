"""What starts a Raspberry Pi: its firmware on the FAT partition, `config.txt`, and a system's kernel under a prefix.

    bootcode.bin start*.elf fixup*.dat     the boards' own firmware, as Debian's raspi-firmware brings it
    config.txt                             which system, for every board the same
    system-a/                              kernel, initramfs, device trees, overlays, cmdline.txt of system A
    system-b/ tryboot.txt                  left free: an update lays out system B there and tries it once by
                                           `reboot "0 tryboot"`, before `config.txt` is made to name it

The boards' chain of firmware can not be run here; `findings` reads these files as the firmware would, and the firmware
itself for the settings and the names of device trees that it knows (Raspberry Pi documentation, config.txt: boot
options, conditional filters; Debian's raspi-firmware 1.20240424).
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from catalog.errors import ConfigError
from images.disk import SYSTEM_A
from images.fat_files import Partition

CONFIG, PREFIX, COMMANDS = "config.txt", "system-a/", "cmdline.txt"
KERNEL, INITRAMFS, OVERLAYS = "vmlinuz", "initrd.img", "overlays/"
_FIRMWARE = Path("usr/lib/raspi-firmware")
_FIRMWARE_FILES = ("bootcode.bin", "start.elf", "fixup.dat", "start4.elf", "fixup4.dat")
# What the firmware reads of a line of config.txt, and what it and the kernel take as arguments.
_LINE_BYTES, _ARGUMENTS_BYTES, _TRY_BYTES = 78, 1024, 512
# A Zero 2 W has 512 MiB; the kernel unpacks the initramfs beside what was loaded.
_LOADED_BYTES = 160 << 20
_IMAGE_MAGIC, _IMAGE_MAGIC_AT, _TREE_MAGIC = b"ARM\x64", 56, b"\xd0\x0d\xfe\xed"
# An ELF of 32 bits for Broadcom's VideoCore III, and what of it says how long it is.
_START_MAGIC, _START_MACHINE, _SECTIONS = b"\x7fELF\x01", 137, struct.Struct("<I10xHH")
# What a start file must know to take a system's files from under a prefix, by the kernel's own names of trees.
_START_WORDS = ("os_prefix", "upstream_kernel", "arm_64bit", "bcm%d-rpi-%s.dtb")
_PROTECTIVE_TYPE = 0xEE
_INITRAMFS_MAGICS = (b"070701", b"\x28\xb5\x2f\xfd", b"\x1f\x8b", b"\xfd7zXZ", b"\x02\x21\x4c\x18")
# No name of a console's speed or of a medium: the same card starts from the slot and from a USB reader.
_ARGUMENTS = f"root=LABEL={SYSTEM_A} ro rootwait console=ttyS1,115200 console=tty0 panic=10 quiet"
_CONFIG = f"""\
# Shuxiang: how this card starts a Raspberry Pi. School settings are in
# shuxiang.toml, not here.
[all]
arm_64bit=1
# Debian's kernel and the kernel's own names of device trees.
upstream_kernel=1
os_prefix={PREFIX}
kernel={KERNEL}
initramfs {INITRAMFS} followkernel
cmdline={COMMANDS}
# A serial console at pins 8 and 10.
enable_uart=1
disable_splash=1
"""


@dataclass(frozen=True, slots=True)
class Model:
    """A board that the image is for.

    `filters` are the sections of config.txt that it reads beside `[all]`, `tree` its device tree by the kernel's name,
    `other` by the name that Raspberry Pi gives it, `compatible` what the tree says of itself, `firmware` its start file
    and fixup file.
    """

    name: str
    filters: frozenset[str]
    tree: str
    other: str
    compatible: str
    firmware: tuple[str, ...]


_OLD, _NEW = ("bootcode.bin", "start.elf", "fixup.dat"), ("start4.elf", "fixup4.dat")
MODELS = (
    Model("Pi 3 B", frozenset({"pi3"}), "bcm2837-rpi-3-b", "bcm2710-rpi-3-b", "raspberrypi,3-model-b", _OLD),
    Model("Pi 3 B+", frozenset({"pi3", "pi3+"}), "bcm2837-rpi-3-b-plus", "bcm2710-rpi-3-b-plus", "raspberrypi,3-model-b-plus", _OLD),
    Model("Pi 3 A+", frozenset({"pi3", "pi3+"}), "bcm2837-rpi-3-a-plus", "bcm2710-rpi-3-a-plus", "raspberrypi,3-model-a-plus", _OLD),
    Model("Zero 2 W", frozenset({"pi0", "pi0w", "pi02"}), "bcm2837-rpi-zero-2-w", "bcm2710-rpi-zero-2", "raspberrypi,model-zero-2-w", _OLD),
    Model("Pi 4 B", frozenset({"pi4"}), "bcm2711-rpi-4-b", "bcm2711-rpi-4-b", "raspberrypi,4-model-b", _NEW),
    Model("Pi 400", frozenset({"pi4", "pi400"}), "bcm2711-rpi-400", "bcm2711-rpi-400", "raspberrypi,400", _NEW),
    Model("CM4", frozenset({"pi4", "cm4"}), "bcm2711-rpi-cm4-io", "bcm2711-rpi-cm4", "raspberrypi,4-compute-module", _NEW),
)  # fmt: skip


def boot_files(root: Path, loader: Path) -> Mapping[str, bytes | Path]:
    """Return what lies on the FAT partition: `root` holds kernel and initramfs, `loader` the boards' firmware.

    A Pi 5 gets no device tree: Debian's kernel would start there without card, network and USB, and the board says on
    its screen by itself that a card is not for it. Raises `ConfigError` E-BUILD where a file is missing.
    """
    kernel, initramfs = _only(root / "boot", "vmlinuz-*"), _only(root / "boot", "initrd.img-*")
    trees = root / "usr/lib" / f"linux-image-{kernel.name.removeprefix('vmlinuz-')}" / "broadcom"
    files: dict[str, bytes | Path] = {name: _only(loader / _FIRMWARE, name) for name in _FIRMWARE_FILES}
    files[CONFIG] = _CONFIG.encode("ascii")
    files[PREFIX + COMMANDS] = f"{_ARGUMENTS}\n".encode("ascii")
    files[PREFIX + KERNEL] = kernel
    files[PREFIX + INITRAMFS] = initramfs
    for model in MODELS:
        tree = _only(trees, f"{model.tree}.dtb")
        # The prefix is taken only where the firmware finds the tree there: by either name.
        files[f"{PREFIX}{model.tree}.dtb"] = files[f"{PREFIX}{model.other}.dtb"] = tree
    # Overlays are looked for below the prefix only where this file is.
    files[f"{PREFIX}{OVERLAYS}README"] = b"Overlays of system A.\n"
    for overlay in sorted((loader / _FIRMWARE / "overlays").glob("*.dtbo")):
        files[f"{PREFIX}{OVERLAYS}{overlay.name}"] = overlay
    return files


def _only(directory: Path, pattern: str) -> Path:
    """Return the one file of `directory` that fits."""
    found = sorted(directory.glob(pattern))
    if len(found) != 1:
        raise ConfigError("E-BUILD", where=directory / pattern, expected=1, found=len(found))
    return found[0]


def findings(files: Mapping[str, bytes | Path]) -> list[str]:
    """Return what keeps a board from starting with `files` on the FAT partition, a line each; none where all is well.

    Reads them as the firmware of each of `MODELS` would. It is no proof that a board starts.
    """
    read = {name.lower(): _read(content) for name, content in files.items()}
    return list(dict.fromkeys(_findings(read)))


def table_findings(parts: Collection[Partition]) -> list[str]:
    """Return what keeps a board from reading a disk with the MBR entries `parts`: it starts from the first, a FAT."""
    types = {part.number: part.type_code for part in parts}
    found = []
    if not any(part.number == 1 and part.is_fat for part in parts):
        found.append(f"the first partition is no FAT but of type {types.get(1, 0):02x}")
    # This version of the firmware does not start from such a disk.
    found += [
        f"partition {number} guards a GPT" for number, kind in types.items() if kind == _PROTECTIVE_TYPE
    ]
    return found


def settings(text: str, filters: frozenset[str]) -> dict[str, str]:
    """Return what config.txt in `text` sets for a board that reads the sections in `filters` (pure).

    Sections that ask for anything but a model (a serial number, a pin, `[tryboot]`) are not read.
    """
    found: dict[str, str] = {}
    reads = True
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            section = line.strip("[]").lower()
            reads = section == "all" or section in filters
        elif line.startswith("initramfs ") and reads:
            found["initramfs"] = line.split(maxsplit=1)[1]
        elif line and not line.startswith("#") and reads:
            name, _, value = line.partition("=")
            found[name.strip()] = value.strip()
    return found


def _findings(files: Mapping[str, bytes]) -> Iterator[str]:
    if (data := _content(files, CONFIG)) is None:
        yield f"{CONFIG}: missing"
        return
    for number, line in enumerate(data.split(b"\n"), 1):
        if len(line) > _LINE_BYTES:
            yield f"{CONFIG}:{number}: {len(line)} bytes, the firmware reads {_LINE_BYTES}"
    if b"\r" in data or not data.isascii():
        yield f"{CONFIG}: not plain ASCII lines"
    if len(_content(files, "autoboot.txt") or b"") > _TRY_BYTES:
        yield f"autoboot.txt: more than {_TRY_BYTES} bytes"
    for model in MODELS:
        for line_of_model in _model_findings(
            files, model, settings(data.decode("ascii", "replace"), model.filters)
        ):
            yield f"{model.name}: {line_of_model}"


def _model_findings(files: Mapping[str, bytes], model: Model, config: Mapping[str, str]) -> Iterator[str]:
    yield from _firmware_findings(files, model)
    if config.get("arm_64bit") != "1":
        yield "arm_64bit is not 1: the kernel would be started as 32-bit"
    prefix = config.get("os_prefix", "")
    if prefix and not prefix.endswith("/"):
        yield f"os_prefix={prefix} is no directory"
    kernel = _content(files, prefix + config.get("kernel", "kernel8.img"))
    if kernel is None:
        yield f"kernel {prefix}{config.get('kernel', 'kernel8.img')} is missing"
    elif kernel[_IMAGE_MAGIC_AT:][:4] != _IMAGE_MAGIC:
        yield "the kernel is no plain arm64 image: the firmware can not unpack it"
    initramfs, _, where = config.get("initramfs", "").partition(" ")
    unpacked = _content(files, prefix + initramfs) if initramfs else None
    if unpacked is None:
        yield f"initramfs {prefix}{initramfs} is missing"
    elif not unpacked.startswith(_INITRAMFS_MAGICS):
        yield "the initramfs is none"
    if where != "followkernel":
        yield f"initramfs is loaded at {where or 'no place'}, not behind the kernel"
    loaded = _loaded_bytes(kernel or b"") + len(unpacked or b"")
    if loaded > _LOADED_BYTES:
        yield f"kernel and initramfs take {loaded >> 20} MiB, more than {_LOADED_BYTES >> 20}"
    yield from _tree_findings(files, model, config, prefix)
    yield from _argument_findings(_content(files, prefix + config.get("cmdline", COMMANDS)), prefix)


def _firmware_findings(files: Mapping[str, bytes], model: Model) -> Iterator[str]:
    for name in model.firmware:
        data = _content(files, name)
        if not data:
            yield f"{name} is missing"
        elif name.endswith(".elf"):
            yield from (f"{name} {wrong}" for wrong in _start_findings(data, model))


def _start_findings(data: bytes, model: Model) -> Iterator[str]:
    if not data.startswith(_START_MAGIC) or len(data) < 52 or data[18] != _START_MACHINE:
        yield "is no program for the boards' VideoCore"
        return
    place, size, count = _SECTIONS.unpack_from(data, 32)
    if place + size * count > len(data):
        yield f"is cut off: {len(data)} of {place + size * count} bytes"
    for word in (*_START_WORDS, model.tree.partition("-rpi-")[2]):
        if b"\0" + word.encode() + b"\0" not in data:
            yield f"knows no {word}"


def _tree_findings(
    files: Mapping[str, bytes], model: Model, config: Mapping[str, str], prefix: str
) -> Iterator[str]:
    if "device_tree" in config:
        names = [config["device_tree"]]
    else:
        names = [f"{model.tree if config.get('upstream_kernel') == '1' else model.other}.dtb"]
        if prefix:
            # Which name is looked for before the prefix is taken is not told.
            names = [f"{model.tree}.dtb", f"{model.other}.dtb"]
    for name in dict.fromkeys(names):
        tree = _content(files, prefix + name)
        if tree is None:
            yield f"device tree {prefix}{name} is missing"
        elif tree[:4] != _TREE_MAGIC or len(tree) < struct.unpack_from(">I", tree, 4)[0]:
            yield f"{prefix}{name} is no device tree, or cut off"
        elif model.compatible.encode() + b"\0" not in tree:
            yield f"{prefix}{name} is not for this board"
    if any(one.startswith(prefix + OVERLAYS) for one in files) and f"{prefix}{OVERLAYS}readme" not in files:
        yield f"{prefix}{OVERLAYS}README is missing: overlays would be looked for elsewhere"


def _argument_findings(data: bytes | None, prefix: str) -> Iterator[str]:
    if data is None:
        yield f"{prefix}{COMMANDS} is missing"
        return
    words = data.split()
    if data.rstrip(b"\n").count(b"\n") or b"\r" in data or not data.isascii():
        yield f"{prefix}{COMMANDS} is not one plain line"
    if len(data) > _ARGUMENTS_BYTES:
        yield f"{prefix}{COMMANDS} has more than {_ARGUMENTS_BYTES} bytes"
    for wanted in (f"root=LABEL={SYSTEM_A}", "ro", "rootwait"):
        if wanted.encode() not in words:
            yield f"{prefix}{COMMANDS} lacks {wanted}"


def _loaded_bytes(kernel: bytes) -> int:
    """Return the memory that an arm64 image takes (Linux, Documentation/arch/arm64/booting.rst: image_size)."""
    return struct.unpack_from("<Q", kernel, 16)[0] if len(kernel) >= 64 else len(kernel)


def _read(content: bytes | Path) -> bytes:
    return content.read_bytes() if isinstance(content, Path) else content


def _content(files: Mapping[str, bytes], name: str) -> bytes | None:
    """Return a file's bytes; names on FAT have no case."""
    return files.get(name.lower())
