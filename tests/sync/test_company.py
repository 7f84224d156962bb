"""The company of a run is entered and left beside it, once, whatever happens in between."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from swarms import settings

from catalog.errors import ConfigError, ShuxiangError
from catalog.library import Library
from sync.roads.collecting import Part
from sync.roads.torrent import Swarm
from sync.updating.neighbours import LINGER_SECONDS, Company, Neighbours


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with Library.open(tmp_path / "library.db", create=True) as opened:
        yield opened


class Meeting:
    """A swarm that nobody else is in; the check-in answers when it may, and what is told to the hub is kept."""

    def __init__(self, part: Part | None = None) -> None:
        self.part = part or Part(place=(0, 1))
        self.may_answer = threading.Event()
        self.told: list[str] = []

    def neighbours(self) -> Neighbours:
        return Neighbours(
            open=lambda: Swarm(settings()), meet=self._meet, leave=lambda: self.told.append("over")
        )

    def _meet(self, _: object) -> Part:
        assert self.may_answer.wait(30)
        self.told.append("here")
        return self.part


def test_it_is_entered_beside_the_run_and_left_once(library: Library) -> None:
    meeting = Meeting()
    company = Company(meeting.neighbours(), library)
    company.approach()
    assert meeting.told == []
    meeting.may_answer.set()
    assert company.join([]) and company.is_idle_for(1)
    company.depart()
    # Whoever is leaving is no company for what comes later.
    assert not company.join([])
    company.close()
    company.close()
    assert meeting.told == ["here", "over"]


@pytest.mark.parametrize(
    "part", [Part(), Part(place=(0, 2)), Part(place=(1, 2)), Part(peers=[("127.0.0.1", 9)], place=(0, 1))]
)
def test_only_a_hub_that_says_so_makes_it_idle(part: Part, library: Library) -> None:
    """Where the hub is silent local discovery may still find who has the blob."""
    meeting = Meeting(part)
    meeting.may_answer.set()
    company = Company(meeting.neighbours(), library)
    assert company.join([]) and not company.is_idle_for(1)
    company.close()


def test_a_run_that_ends_before_it_needs_anyone_still_takes_leave(library: Library) -> None:
    meeting = Meeting()
    company = Company(meeting.neighbours(), library)
    company.approach()
    meeting.may_answer.set()
    company.close()
    assert meeting.told == ["here", "over"]


class Hospitable(Swarm):
    """A swarm in which somebody always still collects what was brought."""

    def linger(self, seconds: float, is_over: Callable[[], bool] = lambda: False) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not is_over():
            time.sleep(0.02)


def test_what_ends_a_run_before_its_time_ends_its_stay(library: Library) -> None:
    company = Company(
        Neighbours(open=lambda: Hospitable(settings()), meet=lambda _: Part(place=(0, 1))), library
    )
    assert company.join([])
    company.depart()
    began = time.monotonic()
    company.break_off()
    company.close()
    assert time.monotonic() - began < LINGER_SECONDS / 2


def test_what_keeps_it_out_is_said_once(library: Library) -> None:
    def nowhere() -> Swarm:
        raise ConfigError("E-TOOL", found="libtorrent")

    told: list[str] = []
    company = Company(
        Neighbours(open=nowhere, meet=lambda _: Part(), leave=lambda: told.append("over")), library
    )
    warnings: list[ShuxiangError] = []
    assert not company.join(warnings) and not company.join(warnings)
    company.close()
    assert [warning.code for warning in warnings] == ["E-TOOL"] and told == []


def test_a_run_without_neighbours_asks_nobody(library: Library) -> None:
    company = Company(None, library)
    company.approach()
    assert not company.join([])
    company.close()
