"""Power cuts for tests: a recorded block log of a real ext4, cut anywhere, unflushed writes lost and reordered.

Use the fixture `outage` of `tests/outage/conftest.py`::

    log = outage.record(workload, prepare=prepare)      # workload(root: Path, acknowledge)
    for cut in log.cuts(25, seed=7):
        with outage.mounted(cut) as root:
            check(root, cut.acknowledged)
"""

from outage_harness.blocklog import BlockLog, Cut, Survival
from outage_harness.outage import Acknowledge, Outage, OutageError, why_not

__all__ = ["Acknowledge", "BlockLog", "Cut", "Outage", "OutageError", "Survival", "why_not"]
