"""Line deltas: what comes out is what went in, whatever the lines; what hostile bytes meet."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Iterator, Sequence

import pytest
from backports.zstd import CompressionParameter, ZstdCompressor, ZstdDict, compress
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import ContentError
from catalog.resource import canonical_json
from sync.formats import linedelta
from sync.formats.linedelta import DeltaHead, merge, read_head, write_delta

HEAD = DeltaHead(source="a" * 64, target="b" * 64, level=6)

ids = st.text("0123456789abcdefr-._", min_size=1, max_size=6)
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)
contents = st.dictionaries(ids, texts, max_size=40)


def lines_of(content: dict[str, str], version: int = 1) -> list[bytes]:
    """A file as ours are: a first line without an id, then one object per id."""
    first = canonical_json({"bundle": "main", "version": version}) + b"\n"
    return [first] + [canonical_json({"id": key, "title": content[key]}) + b"\n" for key in sorted(content)]


def delta_of(old: Sequence[bytes], new: Sequence[bytes], most_bytes: int = 1 << 30) -> bytes:
    out = io.BytesIO()
    assert write_delta(HEAD, old, new, out, most_bytes=most_bytes)
    return out.getvalue()


def blocks(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def merged(
    delta: bytes, old: bytes, steps: list[tuple[bytes, bytes]] | None = None, size: int = 1000
) -> bytes:
    found = merge(
        io.BytesIO(delta),
        lambda: blocks(old, size),
        head=HEAD,
        changed=lambda gone, come: steps.append((gone, come)) if steps is not None else None,
        where="x",
    )
    return b"".join(found)


@given(contents, contents, st.integers(1, 50))
def test_merging_the_delta_of_two_files_gives_the_second(
    old: dict[str, str], new: dict[str, str], size: int
) -> None:
    olds, news = lines_of(old), lines_of(new, 2)
    steps: list[tuple[bytes, bytes]] = []
    delta = delta_of(olds, news)
    assert merged(delta, b"".join(olds), steps, size) == b"".join(news)
    assert read_head(io.BytesIO(delta), where="x") == HEAD
    # What is told is exactly what differs.
    gone = b"".join(step[0] for step in steps).splitlines(keepends=True)
    come = b"".join(step[1] for step in steps).splitlines(keepends=True)
    assert sorted(gone) == sorted(set(olds) - set(news)) and sorted(come) == sorted(set(news) - set(olds))


@given(contents, contents, st.data())
def test_pairs_of_any_length_do_the_same(
    old: dict[str, str], new: dict[str, str], data: st.DataObject
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linedelta, "_FULL_BYTES", data.draw(st.integers(1, 400)))
        patch.setattr(linedelta, "_FULL_STEPS", data.draw(st.integers(1, 9)))
        olds, news = lines_of(old), lines_of(new)
        assert merged(delta_of(olds, news), b"".join(olds)) == b"".join(news)


@given(contents, contents, st.data())
def test_damaged_deltas_are_refused_or_give_other_bytes_never_more(
    old: dict[str, str], new: dict[str, str], data: st.DataObject
) -> None:
    olds, news = lines_of(old), lines_of(new)
    delta = delta_of(olds, news)
    place = data.draw(st.integers(0, len(delta) - 1))
    delta = delta[:place] + data.draw(st.binary(max_size=3)) + delta[place + 1 :]
    try:
        merged(delta, b"".join(olds))
    except ContentError as error:
        assert error.code in ("E-DELTA", "E-VERSION")


def test_an_edited_title_costs_tens_of_bytes() -> None:
    dice = random.Random(1)
    old = {f"r{n:05}": dice.randbytes(300).hex() for n in range(3000)}
    new = dict(old)
    for key in dice.sample(sorted(old), 200):
        new[key] = new[key][:90] + "（修订）" + new[key][90:]
    assert len(delta_of(lines_of(old), lines_of(new))) < 200 * 40


def test_many_changes_go_in_pairs_that_fit_in_memory() -> None:
    dice = random.Random(2)
    old = {f"r{n:05}": dice.randbytes(1000).hex() for n in range(6000)}
    new = {key: text.upper() for key, text in old.items()} | {"z": "last"}
    olds, news = lines_of(old), lines_of(new)
    delta = delta_of(olds, news)
    assert merged(delta, b"".join(olds), size=1 << 16) == b"".join(news)
    frames = linedelta._Frames(io.BytesIO(delta), "x")
    frames.read(4096)
    script = json.loads(frames.read(1 << 20) or b"")
    assert max(sum(script[1::3]), sum(script[2::3])) < linedelta.MAX_SIDE_BYTES


def test_a_delta_that_is_not_worth_it_is_given_up() -> None:
    dice = random.Random(3)
    new = {f"r{n:05}": dice.randbytes(1000).hex() for n in range(9000)}
    out = io.BytesIO()
    assert not write_delta(HEAD, lines_of({}), lines_of(new), out, most_bytes=1 << 20)
    # It ended with the pair that was too much, a ninth of the whole.
    assert len(out.getvalue()) < 5 << 20


# -- hostile ---------------------------------------------------------------------------------------------------------

OLD = b'{"bundle":"main"}\n{"id":"a"}\n{"id":"b"}\n'
FIRST = len(b'{"bundle":"main"}\n')


def frames(*parts: object) -> bytes:
    head = {"format": 1, "from": HEAD.source, "level": HEAD.level, "to": HEAD.target}
    return b"".join(
        compress(part if isinstance(part, bytes) else canonical_json(part)) for part in (head, *parts)
    )


def refused(delta: bytes, old: bytes = OLD) -> ContentError:
    with pytest.raises(ContentError) as caught:
        merged(delta, old)
    assert caught.value.code == "E-DELTA"
    return caught.value


@pytest.mark.parametrize(
    "delta",
    [
        b"",
        b"\n",
        compress(b"[]"),
        frames()[:-3],
        frames() + b"more",
        frames([FIRST, 0, 12], b'{"id":"a1"}'),
        frames([FIRST, 0, 11], b'{"id":"a1"}'),
        frames([FIRST, 0, 12]),
        frames([FIRST, 3, 0], b""),
        frames([FIRST, 0], b""),
        frames([FIRST, 0, 0], b""),
        frames([], b""),
        frames({"id": 1}, b""),
        frames([FIRST, -1, 1], b"\n"),
        frames([FIRST, 0.5, 1], b"\n"),
        frames([FIRST, True, 1], b"\n"),
        frames([len(OLD) + 1, 0, 1], b"\n"),
        frames([10**12, 0, 1], b"\n"),
        frames([0, 10**12, 1], b"\n"),
        frames([0, 0, 10**12], b"\n"),
        frames(b"[" * 100_000, b""),
        frames(b"[" + b"9" * 10_000 + b",0,1]", b"\n"),
        frames([0, 0, 1] * 100_000, b"\n" * 100_000),
    ],
)
def test_a_malformed_delta_is_refused(delta: bytes) -> None:
    refused(delta)


def test_another_head_is_refused() -> None:
    other = DeltaHead(source="c" * 64, target=HEAD.target, level=6)
    out = io.BytesIO()
    write_delta(other, [], [], out, most_bytes=1000)
    refused(out.getvalue())


@pytest.mark.parametrize(
    "fields", [{"level": 19}, {"level": True}, {"from": "A" * 64}, {"to": 1}, {"format": 0}]
)
def test_an_odd_head_is_refused(fields: dict[str, object]) -> None:
    head = {"format": 1, "from": HEAD.source, "level": HEAD.level, "to": HEAD.target, **fields}
    refused(compress(canonical_json(head)))


def test_a_newer_format_asks_for_newer_software() -> None:
    with pytest.raises(ContentError, match="E-VERSION"):
        merged(compress(b'{"format":2}'), OLD)


def bomb(size_bytes: int, prefix: bytes = b"") -> bytes:
    """A frame of a few kilobytes that would decompress to `size_bytes`."""
    compressor = ZstdCompressor(
        options={CompressionParameter.window_log: 20},
        zstd_dict=ZstdDict(prefix, is_raw=True).as_prefix if prefix else None,
    )
    block = b"\n" * (1 << 20)
    return b"".join(compressor.compress(block) for _ in range(size_bytes >> 20)) + compressor.flush()


def test_a_frame_that_grows_without_end_is_refused() -> None:
    assert len(bomb(1 << 30)) < 200_000
    for delta in (bomb(1 << 30), frames() + bomb(1 << 30), frames([FIRST, 0, 1]) + bomb(1 << 30)):
        assert "<=" in str(refused(delta).expected)


def test_a_window_that_does_not_fit_in_memory_is_refused() -> None:
    wide = ZstdCompressor(options={CompressionParameter.window_log: 27})
    frame = wide.compress(b"\n" * 100) + wide.flush()
    refused(frames([FIRST, 0, 100]) + frame)


def test_endless_old_bytes_are_not_copied_by_a_short_script() -> None:
    # A terabyte may only be claimed as copied; the old file ends first.
    refused(frames([2**40, 0, 1], b"\n"))
