"""A whole machine in QEMU for tests: firmware, disk, serial line, a network of its own with doors to this machine.

Software emulation throughout, so that it runs where no guest may use the processor's help. The disk is a sparse copy
of the image; whatever a test does to the machine, the image stays as it was built.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from netlab import Node

IMAGES = Path(__file__).resolve().parent.parent / "build" / "images"
BOOT_OFFSET = 1 << 20
KERNEL_BEGINS = "Linux version"
_FIRMWARE = Path("/usr/share/OVMF")
_EXTRA = "EFI/debian/extra.cfg"
# The kernel's words from the first on, and what systemd says, on the serial line.
_ARGUMENTS = (
    "console=tty0 console=ttyS0,115200 loglevel=6 systemd.journald.forward_to_console=1 systemd.show_status=1"
)
_POLL_SECONDS = 0.5
USB = ("-device", "qemu-xhci,id=usb")
"""More arguments for a machine into whose USB sticks are plugged while it runs."""


def need_image(board: str, role: str) -> Path:
    """Return the newest image of a board and role, unpacked; skip where none was built or QEMU is missing.

    In continuous integration that is a failure.
    """
    found = sorted(IMAGES.glob(f"shuxiang-{role}-{board}-*.img.xz"), key=lambda path: path.stat().st_mtime)
    missing = [name for name in ("qemu-system-x86_64", "mcopy", "xz") if shutil.which(name) is None]
    why = f"not installed: {', '.join(missing)}" if missing else f"make image BOARD={board} ROLE={role}"
    if missing or not found:
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    packed = found[-1]
    plain = IMAGES / "unpacked" / packed.name.removesuffix(".xz")
    plain.parent.mkdir(exist_ok=True)
    with plain.with_suffix(".lock").open("w") as lock:
        # Others that run beside this one want it as well.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not plain.exists() or plain.stat().st_mtime < packed.stat().st_mtime:
            _unpack(packed, plain)
    return plain


def _unpack(packed: Path, plain: Path) -> None:
    part = plain.with_suffix(".part")
    part.unlink(missing_ok=True)
    # xz leaves holes where zeros are only in a file that it makes by itself.
    (part.with_suffix(".part.xz")).unlink(missing_ok=True)
    os.link(packed, part.with_suffix(".part.xz"))
    subprocess.run(
        ["xz", "--decompress", "--force", "--keep", "--threads=0", part.with_suffix(".part.xz")],
        check=True,
    )
    part.with_suffix(".part.xz").unlink()
    part.replace(plain)
    os.utime(plain)


def free_port() -> int:
    """Return a TCP port of the loopback that nobody uses now."""
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        port: int = asked.getsockname()[1]
        return port


@dataclass
class Disk:
    """A disk in a file, with the card's FAT partition on it."""

    path: Path

    def put(self, name: str, data: bytes) -> None:
        """Write a file on the FAT partition, as a technician's PC would."""
        subprocess.run(["mcopy", "-o", "-i", self._fat, "-", f"::{name}"], input=data, check=True)

    def get(self, name: str) -> bytes:
        """Read a file of the FAT partition."""
        done = subprocess.run(["mtype", "-i", self._fat, f"::{name}"], capture_output=True, check=True)
        return done.stdout

    def tell_the_kernel(self, *words: str) -> None:
        """Give its kernel these arguments from the next start on, and those that let it talk on the serial line."""
        self.put(_EXTRA, f'set extra="{" ".join((_ARGUMENTS, *words))}"\n'.encode())

    def names(self) -> str:
        """Return the listing of the FAT partition."""
        return subprocess.run(
            ["mdir", "-b", "-i", self._fat, "::"], capture_output=True, check=True, text=True
        ).stdout

    @property
    def _fat(self) -> str:
        return f"{self.path}@@{BOOT_OFFSET}"

    def parts(self) -> list[dict[str, int]]:
        """Return the partitions as sfdisk tells them, in sectors."""
        done = subprocess.run(["sfdisk", "--json", self.path], capture_output=True, check=True, text=True)
        parts: list[dict[str, int]] = json.loads(done.stdout)["partitiontable"]["partitions"]
        return parts

    def cut(self, number: int, place: Path) -> Path:
        """Copy a partition out into the file `place`, with its holes."""
        part = self.parts()[number - 1]
        subprocess.run(
            ["dd", f"if={self.path}", f"of={place}", "bs=512", f"skip={part['start']}", f"count={part['size']}",
             "iflag=fullblock", "conv=sparse", "status=none"] if part["start"] % 2048 or part["size"] % 2048 else
            ["dd", f"if={self.path}", f"of={place}", "bs=1M", f"skip={part['start'] // 2048}",
             f"count={part['size'] // 2048}", "conv=sparse", "status=none"],
            check=True,
        )  # fmt: skip
        return place


