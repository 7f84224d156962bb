"""A finished image, opened without mounting: an image made of the real overlay keeps its promises, each break is found."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from backports.zstd import ZstdCompressor
from command import call, refusal
from small_disk import need_root

from images.check import Promise, check_image
from images.disk import GAP_BYTES, Layout, write_disk
from images.root import OVERLAY, add_overlay

HOUSE = Path(__file__).parent.parent.parent
PACKAGE = HOUSE / "images" / "package" / "files"
LAYOUT = Layout(boot_mib=34, system_mib=48, data_mib=136, identity=0x12345678)
STATUS = """Package: libc6
Status: install ok installed
Version: 2.41

Package: shuxiang
Status: install ok installed
Version: 0.1.0
"""
GRUB = 'menuentry "Shuxiang" {\n    linux /vmlinuz root=PARTUUID=$part ro quiet\n    initrd /initrd.img\n}\n'


def system_tree(root: Path) -> None:
    """Lay out what of a Debian with our package and overlay is looked at."""
    for name in (
        "boot", "etc/apt/sources.list.d", "etc/ssh", "root", "tmp", "home", "var/log", "var/lib/apt/lists", "var/lib/shuxiang", "usr/bin",
        "usr/sbin", "etc/systemd/system/multi-user.target.wants", "var/lib/dpkg", "var/lib/systemd",
    ):  # fmt: skip
        (root / name).mkdir(parents=True)
    shutil.copytree(PACKAGE / "usr/lib/systemd", root / "usr/lib/systemd")
    add_overlay(root, OVERLAY / "common")
    for unit in sorted((root / "usr/lib/systemd/system").glob("shuxiang*")):
        for line in unit.read_text().splitlines():
            if line.startswith("WantedBy=") and "@" not in unit.name:
                wants = root / f"etc/systemd/system/{line.removeprefix('WantedBy=')}.wants"
                wants.mkdir(exist_ok=True)
                (wants / unit.name).symlink_to(f"/usr/lib/systemd/system/{unit.name}")
    for name in ("tmp.mount", "ssh.socket"):
        (root / "usr/lib/systemd/system" / name).write_text("[Unit]\n")
    (root / "usr/bin/shuxiang").write_text("#!/bin/sh\n")
    (root / "usr/sbin/sshd").write_text("")
    (root / "var/lib/dpkg/status").write_text(STATUS)
    (root / "etc/machine-id").write_bytes(b"")
    (root / "etc/passwd").write_text(
        "root:x:0:0:root:/root:/bin/bash\nshuxiang:x:989:989::/var/lib/shuxiang:\n"
    )
    (root / "etc/shadow").write_text("root:*:20779:0:99999:7:::\nshuxiang:!*:20779::::::\n")
    for name in ("vmlinuz", "initrd.img"):
        (root / f"boot/{name}-6.12").write_bytes(b"k" * 4096)
        (root / name).symlink_to(f"boot/{name}-6.12")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image that keeps its promises, with its description."""
    need_root("an image's files belong to root")
    folder = tmp_path_factory.mktemp("image")
    root, work, image = folder / "root", folder / "work", folder / "shuxiang-box-pc-0.1.0.img"
    work.mkdir()
    system_tree(root)
    boot: dict[str, bytes | Path] = {"EFI/BOOT/BOOTX64.EFI": b"MZ", "EFI/debian/grub.cfg": GRUB.encode()}
    write_disk(image, LAYOUT, boot_files=boot, system=root, data=None, work=work, date=0)
    with image.open("r+b") as file:
        file.write(b"\xeb\x63")
    describe(image)
    return image


def describe(image: Path) -> None:
    data = image.read_bytes()
    note = {"name": "Shuxiang box pc 0.1.0", "version": "0.1.0", "board": "pc", "role": "box",
            "extract_size": len(data), "extract_sha256": hashlib.sha256(data).hexdigest()}  # fmt: skip
    image.with_name(f"{image.name}.json").write_text(json.dumps(note))


def broken(promises: list[Promise]) -> list[str]:
    return [one.name for one in promises if not one.holds]


