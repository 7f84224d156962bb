"""A box that runs and sticks that are plugged into it: imported by themselves, told of on the page, pulled out at any time."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from command import call, service
from plugged_sticks import KINDS, Plugged, box_runs, device, image, need_root, plugged, wait_for
from supplier import write_folder

from appliance.state import work_under_way
from catalog.local import Local
from catalog.resource import is_sha256

pytestmark = pytest.mark.slow

FILES, FILE_BYTES = 30, 2 << 20
NOBODY = "http://127.0.0.1:1/"


class County:
    """A hub, the trees that it exported, and another county's."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.hub = base / "hub"
        call(self.hub, "hub", "init", "--name", "县")
        self.tree("old", files=3, size_bytes=50_000)
        self.new = self.tree("new", files=FILES, size_bytes=FILE_BYTES)

    def tree(self, name: str, *, files: int, size_bytes: int, hub: Path | None = None) -> Path:
        """Publish so many more files and export them as a tree."""
        hub = hub or self.hub
        write_folder(self.base / f"{name}-files", files=files, size_bytes=size_bytes)
        call(hub, "hub", "ingest", self.base / f"{name}-files")
        call(hub, "hub", "publish")
        call(hub, "hub", "export", self.base / name)
        return self.base / name

    def box(self, directory: Path, hub: str = NOBODY) -> Path:
        """Make a box that has no line."""
        call(directory, "box", "init", "--hub", hub, "--root", self.hub / "public/metadata/1.root.json")
        return directory


@pytest.fixture(scope="module")
def county(tmp_path_factory: pytest.TempPathFactory) -> County:
    need_root()
    return County(tmp_path_factory.mktemp("county"))


def carrying(*trees: Path, into: str = "") -> Callable[[Path], None]:
    """Return what copies trees to a stick."""

    def fill(root: Path) -> None:
        for tree in trees:
            shutil.copytree(tree, root / into if into else root, dirs_exist_ok=True)

    return fill


class Bench:
    """A box that runs, and a hand that plugs sticks in."""

    def __init__(self, box: Path, base: Path, undo: ExitStack) -> None:
        self.box = box
        self.run = base / "run"
        self.base = base
        self._undo = undo
        self._count = 0
        self.address = undo.enter_context(box_runs(box, self.run))

    def plug(self, disk: Path, kind: str = "ext4") -> Plugged:
        """Plug the stick with this image in."""
        self._count += 1
        path = self._undo.enter_context(device(disk, kind))
        return self._undo.enter_context(plugged(self.run, self.box, path, self.base / f"said-{self._count}"))

    def page(self, path: str = "/") -> str:
        with urlopen(f"{self.address}{path}", timeout=30) as answer:
            text: str = answer.read().decode()
            return text

    def status(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.page("/api/v1/status"))
        return value

    def history(self) -> list[tuple[str, str, str]]:
        """Return result, code and stick of the imports, newest first."""
        with Local.open(self.box / "local.db") as local:
            runs = local.syncs(20)
        return [(run.result, run.code, run.details["stick"]) for run in runs if "stick" in run.details]


@pytest.fixture
def bench(county: County, tmp_path: Path) -> Iterator[Bench]:
    with ExitStack() as undo:
        yield Bench(county.box(tmp_path / "box"), tmp_path, undo)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stick_is_imported_by_itself_and_may_be_pulled(
    kind: str, county: County, bench: Bench, tmp_path: Path
) -> None:
    into = "" if kind == "exfat" else "shuxiang"
    disk = image(
        tmp_path / "disk.img", kind, carrying(county.new, into=into), label="KING 64", size_bytes=400 << 20
    )
    before = disk.stat().st_mtime_ns
    stick = bench.plug(disk, kind)
    assert "KING 64" in wait_for(lambda: text if "正在导入" in (text := bench.page()) else None)
    told = stick.told("done", "wrong")
    assert (told["phase"], told["code"]) == ("done", "")
    assert told["files"] >= FILES
    line = f"U 盘“KING 64”导入完了，新到 {told['files']} 个文件。可以拔出了。"
    assert line in stick.words(line)
    for path in ("/", "/stick", "/browse"):
        assert line in bench.page(path)
    assert bench.status()["cached"] == FILES + 3
    assert bench.history()[0] == ("ok", "", "KING 64")
    stick.pull()
    wait_for(lambda: "拔出" not in bench.page())
    assert disk.stat().st_mtime_ns == before


def shown(bench: Bench) -> tuple[Any, ...]:
    """Return what the box shows of its content."""
    found = bench.status()
    return tuple(found[name] for name in ("release", "content_release", "bundles", "resources", "cached"))


