"""Sticks that were made to harm whoever exports to them: links, pipes, files without end, heads that nobody signed."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from county import DAY, NOW, County
from small_disk import need_root
from syncing_box import SyncingBox

from catalog.errors import ContentError, StorageError
from sync import tree
from sync.export import MARKER, ExportResult, export, export_published
from sync.exporting.ground import check_ground
from sync.roads.stick import pack_files

MIB = 1 << 20


@pytest.fixture
def county(tmp_path: Path) -> Iterator[County]:
    with County(tmp_path / "hub") as county:
        noise = random.Random(4)
        for number in range(8):
            county.add(f"r{number}", noise.randbytes(2000 + number))
        county.add("film", noise.randbytes(2 * MIB))
        county.publish()
        yield county


def write(county: County, root: Path) -> ExportResult:
    return export_published(county.store.library, county.store.blobs, county.public, county.keys, root)


def contents(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@contextmanager
def bounded_memory(size_bytes: int) -> Iterator[None]:
    """Let this process take only so much more than it has."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize(
    "name", ["blobs", "metadata", "targets", "targets/bundles", "boxes", "packs", "blobs/ab"]
)
def test_a_folder_that_leads_elsewhere_is_refused(name: str, county: County, tmp_path: Path) -> None:
    root, own = tmp_path / "stick", tmp_path / "own"
    own.mkdir()
    (own / f"{'ab' * 32}").write_bytes(b"ours")
    (root / name).parent.mkdir(parents=True)
    (root / name).symlink_to(own)
    with pytest.raises(ContentError) as refusal:
        write(county, root)
    assert refusal.value.code == "E-STICK-LINK" and refusal.value.where == str(root / name)
    assert "\n" not in refusal.value.line("zh-CN")
    assert contents(own) == {own / ("ab" * 32): b"ours"} and not (root / MARKER).exists()


def test_our_own_store_survives_a_stick_that_points_to_it(county: County, tmp_path: Path) -> None:
    root = tmp_path / "stick"
    write(county, root)
    for path in (root / "blobs").glob("*/*"):
        path.unlink()
    for path in (root / "blobs").iterdir():
        path.rmdir()
    (root / "blobs").rmdir()
    (root / "blobs").symlink_to(county.state / "blobs")
    before = contents(county.state / "blobs")
    county.add("new", b"new")
    county.publish(now=NOW + DAY)
    with pytest.raises(ContentError):
        write(county, root)
    assert before.items() <= contents(county.state / "blobs").items()


def _link(place: Path, victim: Path) -> None:
    place.symlink_to(victim)


def _pipe(place: Path, victim: Path) -> None:
    os.mkfifo(place)


@pytest.mark.parametrize("make", [_link, _pipe])
@pytest.mark.parametrize("name", [MARKER, tree.PINNED_ROOT, tree.TIMESTAMP, f"packs/{'a' * 64}.pack"])
def test_a_file_that_is_none_is_refused(
    name: str, make: Callable[[Path, Path], None], county: County, tmp_path: Path
) -> None:
    root, victim = tmp_path / "stick", tmp_path / "victim"
    victim.write_bytes(b"ours")
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    make(root / name, victim)
    with pytest.raises(ContentError) as refusal:
        write(county, root)
    assert refusal.value.code == "E-STICK-LINK"
    assert victim.read_bytes() == b"ours"


@pytest.mark.parametrize("name", [tree.TIMESTAMP, tree.PINNED_ROOT, "metadata/1.snapshot.json"])
def test_a_file_without_end_takes_no_memory(name: str, county: County, tmp_path: Path) -> None:
    root = tmp_path / "stick"
    write(county, root)
    os.truncate(root / name, 3 << 30)
    with bounded_memory(1 << 30):
        write(county, root)
    assert (root / name).read_bytes() == (county.public / name).read_bytes()


def test_a_torn_root_is_no_other_countys(county: County, tmp_path: Path) -> None:
    root = tmp_path / "stick"
    write(county, root)
    place = root / tree.PINNED_ROOT
    whole = place.read_bytes()
    for torn in (bytes(len(whole)), whole[:100], b"", b"[" * 5000):
        place.write_bytes(torn)
        write(county, root)
        assert place.read_bytes() == whole


