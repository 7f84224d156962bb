"""The package from a checkout: wheels, our own packages, units and documents staged, then packed by dpkg-deb.

Invariant: the same checkout, lock and date give the same bytes, on any machine and for either architecture.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import tempfile
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from catalog import durable
from catalog.errors import ConfigError, UsageError
from images.commands import run
from images.package.control import NAME, About, control_file, settings_list, sums
from images.package.licences import copyright_file
from images.package.target import PYTHON, Arch
from images.package.wheels import lay_out

OWN = ("catalog", "sync", "webui", "images", "appliance")
DOCUMENTS = ("docs/technician.zh-CN.md", "docs/technician.md", "docs/field-report.md")
SITE = f"usr/lib/{NAME}/lib/python{PYTHON}/site-packages"
_HERE = Path(__file__).parent
_PROGRAMS = ("usr/bin", "DEBIAN")
_SETTINGS_OF_DPKG = frozenset({"control", "conffiles", "md5sums"})
# deb-version(7), without an epoch: the name of the file carries it.
_VERSION = re.compile(r"[0-9][A-Za-z0-9.+~-]*")

# Takes the name of the step that begins.
OnStep = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A finished package."""

    path: Path
    arch: Arch
    version: str
    size_bytes: int
    installed_bytes: int
    sha256: str


def checkout() -> Path:
    """Return the checkout that this code runs from; raise `UsageError` where it was installed without one."""
    root = _HERE.parent.parent
    if not (root / "requirements.txt").exists():
        raise UsageError("E-SOURCE", where=root, expected="requirements.txt")
    return root


def build_package(source: Path, arch: Arch, output: Path, *, version: str | None, step: OnStep) -> Package:
    """Build the package of the checkout `source` for `arch` into the directory `output`.

    `version` is the package's, else that of `pyproject.toml`. Raises `UsageError` for a version that dpkg does not
    order, `ConfigError` E-BUILD or E-TOOL where a step fails.
    """
    project = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    version = version or str(project["version"])
    if not _VERSION.fullmatch(version):
        raise UsageError("E-USAGE", where="--version", expected="0-9 A-Z a-z . + ~ -", found=version)
    date = date_of(source)
    durable.storage(lambda: output.mkdir(parents=True, exist_ok=True), output)
    with tempfile.TemporaryDirectory(prefix=".package-", dir=output) as scratch:
        work = Path(scratch)
        stage = work / "stage"
        shutil.copytree(_HERE / "files", stage)
        step("wheels")
        lay_out(source / "requirements.txt", arch, stage / SITE, work)
        step("files")
        _add_python(stage)
        _add_documents(source, stage, date)
        _add_own(source, stage / SITE, str(project["version"]))
        installed_bytes = _settle(stage)
        _add_control(stage, About(version=version, arch=arch, installed_bytes=installed_bytes))
        _settle(stage)
        _date_all(stage, date)
        step("pack")
        made = work / f"{NAME}_{version}_{arch.name}.deb"
        # One thread: how the stream is cut must not depend on the machine.
        run(
            ["dpkg-deb", "--root-owner-group", "--threads-max=1", "-Zzstd", "-z12", "--build", stage, made],
            {"SOURCE_DATE_EPOCH": str(date)},
        )
        path = output / made.name
        durable.sync_file(made)
        durable.publish_file(made, path)
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Package(
        path=path, arch=arch, version=version, size_bytes=path.stat().st_size, installed_bytes=installed_bytes,
        sha256=sha256,
    )  # fmt: skip


def date_of(source: Path) -> int:
    """Return the date of every file (reproducible-builds.org's SOURCE_DATE_EPOCH): what is given, else the commit's."""
    if given := os.environ.get("SOURCE_DATE_EPOCH", ""):
        if not given.isdigit():
            raise ConfigError("E-CONFIG", where="SOURCE_DATE_EPOCH", expected="seconds", found=given)
        return int(given)
    return int(run(["git", "-C", source, "log", "-1", "--format=%ct"]))


def _add_python(stage: Path) -> None:
    # With pyvenv.cfg beside it, this name of Debian's Python sees our modules and none of the machine's others.
    place = stage / "usr" / "lib" / NAME / "bin"
    place.mkdir()
    (place / "python3").symlink_to(f"/usr/bin/python{PYTHON}")


def _add_documents(source: Path, stage: Path, date: int) -> None:
    place = stage / "usr" / "share" / "doc" / NAME
    place.mkdir(parents=True)
    # Before our own packages are beside the wheels: these are the terms of others.
    text = copyright_file(stage / SITE, SITE, source / "LICENSE")
    (place / "copyright").write_text(text, encoding="utf-8")
    for name in DOCUMENTS:
        shutil.copyfile(source / name, place / Path(name).name)
    changes = (source / "CHANGELOG.md").read_bytes()
    (place / "changelog.gz").write_bytes(gzip.compress(changes, 9, mtime=date))


def _add_own(source: Path, site: Path, version: str) -> None:
    for name in OWN:
        shutil.copytree(source / name, site / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    about = site / f"{NAME}-{version}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(
        f"Metadata-Version: 2.4\nName: {NAME}\nVersion: {version}\nLicense-Expression: Apache-2.0\n"
    )
    (about / "INSTALLER").write_text("dpkg\n")


def _add_control(stage: Path, about: About) -> None:
    place = stage / "DEBIAN"
    shutil.copytree(_HERE / "scripts", place)
    (place / "control").write_text(control_file(about), encoding="utf-8")
    (place / "conffiles").write_text(settings_list(stage))
    (place / "md5sums").write_text(sums(stage))


def _settle(stage: Path) -> int:
    """Give everything the rights it has on every machine, whatever the builder's umask; return the bytes it takes."""
    total = 0
    for path in stage.rglob("*"):
        if path.is_symlink():
            continue
        name = path.relative_to(stage)
        program = str(name.parent) in _PROGRAMS and name.name not in _SETTINGS_OF_DPKG
        path.chmod(0o755 if path.is_dir() or program else 0o644)
        total += path.stat().st_size if path.is_file() else 0
    stage.chmod(0o755)
    return total


def _date_all(stage: Path, date: int) -> None:
    for path in (*stage.rglob("*"), stage):
        os.utime(path, (date, date), follow_symlinks=False)