def test_an_image_of_the_real_overlay_keeps_its_promises(sound: Path) -> None:
    promises = check_image(sound)
    assert broken(promises) == [], [one for one in promises if not one.holds]
    assert len(promises) > 25 and len({one.name for one in promises}) == len(promises)


def debugfs(image: Path, number: int, *requests: str) -> None:
    part = LAYOUT.parts[number - 1]
    script = "\n".join(requests)
    subprocess.run(
        ["debugfs", "-w", "-f", "-", f"{image}?offset={part.offset_bytes}"], input=script, text=True, check=True, capture_output=True
    )  # fmt: skip


def put(path: str, text: str, *, number: int = 2) -> Callable[[Path], None]:
    """Return what puts a file into a filesystem of the image, in the place of another."""

    def change(image: Path) -> None:
        staged = image.with_name("staged")
        staged.write_text(text)
        folder, _, name = path.rpartition("/")
        debugfs(
            image, number, *_folders(folder), f"cd {folder or '/'}", f"rm {name}", f"write {staged} {name}"
        )

    return change


def _folders(folder: str) -> list[str]:
    parts = folder.strip("/").split("/")
    return [f"mkdir /{'/'.join(parts[: count + 1])}" for count in range(len(parts))]


def gone(path: str) -> Callable[[Path], None]:
    return lambda image: debugfs(image, 2, f"rm {path}")


def described(change: Callable[[Path], None]) -> Callable[[Path], None]:
    """Return the change with a description of what comes of it."""

    def both(image: Path) -> None:
        change(image)
        describe(image)

    return both


def raw(offset: int, data: bytes) -> Callable[[Path], None]:
    def change(image: Path) -> None:
        with image.open("r+b") as file:
            file.seek(offset)
            file.write(data)

    return change


RULES = (OVERLAY / "common/etc/nftables.conf").read_text()
WRONG: list[tuple[str, Callable[[Path], None]]] = [
    ("firewall", put("/etc/nftables.conf", RULES.replace("80, 81,", "22, 80, 81,"))),
    ("firewall", put("/etc/nftables.conf", RULES.replace("tcp dport @open_tcp accept", "tcp dport @open_tcp accept\n\t\ttcp dport 23 accept"))),
    ("firewall", put("/etc/nftables.conf", RULES.replace("filter; policy drop;", "filter; policy accept;", 1))),
    ("firewall", put("/etc/nftables.conf", RULES.replace("ip saddr @private4 tcp dport 32768-60999", "tcp dport 32768-60999"))),
    ("firewall", gone("/etc/nftables.conf")),
    ("passwords", put("/etc/shadow", "root::20779:0:99999:7:::\n")),
    ("passwords", put("/etc/shadow", "root:*:1::::::\npi:$y$j9T$abc:1::::::\n")),
    ("passwords", put("/etc/passwd", "root:x:0:0::/root:/bin/sh\ntoor:x:0:0::/root:/bin/sh\n")),
    ("ssh", put("/etc/ssh/sshd_config.d/shuxiang.conf", "PasswordAuthentication yes\nKbdInteractiveAuthentication no\n")),
    ("ssh", put("/etc/systemd/system/ssh.socket", "[Socket]\nListenStream=22\n")),
    ("secrets", put("/etc/shuxiang/authorized_keys", "")),
    ("secrets", put("/var/lib/shuxiang/config.toml", "x")),
    ("secrets", put("/state/local.db", "x", number=4)),
    ("identity", put("/etc/ssh/ssh_host_ed25519_key", "secret")),
    ("identity", put("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")),
    ("identity", put("/var/lib/systemd/random-seed", "x")),
    ("leftovers", put("/var/lib/apt/lists/somewhere_Packages", "x")),
    ("leftovers", put("/var/log/dpkg.log", "x")),
    ("addresses", put("/etc/apt/sources.list", "deb http://somewhere.example trixie main\n")),
    ("addresses", put("/etc/resolv.conf", "nameserver 10.0.0.1\n")),
    ("journal", put("/etc/systemd/journald.conf.d/shuxiang.conf", "[Journal]\nStorage=persistent\n")),
    ("journal", put("/etc/systemd/journald.conf.d/zz.conf", "[Journal]\nStorage=auto\n")),
    ("watchdog", gone("/etc/systemd/system.conf.d/shuxiang.conf")),
    ("tmp", put("/etc/systemd/system/tmp.mount", "")),
    ("swap", put("/etc/fstab", "/dev/mmcblk0p5 none swap sw 0 0\n")),
    ("noatime", put("/etc/fstab", "LABEL=x /mnt ext4 rw 0 2\n")),
    ("overlay", gone("/etc/initramfs-tools/scripts/local-bottom/shuxiang")),
    ("package", described(put("/var/lib/dpkg/status", STATUS.replace("0.1.0", "0.0.9")))),
    ("dpkg", put("/var/lib/dpkg/status", STATUS + "\nPackage: rsync\nStatus: install ok half-configured\nVersion: 3\n")),
    ("no strangers", put("/var/lib/dpkg/status", STATUS + "\nPackage: samba\nStatus: install ok installed\nVersion: 4\n")),
    ("units", gone("/etc/systemd/system/multi-user.target.wants/shuxiang.service")),
    ("loader", raw(0, bytes(440))),
    ("loader", gone("/boot/initrd.img-6.12")),
    ("labels", raw(LAYOUT.parts[0].offset_bytes + 71, b"NO NAME    ")),
    ("room for B", raw(LAYOUT.parts[2].offset_bytes + 1024 + 56, b"\x53\xef")),
]  # fmt: skip


