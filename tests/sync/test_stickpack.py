"""The index of a stick's pack: what is written is read, and nothing else is."""

from __future__ import annotations

import hashlib

import pytest
from builders import sha256
from hypothesis import example, given
from hypothesis import strategies as st

from catalog.blobs import Blob
from catalog.errors import ContentError
from sync.formats import stickpack
from sync.formats.stickpack import MAX_BODY_BYTES, MAX_MEMBERS, SMALL_BYTES, START_BYTES

blobs = st.lists(
    st.builds(
        lambda content, size: Blob(sha256=hashlib.sha256(content).hexdigest(), size_bytes=size),
        st.binary(max_size=8),
        st.integers(1, SMALL_BYTES),
    ),
    min_size=1,
    max_size=40,
    unique_by=lambda blob: blob.sha256,
)


def decode(head: bytes, *, name: str, file_bytes: int) -> list[stickpack.Member]:
    return stickpack.decode(head, name=name, file_bytes=file_bytes, where="x.pack")


@given(blobs)
def test_what_is_written_is_read(members: list[Blob]) -> None:
    head = stickpack.encode(members)
    assert stickpack.head_bytes(head[:START_BYTES], "x") == len(head)
    total = len(head) + sum(blob.size_bytes for blob in members)
    found = decode(head, name=stickpack.name_of(head), file_bytes=total)
    assert [(one.sha256, one.size_bytes) for one in found] == [(b.sha256, b.size_bytes) for b in members]
    place = len(head)
    for one in found:
        assert one.offset == place
        place += one.size_bytes
    assert place == total


@given(blobs, st.data())
def test_a_torn_or_changed_index_is_refused(members: list[Blob], data: st.DataObject) -> None:
    head = stickpack.encode(members)
    name = stickpack.name_of(head)
    total = len(head) + sum(blob.size_bytes for blob in members)
    at = data.draw(st.integers(0, len(head) - 1))
    changed = head[:at] + bytes([head[at] ^ data.draw(st.integers(1, 255))]) + head[at + 1 :]
    for wrong, size in ((changed, total), (head[:at], total), (head, total + 1), (head, total - 1)):
        with pytest.raises(ContentError) as refusal:
            decode(wrong, name=name, file_bytes=size)
        assert refusal.value.code == "E-STICK-PACK"


@given(st.binary(max_size=300), st.integers(0, 2**64))
@example(stickpack.MAGIC + b"\xff\xff\xff\xff" + bytes(100), 100)
@example(stickpack.MAGIC + b"\0\0\0\0", 27)
def test_any_bytes_are_refused_or_add_up(data: bytes, file_bytes: int) -> None:
    # Whoever wrote it also gave it the fitting name.
    try:
        members = decode(data, name=sha256(data), file_bytes=file_bytes)
    except ContentError as refusal:
        assert refusal.code == "E-STICK-PACK"
    else:
        assert members[-1].offset + members[-1].size_bytes == file_bytes


def test_only_the_blob_without_content_has_no_length() -> None:
    for content, right in ((b"", True), (b"1", False)):
        head = stickpack.encode([Blob(sha256=sha256(content), size_bytes=0)])
        if right:
            assert decode(head, name=stickpack.name_of(head), file_bytes=len(head))[0].size_bytes == 0
            continue
        with pytest.raises(ContentError) as refusal:
            decode(head, name=stickpack.name_of(head), file_bytes=len(head))
        assert refusal.value.code == "E-STICK-PACK"


def test_a_blob_twice_and_a_long_one_are_refused() -> None:
    one = Blob(sha256=sha256(b"1"), size_bytes=10)
    long = Blob(sha256=sha256(b"2"), size_bytes=SMALL_BYTES + 1)
    with pytest.raises(ValueError, match="2 members"):
        stickpack.encode([one, one])
    row = stickpack.encode([one])[START_BYTES:]
    twice = stickpack.MAGIC + b"\0\0\0\2" + row + row
    for head, body in ((twice, 20), (stickpack.encode([long]), SMALL_BYTES + 1)):
        with pytest.raises(ContentError):
            decode(head, name=stickpack.name_of(head), file_bytes=len(head) + body)


@given(st.lists(st.sampled_from([0, 1, SMALL_BYTES // 2, SMALL_BYTES]), max_size=700))
def test_groups_keep_order_and_bounds(sizes: list[int]) -> None:
    members = [Blob(sha256=f"{n:064x}", size_bytes=size) for n, size in enumerate(sizes)]
    groups = list(stickpack.group(members))
    assert [blob for group in groups for blob in group] == members
    for group in groups:
        assert 1 <= len(group) <= MAX_MEMBERS
        assert sum(blob.size_bytes for blob in group) <= MAX_BODY_BYTES
