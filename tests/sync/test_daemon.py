"""The rsync daemon of a hub, and what its refusals mean to a box."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from catalog.errors import ConfigError, RoadError
from sync import tree
from sync.daemon import DaemonSettings, RsyncDaemon, configuration
from sync.roads import RoadSettings, find_tree
from sync.roads.rsync import refusal


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "public"
    (root / "metadata").mkdir(parents=True)
    (root / tree.TIMESTAMP).write_bytes(b"{}")
    return root


def code_of(address: str, password: str | None = None) -> str:
    settings = RoadSettings(timeout_seconds=5, rsync_password=password)
    try:
        find_tree(address, settings).close()
    except RoadError as error:
        return error.code
    return ""


def test_a_password_is_asked_for(root: Path, tmp_path: Path) -> None:
    settings = DaemonSettings(port=free_port(), address="127.0.0.1", password="石榴")
    with RsyncDaemon(root, tmp_path / "work", settings) as daemon:
        assert daemon.running()
        address = f"rsync://box@127.0.0.1:{settings.port}/tree/"
        assert code_of(address, "石榴") == ""
        assert code_of(address, "wrong") == "E-ROAD-AUTH"
        assert code_of(f"rsync://127.0.0.1:{settings.port}/other/", "石榴") == "E-NO-TREE"
        assert "石榴" not in (tmp_path / "work" / "rsyncd.conf").read_text()
        assert (tmp_path / "work" / "rsyncd.secrets").stat().st_mode & 0o077 == 0
    assert not daemon.running()


def test_networks_that_are_not_named_are_refused(root: Path, tmp_path: Path) -> None:
    settings = DaemonSettings(port=free_port(), address="127.0.0.1", hosts_allow=("10.9.9.0/24",))
    with RsyncDaemon(root, tmp_path / "work", settings):
        assert code_of(f"rsync://127.0.0.1:{settings.port}/tree/") in ("E-NO-TREE", "E-ROAD-AUTH")


def test_a_taken_port_is_told(root: Path, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = DaemonSettings(port=taken.getsockname()[1], address="127.0.0.1")
        with pytest.raises(ConfigError):
            RsyncDaemon(root, tmp_path / "work", settings).start()


def test_chroot_only_as_root(tmp_path: Path) -> None:
    settings = DaemonSettings(port=1)
    assert "use chroot = no" in configuration(tmp_path, tmp_path, settings, root=False)
    text = configuration(tmp_path, tmp_path, settings, root=True)
    for line in ("use chroot = yes", "read only = yes", "list = no", "hosts deny = *"):
        assert line in text


@pytest.mark.parametrize(
    ("status", "errors", "code"),
    [
        (5, "@ERROR: max connections (60) reached -- try again later", "E-ROAD-FULL"),
        (5, "@ERROR: Unknown module 'x'", "E-NO-TREE"),
        (5, "@ERROR: auth failed on module tree", "E-ROAD-AUTH"),
        (10, "rsync: [Receiver] failed to connect to h: Connection refused (111)", "E-ROAD"),
        (12, "rsync: connection unexpectedly closed", "E-ROAD-SHORT"),
        (30, "rsync error: timeout in data send/receive (code 30)", "E-ROAD-SHORT"),
        (35, "rsync error: timeout waiting for daemon connection (code 35)", "E-ROAD"),
        (11, "rsync: [receiver] write failed: No space left on device (28)", "E-DISK-FULL"),
        (11, "rsync: [receiver] write failed: Input/output error (5)", "E-IO"),
        (2, "protocol version mismatch -- is your shell clean?", "E-ROAD"),
    ],
)
def test_exit_status_and_words(status: int, errors: str, code: str) -> None:
    assert refusal(status, errors, "rsync://h/tree/").code == code
