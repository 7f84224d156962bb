"""Power cuts during first boot, with what was not flushed lost, torn or reordered: the next start ends as it should."""

from __future__ import annotations

from pathlib import Path

import first_boots
import pytest
from outage_harness import Acknowledge, Outage

from appliance.box import Box
from webui.accounts import is_right_password

CUTS, SLOW_CUTS = 8, 120


def lay_out(root: Path, acknowledge: Acknowledge) -> None:
    first_boots.prepare(root / "machine", "box")


def boot(root: Path, acknowledge: Acknowledge) -> None:
    assert first_boots.boot(root / "machine")
    acknowledge("done")


def check(root: Path, acknowledged: tuple[str, ...]) -> None:
    base = root / "machine"
    file = base / "card" / "shuxiang.toml"
    if "done" in acknowledged:
        assert "12345678a" not in file.read_text(encoding="utf-8-sig")
    assert first_boots.boot(base) and first_boots.boot(base)
    text = file.read_text(encoding="utf-8-sig")
    assert all(password not in text for password in first_boots.PASSWORDS.values())
    wifi = base / "root/etc/NetworkManager/system-connections/shuxiang-wifi.nmconnection"
    assert "psk=87654321\n" in wifi.read_text() and wifi.stat().st_mode & 0o777 == 0o600
    with Box.open(base / "state") as box:
        assert box.config.name == "石桥教学点" and box.subscriptions == {"main"}
        assert is_right_password(box.local, "technician", "12345678a")
    assert "结果：成功" in (base / "card" / "shuxiang-result.txt").read_text(encoding="utf-8-sig")


def test_first_boot_survives_cuts(outage: Outage) -> None:
    log = outage.record(boot, prepare=lay_out)
    for cut in log.cuts(CUTS, seed=64):
        with outage.mounted(cut) as root:
            check(root, cut.acknowledged)


@pytest.mark.slow
def test_first_boot_survives_many_cuts(outage: Outage) -> None:
    for seed in range(2):
        log = outage.record(boot, prepare=lay_out, seed=seed)
        for cut in log.cuts(SLOW_CUTS // 2, seed):
            with outage.mounted(cut) as root:
                check(root, cut.acknowledged)