def test_what_can_not_be_imported_is_one_clear_line(county: County, bench: Bench, tmp_path: Path) -> None:
    other = tmp_path / "otherhub"
    call(other, "hub", "init", "--name", "邻县")
    foreign = county.tree(f"foreign-{tmp_path.name}", files=2, size_bytes=1000, hub=other)

    def broken(root: Path) -> None:
        carrying(county.new)(root)
        for pack in (*root.glob("packs/*.pack"), *list(root.glob("blobs/*/*"))[:2]):
            data = bytearray(pack.read_bytes())
            data[len(data) // 2] ^= 1
            pack.write_bytes(data)

    def virus(root: Path) -> None:
        (root / "数学").mkdir()
        for name in ("数学.exe", "autorun.inf"):
            (root / name).write_text("x")

    first = bench.plug(
        image(tmp_path / "1.img", "ext4", carrying(county.new), label="new", size_bytes=300 << 20)
    )
    assert first.told("done", "wrong")["phase"] == "done"
    first.pull()
    held = shown(bench)

    old = bench.plug(image(tmp_path / "2.img", "ext4", carrying(county.base / "old"), label="old"))
    assert old.told("done", "wrong")["code"] == "E-ROLLBACK"
    assert "比书箱里的旧" in bench.page() and "比书箱里的旧" in old.words("可以拔出了")
    old.pull()

    other_stick = bench.plug(image(tmp_path / "3.img", "ext4", carrying(foreign), label="foreign"))
    assert other_stick.told("done", "wrong")["code"] == "E-STICK-OTHER"
    assert "另一个县" in bench.page() and "另一个县" in other_stick.words("可以拔出了")
    other_stick.pull()

    plain = bench.plug(image(tmp_path / "4.img", "exfat", virus, label="课件"), "exfat")
    assert "没有书箱的内容" in plain.words("没有书箱的内容")
    wait_for(lambda: "没有书箱的内容" in bench.page())
    text = bench.page("/stick")
    assert "autorun.inf" in text and "数学.exe" in text and "杀毒" in plain.words("杀毒")
    plain.pull()

    noise = tmp_path / "5.img"
    noise.write_bytes(os.urandom(4 << 20))
    lost = bench.plug(noise, "ext4")
    assert "E-STICK-KIND" in lost.words("E-STICK-KIND")
    wait_for(lambda: "E-STICK-KIND" in bench.page())
    lost.pull()
    assert shown(bench) == held

    # Of a box without content, so that what is damaged is asked for.
    with ExitStack() as undo:
        second = Bench(county.box(tmp_path / "box2"), tmp_path / "second", undo)
        bad = second.plug(image(tmp_path / "6.img", "ext4", broken, label="bad", size_bytes=300 << 20))
        told = bad.told("done", "wrong")
        assert told["phase"] == "wrong" and told["code"] in ("E-HASH", "E-STICK-PACK")
        assert second.status()["cached"] > 0, "what is whole is taken"
        assert told["code"] in bad.words("可以拔出了")


def coming(box: Path) -> bool:
    """Return whether a blob is being copied: the door lets them in by many, when all may be here already."""
    return any(is_sha256(path.name) for path in (box / "staging").iterdir())


def test_pulled_in_the_middle_and_plugged_in_again(county: County, bench: Bench, tmp_path: Path) -> None:
    disk = image(tmp_path / "disk.img", "ext4", carrying(county.new), label="stick", size_bytes=300 << 20)
    pulled_early = 0
    for _ in range(3):
        stick = bench.plug(disk)
        before = len(bench.history())

        while not coming(bench.box) and len(bench.history()) == before:
            time.sleep(0.002)
        # The hand is faster than the process that is told of it.
        subprocess.run(["umount", "-l", bench.run / "sticks" / "stick"], check=False)
        stick.pull()
        wait_for(lambda before=before: len(bench.history()) > before)
        result, code, _ = bench.history()[0]
        if result == "failed":
            pulled_early += 1
            assert code == "E-PULLED"
            wait_for(lambda: "没导完就拔出了" in bench.page())
    assert pulled_early, "it was never early enough"
    # Pulled before the first byte, too.
    stick = bench.plug(disk)
    stick.note()
    stick.pull()
    stick = bench.plug(disk)
    assert stick.told("done", "wrong")["code"] == ""
    assert "没导完就拔出了" not in wait_for(lambda: text if "可以拔出了" in (text := bench.page()) else None)
    assert bench.status()["cached"] == FILES + 3
    assert call(bench.box, "box", "verify")["damaged"] == 0


def test_a_killed_process_leaves_nothing_mounted(county: County, bench: Bench, tmp_path: Path) -> None:
    disk = image(tmp_path / "disk.img", "ext4", carrying(county.base / "old"), label="stick")
    stick = bench.plug(disk)
    stick.told("done")
    stick.kill()
    assert os.path.ismount(bench.run / "sticks" / "stick")
    os.environ["SHUXIANG_RUN"] = str(bench.run)
    try:
        call(bench.box, "unplugged", stick.path)
    finally:
        del os.environ["SHUXIANG_RUN"]
    assert not (bench.run / "sticks" / "stick").exists() and not list((bench.run / "plugged").iterdir())


def test_a_stick_goes_before_the_line_and_on_after_a_restart(county: County, tmp_path: Path) -> None:
    disk = image(tmp_path / "disk.img", "ext4", carrying(county.new), label="stick", size_bytes=300 << 20)
    with ExitStack() as undo:
        at = undo.enter_context(service(county.hub, "hub", "serve", "--host", "127.0.0.1", "--port", "0"))
        box = county.box(tmp_path / "box", at["address"])
        slow = ["lan_networks=192.0.2.0/24", "upload_lan=no", "lessons=[]", "rate_kb_per_s=20"]
        call(box, "box", "policy", *(word for one in slow for word in ("--set", one)))
        with ExitStack() as first:
            bench = Bench(box, tmp_path, first)
            wait_for(lambda: (found := work_under_way(box)) is not None and found[1].phase == "content")
            path = undo.enter_context(device(disk, "ext4"))
            stick = undo.enter_context(plugged(bench.run, box, path, tmp_path / "said"))
            stick.told("importing", "done")
            # The service ends in the middle of it, as for an upgrade.
        with ExitStack() as second:
            bench = Bench(box, tmp_path, second)
            assert stick.told("done", "wrong")["code"] == ""
            assert bench.status()["cached"] == FILES + 3
            # The line is asked again, and has nothing to bring.
            wait_for(lambda: bench.status()["last_sync"]["result"] == "ok")


def test_nobody_else_reads_what_root_tells(tmp_path: Path) -> None:
    """A told file that the service wrote wrongly costs the process of a stick nothing."""
    need_root()
    run = tmp_path / "run"
    (run / "told").mkdir(parents=True)
    disk = image(tmp_path / "disk.img", "ext4", lambda root: (root / "a").write_text("a"))
    with device(disk, "ext4") as path, plugged(run, tmp_path / "no-state", path, tmp_path / "said") as stick:
        note = stick.note()
        told = run / "told" / "sticks.json"
        for text in (
            "",
            "[",
            "{}",
            '[{"id": 7}]',
            json.dumps([{"id": note["id"], "phase": "x", "files": 1}]),
        ):
            told.write_text(text)
            subprocess.run(["sleep", "1.1"], check=True)
            assert stick.running
        told.unlink()
        told.symlink_to("/etc/passwd")
        subprocess.run(["sleep", "1.1"], check=True)
        assert stick.running


def test_two_partitions_of_one_label_never_share_a_place(tmp_path: Path) -> None:
    need_root()
    run, state = tmp_path / "run", tmp_path / "no-state"
    with ExitStack() as undo:
        sticks = []
        for name in ("one", "two"):
            disk = image(
                tmp_path / f"{name}.img", "ext4", lambda root, n=name: (root / n).touch(), label="新加卷"
            )
            path = undo.enter_context(device(disk, "ext4"))
            sticks.append(undo.enter_context(plugged(run, state, path, tmp_path / f"said-{name}")))
            if name == "one":
                # Another process is before its mount: only the folder tells of it.
                wait_for(lambda: (run / "plugged").is_dir() and list((run / "plugged").iterdir()))
                (run / "sticks" / "新加卷-2").mkdir()
        notes = [stick.note() for stick in sticks]
        assert [note["name"] for note in notes] == ["新加卷", "新加卷-3"]
        for note, name in zip(notes, ("one", "two"), strict=True):
            assert (Path(note["mounted"]) / name).exists()


def test_an_import_that_dies_is_not_told_by_what_came_before(
    county: County, bench: Bench, tmp_path: Path
) -> None:
    first = bench.plug(image(tmp_path / "1.img", "ext4", carrying(county.base / "old"), label="same"))
    assert first.told("done", "wrong")["phase"] == "done"
    first.pull()
    second = bench.plug(
        image(tmp_path / "2.img", "ext4", carrying(county.new), label="same", size_bytes=300 << 20)
    )
    second.told("importing")
    for entry in wait_for(lambda: _imports(bench.box)):
        os.kill(entry, signal.SIGKILL)
    told = second.told("done", "wrong")
    assert (told["phase"], told["code"]) == ("wrong", "E-SERVICE")


def _imports(box: Path) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = entry.read_bytes().split(b"\0")
            if b"--from" in words and str(box).encode() in words:
                found.append(int(entry.parent.name))
    return found
