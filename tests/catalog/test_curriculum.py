"""Names in the order in which people count them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from catalog.curriculum import natural_key


def test_numbers_of_every_kind_count_as_numbers() -> None:
    names = ["附录", "第100课", "第二十课", "第十一课", "第十课", "第３课", "第二课", "第1课"]
    assert sorted(names, key=natural_key) == names[::-1]


@given(st.text(max_size=40))
def test_any_name_has_a_key(name: str) -> None:
    assert sorted([name, "第1课", "课"], key=natural_key)


def test_a_long_run_of_digits_is_no_number() -> None:
    assert natural_key("9" * 5000) > natural_key("9" * 17)
