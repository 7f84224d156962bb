"""The pure decisions: a school's own books, what fits a disk, which time counts."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from builders import file_of
from hypothesis import given
from hypothesis import strategies as st

from catalog.clock import BUILT, clock_offset, display_time, is_plausible, term_of, trusted_time
from catalog.errors import ConfigError
from catalog.fit import Want, fit, spare_roles
from catalog.library import Shelf
from catalog.resource import File
from catalog.scope import EVERYTHING, EditionRule, Scope, of_term


def shelf(**values: object) -> Shelf:
    fields = {
        "stage": "primary",
        "grade": "g3",
        "subject": "math",
        "edition": "pep",
        "textbook_year": 0,
        "volume": "a",
    }
    return Shelf(**{**fields, "resources": 1, "cached": 0, **values})


def test_unset_scope_is_everything() -> None:
    assert not EVERYTHING
    assert EVERYTHING.accepts(shelf())


def test_a_scope_narrows_stage_grade_and_edition_by_term() -> None:
    scope = Scope(
        stages=frozenset({"primary"}),
        grades=frozenset({"g3", "g4"}),
        editions=(
            EditionRule(subject="math", edition="bnu", term="b"),
            EditionRule(subject="math", edition="pep", term="a", textbook_year=2024),
        ),
    )
    assert scope.accepts(shelf())
    assert scope.accepts(shelf(textbook_year=2024))
    assert not scope.accepts(shelf(textbook_year=2013))
    assert not scope.accepts(shelf(edition="su"))
    assert scope.accepts(shelf(volume="b", edition="bnu"))
    assert not scope.accepts(shelf(volume="b"))
    assert not scope.accepts(shelf(grade="g7"))
    assert scope.accepts(shelf(grade=""))
    assert scope.accepts(shelf(subject="music", edition="hunan"))
    assert Scope.from_json(scope.to_json()) == scope


@pytest.mark.parametrize(
    "data", [[], {"stages": "primary"}, {"editions": [{"subject": "math"}]}, {"editions": [1]}]
)
def test_a_wrong_scope_is_refused(data: object) -> None:
    with pytest.raises(ConfigError, match="E-CONFIG"):
        Scope.from_json(data)


def test_a_term_has_its_volume_and_what_is_not_split() -> None:
    shelves = [shelf(volume=volume) for volume in ("a", "b", "full", "")]
    assert [found.volume for found in of_term(shelves, "b")] == ["b", "full", ""]
    assert [term_of(date(2026, month, 1)) for month in (1, 2, 7, 8, 12)] == ["a", "b", "b", "a", "a"]


def test_trusted_time_never_goes_back() -> None:
    signed = BUILT + timedelta(days=30)
    assert trusted_time(datetime(1970, 1, 1, tzinfo=UTC), None) == BUILT
    assert trusted_time(datetime(1970, 1, 1, tzinfo=UTC), signed) == signed
    assert not is_plausible(datetime(1970, 1, 1, tzinfo=UTC), signed)
    assert not is_plausible(datetime(2099, 1, 1, tzinfo=UTC), signed)
    assert is_plausible(signed + timedelta(days=300), signed)


def test_the_display_clock_shows_what_the_teacher_set() -> None:
    system = datetime(1970, 1, 1, 0, 5, tzinfo=UTC)
    shown = datetime(2026, 11, 21, 0, 0, tzinfo=UTC)
    offset = clock_offset(system, shown)
    assert display_time(system + timedelta(hours=1), offset).isoformat() == "2026-11-21T09:00:00+08:00"


def want(number: int, *files: File, place: float = 1) -> Want:
    return Want(number=number, rank=(place,), files=files)


def test_originals_of_videos_give_way_first() -> None:
    play, source = file_of(b"p" * 10), file_of(b"s" * 50, role="source")
    deck = file_of(b"d" * 20, role="source", name="课件.pptx")
    wants = [want(1, play, source), want(2, deck)]
    assert spare_roles((play, source)) == {"source"} and spare_roles((deck,)) == frozenset()
    assert fit(wants, 80).whole
    decided = fit(wants, 79)
    assert decided.left_out == {1: frozenset({"source"})} and decided.keep_bytes == 30
    assert fit(wants, 29).left_out[2] == {"source"}


def test_a_shared_blob_counts_once_and_requests_come_first() -> None:
    one, big = file_of(b"1" * 10), file_of(b"2" * 100)
    assert fit([want(1, one), want(2, one)], 10).whole
    decided = fit([want(1, one), want(2, big, place=0)], 100)
    assert decided.left_out.keys() == {1}


sizes = st.lists(
    st.lists(st.tuples(st.sampled_from(["play", "source", "page"]), st.integers(0, 50)), max_size=4),
    max_size=8,
)


@given(sizes, st.integers(0, 400))
def test_what_is_kept_fits_and_is_whole(resources: list[list[tuple[str, int]]], capacity: int) -> None:
    wants = [
        want(
            number,
            *(
                file_of(bytes([size]) * size, role=role, name=f"{place}")
                for place, (role, size) in enumerate(files)
            ),
        )
        for number, files in enumerate(resources)
    ]
    decided = fit(wants, capacity)
    assert decided.keep_bytes <= capacity
    blobs = {file.sha256: file.size_bytes for item in wants for file in item.files}
    assert decided.keep_bytes == sum(blobs[name] for name in decided.keep)
    for item in wants:
        roles = decided.left_out.get(item.number, frozenset())
        assert all(file.sha256 in decided.keep for file in item.files if file.role not in roles)
