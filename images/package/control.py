"""What dpkg is told of the package: its control file, the list of settings, the sums of its files (deb-control(5))."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from images.package.target import PYTHON, Arch

NAME = "shuxiang"
_NEXT_PYTHON = "{}.{}".format(*(int(part) + place for place, part in enumerate(PYTHON.split("."))))
RSYNC_FIXED = "3.4.0+ds1-1"
"""Debian 13's first rsync without the holes of January 2025, as `doctor` asks for it."""
DEPENDS = (
    f"python3 (>= {PYTHON})",
    f"python3 (<< {_NEXT_PYTHON})",
    "libc6 (>= 2.28)",
    "libgcc-s1",
    "libstdc++6",
    "zlib1g",
    f"rsync (>= {RSYNC_FIXED})",
    # Sticks: what is on them, and mounting.
    "util-linux",
    "mount",
    # The unit's growing pauses between restarts.
    "systemd (>= 254)",
)
RECOMMENDS = ("xdelta3", "bsdiff", "ffmpeg", "poppler-utils", "ntfs-3g", "alsa-utils", "mtools", "e2fsprogs")
"""xdelta3 saves a box bytes; ntfs-3g reads a disk that the kernel refuses since Windows left it asleep, alsa-utils plays
what is said of sticks; mtools puts a school's settings on a card, e2fsprogs makes data disks; the others are a hub's. A
box works without any of them, as on an offline machine."""
SUGGESTS = ("espeak-ng", "librsvg2-bin", "fonts-noto-cjk")
"""The sample county of `shuxiang demo` alone."""
_DESCRIPTION = """\
Description: library box for village schools: signed lessons over any road
 A county publishes lessons, a box in each school fetches them over any road
 (HTTP, rsync, BitTorrent, a USB stick) and serves them to classrooms without
 internet. The same package is the box and the county's hub.
 .
 书箱：县里发布，学校离线打开。同一个软件包，既是书箱，也是县中心。
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What the package says of itself."""

    version: str
    arch: Arch
    installed_bytes: int


def control_file(about: About) -> str:
    """Return the control file."""
    fields = {
        "Package": NAME,
        "Version": about.version,
        "Architecture": about.arch.name,
        "Maintainer": "The Shuxiang authors <shuxiang@localhost>",
        "Installed-Size": str(about.installed_bytes + 1023 >> 10),
        "Depends": ", ".join(DEPENDS),
        "Recommends": ", ".join(RECOMMENDS),
        "Suggests": ", ".join(SUGGESTS),
        "Section": "education",
        "Priority": "optional",
    }
    return "".join(f"{name}: {value}\n" for name, value in fields.items()) + _DESCRIPTION


def settings_list(stage: Path) -> str:
    """Return the list of files that belong to the machine's people once they are there (deb-conffiles(5))."""
    return "".join(
        f"/{path.relative_to(stage)}\n" for path in sorted((stage / "etc").rglob("*")) if path.is_file()
    )


def sums(stage: Path) -> str:
    """Return the MD5 sums by which `dpkg --verify shuxiang` finds damaged files (deb-md5sums(5))."""
    lines = []
    for path in sorted(stage.rglob("*")):
        name = path.relative_to(stage)
        if path.is_file() and not path.is_symlink() and name.parts[0] not in ("DEBIAN", "etc"):
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
            lines.append(f"{digest.hexdigest()}  {name}\n")
    return "".join(lines)
