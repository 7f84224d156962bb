"""The governor by itself: counting that survives a kill, and waiting that ends when it must."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from wire import burst_bytes

from catalog.errors import RoadError
from catalog.local import Local
from sync.line.rate import (
    CREDIT_SECONDS,
    METERED,
    MONTHS_KEPT,
    READ_SECONDS,
    Governor,
    Meter,
    used_bytes,
)

MIB = 1 << 20


def test_many_threads_share_one_rate() -> None:
    rate = 400_000
    governor = Governor(rate)
    passed: list[tuple[float, int]] = []
    ended = threading.Event()

    def work() -> None:
        while not ended.is_set():
            governor.take(size := governor.read_bytes(128 << 10))
            passed.append((time.monotonic(), size))

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    reached = False
    for _ in range(10):
        # A busy machine leaves some of a rate unused; one second without that is enough.
        before, began = len(passed), time.monotonic()
        time.sleep(1)
        found = sum(size for _, size in passed[before:]) / (time.monotonic() - began)
        if reached := found >= rate * 0.8:
            break
    ended.set()
    for thread in threads:
        thread.join()
    assert reached
    # The credit, and one reading of each thread.
    assert burst_bytes(passed, rate) <= rate * (CREDIT_SECONDS + 6 * READ_SECONDS)


def test_a_pause_of_the_machine_earns_little() -> None:
    rate = 1_000_000
    governor = Governor(rate)
    governor.take(1)
    time.sleep(3 * CREDIT_SECONDS)
    passed: list[tuple[float, int]] = []
    while sum(size for _, size in passed) < rate:
        governor.take(1000)
        passed.append((time.monotonic(), 1000))
    assert burst_bytes(passed, rate) <= rate * (CREDIT_SECONDS + READ_SECONDS)


def test_a_new_rate_reaches_who_waits() -> None:
    governor = Governor(1000)
    heard: list[int | None] = []
    governor.on_rate(heard.append)
    began = time.monotonic()
    threading.Timer(0.2, governor.set_rate, (None,)).start()
    governor.take(100_000)
    # At the old rate it would be a hundred seconds.
    assert 0.15 < time.monotonic() - began < 60
    assert heard == [None]
    # What was owed at a high rate is not paid at a low one.
    governor.set_rate(10_000_000)
    governor.count(5_000_000)
    governor.set_rate(1000)
    began = time.monotonic()
    governor.take(1)
    # Else it would be an hour.
    assert time.monotonic() - began < 60


def test_a_stop_ends_every_wait() -> None:
    governor = Governor(10)
    threading.Timer(0.1, governor.stop).start()
    with pytest.raises(RoadError) as ended:
        governor.take(1000)
    assert ended.value.code == "E-PAUSED" and ended.value.exit_code == 31
    with pytest.raises(RoadError):
        governor.check(lan=True)


def test_a_budget_is_counted_durably_and_a_kill_gives_nothing_away(tmp_path: Path) -> None:
    with Local.open(tmp_path / "local.db") as local:
        meter = Meter(local, month="2026-11", budget_bytes=100 * MIB)
        for _ in range(1000):
            meter.add(10_000)
        # As after a kill: nothing was closed.
        assert 10_000_000 <= used_bytes(local, "2026-11") <= 10_000_000 + MIB + 50_000
        again = Meter(local, month="2026-11", budget_bytes=100 * MIB)
        assert again.used_bytes >= 10_000_000
        meter.close()
        assert used_bytes(local, "2026-11") == 10_000_000
        assert Meter(local, month="2026-12", budget_bytes=1).used_bytes == 0


def test_what_comes_after_the_end_reserves_nothing(tmp_path: Path) -> None:
    with Local.open(tmp_path / "local.db") as local:
        meter = Meter(local, month="2026-11", budget_bytes=100 * MIB)
        meter.add(1000)
        meter.close()
        meter.add(1000)
        assert used_bytes(local, "2026-11") == 1000
        assert meter.used_bytes == 2000
        meter.close()
        assert used_bytes(local, "2026-11") == 2000


def test_counting_writes_seldom(tmp_path: Path) -> None:
    with Local.open(tmp_path / "local.db") as local:
        puts = []
        kept = local.put
        local.put = lambda name, value: (puts.append(name), kept(name, value))[1]  # type: ignore[method-assign]
        meter = Meter(local, month="2026-11")
        for _ in range(1000):
            meter.add(100_000)
        meter.close()
        assert len(puts) <= 8
        assert used_bytes(local, "2026-11") == 100_000_000


def test_two_processes_count_together(tmp_path: Path) -> None:
    with Local.open(tmp_path / "local.db") as local:
        one, other = (Meter(local, month="2026-11", budget_bytes=20 * MIB) for _ in range(2))
        for _ in range(100):
            one.add(50_000)
            other.add(50_000)
        one.close()
        other.close()
        assert used_bytes(local, "2026-11") == 10_000_000


def test_old_months_are_dropped(tmp_path: Path) -> None:
    with Local.open(tmp_path / "local.db") as local:
        for year in range(2000, 2030):
            meter = Meter(local, month=f"{year}-01")
            meter.add(1)
            meter.close()
        assert len(local.get(METERED)) == MONTHS_KEPT


def test_an_exhausted_budget_refuses_the_line_alone(tmp_path: Path) -> None:
    with Local.open(tmp_path / "local.db") as local:
        governor = Governor(None, meter=Meter(local, month="2026-11", budget_bytes=10))
        governor.count(5, sent=5)
        with pytest.raises(RoadError) as spent:
            governor.check()
        assert spent.value.code == "E-BUDGET" and spent.value.exit_code == 31
        governor.check(lan=True)
        with pytest.raises(RoadError):
            governor.take(1)
