"""What starts a PC: GRUB for BIOS in the gap before the first partition, Debian's signed shim and GRUB for UEFI.

Both read one `EFI/debian/grub.cfg` on the FAT partition, which boots system A of the very disk that GRUB came from: a
card in a reader beside it has the same labels. Signed programs are copied as they are, so Secure Boot may stay on.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from catalog.errors import ConfigError
from images.commands import run
from images.disk import GAP_BYTES, SECTOR_BYTES, write_gap

CONFIG = "EFI/debian/grub.cfg"
EXTRA = "EFI/debian/extra.cfg"
# boot.img is code up to the disk's identity and the partition table.
_CODE_BYTES = 440
_MODULES = ("biosdisk", "part_msdos", "part_gpt", "fat", "ext2", "linux", "normal", "configfile", "test", "echo", "regexp", "probe", "serial", "terminal", "all_video", "gfxterm", "reboot", "halt")  # fmt: skip
# The screen is the main console, as that is what a technician has; the serial line gets the kernel's words too.
_ARGUMENTS = "ro console=ttyS0,115200 console=tty0 panic=10 quiet"
_CONFIG = f"""\
# 书箱：从本盘的系统分区启动。要给内核另加参数，在旁边写 extra.cfg：set extra="…"
# Shuxiang: boots the system of this very disk. For more kernel arguments, write extra.cfg beside it: set extra="…"
set timeout=0
set system=2
set extra=
regexp --set=1:disk '^([^,]+),' "$root"
if [ -f "($root)/{EXTRA}" ]; then source "($root)/{EXTRA}"; fi
probe --set=part --part-uuid "($disk,msdos$system)"
menuentry "Shuxiang 书箱" {{
    set root="$disk,msdos$system"
    linux /vmlinuz root=PARTUUID=$part {_ARGUMENTS} $extra
    initrd /initrd.img
}}
"""


def boot_files(root: Path, loader: Path) -> Mapping[str, bytes | Path]:
    """Return what lies on the FAT partition; `root` holds kernel and initramfs, which stay there."""
    return {
        "EFI/BOOT/BOOTX64.EFI": loader / "usr/lib/shim/shimx64.efi.signed",
        "EFI/BOOT/grubx64.efi": loader / "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed",
        "EFI/BOOT/mmx64.efi": loader / "usr/lib/shim/mmx64.efi.signed",
        CONFIG: _CONFIG.encode(),
    }


def install_loader(image: Path, loader: Path, work: Path) -> None:
    """Write GRUB for BIOS into the gap of the disk at `image`: the first sector's code, and the core behind it.

    As grub-bios-setup does where the core lies in one piece from the second sector on, which both parts take for
    granted unless told otherwise (GRUB's boot.S and diskboot.S).
    """
    modules = loader / "usr/lib/grub/i386-pc"
    core = work / "core.img"
    libraries = loader / "usr/lib/x86_64-linux-gnu"
    run(
        [libraries / "ld-linux-x86-64.so.2", "--library-path", libraries, loader / "usr/bin/grub-mkimage",
         "--directory", modules, "--format", "i386-pc", "--prefix", f"(,msdos1)/{Path(CONFIG).parent}",
         "--output", core, *_MODULES],
    )  # fmt: skip
    data = core.read_bytes()
    if len(data) > GAP_BYTES - SECTOR_BYTES:
        raise ConfigError("E-BUILD", where=core, expected=GAP_BYTES - SECTOR_BYTES, found=len(data))
    write_gap(image, 0, (modules / "boot.img").read_bytes()[:_CODE_BYTES])
    write_gap(image, 1, data)
