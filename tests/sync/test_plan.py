"""The order of a plan, and that nothing is in it twice or for nothing."""

from __future__ import annotations

from builders import sha256
from hypothesis import given
from hypothesis import strategies as st

from catalog.fit import Want, fit
from catalog.resource import File
from sync.carry import read_hints
from sync.plan import GROUP_FILES, OTHER, OWN_NOW, REQUESTED, SPARE, Plan, plan_content

ROOMY = 1 << 60


def file(role: str, size_bytes: int, name: str) -> File:
    return File(
        role=role, name="f", media_type="x/y", size_bytes=size_bytes, sha256=sha256(name.encode()),
        path="p" if role == "package" else None,
    )  # fmt: skip


def order(*wants: Want, has: frozenset[str] = frozenset()) -> list[tuple[int, int]]:
    steps = plan_content(wants, fit(wants, ROOMY), has.__contains__)
    return [(step.number, step.file.size_bytes) for step in steps]


def test_order() -> None:
    video = Want(
        number=1,
        rank=(OWN_NOW, 0.0),
        files=(file("source", 900, "v1"), file("thumb", 5, "v2"), file("play", 100, "v3")),
    )
    deck = Want(
        number=2,
        rank=(OWN_NOW, 0.0),
        files=(file("page", 20, "d1"), file("page", 21, "d2"), file("source", 30, "d3")),
    )
    asked = Want(number=3, rank=(REQUESTED, 0.0), files=(file("play", 5000, "a1"),))
    other = Want(number=4, rank=(OTHER, 0.0), files=(file("play", 1, "o1"),))
    assert order(other, video, deck, asked) == [
        (3, 5000),  # what was asked for
        (2, 30), (2, 20), (2, 21),  # small before large; the original of courseware before its pages
        (1, 100), (1, 5),  # of a video what plays
        (4, 1),
        (1, 900),  # its original last of all
    ]  # fmt: skip


def test_a_shared_blob_is_fetched_once_at_its_first_place() -> None:
    shared = file("play", 10, "s")
    steps = plan_content(
        wants := [
            Want(number=1, rank=(OTHER, 0.0), files=(shared,)),
            Want(number=2, rank=(REQUESTED, 0.0), files=(shared,)),
        ],
        fit(wants, ROOMY),
        lambda _: False,
    )
    assert [(step.number, step.place) for step in steps] == [(2, REQUESTED)]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 4),
            st.lists(st.tuples(st.sampled_from(["source", "play", "page"]), st.integers(0, 9))),
        ),
        max_size=8,
    ),
    st.sets(st.integers(0, 9)),
    st.integers(0, 400),
)
def test_a_plan_is_what_fits_and_is_not_here(
    shape: list[tuple[int, list[tuple[str, int]]]], here: set[int], capacity: int
) -> None:
    wants = [
        Want(
            number=number,
            rank=(place, 0.0),
            files=tuple(file(role, 10 + blob, str(blob)) for role, blob in files),
        )
        for number, (place, files) in enumerate(shape)
    ]
    held = {sha256(str(blob).encode()) for blob in here}
    fitted = fit(wants, capacity)
    steps = plan_content(wants, fitted, held.__contains__)
    hashes = [step.file.sha256 for step in steps]
    assert len(hashes) == len(set(hashes))
    assert set(hashes) == fitted.keep - held
    places = [step.place for step in steps]
    assert places == sorted(places) and all(place <= SPARE for place in places)


def test_groups_keep_the_order() -> None:
    wants = [
        Want(number=number, rank=(number % 2, 0.0), files=(file("play", number, str(number)),))
        for number in range(GROUP_FILES * 2 + 2)
    ]
    plan = Plan(release=1, steps=plan_content(wants, fit(wants, ROOMY), lambda _: False))
    groups = list(plan.groups())
    assert [len(group) for group in groups] == [GROUP_FILES, 1, GROUP_FILES, 1]
    assert [one for group in groups for one in group] == [step.file for step in plan.steps]
    assert list(Plan(release=1).groups()) == []


def test_hints_lead_to_servers_only() -> None:
    data = (
        b'{"roads": ["rsync://{host}:8873/tree/", "file:///etc", "/etc", 5, "http://mirror/", "gopher://x/"]}'
    )
    assert read_hints(data, host="10.0.0.5") == ["rsync://10.0.0.5:8873/tree/", "http://mirror/"]
    assert read_hints(data, host="fe80::1")[0] == "rsync://[fe80::1]:8873/tree/"
    assert read_hints(data, host=None) == ["http://mirror/"]
    for broken in (b"", b"[]", b"{}", b'{"roads": 5}', b"<html>"):
        assert read_hints(broken, host="h") == []
