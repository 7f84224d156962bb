"""The record: canonical lines, strict reading, the hash of its meaning."""

from __future__ import annotations

import json
from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest
from builders import file_of, resource
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import ContentError
from catalog.manifest import Bundle, is_bundle_id, read_manifest, write_manifest
from catalog.resource import Edition, File, Resource, canonical_json, is_file_name, is_package_path

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)
words = text.filter(str.strip)
number = st.integers(0, 2**40)
digests = st.binary(min_size=32, max_size=32).map(bytes.hex)
names = text.filter(is_file_name)
files = st.one_of(
    st.builds(File, role=st.sampled_from(["source", "play", "page", "thumb", "text"]), name=names,
              media_type=text, size_bytes=number, sha256=digests),
    st.builds(File, role=st.just("package"), name=names, media_type=text, size_bytes=number, sha256=digests, path=names),
)  # fmt: skip
texts = st.lists(text, max_size=3).map(tuple)
maybe = st.none() | text
records = st.builds(
    Resource,
    id=st.from_regex(r"[0-9A-Za-z][0-9A-Za-z._~-]{0,20}", fullmatch=True),
    title=words,
    alt_title=maybe,
    stage=maybe,
    subject=maybe,
    edition=st.none() | st.builds(Edition, code=text, editor=maybe, raw=maybe),
    textbook_year=st.none() | number,
    grades=texts,
    path=texts,
    lesson_no=st.none() | number,
    keywords=texts,
    duration_seconds=st.none() | st.floats(0, 1e6),
    quality=st.none() | st.floats(-1e6, 1e6),
    files=st.lists(files, max_size=3).map(tuple),
    raw=st.dictionaries(text, text, max_size=2),
)


@given(records)
def test_a_record_survives_its_canonical_line(record: Resource) -> None:
    line = record.canonical_line()
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    data = json.loads(line)
    assert Resource.from_json(data) == record
    assert Resource.from_stored(json.loads(line)) == record
    assert Resource.from_json(data).canonical_line() == line


@given(st.lists(records, max_size=6, unique_by=lambda record: record.id))
def test_a_manifest_survives_writing_and_reading(found: list[Resource]) -> None:
    found.sort(key=lambda record: record.id)
    bundle = Bundle(id="main", version=3, title="全部", publisher="县")
    out = BytesIO()
    digest = write_manifest(bundle, (record.canonical_line() for record in found), out)
    assert digest.size_bytes == len(out.getvalue()) and digest.resources == len(found)
    head, lines = read_manifest(BytesIO(out.getvalue()))
    assert head == bundle
    assert [line.resource() for line in lines] == found


@given(st.binary(max_size=200))
def test_any_bytes_are_a_manifest_or_a_refusal(data: bytes) -> None:
    for start in (b"", b'{"bundle":"a","format":1,"publisher":"","title":"","version":1}\n'):
        try:
            _, lines = read_manifest(BytesIO(start + data), "m")
            for line in lines:
                line.resource()
        except ContentError as error:
            assert error.code in ("E-MANIFEST", "E-RECORD", "E-NAME", "E-VERSION")


@given(st.recursive(st.none() | st.booleans() | number | text, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
    st.sampled_from(["id", "title", "files", "edition", "grades", "sha256", "role", "path", "name", "size_bytes", "raw"]), inner)))  # fmt: skip
def test_any_json_is_a_record_or_a_refusal(data: Any) -> None:
    try:
        Resource.from_json(data)
    except ContentError as error:
        assert error.code in ("E-RECORD", "E-NAME")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"id": "../x"}, "E-RECORD"),
        ({"id": ""}, "E-RECORD"),
        ({"title": " "}, "E-RECORD"),
        ({"title": "a\x00b"}, "E-RECORD"),
        ({"grades": "g3"}, "E-RECORD"),
        ({"pages": True}, "E-RECORD"),
        ({"files": [{"role": "play"}]}, "E-RECORD"),
        ({"files": [{"role": "run", "name": "a", "media_type": "", "size_bytes": 1, "sha256": "0" * 64}]}, "E-RECORD"),
        ({"files": [{"role": "play", "name": "a", "media_type": "", "size_bytes": 1, "sha256": "0" * 63}]}, "E-RECORD"),
        ({"files": [{"role": "play", "name": "a", "media_type": "", "size_bytes": -1, "sha256": "0" * 64}]}, "E-RECORD"),
        ({"files": [{"role": "play", "name": "../a", "media_type": "", "size_bytes": 1, "sha256": "0" * 64}]}, "E-NAME"),
        ({"files": [{"role": "package", "name": "a", "path": "../../a", "media_type": "", "size_bytes": 1, "sha256": "0" * 64}]}, "E-NAME"),
    ],
)  # fmt: skip
def test_what_is_no_record_is_refused(change: dict[str, Any], code: str) -> None:
    with pytest.raises(ContentError) as caught:
        Resource.from_json({"id": "r1", "title": "题", **change})
    assert caught.value.code == code


def test_an_older_reader_ignores_newer_fields() -> None:
    data = {**resource().to_json(), "hologram": {"x": 1}}
    assert Resource.from_json(data) == resource()
    assert Resource.from_stored(data) == resource()


def test_the_meaning_has_no_times_numbers_or_ranking() -> None:
    record = resource(files=(file_of(b"a"),))
    same = replace(record, created="2026-01-01", updated="2026-02-01", quality=5, lesson_no=3, period_no=2)
    assert same.meaning_hash() == record.meaning_hash()
    assert replace(record, title="改").meaning_hash() != record.meaning_hash()
    assert replace(record, files=()).meaning_hash() != record.meaning_hash()


def test_manifest_lines_must_ascend() -> None:
    bundle = Bundle(id="main", version=1, title="", publisher="")
    out = BytesIO()
    write_manifest(bundle, [resource("b").canonical_line(), resource("a").canonical_line()], out)
    _, lines = read_manifest(BytesIO(out.getvalue()))
    with pytest.raises(ContentError, match="E-MANIFEST"):
        list(lines)


def test_a_newer_format_is_named() -> None:
    with pytest.raises(ContentError, match="E-VERSION"):
        read_manifest([canonical_json({"bundle": "a", "format": 2})])


def test_names() -> None:
    assert is_file_name("课件 1.pptx") and is_package_path("a/b/index.html")
    for name in ("", ".", "..", "a/b", "a\\b", "a\x00", "a\n", "x" * 256, "\ud800"):
        assert not is_file_name(name)
    for path in ("/a", "a//b", "../a", "a/..", ""):
        assert not is_package_path(path)
    assert is_bundle_id("main") and not is_bundle_id("Main") and not is_bundle_id("-a")
