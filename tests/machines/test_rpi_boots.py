"""The Raspberry Pi's image, started: as a Pi 3 from its card with USB network, and in `virt`, to a served page.

The boards' own firmware is not run (QEMU has none): what it would read is checked as files.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from first_boots import PASSWORDS, SETTINGS
from qemu_boards import CARD_BYTES, card, files_of, pi_3, virt
from qemu_machine import KERNEL_BEGINS, Disk, Started, need_image

from appliance.firstboot.template import write_request
from images.boot_rpi import findings

pytestmark = pytest.mark.machine

# Software emulation of four ARM cores beside other work; a Pi 3 itself is several times as fast.
START_SECONDS = 1500
REPORT_DONE = "Finished shuxiang-report.service"
Machine = Callable[..., AbstractContextManager[Started]]


@pytest.fixture(scope="module")
def image() -> Path:
    if shutil.which("qemu-system-aarch64") is None:
        pytest.skip("not installed: qemu-system-aarch64")
    return need_image("rpi", "box")


def test_the_firmware_finds_what_it_reads(image: Path, tmp_path: Path) -> None:
    assert findings(files_of(Disk(image), tmp_path / "fat")) == []


@pytest.mark.parametrize(
    ("machine", "model"),
    [(pi_3, "Raspberry Pi 3 Model B"), (virt, "linux,dummy-virt")],
    ids=["raspi3b", "virt"],
)
def test_it_takes_its_settings_and_serves_a_page(
    image: Path, tmp_path: Path, machine: Machine, model: str
) -> None:
    disk = card(image, tmp_path / "card.img")
    disk.put("shuxiang.toml", write_request(SETTINGS, PASSWORDS))
    disk.put("shuxiang-report.txt", b"")
    with machine(disk, tmp_path / "board") as board:
        began = board.wait_for_words(KERNEL_BEGINS, 300)
        told = json.loads(board.wait_for_page("/healthz", seconds=START_SECONDS))
        assert told["role"] == "box"
        status = json.loads(board.wait_for_page("/api/v1/status", seconds=120))
        assert status["name"] == SETTINGS["name"]
        board.wait_for_page(seconds=120)
        print(
            f"{model}: {time.monotonic() - began:.0f} s from the kernel to the page, "
            f"{board.processor_seconds():.0f} s of the processor"
        )
        board.wait_for_words(REPORT_DONE, START_SECONDS)
        board.pull_the_plug()
    result = disk.get("shuxiang-result.txt").decode("utf-8-sig")
    assert "成功" in result
    assert b"12345678a" not in disk.get("shuxiang.toml")
    report = disk.get("shuxiang-report.txt").decode("utf-8-sig")
    assert "box 0." in report
    assert f"机型：{model}\r\n" in report
    last = disk.parts()[-1]
    assert (last["start"] + last["size"]) * 512 > CARD_BYTES - (4 << 20)
