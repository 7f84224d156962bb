"""What a Raspberry Pi starts from: laid out whole, and each thing that would keep a board from starting is named."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from catalog.errors import ConfigError
from images.boot_rpi import MODELS, boot_files, findings, settings, table_findings
from images.fat_files import Partition
from images.recipe import Role, read_recipe

VERSION = "6.12.107+deb13-arm64"
FIRMWARE_KNOWS = ("os_prefix", "upstream_kernel", "arm_64bit", "bcm%d-rpi-%s.dtb")
BOARDS_OF = {"start.elf": ("3-b", "3-b-plus", "3-a-plus", "zero-2-w"), "start4.elf": ("4-b", "400", "cm4-io")}


def kernel(size_bytes: int = 38 << 20) -> bytes:
    """The head of an arm64 image (Linux, Documentation/arch/arm64/booting.rst)."""
    return struct.pack("<IIQQQ", 0, 0, 0, size_bytes, 10) + bytes(24) + b"ARM\x64" + bytes(100)


def tree(compatible: str) -> bytes:
    """The head of a device tree blob and what it says it is for."""
    body = compatible.encode() + b"\0brcm,bcm2837\0"
    return b"\xd0\x0d\xfe\xed" + struct.pack(">I", 8 + len(body)) + body


def start_file(*words: str) -> bytes:
    """The head of a start file, what it knows, and where its list of sections ends: at its end."""
    known = b"".join(b"\0" + word.encode() + b"\0" for word in (*FIRMWARE_KNOWS, *words))
    end = 52 + len(known)
    return b"\x7fELF\x01\x01\x01" + bytes(9) + struct.pack("<HHIIIIIHHHHHH", 2, 137, 1, 0, 0, end, 0, 52, 0, 0, 40, 2, 1) + known + bytes(80)  # fmt: skip


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """The system's root and the loader's directory, each with the files that Debian puts there."""
    root, loader = tmp_path / "root", tmp_path / "loader"
    trees = root / "usr/lib" / f"linux-image-{VERSION}" / "broadcom"
    firmware = loader / "usr/lib/raspi-firmware"
    for place in (root / "boot", trees, firmware / "overlays"):
        place.mkdir(parents=True)
    (root / "boot" / f"vmlinuz-{VERSION}").write_bytes(kernel())
    (root / "boot" / f"initrd.img-{VERSION}").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(1000))
    for model in MODELS:
        (trees / f"{model.tree}.dtb").write_bytes(tree(model.compatible))
    (trees / "bcm2712-rpi-5-b.dtb").write_bytes(tree("raspberrypi,5-model-b"))
    for name in ("bootcode.bin", "fixup.dat", "fixup4.dat", "start_x.elf"):
        (firmware / name).write_bytes(name.encode())
    for name, boards in BOARDS_OF.items():
        (firmware / name).write_bytes(start_file(*boards))
    (firmware / "overlays" / "disable-bt.dtbo").write_bytes(tree("brcm,bcm2835"))
    return root, loader


@pytest.fixture
def files(places: tuple[Path, Path]) -> dict[str, bytes | Path]:
    return dict(boot_files(*places))


def text(files: dict[str, bytes | Path], name: str) -> str:
    content = files[name]
    assert isinstance(content, bytes)
    return content.decode("ascii")


def test_every_board_finds_what_it_starts_from(files: dict[str, bytes | Path]) -> None:
    assert findings(files) == []
    assert {"config.txt", "bootcode.bin", "start4.elf", "system-a/vmlinuz", "system-a/cmdline.txt"} <= set(
        files
    )
    assert {"system-a/overlays/README", "system-a/overlays/disable-bt.dtbo"} <= set(files)
    # By both names, since the firmware asks for one of them before it takes the prefix.
    assert files["system-a/bcm2837-rpi-3-b.dtb"] == files["system-a/bcm2710-rpi-3-b.dtb"]


def test_system_b_and_a_board_that_debian_does_not_serve_have_no_files(
    files: dict[str, bytes | Path],
) -> None:
    assert not [
        name for name in files if "bcm2712" in name or name.startswith("system-b") or "tryboot" in name
    ]


def test_the_system_is_found_by_its_label_and_only_read(files: dict[str, bytes | Path]) -> None:
    words = text(files, "system-a/cmdline.txt").split()
    assert {"root=LABEL=sx-system-a", "ro", "rootwait", "console=tty0"} <= set(words)
    assert text(files, "system-a/cmdline.txt").count("\n") == 1


@pytest.mark.parametrize("missing", ["root/boot/vmlinuz-*", "loader/usr/lib/raspi-firmware/start4.elf", "root/usr/lib/*/broadcom/bcm2711-rpi-400.dtb"])  # fmt: skip
def test_nothing_is_laid_out_where_a_file_is_missing(places: tuple[Path, Path], missing: str) -> None:
    for path in places[0].parent.glob(missing):
        path.unlink()
    with pytest.raises(ConfigError, match="E-BUILD"):
        boot_files(*places)


def test_two_kernels_are_one_too_many(places: tuple[Path, Path]) -> None:
    (places[0] / "boot" / "vmlinuz-6.12.90+deb13-arm64").write_bytes(kernel())
    with pytest.raises(ConfigError, match="E-BUILD"):
        boot_files(*places)


def without(name: str) -> Callable[[dict[str, bytes | Path]], None]:
    return lambda files: files.pop(name) and None


def with_content(name: str, data: bytes) -> Callable[[dict[str, bytes | Path]], None]:
    return lambda files: files.update({name: data})


def changed(name: str, old: str, new: str) -> Callable[[dict[str, bytes | Path]], None]:
    def change(files: dict[str, bytes | Path]) -> None:
        before = text(files, name)
        assert old in before
        files[name] = before.replace(old, new).encode()

    return change


@pytest.mark.parametrize(
    ("harm", "found"),
    [
        (without("config.txt"), "config.txt: missing"),
        (without("start.elf"), "Pi 3 B: start.elf is missing"),
        (without("fixup4.dat"), "Pi 400: fixup4.dat is missing"),
        (with_content("start4.elf", b""), "CM4: start4.elf is missing"),
        (with_content("start.elf", b"<html>"), "Zero 2 W: start.elf is no program for the boards' VideoCore"),
        (with_content("start4.elf", start_file(*BOARDS_OF["start4.elf"])[:-1]), "Pi 4 B: start4.elf is cut off: 206 of 207 bytes"),
        (with_content("start4.elf", start_file("4-b", "400")), "CM4: start4.elf knows no cm4-io"),
        (without("system-a/vmlinuz"), "Zero 2 W: kernel system-a/vmlinuz is missing"),
        (without("system-a/initrd.img"), "Pi 4 B: initramfs system-a/initrd.img is missing"),
        (without("system-a/cmdline.txt"), "Pi 3 B+: system-a/cmdline.txt is missing"),
        (without("system-a/bcm2711-rpi-cm4-io.dtb"), "CM4: device tree system-a/bcm2711-rpi-cm4-io.dtb is missing"),
        (without("system-a/bcm2711-rpi-cm4.dtb"), "CM4: device tree system-a/bcm2711-rpi-cm4.dtb is missing"),
        (without("system-a/overlays/README"), "Pi 3 B: system-a/overlays/README is missing: overlays would be looked for elsewhere"),
        (with_content("system-a/vmlinuz", b"MZ\0\0zimg" + bytes(100)), "Pi 3 B: the kernel is no plain arm64 image: the firmware can not unpack it"),
        (with_content("system-a/vmlinuz", kernel(200 << 20)), "Pi 3 B: kernel and initramfs take 200 MiB, more than 160"),
        (with_content("system-a/initrd.img", b"<html>"), "Pi 3 B: the initramfs is none"),
        (with_content("system-a/bcm2711-rpi-400.dtb", tree("raspberrypi,400")[:20]), "Pi 400: system-a/bcm2711-rpi-400.dtb is no device tree, or cut off"),
        (with_content("system-a/bcm2711-rpi-400.dtb", tree("raspberrypi,4-model-b")), "Pi 400: system-a/bcm2711-rpi-400.dtb is not for this board"),
        (changed("config.txt", "arm_64bit=1", "#"), "Pi 3 B: arm_64bit is not 1: the kernel would be started as 32-bit"),
        (changed("config.txt", "os_prefix=system-a/", "os_prefix=system-a"), "Pi 3 B: os_prefix=system-a is no directory"),
        (changed("config.txt", "os_prefix=system-a/", "os_prefix=system-b/"), "Pi 4 B: kernel system-b/vmlinuz is missing"),
        (changed("config.txt", " followkernel", ""), "Pi 3 B: initramfs is loaded at no place, not behind the kernel"),
        (changed("config.txt", "[all]\n", "[pi4]\n"), "Pi 3 B: kernel kernel8.img is missing"),
        (changed("config.txt", "\nkernel=", f"\n{'x' * 90}=1\nkernel="), "config.txt:8: 92 bytes, the firmware reads 78"),
        (changed("config.txt", "\n", "\r\n"), "config.txt: not plain ASCII lines"),
        (changed("system-a/cmdline.txt", " ro ", " rw "), "Pi 4 B: system-a/cmdline.txt lacks ro"),
        (changed("system-a/cmdline.txt", " ro ", "\nro "), "Pi 4 B: system-a/cmdline.txt is not one plain line"),
        (with_content("autoboot.txt", b"#" * 600), "autoboot.txt: more than 512 bytes"),
    ],
)  # fmt: skip
def test_what_keeps_a_board_from_starting_is_named(
    files: dict[str, bytes | Path], harm: Callable[[dict[str, bytes | Path]], None], found: str
) -> None:
    harm(files)
    assert found in findings(files)


def test_names_on_fat_have_no_case(files: dict[str, bytes | Path]) -> None:
    assert findings({name.upper(): content for name, content in files.items()}) == []


def test_a_board_reads_an_mbr_whose_first_partition_is_fat() -> None:
    def part(number: int, kind: int) -> Partition:
        return Partition(number=number, type_code=kind, start_bytes=number << 20, size_bytes=1 << 20)

    assert table_findings([part(1, 0x0C), part(2, 0x83)]) == []
    assert table_findings([part(1, 0x83), part(2, 0x0C)]) == ["the first partition is no FAT but of type 83"]
    assert table_findings([part(1, 0x0C), part(2, 0xEE)]) == ["partition 2 guards a GPT"]
    assert table_findings([]) == ["the first partition is no FAT but of type 00"]


def test_sections_of_config_txt() -> None:
    told = "a=1\n[pi4]\na=2\ninitramfs four 0\n[cm4]\na=3\n[0x1234]\na=4\n[tryboot]\na=5\n[all]\nb=1\n#c=1\n"
    assert settings(told, frozenset({"pi3"})) == {"a": "1", "b": "1"}
    assert settings(told, frozenset({"pi4"})) == {"a": "2", "initramfs": "four 0", "b": "1"}
    assert settings(told, frozenset({"pi4", "cm4"})) == {"a": "3", "initramfs": "four 0", "b": "1"}


def test_the_recipe() -> None:
    recipe = read_recipe("rpi", Role.BOX)
    assert (recipe.arch.name, recipe.loader) == ("arm64", ("raspi-firmware",))
    assert "non-free-firmware" in recipe.components
