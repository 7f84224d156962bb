"""The outage bench as a fixture: skipped with the reason where it can not work, a failure where CI says it must."""

import os
from collections.abc import Iterator

import pytest
from outage_harness import Outage, why_not

from sync.roads import staging


@pytest.fixture(scope="session")
def outage_possible() -> None:
    reason = why_not()
    if reason is None:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def outage(outage_possible: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Outage]:
    with Outage() as bench:
        monkeypatch.setattr(staging, "BOOT_ID", bench.boot_id)
        yield bench
