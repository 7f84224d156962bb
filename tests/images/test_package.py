"""The Debian package, read: what is in it, for whom, with which rights, under whose terms; twice built, once the same."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest
from package_material import REPOSITORY, Unpacked, packed

from appliance.firstboot.request import FILE_NAME
from appliance.firstboot.system import ENVIRONMENT, STAMP
from appliance.health import RSYNC_FIXED
from catalog.errors import ConfigError, UsageError
from images.commands import run
from images.package import control
from images.package.build import OWN, SITE, build_package
from images.package.licences import copyright_file
from images.package.target import Arch, foreign_code
from images.package.wheels import pinned

UNITS = REPOSITORY / "images/package/files/usr/lib/systemd/system"
UNIT = UNITS / "shuxiang.service"
OURS = (
    "etc/shuxiang/", "usr/bin/shuxiang", "usr/lib/shuxiang/", "usr/lib/systemd/system/shuxiang.service",
    "usr/lib/systemd/system/shuxiang-firstboot.service",
    "usr/lib/systemd/system/shuxiang-disk.service", "usr/lib/systemd/system/shuxiang-disk-page.service",
    "usr/lib/systemd/system/shuxiang-hostname.service", "usr/lib/systemd/system/shuxiang-dhcp.service",
    "usr/lib/systemd/system/shuxiang-preload.service",
    "usr/lib/systemd/system/shuxiang-wireless.service", "usr/lib/systemd/system/shuxiang-wireless.timer",
    "usr/lib/systemd/system/shuxiang-writer.service", "usr/lib/systemd/system/shuxiang-writer.socket",
    "usr/lib/systemd/system/shuxiang-stick@.service", "usr/lib/udev/rules.d/85-shuxiang-stick.rules",
    "usr/lib/sysusers.d/shuxiang.conf", "usr/lib/tmpfiles.d/shuxiang.conf", "usr/share/doc/shuxiang/",
)  # fmt: skip
# What Debian 13 has for the code in the wheels: each library and the package in `control.DEPENDS` that brings it.
LIBRARIES = {
    "libc.so.6": "libc6", "libm.so.6": "libc6", "libpthread.so.0": "libc6", "libdl.so.2": "libc6",
    "libutil.so.1": "libc6", "librt.so.1": "libc6", "libgcc_s.so.1": "libgcc-s1", "libstdc++.so.6": "libstdc++6",
    "libz.so.1": "zlib1g", "ld-linux-x86-64.so.2": "libc6", "ld-linux-aarch64.so.1": "libc6",
}  # fmt: skip


# -- quick: what needs no package ------------------------------------------------------------------------------------


def test_what_first_boot_writes_is_read_by_the_service() -> None:
    service, first = UNIT.read_text(), (UNITS / "shuxiang-firstboot.service").read_text()
    assert f"EnvironmentFile=-/{ENVIRONMENT}\n" in service
    assert "Before=shuxiang.service NetworkManager.service\n" in first
    assert "ExecStart=/usr/bin/shuxiang firstboot --from /boot/firmware\n" in first
    assert f"ConditionPathExists=/boot/firmware/{FILE_NAME}\n" in first
    scripts = REPOSITORY / "images/package/scripts"
    for name in ("postinst", "postrm"):
        assert "shuxiang.service shuxiang-firstboot.service" in (scripts / name).read_text()
    assert all(f"/{path}" in (scripts / "postrm").read_text() for path in (ENVIRONMENT, STAMP))


def test_a_failing_program_is_shown_as_a_line_to_paste() -> None:
    with pytest.raises(ConfigError) as caught:
        run(["sh", "-c", "echo no room >&2; exit 3"], {"LC_ALL": "C"})
    assert caught.value.code == "E-BUILD"
    assert caught.value.where == "LC_ALL=C sh -c 'echo no room >&2; exit 3'"
    assert caught.value.found == "no room"
    with pytest.raises(ConfigError) as caught:
        run(["no-such-program"])
    assert caught.value.code == "E-TOOL"


@pytest.mark.parametrize("version", [" ", "v1", "1:2", "1 2", "1_2"])
def test_a_version_that_dpkg_does_not_order_is_refused(version: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        build_package(REPOSITORY, Arch.amd64, tmp_path, version=version, step=lambda name: None)
    assert not list(tmp_path.iterdir())


def test_code_for_another_machine_is_found(tmp_path: Path) -> None:
    for arch in Arch:
        head = b"\x7fELF\x02\x01\x01" + bytes(11) + arch.value.elf.to_bytes(2, "little") + bytes(40)
        (tmp_path / f"{arch.name}.so").write_bytes(head)
    (tmp_path / "notes.txt").write_bytes(b"\x7fEL")
    assert [path.name for path in foreign_code(tmp_path, Arch.amd64)] == ["arm64.so"]
    assert [path.name for path in foreign_code(tmp_path, Arch.arm64)] == ["amd64.so"]


def test_a_wheel_without_known_terms_is_refused(tmp_path: Path) -> None:
    about = tmp_path / "odd-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: odd\nVersion: 1\n")
    (about / "RECORD").write_text("odd.py,,\nodd-1.dist-info/METADATA,,\n")
    with pytest.raises(ConfigError) as caught:
        copyright_file(tmp_path, SITE, REPOSITORY / "LICENSE")
    assert (caught.value.code, caught.value.where) == ("E-BUILD", "odd")


def test_the_package_asks_for_what_the_makefile_and_doctor_ask_for() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    [line] = re.findall(r"^DEBIAN := (.*)$", makefile, re.MULTILINE)
    stated = {one.split()[0] for one in (*control.DEPENDS, *control.RECOMMENDS, *control.SUGGESTS)}
    assert set(line.split()) <= stated
    assert f"rsync (>= {RSYNC_FIXED['13']})" in control.DEPENDS


def test_our_packages_are_those_of_the_project() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    assert set(OWN) == set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])


@pytest.mark.parametrize("name", ["postinst", "prerm", "postrm"])
def test_scripts_are_short_and_stop_at_the_first_failure(name: str) -> None:
    script = REPOSITORY / "images/package/scripts" / name
    lines = script.read_text().splitlines()
    assert lines[0] == "#!/bin/sh" and "set -e" in lines[:6] and len(lines) <= 40
    assert subprocess.run(["sh", "-n", script]).returncode == 0


# -- slow: a built package -------------------------------------------------------------------------------------------


@pytest.fixture(params=list(Arch), ids=lambda arch: arch.name)
def package(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Unpacked:
    arch: Arch = request.param
    return packed(arch, tmp_path_factory)


@pytest.mark.slow
def test_machine_code_is_for_the_machine_and_needs_what_debian_has(package: Unpacked) -> None:
    assert not list(foreign_code(package.root, package.arch))
    code = [
        path for path in package.root.rglob("*") if path.is_file() and re.search(r"\.so(\.|$)", path.name)
    ]
    assert len(code) > 40
    own = {path.name for path in code}
    machines, needed = set(), set()
    for path in code:
        shown = subprocess.run(
            ["readelf", "-hd", path], capture_output=True, text=True, env={"LC_ALL": "C"}
        ).stdout
        machines |= set(re.findall(r"Machine: +(.*)$", shown, re.MULTILINE))
        needed |= set(re.findall(r"NEEDED.*\[(.*)\]", shown))
    assert machines == {"AArch64" if package.arch is Arch.arm64 else "Advanced Micro Devices X86-64"}
    stated = {one.split()[0] for one in control.DEPENDS}
    assert {LIBRARIES[name] for name in needed - own} <= stated
    assert "cpython-313" in " ".join(own) and not re.search(r"cpython-3(?!13)\d+", " ".join(own))


@pytest.mark.slow
def test_every_locked_package_is_there_by_its_tags_and_terms(package: Unpacked) -> None:
    site = package.root / SITE
    here = {re.sub(r"[-_.]+", "-", one.name).lower(): one for one in distributions(path=[str(site)])}
    assert {name: one.version for name, one in here.items()} == pinned(REPOSITORY / "requirements.txt") | {
        "shuxiang": tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    }
    terms = (package.root / "usr/share/doc/shuxiang/copyright").read_text(encoding="utf-8")
    for name, one in here.items():
        if name == "shuxiang":
            continue
        tags = re.findall(r"^Tag: (.*)$", one.read_text("WHEEL") or "", re.MULTILINE)
        assert all(tag.endswith("-any") or package.arch.value.name in tag for tag in tags), (name, tags)
        assert f"Comment: {one.name} {one.version}\n" in terms, name
    assert not re.search(r"^License:.*(?<!L)GPL", terms, re.MULTILINE)
    assert "Arvid Norberg" in terms and "Messense Lv" in terms and "LGPL" in terms


@pytest.mark.slow
def test_nothing_lies_outside_its_place_or_has_rights_it_should_not(package: Unpacked) -> None:
    for member in package.members:
        name = member.name.removeprefix("./")
        assert member.isdir() or name.startswith(OURS), name
        assert (member.uid, member.gid, member.uname) == (0, 0, "root"), name
        if member.issym():
            assert (name, member.linkname) == ("usr/lib/shuxiang/bin/python3", "/usr/bin/python3.13")
            continue
        program = name == "usr/bin/shuxiang"
        assert member.mode == (0o755 if member.isdir() or program else 0o644), (name, oct(member.mode))
        assert member.isdir() or member.isfile(), name
        assert not name.endswith((".pyc", "__pycache__")), name
    assert len({member.mtime for member in package.members}) == 1
    assert (package.control / "conffiles").read_text() == "/etc/shuxiang/service.conf\n"


@pytest.mark.slow
def test_what_it_says_of_itself_is_right(package: Unpacked) -> None:
    assert package.field("Architecture") == package.arch.name
    assert package.field("Package") == "shuxiang"
    size = sum(
        path.stat().st_size for path in package.root.rglob("*") if path.is_file() and not path.is_symlink()
    )
    assert int(package.field("Installed-Size")) == -(-size // 1024)
    done = subprocess.run(["md5sum", "--check", "--quiet", package.control / "md5sums"], cwd=package.root)
    assert done.returncode == 0


@pytest.mark.slow
def test_the_same_checkout_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A copy: somebody may work in this checkout meanwhile.
    source = tmp_path / "checkout"
    for name in (*OWN, "docs"):
        shutil.copytree(REPOSITORY / name, source / name)
    for path in (
        *REPOSITORY.glob("*.txt"),
        *REPOSITORY.glob("*.md"),
        *REPOSITORY.glob("*.toml"),
        REPOSITORY / "LICENSE",
    ):
        shutil.copy(path, source)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1790000000")
    made = []
    for umask, name in ((0o022, "first"), (0o077, "second")):
        before = os.umask(umask)
        try:
            made.append(
                build_package(source, Arch.amd64, tmp_path / name, version=None, step=lambda step: None)
            )
        finally:
            os.umask(before)
    assert made[0].sha256 == made[1].sha256
    assert [path.name for path in (tmp_path / "second").iterdir()] == [made[1].path.name], "no scratch stays"
