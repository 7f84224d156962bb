"""A hub's beginning: keys, root, recovery file and sheet."""

from __future__ import annotations

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from county import NOW

from catalog.errors import ConfigError
from sync.trust.identity import fingerprint_of, initialise
from sync.trust.keys import load_keys
from sync.trust.pinned import pin_root, read_fingerprint
from sync.trust.recovery import open_recovery
from sync.trust.sheet import groups, passphrase_on


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hub")


def test_a_hub_is_made_once_and_recovered_by_the_sheet(state: Path) -> None:
    made = initialise(state, name="<雷山>县电教馆", now=NOW)
    assert fingerprint_of(state) == made.fingerprint
    assert (
        pin_root(made.root_path.read_bytes(), groups(made.fingerprint).upper()).fingerprint
        == made.fingerprint
    )

    sheet = made.sheet_path.read_text("utf-8")
    assert (
        passphrase_on(sheet) == made.passphrase and groups(made.fingerprint)[:39] in sheet and "<svg" in sheet
    )
    assert "&lt;雷山&gt;县电教馆" in sheet and "http" not in sheet.replace("http://www.w3.org/2000/svg", "")

    sealed = made.recovery_path.read_bytes()
    assert made.passphrase.encode() not in sealed
    opened = open_recovery(sealed, f" {made.passphrase.lower().replace('-', ' ')} ")
    assert (opened.name, opened.fingerprint, len(opened.root_signers)) == (made.name, made.fingerprint, 3)

    with pytest.raises(ConfigError, match="E-STATE-EXISTS"):
        initialise(state, name="again", now=NOW)


def test_only_the_hub_reads_its_keys_and_all_read_the_root(state: Path) -> None:
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in sorted(state.rglob("*"))}
    for path, mode in modes.items():
        private = {"keys", "recovery"} & set(path.relative_to(state).parts)
        wanted = (0o700 if path.is_dir() else 0o600) if private else (0o755 if path.is_dir() else 0o644)
        assert mode == wanted, path
    assert {path.name for path in (state / "keys").iterdir()} == {
        f"{role}.pem" for role in ("targets", "snapshot", "timestamp", "box")
    }


def test_a_wrong_passphrase_and_a_damaged_file_do_not_open(state: Path) -> None:
    sealed = (state / "recovery" / "recovery.json").read_bytes()
    for data, passphrase in (
        (sealed, "AAAAA-AAAAA"),
        (sealed[:-40], "x"),
        (b"[]", "x"),
        (b'{"format":1}', "x"),
    ):
        with pytest.raises(ConfigError, match="E-PASSPHRASE"):
            open_recovery(data, passphrase)
    with pytest.raises(ConfigError, match="E-STATE-VERSION"):
        open_recovery(sealed.replace(b'"format": 1', b'"format": 2'), "x")


def test_a_missing_key_is_named(state: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"E-KEYS.*targets\.pem"):
        load_keys(tmp_path)
    (tmp_path / "targets.pem").write_bytes(b"-----BEGIN PRIVATE KEY-----\n")
    with pytest.raises(ConfigError, match="E-KEYS"):
        load_keys(tmp_path)
    assert len(load_keys(state / "keys").box_key) == 64


def test_no_hub_is_made_by_a_dead_clock(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="E-CLOCK"):
        initialise(tmp_path, name="县", now=datetime(1970, 1, 1, tzinfo=UTC))
    with pytest.raises(ConfigError, match="E-STATE-MISSING"):
        fingerprint_of(tmp_path)


def test_a_fingerprint_is_read_as_people_write_it() -> None:
    assert read_fingerprint("AB" * 16 + "-" + "cd" * 8 + " " + "cd" * 8 + "\n") == "ab" * 16 + "cd" * 16