def test_a_head_that_nobody_signed_does_not_stay(county: County, tmp_path: Path) -> None:
    root = tmp_path / "stick"
    write(county, root)
    place = root / tree.TIMESTAMP
    forged = json.loads(place.read_bytes())
    forged["signed"]["version"] = 999
    place.write_text(json.dumps(forged))
    county.add("new", b"new")
    county.publish(now=NOW + DAY)
    write(county, root)
    assert place.read_bytes() == (county.public / tree.TIMESTAMP).read_bytes()
    with SyncingBox(tmp_path / "box", county) as box:
        assert box.update(root, now=NOW + DAY).release == 2


def test_a_hub_from_a_backup_does_not_sweep_what_is_newer(county: County, tmp_path: Path) -> None:
    root, backup = tmp_path / "stick", tmp_path / "backup"
    shutil.copytree(county.public, backup)
    county.publish(now=NOW + 100 * DAY)
    county.add("lost", b"lost")
    county.publish(now=NOW + 101 * DAY)
    assert write(county, root).release == 2
    before = contents(root)
    shutil.rmtree(county.public)
    backup.rename(county.public)
    county.add("instead", b"instead")
    county.publish(now=NOW + 102 * DAY)
    with pytest.raises(ContentError) as refusal:
        write(county, root)
    assert refusal.value.code == "E-STICK-NEWER" and refusal.value.found == refusal.value.expected == "2"
    assert contents(root) == before


def test_a_newer_signature_of_the_same_release_stays(county: County, tmp_path: Path) -> None:
    root = tmp_path / "stick"
    with SyncingBox(tmp_path / "box", county) as box:
        box.update(county.public)
        county.publish(now=NOW + 100 * DAY)
        write(county, root)
        signed = (root / tree.TIMESTAMP).read_bytes()
        assert signed != (box.state / "trust" / tree.TIMESTAMP).read_bytes()
        result = export(box.library, box.blobs, box.state / "trust", root)
        assert (result.written_bytes, result.swept_bytes) == (0, 0)
        assert (root / tree.TIMESTAMP).read_bytes() == signed


@pytest.mark.parametrize("closed", [".", "packs"])
def test_a_disk_that_only_root_may_write_is_told(closed: str) -> None:
    need_root("being nobody")
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        root = Path(name) / "stick"
        (root / "packs").mkdir(parents=True)
        for folder in (root, root / "packs"):
            os.chown(folder, 0 if folder == root / closed else 65534, -1)
        os.seteuid(65534)
        try:
            with pytest.raises(StorageError) as refusal:
                check_ground(root)
        finally:
            os.seteuid(0)
    assert refusal.value.code == "E-STICK-ACCESS" and refusal.value.where == str(root / closed)
    assert "uid=shuxiang" in refusal.value.line("en")


def test_a_bundle_is_kept_where_the_stick_says_nothing_of_the_box(county: County, tmp_path: Path) -> None:
    county.add("other", b"other", bundle="other")
    county.publish(now=NOW + DAY)
    with SyncingBox(tmp_path / "box", county) as box:
        box.update(county.public, now=NOW + DAY)
        root = tmp_path / "stick"
        result = export(
            box.library, box.blobs, box.state / "trust", root, bundles=("other",), box_id="cd" * 16
        )
        assert result.blobs == 1 and len(pack_files(root)) == 1


def test_a_blob_without_end_on_a_cut_stick_is_not_read(county: County, tmp_path: Path) -> None:
    root = tmp_path / "stick"
    write(county, root)
    (film,) = (root / "blobs").glob("*/*")
    other = root / tree.blob_path("ab" * 32)
    other.parent.mkdir()
    other.touch()
    for path in (film, other):
        os.truncate(path, 1 << 42)
    (root / MARKER).touch()
    write(county, root)
    assert not other.exists() and film.stat().st_size == 2 * MIB
