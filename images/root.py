"""The root of an image: Debian from the machine's own source, our package and the overlay, as a directory.

Invariant: nothing of the building machine stays in it (addresses of its package source, resolver, host name, keys);
each machine makes its own identity at its first start. What is the same for every build of a recipe is laid out once
and kept in `cache`, for a week at most, since Debian mends its packages.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from catalog import durable
from catalog.errors import ConfigError
from images.commands import run
from images.recipe import Recipe

OVERLAY = Path(__file__).parent / "overlay"
HOST_NAME = "shuxiang"
_KEPT_SECONDS = 7 * 86400
_PRESETS = "etc/systemd/system-preset"
# As `apt-get indextargets` fills it in: where, which release, which component.
_SOURCE_FORMAT = "$(REPO_URI)\t$(RELEASE)\t$(COMPONENT)"
_OWN_RELEASE = Path("/etc/os-release")
# Of the building machine, or of one machine only.
_GONE = (
    "etc/apt/sources.list", "etc/resolv.conf", "etc/hostname", "var/lib/dbus/machine-id", "var/lib/systemd/random-seed",
    "var/lib/dpkg/status-old", "initrd.img.old", "vmlinuz.old",
)  # fmt: skip
_GONE_WITHIN = ("var/log", "var/cache", "var/lib/apt/lists", "tmp", "var/tmp", "run")
_GONE_KEYS = "etc/ssh/ssh_host_*"
# What programs of the root may expect of a system, in namespaces of their own: nothing stays mounted.
_INSIDE = """
set -e
root=$1
shift
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for name in null zero full random urandom tty; do cp -a "/dev/$name" "$root/dev/$name"; done
ln -s /proc/self/fd "$root/dev/fd"
exec chroot "$root" "$@"
"""
# mmdebstrap mounts this machine's /dev and /proc below the root: were it killed, they would stay there without this.
_MOUNTS = ("unshare", "--mount", "--propagation", "slave")
_NAMESPACES = (*_MOUNTS, "--pid", "--fork", "--kill-child", "--net")


def make_root(recipe: Recipe, package: Path, work: Path, cache: Path, date: int) -> Path:
    """Lay the system out in `work` with our `package` installed, and return its directory.

    Raises `ConfigError`: E-ROOT-ONLY for another user than root, E-BUILD or E-TOOL where a step fails.
    """
    base = _base(recipe, cache, "system", _debian)
    root = work / "root"
    run(["cp", "--archive", "--reflink=auto", base, root])
    shutil.copyfile(package, root / "tmp" / package.name)
    inside(root, "dpkg", "--install", f"/tmp/{package.name}")
    add_overlay(root, OVERLAY / "common")
    add_overlay(root, OVERLAY / recipe.board)
    add_overlay(root, OVERLAY / recipe.role)
    if units := list(_preset_units(root)):
        inside(root, "systemctl", "preset", *units)
    inside(root, "update-initramfs", "-c", "-k", "all", date=date)
    _name_kernel(root)
    _forget(root)
    return root


def make_loader(recipe: Recipe, cache: Path) -> Path:
    """Return a directory with the files of the recipe's `loader` packages, which are not part of the system."""
    return _base(recipe, cache, "loader", _loader)


def inside(root: Path, *command: str, date: int | None = None) -> str:
    """Run `command` in `root` as root of its system, without a network, and return what it prints."""
    environment = {
        "PATH": "/usr/sbin:/usr/bin", "LC_ALL": "C.UTF-8", "HOME": "/root", "DEBIAN_FRONTEND": "noninteractive",
    }  # fmt: skip
    if date is not None:
        environment["SOURCE_DATE_EPOCH"] = str(date)
    return run([*_NAMESPACES, "sh", "-c", _INSIDE, "sh", root, *command], environment)


def add_overlay(root: Path, overlay: Path) -> None:
    """Copy the files of `overlay` over those of `root`, as root's own: 0755 where executable, else 0644."""
    for path in sorted(overlay.rglob("*")) if overlay.is_dir() else ():
        place = root / path.relative_to(overlay)
        if path.is_symlink():
            place.unlink(missing_ok=True)
            place.symlink_to(path.readlink())
        elif path.is_dir():
            place.mkdir(mode=0o755, exist_ok=True)
        else:
            place.unlink(missing_ok=True)
            shutil.copyfile(path, place)
            place.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)


def sources(recipe: Recipe) -> list[str]:
    """Return the lines of sources.list(5) for the recipe: what this machine's apt is configured with, for its suite.

    Raises `ConfigError` E-APT where this machine has no source of Debian.
    """
    own = dict(line.split("=", 1) for line in _OWN_RELEASE.read_text().splitlines() if "=" in line)
    return suite_lines(
        run(["apt-get", "indextargets", "--format", _SOURCE_FORMAT, "Created-By: Packages"]),
        own.get("VERSION_CODENAME", "").strip('"'),
        recipe,
    )


