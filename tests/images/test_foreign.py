"""Programs of another processor: what was registered is taken back, what was there stays, what is missing is named."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from catalog.errors import ConfigError
from images import foreign
from images.package.target import Arch

OTHER = next(arch for arch in Arch if arch.value.name != platform.machine())
RULE = f"qemu-{OTHER.value.name}"


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory as the kernel's binfmt_misc, but that it registers nothing by itself; beside it Debian's rules."""
    registered, rules = tmp_path / "binfmt_misc", tmp_path / "binfmt.d"
    registered.mkdir()
    rules.mkdir()
    (registered / "register").write_bytes(b"")
    (rules / f"{RULE}.conf").write_text(f":{RULE}:M::x::/usr/bin/{RULE}:F")
    monkeypatch.setattr(foreign, "_REGISTERED", registered)
    monkeypatch.setattr(foreign, "_RULES", rules)
    return registered


def test_our_own_programs_need_nothing(kernel: Path) -> None:
    for arch in Arch:
        if arch is not OTHER:
            foreign.let_run(arch)()
    assert (kernel / "register").read_bytes() == b""


def test_a_rule_is_registered_and_taken_back(kernel: Path) -> None:
    undo = foreign.let_run(OTHER)
    assert (kernel / "register").read_text().startswith(f":{RULE}:")
    (kernel / RULE).write_text("enabled\n")
    undo()
    assert (kernel / RULE).read_text() == "-1"


def test_what_the_machine_had_stays(kernel: Path) -> None:
    (kernel / RULE).write_text("enabled\n")
    foreign.let_run(OTHER)()
    assert (kernel / "register").read_bytes() == b""
    assert (kernel / RULE).read_text() == "enabled\n"


def test_without_qemu_it_is_named(kernel: Path) -> None:
    (kernel.parent / "binfmt.d" / f"{RULE}.conf").unlink()
    with pytest.raises(ConfigError, match=r"E-TOOL.*qemu-user-static"):
        foreign.let_run(OTHER)