def copied(disk: Path, place: Path) -> Path:
    """Copy a disk with its holes to the file `place`."""
    subprocess.run(["cp", "--sparse=always", "--reflink=auto", disk, place], check=True)
    return place


def copy_disk(image: Path, place: Path, size_bytes: int) -> Disk:
    """Write `image` to a disk of `size_bytes`, as on a card; its first start talks on the serial line."""
    os.truncate(copied(image, place), size_bytes)
    disk = Disk(place)
    disk.tell_the_kernel()
    return disk


@dataclass
class Started:
    """A running machine; `doors` are the ports of this machine that lead to its own."""

    process: subprocess.Popen[bytes]
    serial: Path
    monitor: Path
    doors: Mapping[int, int]
    began: float = field(default_factory=time.monotonic)

    def said(self) -> str:
        """Return what came over the serial line so far."""
        return self.serial.read_bytes().decode(errors="replace") if self.serial.exists() else ""

    def wait_for_words(self, words: str, seconds: float) -> float:
        """Wait until `words` come over the serial line; return when they were seen (monotonic seconds)."""
        return self.wait_until(lambda: words in self.said(), f"no {words!r}", seconds)

    def wait_for_page(
        self, path: str = "/", *, seconds: float, port: int = 80, status: int = 200, patience: float = 20
    ) -> bytes:
        """Ask for a page until it comes with `status`, and return it; ask anew after `patience` seconds.

        A call to a machine that has no address yet is tried again at ever longer intervals by QEMU's network.
        """
        found: list[bytes] = []

        def asked() -> bool:
            try:
                with urllib.request.urlopen(
                    f"http://127.0.0.1:{self.doors[port]}{path}", timeout=patience
                ) as answer:
                    told, body = answer.status, answer.read()
            except urllib.error.HTTPError as error:
                with error:
                    told, body = error.code, error.read()
            except OSError:
                return False
            if told == status:
                found.append(body)
            return told == status

        self.wait_until(asked, f"no page at {path}", seconds)
        return found[0]

    def wait_until(self, done: Callable[[], bool], what: str, seconds: float) -> float:
        """Wait until `done`; return when that was seen (monotonic seconds). `what` says what is missed."""
        deadline = time.monotonic() + seconds
        while not done():
            assert self.process.poll() is None, f"the machine ended: {self.said()[-3000:]}"
            assert time.monotonic() < deadline, f"{what} within {seconds:.0f} s: {self.said()[-3000:]}"
            time.sleep(_POLL_SECONDS)
        return time.monotonic()

    def processor_seconds(self) -> float:
        """Return the processor time that emulating the machine took so far: the same on a busy machine and an idle one."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def pull_the_plug(self) -> None:
        """End the machine at once; what it had not flushed to its disk is with this machine, and stays."""
        self.process.kill()
        self.process.wait(timeout=30)

    def press_the_button(self, seconds: float = 90) -> None:
        """Press the power button and wait until the machine is off."""
        self.ask("system_powerdown")
        self.process.wait(timeout=seconds)

    @contextmanager
    def plugged(self, name: str, disk: Path, *, writable: bool = False) -> Iterator[None]:
        """Plug a stick into a machine with `USB` while the block lasts; it is pulled out without a word to the machine."""
        file = {"driver": "file", "filename": str(disk), "read-only": not writable}
        self.ask("blockdev-add", driver="raw", file=file, **{"node-name": name, "read-only": not writable})
        self.ask("device_add", driver="usb-storage", id=f"stick-{name}", drive=name, bus="usb.0")
        yield
        self.ask("device_del", id=f"stick-{name}")

    def ask(self, execute: str, **arguments: Any) -> Any:
        """Give QEMU a command of its protocol (QMP) and return what it answers."""
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(self.monitor))
            with line.makefile("rw") as talk:
                talk.readline()
                for one in (
                    {"execute": "qmp_capabilities"},
                    {"execute": execute, "arguments": arguments},
                ):
                    talk.write(json.dumps(one) + "\n")
                    talk.flush()
                    while "event" in (answer := json.loads(talk.readline())):
                        pass
                    assert "return" in answer, answer
        return answer["return"]


@contextmanager
def pc(
    disk: Disk,
    place: Path,
    *,
    firmware: str = "bios",
    disks: Sequence[Path] = (),
    memory_mib: int = 1024,
    ports: Sequence[int] = (80,),
    more: Sequence[str] = (),
    lan: tuple[Node, str] | None = None,
    log: Path | None = None,
) -> Iterator[Started]:
    """Start a PC with `disk`, and with `disks` on its USB; `firmware` is `bios` or `uefi`. It is off at the end.

    With `lan`, a machine of a lab and the name of a tap there, its cable ends in that tap and there are no doors.
    `log` is a file that takes down every write and flush of `disk` (see `outage_harness.writelog`).
    """
    place.mkdir(exist_ok=True)
    doors = {port: free_port() for port in ports} if lan is None else {}
    forwards = "".join(f",hostfwd=tcp:127.0.0.1:{here}-:{there}" for there, here in doors.items())
    cable = (
        f"user,model=e1000{forwards}"
        if lan is None
        else f"tap,ifname={lan[1]},script=no,downscript=no,model=e1000"
    )
    drive = f"file={disk.path},format=raw"
    if log is not None:
        log.write_bytes(b"")
        # A flush is only written down: it is the replay that says what was not flushed.
        drive = ",".join(
            ["driver=blklogwrites"]
            + [f"{name}.driver=file,{name}.filename={path},{name}.cache.no-flush=on"
               for name, path in (("file", disk.path), ("log", log))]
        )  # fmt: skip
    serial, monitor = place / f"serial-{time.monotonic_ns()}", place / "monitor"
    monitor.unlink(missing_ok=True)
    command = [
        "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", str(memory_mib),
        "-display", "none", "-serial", f"file:{serial}", "-qmp", f"unix:{monitor},server=on,wait=off",
        "-nic", cable,
    ]  # fmt: skip
    if firmware == "uefi":
        variables = place / "variables"
        if not variables.exists():
            shutil.copyfile(_FIRMWARE / "OVMF_VARS_4M.fd", variables)
        command += [
            "-machine", "q35", "-drive", f"if=pflash,format=raw,readonly=on,file={_FIRMWARE / 'OVMF_CODE_4M.fd'}",
            "-drive", f"if=pflash,format=raw,file={variables}",
            "-drive", f"{drive},if=none,id=system", "-device", "ide-hd,drive=system",
        ]  # fmt: skip
    else:
        command += ["-machine", "pc", "-drive", f"{drive},if=ide"]
    if disks:
        command += ["-device", "qemu-xhci"]
    for number, path in enumerate(disks):
        command += [
            "-drive",
            f"file={path},format=raw,if=none,id=usb{number}",
            "-device",
            f"usb-storage,drive=usb{number}",
        ]
    command += more
    process = subprocess.Popen(command if lan is None else lan[0].command(command), stdin=subprocess.DEVNULL)
    try:
        yield Started(process, serial, monitor, doors)
    finally:
        process.kill()
        process.wait(timeout=30)
