"""Programs of another processor on this machine: the kernel hands them to qemu-user (binfmt_misc).

Invariant: what was registered here is taken back; what the machine had registered already stays.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from pathlib import Path

from catalog import durable
from catalog.errors import ConfigError
from images.commands import run
from images.package.target import Arch

_REGISTERED = Path("/proc/sys/fs/binfmt_misc")
# Where qemu-user-static lays the lines to register; the interpreter is opened then (flag F), so that a root needs none.
_RULES = Path("/usr/lib/binfmt.d")


def let_run(arch: Arch) -> Callable[[], None]:
    """Let this machine run programs of `arch`, and return what takes that back.

    Raises `ConfigError` E-TOOL without qemu-user-static, E-BUILD where binfmt_misc cannot be mounted.
    """
    rule = _REGISTERED / f"qemu-{arch.value.name}"
    if platform.machine() == arch.value.name:
        return _nothing
    if not (_REGISTERED / "register").exists():
        run(["mount", "-t", "binfmt_misc", "binfmt_misc", _REGISTERED])
    if rule.exists():
        return _nothing
    line = _RULES / f"{rule.name}.conf"
    if not line.exists():
        raise ConfigError("E-TOOL", where="qemu-user-static")
    durable.storage(lambda: (_REGISTERED / "register").write_bytes(line.read_bytes()), _REGISTERED)
    return lambda: _forget(rule)


def _forget(rule: Path) -> None:
    rule.write_text("-1")


def _nothing() -> None:
    pass
