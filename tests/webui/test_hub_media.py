"""Disks plugged into the hub: found, opened, never left; and a batch taken from one."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from staff_hub import Staff, StaffHub, county_batch

from webui.hub.jobs import DONE, FAILED, REVIEW, Jobs
from webui.hub.media import Disk, folders_with_lists, look_into, mounted_disks, place_on, plugged_in

MEDIA = (Path("/media"), Path("/run/media"), Path("/mnt"))
MOUNTINFO = r"""
22 1 8:2 / / rw,relatime shared:1 - ext4 /dev/sda2 rw
30 22 0:26 / /run rw - tmpfs tmpfs rw
41 22 8:17 / /media/county/KINGSTON\04064G rw,nosuid shared:5 - vfat /dev/sdb1 rw
42 22 8:33 / /run/media/county/\350\265\204\346\272\220\347\233\230 ro - ntfs3 /dev/sdc1 ro
43 22 0:50 / /mnt/share rw - nfs4 server:/x rw
44 22 8:49 / /mnt/disk rw master:2 propagate_from:1 - exfat /dev/sdd1 rw
45 22 8:50 / /mnt rw - ext4 /dev/sdd2 rw
a line of something else
"""


def test_disks_are_read_from_mountinfo() -> None:
    assert mounted_disks(MOUNTINFO, MEDIA) == [
        ("8:17", Path("/media/county/KINGSTON 64G")),
        ("8:49", Path("/mnt/disk")),
        ("8:33", Path("/run/media/county/资源盘")),
    ]


@pytest.mark.parametrize("name", ["张老师", "\u3000x", "à…", "a\x1cb"])
def test_every_name_of_a_disk_is_read_as_the_kernel_writes_it(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    mounts = tmp_path / "mountinfo"
    mounts.write_bytes(b"36 1 8:17 / %s rw - exfat /dev/sdb1 rw\n" % bytes(tmp_path / name))
    (found,) = plugged_in(mounts, (tmp_path,))
    assert found.name == name and found.mounted == tmp_path / name


def test_a_name_that_is_no_text_is_shown_all_the_same(tmp_path: Path) -> None:
    place = Path(os.fsdecode(bytes(tmp_path) + b"/\xd5\xc5"))
    place.mkdir()
    mounts = tmp_path / "mountinfo"
    mounts.write_bytes(b"36 1 8:17 / %s rw - vfat /dev/sdb1 rw\n" % bytes(place))
    (found,) = plugged_in(mounts, (tmp_path,))
    assert found.mounted == place and found.name == "\ufffd\ufffd"


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    root = tmp_path / "disk"
    county_batch(root / "三年级上册" / "数学", lessons=2, sound=False)
    (root / "System Volume Information").mkdir()
    (root / "深" / "二" / "三" / "四").mkdir(parents=True)
    (root / "深" / "二" / "三" / "四" / "清单.csv").write_text("标题,文件\n", encoding="utf-8")
    (root / "备份.zip").write_bytes(b"PK")
    (tmp_path / "秘密").mkdir()
    (tmp_path / "秘密" / "清单.csv").write_text("标题\n", encoding="utf-8")
    (root / "出去").symlink_to(tmp_path / "秘密")
    return Disk(key="8-17", name="disk", mounted=root, total_bytes=1, free_bytes=0)


def test_folders_and_lists_are_shown(disk: Disk) -> None:
    top = look_into(disk, ".")
    assert top is not None
    assert [folder.name for folder in top.folders] == ["三年级上册", "深"]
    assert [archive.name for archive in top.archives] == ["备份.zip"]
    inner = look_into(disk, "三年级上册/数学")
    assert inner is not None
    assert inner.folder.lists == ("资源清单.xlsx",)
    assert [folder.path for folder in folders_with_lists(disk)] == ["三年级上册/数学"]


@pytest.mark.parametrize(
    "path", ["..", "../秘密", "三年级上册/../..", "/etc", "出去", "无此夹", "a\0b", "x" * 5000]
)
def test_nothing_leads_off_the_disk(disk: Disk, path: str) -> None:
    assert look_into(disk, path) is None


def test_a_file_is_no_folder(disk: Disk) -> None:
    assert place_on(disk, "备份.zip") is not None
    assert look_into(disk, "备份.zip") is None


def test_names_that_are_no_text_hide_nothing_else(disk: Disk, tmp_path: Path) -> None:
    # 张 as an old Windows writes it, on a disk that is mounted without a word of that.
    odd, media = os.fsdecode(b"\xd5\xc5"), tmp_path / "media"
    place = media / odd
    media.mkdir()
    disk.mounted.rename(place)
    (place / odd).mkdir()
    (place / f"{odd}.zip").write_bytes(b"PK")
    (place / "三年级上册" / f"{odd}.xlsx").write_bytes(b"PK")
    mounts = tmp_path / "mountinfo"
    mounts.write_bytes(b"36 1 8:17 / %s rw - vfat /dev/sdb1 rw\n" % bytes(place))
    hub = StaffHub(tmp_path / "hub")
    app = hub.app(mounts=mounts, media=(media,))
    staff = Staff(app)
    staff.log_in()
    page = staff.read("/hub/take/disk/8-17", headers={"Accept-Language": "zh-CN"})
    assert page.status_code == 200 and "深" in page.text and "备份.zip" in page.text
    assert "有 2 个名字认不出的文件夹或压缩包没有列出" in page.text
    inner = staff.read("/hub/take/disk/8-17?folder=三年级上册")
    assert inner.status_code == 200 and "认不出" not in inner.text
    taken = staff.send("/hub/take/disk/8-17", folder="三年级上册", bundle="main", licence="")
    job = taken.headers["Location"].rpartition("/")[2]
    assert Jobs(tmp_path / "hub" / "uploads", app.console.settings.clock).get(job) is not None
    app.close()
    hub.close()


@pytest.fixture
def stick(tmp_path: Path) -> Iterator[Path]:
    """A real disk of its own, mounted."""
    maker = shutil.which("mkfs.ext4", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if os.geteuid() != 0 or maker is None:
        pytest.skip("needs root and mkfs.ext4")
    image, point = tmp_path / "stick.img", tmp_path / "media" / "U 盘"
    point.mkdir(parents=True)
    with image.open("wb") as stream:
        stream.truncate(40 << 20)
    subprocess.run([maker, "-q", image], check=True, capture_output=True)
    mounted = subprocess.run(
        ["mount", "-o", "loop", image, point], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no loop mount here: {mounted.stderr.strip()}")
    county_batch(point / "三年级上册", lessons=3)
    yield point
    subprocess.run(["umount", "--lazy", point], check=False)


def test_a_batch_from_a_stick_and_the_stick_pulled_out(stick: Path, tmp_path: Path) -> None:
    disks = plugged_in(Path("/proc/self/mountinfo"), (tmp_path / "media",))
    assert [disk.name for disk in disks] == ["U 盘"]
    hub = StaffHub(tmp_path / "hub")
    app = hub.app(media=(tmp_path / "media",))
    staff = Staff(app)
    staff.log_in()
    page = staff.read("/hub/take")
    assert "U 盘" in page.text
    address = f"/hub/take/disk/{disks[0].key}"
    assert "三年级上册" in staff.read(address).text
    assert staff.get(f"{address}?folder=../..").status_code == 404

    def take() -> str:
        answer = staff.send(address, folder="三年级上册", bundle="main", licence="")
        return answer.headers["Location"].rpartition("/")[2]

    def settled(job_id: str) -> str:
        for _ in range(300):
            job = app.console.jobs.get(job_id)
            assert job is not None
            if not job.waiting_or_running:
                return job.state
            time.sleep(0.05)
        raise AssertionError(job_id)

    first = take()
    assert settled(first) == REVIEW
    staff.send(f"/hub/batches/{first}/accept")
    assert settled(first) == DONE
    assert (stick / "三年级上册" / "资源清单.xlsx").exists(), "nothing on the stick is touched"

    second = take()
    assert settled(second) == REVIEW
    subprocess.run(["umount", stick], check=True)
    staff.send(f"/hub/batches/{second}/accept")
    assert settled(second) == FAILED
    assert "找不到要入库的内容" in staff.get(f"/hub/batches/{second}").text
    assert staff.get(address).status_code == 404
    app.close()
    hub.close()
