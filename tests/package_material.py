"""Packages for tests: built once for all tests of a run, and laid open to be read."""

from __future__ import annotations

import fcntl
import subprocess
import tarfile
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path

import pytest

from images.package.build import build_package
from images.package.target import Arch

REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Unpacked:
    """A built package: `root` holds its files, `control` what dpkg is told."""

    path: Path
    arch: Arch
    sha256: str
    place: Path

    @property
    def root(self) -> Path:
        return self.place / "root"

    @property
    def control(self) -> Path:
        return self.place / "control"

    @cached_property
    def members(self) -> list[tarfile.TarInfo]:
        """What stands in the package's archive of files."""
        data = subprocess.run(
            ["dpkg-deb", "--fsys-tarfile", self.path], capture_output=True, check=True
        ).stdout
        with tarfile.open(fileobj=BytesIO(data)) as archive:
            return archive.getmembers()

    def field(self, name: str) -> str:
        """Return a field of the control file."""
        done = subprocess.run(
            ["dpkg-deb", "--field", self.path, name], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()


def packed(arch: Arch, factory: pytest.TempPathFactory, version: str | None = None) -> Unpacked:
    """Return the package for `arch`, built by the first test of the run that asks, in whichever process."""
    # Processes of one run have their directories side by side.
    shared = (
        factory.getbasetemp().parent if "popen-gw" in factory.getbasetemp().name else factory.getbasetemp()
    )
    place = shared / f"package-{arch.name}-{version or 'own'}"
    with (shared / f"{place.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "sha256").exists():
            made = build_package(REPOSITORY, arch, place, version=version, step=lambda name: None)
            subprocess.run(["dpkg-deb", "--extract", made.path, place / "root"], check=True)
            subprocess.run(["dpkg-deb", "--control", made.path, place / "control"], check=True)
            (place / "sha256").write_text(made.sha256)
    [path] = place.glob("*.deb")
    return Unpacked(path, arch, (place / "sha256").read_text(), place)
