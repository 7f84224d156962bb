"""The Raspberry Pi's image in QEMU: as a Pi 3 with the image as its card, and in QEMU's own `virt` machine.

QEMU loads kernel, initramfs and device tree by itself, from the card's own files and with the card's own command line:
what the boards' firmware would do before that is not run. Network comes over emulated USB on the Pi 3.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from qemu_machine import BOOT_OFFSET, Disk, Started, free_port

PREFIX = "system-a/"
# QEMU takes only a card whose size is a power of two.
CARD_BYTES = 8 << 30
_WORDS = "loglevel=6 systemd.journald.forward_to_console=1 systemd.show_status=1"


def card(image: Path, place: Path) -> Disk:
    """Write `image` to a card of 8 GiB."""
    subprocess.run(["cp", "--sparse=always", "--reflink=auto", image, place], check=True)
    with place.open("r+b") as file:
        file.truncate(CARD_BYTES)
    return Disk(place)


def files_of(disk: Disk, place: Path) -> dict[str, bytes | Path]:
    """Copy the card's FAT partition to `place`; return its files by their names on the card."""
    place.mkdir()
    subprocess.run(
        ["mcopy", "-s", "-n", "-i", f"{disk.path}@@{BOOT_OFFSET}", "::", place],
        check=True,
        capture_output=True,
    )
    return {str(path.relative_to(place)): path for path in sorted(place.rglob("*")) if path.is_file()}


@contextmanager
def pi_3(disk: Disk, place: Path, *, ports: Sequence[int] = (80,)) -> Iterator[Started]:
    """Start a Pi 3 B with the card in its slot and a network adapter in its USB."""
    more = [
        "-machine", "raspi3b", "-drive", f"file={disk.path},format=raw,if=sd",
        "-dtb", str(_taken(disk, place, "bcm2837-rpi-3-b.dtb")),
        "-device", "usb-net,netdev=lan",
        # The first serial line is the one of Bluetooth.
        "-serial", "null",
    ]  # fmt: skip
    # QEMU's board starts anew at the very moment that its watchdog is turned on.
    said = "console=tty0 console=ttyS1,115200 module_blacklist=bcm2835_wdt"
    with _started(disk, place, ports, more, said) as machine:
        yield machine


@contextmanager
def virt(disk: Disk, place: Path, *, ports: Sequence[int] = (80,)) -> Iterator[Started]:
    """Start QEMU's own ARM64 machine with the card as its disk."""
    more = [
        "-machine", "virt", "-cpu", "cortex-a53", "-smp", "2", "-m", "1024",
        "-drive", f"file={disk.path},format=raw,if=none,id=system", "-device", "virtio-blk-pci,drive=system",
        "-device", "virtio-net-pci,netdev=lan",
    ]  # fmt: skip
    with _started(disk, place, ports, more, "console=ttyAMA0,115200") as machine:
        yield machine


@contextmanager
def _started(
    disk: Disk, place: Path, ports: Sequence[int], more: Sequence[str], consoles: str
) -> Iterator[Started]:
    place.mkdir(exist_ok=True)
    doors = {port: free_port() for port in ports}
    forwards = "".join(f",hostfwd=tcp:127.0.0.1:{here}-:{there}" for there, here in doors.items())
    serial, monitor = place / f"serial-{time.monotonic_ns()}", place / "monitor"
    monitor.unlink(missing_ok=True)
    said = disk.get(f"{PREFIX}cmdline.txt").decode().replace(" quiet", "").strip()
    command = [
        "qemu-system-aarch64", "-accel", "tcg,thread=multi", "-display", "none", *more,
        "-kernel", str(_taken(disk, place, "vmlinuz")), "-initrd", str(_taken(disk, place, "initrd.img")),
        "-append", f"{said} {consoles} {_WORDS}",
        "-serial", f"file:{serial}", "-qmp", f"unix:{monitor},server=on,wait=off",
        "-netdev", f"user,id=lan{forwards}",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        yield Started(process, serial, monitor, doors)
    finally:
        process.kill()
        process.wait(timeout=30)


def _taken(disk: Disk, place: Path, name: str) -> Path:
    """Copy one of the system's files off the card."""
    place.mkdir(exist_ok=True)
    path = place / name
    path.write_bytes(disk.get(f"{PREFIX}{name}"))
    return path
