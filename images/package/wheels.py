"""The locked wheels, laid out as files for the machine that the package is for; nothing of them runs here.

Invariant: every package of the lock is there in exactly its version, checked against its hash by pip; what is not a
wheel for the machine is refused and never built.
"""

from __future__ import annotations

import re
import shutil
import sys
from importlib.metadata import distributions
from pathlib import Path

from catalog.errors import ConfigError
from images.commands import run
from images.package.target import PYTHON, Arch, foreign_code

INSTALLERS = frozenset({"pip"})
"""In the lock as a stated dependency of one of its packages; what dpkg installs is not changed by pip."""
_PINNED = re.compile(r"^([a-z0-9][a-z0-9._-]*)==([^ \\]+)", re.MULTILINE)


def pinned(lock: Path) -> dict[str, str]:
    """Return the packages of the lock that the machine gets: name -> version."""
    found = _PINNED.findall(lock.read_text(encoding="utf-8"))
    return {name: version for name, version in found if name not in INSTALLERS}


def lay_out(lock: Path, arch: Arch, site: Path, work: Path) -> None:
    """Unpack the wheels of `lock` for `arch` into the new directory `site`; `work` is scratch.

    Raises `ConfigError` E-BUILD where a wheel is missing, has another hash, or holds code for another machine.
    """
    tools = work / "pip"
    run([sys.executable, "-m", "venv", tools])
    run(
        [
            tools / "bin" / "python", "-m", "pip", "--quiet", "--disable-pip-version-check", "install",
            "--require-hashes", "--only-binary", ":all:", "--no-deps", "--no-compile", "--no-warn-script-location",
            "--implementation", "cp", "--python-version", PYTHON,
            *(word for platform in arch.platforms for word in ("--platform", platform)),
            "--target", site, "--requirement", lock,
        ]
    )  # fmt: skip
    _take_out(site)
    # pip reads the lock's conditions (`; python_version < …`) as for the Python that it runs in itself.
    here = {canonical(one.name): one.version for one in distributions(path=[str(site)])}
    wanted = pinned(lock)
    if here != wanted:
        different = sorted(set(here.items()) ^ set(wanted.items()))
        raise ConfigError("E-BUILD", where=lock, expected=wanted, found=different)
    for path in foreign_code(site, arch):
        raise ConfigError("E-BUILD", where=path.relative_to(site), expected=arch.value.name, found="ELF")


def canonical(name: str) -> str:
    """Return a package's name as the lock writes it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _take_out(site: Path) -> None:
    for name in INSTALLERS:
        shutil.rmtree(site / name)
        for about in site.glob(f"{name}-*.dist-info"):
            shutil.rmtree(about)
    # Commands and manual pages of the packages are nobody's here.
    for name in ("bin", "share"):
        shutil.rmtree(site / name, ignore_errors=True)
    for about in site.glob("*.dist-info"):
        (about / "INSTALLER").write_text("dpkg\n")
        # The commands named this build's scratch directory: neither they nor their sums stay.
        lines = (about / "RECORD").read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if not line.startswith(("../", f"{about.name}/INSTALLER,"))]
        (about / "RECORD").write_text("".join(kept), encoding="utf-8")
