"""Steps of a build are undone in reverse order, however it ends."""

from __future__ import annotations

import pytest

from images.steps import Steps


def test_steps_run_in_order_and_are_undone_in_reverse() -> None:
    said: list[str] = []
    with Steps(said.append) as steps:
        assert steps.do("one", lambda: said.append("1") or 11, lambda: said.append("-1")) == 11
        steps.do("two", lambda: said.append("2"), lambda: said.append("-2"))
        steps.do("three", lambda: said.append("3"))
    assert said == ["one", "1", "two", "2", "three", "3", "-2", "-1"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_step_that_fails_half_way_is_undone_too(error: type[BaseException]) -> None:
    said: list[str] = []

    def fail() -> None:
        said.append("2")
        raise error

    with pytest.raises(error), Steps(said.append) as steps:
        steps.do("one", lambda: said.append("1"), lambda: said.append("-1"))
        steps.do("two", fail, lambda: said.append("-2"))
    assert said == ["one", "1", "two", "2", "-2", "-1"]


def test_an_undoing_that_fails_keeps_no_other_from_being_done() -> None:
    said: list[str] = []

    def fail() -> None:
        raise OSError("busy")

    with pytest.raises(OSError, match="busy"), Steps(said.append) as steps:
        steps.undone_by(lambda: said.append("-1"))
        steps.undone_by(fail)
    assert said == ["-1"]
