"""The catalogue of a release: round trip, and what hostile bytes meet."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import ContentError
from sync.formats.release import (
    MAX_CATALOG_BYTES,
    MAX_NUMBER,
    BundleHead,
    LineDelta,
    Measure,
    Release,
    delta_blob,
    manifest_twin,
    transport_twin,
)

digests = st.text("0123456789abcdef", min_size=64, max_size=64)
numbers = st.integers(1, MAX_NUMBER)
texts = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=40)
measures = st.builds(Measure, numbers, digests)


@st.composite
def line_deltas(draw: st.DrawFn, version: int) -> tuple[LineDelta, ...]:
    sources = draw(st.sets(st.integers(1, version - 1), max_size=3)) if version > 1 else set()
    blobs = st.builds(delta_blob, measures)
    pairs = st.tuples(blobs, st.none()) | st.tuples(st.none(), blobs) | st.tuples(blobs, blobs)
    return tuple(
        LineDelta(source=source, manifest=manifest, transport=transport)
        for source in sorted(sources, reverse=True)
        for manifest, transport in [draw(pairs)]
    )


@st.composite
def bundle_heads(draw: st.DrawFn, bundle_id: str) -> BundleHead:
    version = draw(numbers)
    return BundleHead(
        id=bundle_id,
        version=version,
        title=draw(texts),
        publisher=draw(texts),
        manifest=manifest_twin(bundle_id, draw(measures), draw(measures)),
        transport=transport_twin(bundle_id, draw(measures), draw(measures)),
        deltas=draw(line_deltas(version)),
    )


@st.composite
def releases(draw: st.DrawFn) -> Release:
    ids = draw(st.sets(st.from_regex(r"[0-9a-z][0-9a-z._-]{0,9}", fullmatch=True), max_size=3))
    return Release(
        number=draw(numbers),
        date=draw(st.datetimes(datetime(2000, 1, 1), datetime(2199, 1, 1))).replace(
            microsecond=0, tzinfo=UTC
        ),
        publisher=draw(texts),
        box_key=draw(digests),
        bundles=tuple(draw(bundle_heads(bundle_id)) for bundle_id in sorted(ids)),
    )


@given(releases())
def test_what_is_written_is_read(release: Release) -> None:
    assert Release.from_bytes(release.to_bytes()) == release


@given(st.binary(max_size=200) | releases().map(lambda release: release.to_bytes()), st.data())
def test_damaged_bytes_are_refused_or_read_never_more(data: bytes, more: st.DataObject) -> None:
    if data:
        place = more.draw(st.integers(0, len(data) - 1))
        data = data[:place] + more.draw(st.binary(max_size=3)) + data[place + 1 :]
    try:
        Release.from_bytes(data)
    except ContentError as error:
        assert error.code in ("E-CATALOG", "E-VERSION")


def fields() -> dict[str, Any]:
    one = BundleHead(
        id="main",
        version=3,
        title="全县资源",
        publisher="县",
        manifest=manifest_twin("main", Measure(9, "a" * 64), Measure(8, "b" * 64)),
        transport=transport_twin("main", Measure(7, "c" * 64), Measure(6, "d" * 64)),
    )
    release = Release(
        number=5, date=datetime(2026, 11, 21, tzinfo=UTC), publisher="县", box_key="e" * 64, bundles=(one,)
    )
    loaded: dict[str, Any] = json.loads(release.to_bytes())
    return loaded


def delta(source: object, name: str = "manifest") -> dict[str, object]:
    return {"from": source, name: {"size": 5, "sha256": "f" * 64}}


def refused(value: object) -> str:
    with pytest.raises(ContentError) as caught:
        Release.from_bytes(json.dumps(value).encode())
    return caught.value.code


def test_a_path_outside_the_tree_is_refused() -> None:
    for path in ("../../keys/targets.pem", "/etc/passwd", "targets/bundles/" + "f" * 64 + ".main.jsonl"):
        value = fields()
        value["bundles"][0]["manifest"]["path"] = path
        assert refused(value) == "E-CATALOG"


@pytest.mark.parametrize("size", [0, -1, 1.5, "9", True, None, 2**53])
def test_an_odd_size_is_refused(size: object) -> None:
    value = fields()
    value["bundles"][0]["transport"]["zst"]["size"] = size
    assert refused(value) == "E-CATALOG"


@pytest.mark.parametrize("name", ["release", "date", "publisher", "box_key", "bundles", "format"])
def test_each_field_is_needed(name: str) -> None:
    value = fields()
    del value[name]
    assert refused(value) == "E-CATALOG"


def test_bundles_come_once_and_in_order() -> None:
    value = fields()
    value["bundles"] *= 2
    assert refused(value) == "E-CATALOG"


def test_a_newer_format_asks_for_newer_software() -> None:
    assert refused({**fields(), "format": 2}) == "E-VERSION"


def test_unknown_fields_are_left_alone() -> None:
    value = {**fields(), "later": {"x": 1}}
    value["bundles"][0]["later"] = 1
    assert Release.from_bytes(json.dumps(value).encode()) == Release.from_bytes(json.dumps(fields()).encode())


def test_depth_length_and_double_keys_are_refused() -> None:
    for data in (
        b"[" * 100_000,
        b"{" + b" " * MAX_CATALOG_BYTES + b"}",
        b'{"format":1,"format":1}',
        b"\xff",
        b"",
    ):
        with pytest.raises(ContentError, match="E-CATALOG"):
            Release.from_bytes(data)


@pytest.mark.parametrize(
    "deltas",
    [
        [],
        {},
        [delta(3)],
        [delta(0)],
        [delta("2")],
        [delta(1), delta(2)],
        [delta(2), delta(2)],
        [delta(2), delta(1), delta(1), delta(1)],
        [{"from": 2}],
        [{"from": 2, "manifest": {"size": 5, "sha256": "../../keys"}}],
        [{"from": 2, "manifest": {"size": 0, "sha256": "f" * 64}}],
        [{"from": 2, "manifest": 1}],
        ["x"],
    ],
)
def test_odd_deltas_are_refused(deltas: object) -> None:
    value = fields()
    value["bundles"][0]["deltas"] = deltas
    assert refused(value) == "E-CATALOG"


def test_deltas_are_blobs_of_the_tree() -> None:
    value = fields()
    value["bundles"][0]["deltas"] = [delta(2), delta(1, "transport")]
    release = Release.from_bytes(json.dumps(value).encode())
    assert [one.source for one in release.bundles[0].deltas] == [2, 1]
    assert {file.path for file in release.deltas()} == {"blobs/ff/" + "f" * 64}
    assert not {file.path for file in release.files()} & {file.path for file in release.deltas()}