def suite_lines(told: str, own_suite: str, recipe: Recipe) -> list[str]:
    """Turn apt's sources of `own_suite` (and its `-updates`, `-security`) into those of the recipe's suite (pure)."""
    lines: dict[str, None] = {}
    for line in told.splitlines():
        where, release, component = line.split("\t")
        suite, dash, rest = release.partition("-")
        if suite == own_suite and component == "main" and rest in ("", "updates", "security"):
            lines[f"deb {where} {recipe.suite}{dash}{rest} {' '.join(recipe.components)}"] = None
    if not lines:
        raise ConfigError("E-APT", expected=f"{own_suite} main", found=told.strip() or "—")
    return list(lines)


def _debian(recipe: Recipe, lines: list[str], place: Path) -> None:
    patterns = [f"path-exclude={one}" for one in recipe.left_out] + [
        f"path-include={one}" for one in recipe.kept
    ]
    run(
        [*_MOUNTS, "mmdebstrap", "--quiet", "--mode=root", "--variant=essential", f"--architectures={recipe.arch.name}",
         "--aptopt=APT::Install-Recommends false", *(f"--dpkgopt={one}" for one in patterns),
         f"--include={','.join(recipe.packages)}", recipe.suite, place, "-"],
        # The initramfs is made once, when everything that belongs into it is there.
        {"INITRD": "No"},
        give="\n".join(lines) + "\n",
    )  # fmt: skip
    # dpkg keeps to the same rules when our package is installed, or a later one.
    rules = place / "etc" / "dpkg" / "dpkg.cfg.d" / "shuxiang"
    rules.write_text("".join(f"{one}\n" for one in patterns))


def _loader(recipe: Recipe, lines: list[str], place: Path) -> None:
    run(
        [*_MOUNTS, "mmdebstrap", "--quiet", "--mode=root", "--variant=extract", f"--architectures={recipe.arch.name}",
         "--aptopt=APT::Install-Recommends false", f"--include={','.join(recipe.loader)}", recipe.suite, place, "-"],
        give="\n".join(lines) + "\n",
    )  # fmt: skip


def _base(recipe: Recipe, cache: Path, kind: str, make: Callable[[Recipe, list[str], Path], None]) -> Path:
    if os.geteuid() != 0:
        raise ConfigError("E-ROOT-ONLY")
    lines = sources(recipe)
    parts = (recipe.packages, recipe.left_out, recipe.kept) if kind == "system" else (recipe.loader,)
    asked = repr((recipe.arch.name, recipe.suite, *parts, lines))
    place = cache / f"{recipe.board}-{recipe.role}-{kind}-{hashlib.sha256(asked.encode()).hexdigest()[:12]}"
    stamp = place.with_name(f"{place.name}.stamp")
    if stamp.exists() and time.time() - stamp.stat().st_mtime < _KEPT_SECONDS:
        return place
    durable.make_directory(cache)
    stamp.unlink(missing_ok=True)
    remove_tree(place)
    make(recipe, lines, place)
    stamp.touch()
    return place


def remove_tree(place: Path) -> None:
    """Remove a root; what a command that was killed left mounted in it is never touched."""
    run(["rm", "--recursive", "--force", "--one-file-system", place])


def _preset_units(root: Path) -> Iterator[str]:
    """Yield the units that the overlay's presets name: those alone are set as it says, the others as Debian does."""
    for path in sorted((root / _PRESETS).glob("*.preset")):
        for line in path.read_text().splitlines():
            words = line.split()
            if len(words) == 2 and words[0] in ("enable", "disable") and "*" not in words[1]:
                yield words[1]


def _name_kernel(root: Path) -> None:
    """Give the one kernel and its initramfs the names that Debian gives the newest; GRUB starts these."""
    for name in ("vmlinuz", "initrd.img"):
        found = sorted((root / "boot").glob(f"{name}-*"))
        if len(found) != 1:
            raise ConfigError("E-BUILD", where=f"/boot/{name}-*", expected=1, found=len(found))
        link = root / name
        link.unlink(missing_ok=True)
        link.symlink_to(f"boot/{found[0].name}")


def _forget(root: Path) -> None:
    for name in _GONE:
        (root / name).unlink(missing_ok=True)
    for path in root.glob(_GONE_KEYS):
        path.unlink()
    for name in _GONE_WITHIN:
        for path in (root / name).iterdir() if (root / name).is_dir() else ():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    # Empty: each machine makes its own, and that is not taken for a first boot that sets all units anew.
    (root / "etc" / "machine-id").write_bytes(b"")
    # What Debian makes anew after an update of /usr is up to date; elsewise every start would, since /var is in memory.
    for name in ("etc", "var"):
        (root / name / ".updated").write_text(f"TIMESTAMP_NSEC={time.time_ns()}\n")
    (root / "etc" / "hostname").write_text(f"{HOST_NAME}\n")
    (root / "etc" / "hosts").write_text(
        f"127.0.0.1 localhost\n127.0.1.1 {HOST_NAME}\n::1 localhost ip6-localhost\n"
    )
