"""Which boxes hold a release: a real fit for each size of disk, and worked out once per state."""

from __future__ import annotations

import hashlib
from pathlib import Path

from builders import resource
from staff_hub import StaffHub

from catalog.resource import File, Resource
from webui.hub.capacity import GB, SIZES_GB, content_bytes, holdings


def film(number: int, gigabytes: float, *, original: float = 0.0, **fields: object) -> Resource:
    def file(role: str, size: float) -> File:
        digest = hashlib.sha256(f"{role} {number}".encode()).hexdigest()
        return File(
            role=role, name="课.mp4", media_type="video/mp4", size_bytes=int(size * GB), sha256=digest
        )

    files = (file("play", gigabytes),) + ((file("source", original),) if original else ())
    return resource(f"r{number}", f"第{number}课", files=files, **fields)


def test_room_grows_with_the_disk_and_never_overflows() -> None:
    rooms = [content_bytes(size) for size in SIZES_GB]
    assert rooms == sorted(rooms)
    assert all(0 < room < size * GB for room, size in zip(rooms, SIZES_GB, strict=True))


def test_what_fits_what_lacks_originals_and_what_does_not_fit() -> None:
    resources = [
        *((number, film(number, 0.5, original=0.5, volume="a")) for number in range(60)),
        *((number, film(number, 0.5, volume="b", stage="junior")) for number in range(60, 160)),
    ]
    found = {holding.size_gb: holding for holding in holdings(resources, "a")}
    assert not found[32].whole
    assert found[32].kept_bytes <= found[32].content_bytes
    assert found[32].stages == ("primary", "junior"), (
        "this term's primary lessons go first, and not all of them fit"
    )
    assert found[64].stages == ("junior",)
    assert found[64].resources_left == 160 - 105
    assert found[128].whole
    assert found[128].left_bytes == 0
    by_term = {holding.size_gb: holding for holding in holdings(resources, "b")}
    assert by_term[64].stages == ("primary",)


def test_originals_are_left_first() -> None:
    found = {h.size_gb: h for h in holdings([(n, film(n, 0.2, original=1.0)) for n in range(100)], "a")}
    assert found[32].resources_left == 0
    assert found[32].originals_left == 98
    assert not found[32].whole


def test_a_shared_file_counts_once_and_recalled_ones_do_not_count(tmp_path: Path) -> None:
    hub = StaffHub(tmp_path / "hub")
    hub.create_bundle("main", "全部资源")
    shared = film(1, 10.0)
    with hub.library.writing() as writer:
        writer.put_resource(shared, "main")
        writer.put_resource(resource("r2", "同一个文件", files=shared.files), "main")
        writer.put_resource(film(3, 10.0, state="recalled"), "main")
        writer.put_resource(film(4, 10.0, licence="unknown"), "main")
        writer.put_resource(film(5, 10.0, valid_to="2020-01-01"), "main")
    app = hub.app()
    outlook = app.console.outlook
    view = outlook.view(30)
    assert view is not None
    assert view.error is None
    assert [holding.kept_bytes for holding in view.holdings] == [10 * GB] * len(SIZES_GB)
    assert view.preview is not None
    assert (view.preview.changed, view.preview.bundles[0].added) == (True, 2)
    assert outlook.view(30) is view, "worked out once"
    with hub.library.writing() as writer:
        writer.put_resource(film(6, 1.0), "main")
    other = outlook.view(30)
    assert other is not None
    assert other.key != view.key
    app.close()
    hub.close()