@pytest.mark.parametrize(("name", "change"), WRONG)
def test_a_broken_promise_is_found(
    sound: Path, tmp_path: Path, name: str, change: Callable[[Path], None]
) -> None:
    image = tmp_path / "changed.img"
    subprocess.run(["cp", "--sparse=always", sound, image], check=True)
    change(image)
    found = broken(check_image(image))
    # Without a description nothing says what its hash should be.
    assert name in found and set(found) <= {"hash", "overlay", "noatime", name}, found


def test_what_is_left_on_the_boot_partition_is_found(sound: Path, tmp_path: Path) -> None:
    image = tmp_path / "changed.img"
    subprocess.run(["cp", "--sparse=always", sound, image], check=True)
    request = tmp_path / "shuxiang.toml"
    request.write_text('[admin]\nadmin_password = "letmein"\n')
    subprocess.run(["mcopy", "-i", f"{image}@@{GAP_BYTES}", request, "::shuxiang.toml"], check=True)
    assert set(broken(check_image(image))) == {"hash", "boot secrets"}


def test_the_command_opens_a_packed_image_and_ends_by_the_contract(sound: Path, tmp_path: Path) -> None:
    packed = tmp_path / f"{sound.name}.zst"
    packed.write_bytes(ZstdCompressor().compress(sound.read_bytes(), ZstdCompressor.FLUSH_FRAME))
    shutil.copy(sound.with_name(f"{sound.name}.json"), tmp_path)
    found = call(tmp_path, "image", "check", packed)
    assert all(one["holds"] for one in found) and {"hash", "firewall", "size"} <= {
        one["name"] for one in found
    }
    assert list(tmp_path.glob(".check-*")) == []
    (tmp_path / f"{sound.name}.json").unlink()
    assert refusal(tmp_path, "image", "check", packed, code=10) == "E-IMAGE-NOTE"
    failed = call(tmp_path, "image", "check", _alone(sound, tmp_path), code=14)
    assert [one["name"] for one in failed if not one["holds"]] == ["hash"]
    assert refusal(tmp_path, "image", "check", tmp_path / "none.img", code=3) == "E-IMAGE-NONE"
    assert refusal(tmp_path, "image", "check", code=2) == "E-USAGE"


def _alone(sound: Path, folder: Path) -> Path:
    image = folder / "alone.img"
    subprocess.run(["cp", "--sparse=always", sound, image], check=True)
    return image
