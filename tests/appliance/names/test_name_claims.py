"""How names are claimed: three askings, the right one gives way, and however packets cross exactly one keeps a name."""

from __future__ import annotations

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from appliance.names.claim import AGAIN_SECONDS, ASK_SECONDS, Claim

LOW, HIGH = ipaddress.ip_address("10.0.0.1"), ipaddress.ip_address("10.0.0.200")


def asked(claim: Claim, now: float) -> float:
    """Let an asking go unanswered; return the time after it."""
    for number in range(3):
        assert claim.due(now) == number
        assert claim.due(now) is None
        now += ASK_SECONDS
    assert claim.due(now) is None
    return now


def test_a_name_is_sure_after_three_askings() -> None:
    claim = Claim("shuxiang", first="shuxiang", now=0.0)
    assert not claim.sure
    now = asked(claim, 0.0)
    assert claim.sure
    assert claim.wait(now) == AGAIN_SECONDS
    claim.ask_again(now)
    asked(claim, now)
    assert claim.sure


def test_a_taken_name_is_left_at_once_and_the_next_one_asked_for() -> None:
    claim = Claim("shuxiang", first="shuxiang", now=0.0)
    claim.due(0.0)
    claim.heard("shuxiang", HIGH, LOW, 0.1, unsure=False)
    claim.heard("other", HIGH, LOW, 0.1, unsure=False)
    assert (claim.label, claim.sure, claim.taken) == ("shuxiang-2", False, {"shuxiang": str(HIGH)})
    asked(claim, 0.1)
    assert claim.sure


def test_of_two_that_still_ask_the_lower_address_keeps_it() -> None:
    for mine, other, label in ((LOW, HIGH, "shuxiang"), (HIGH, LOW, "shuxiang-2")):
        claim = Claim("shuxiang", first="shuxiang", now=0.0)
        claim.heard("shuxiang", other, mine, 0.1, unsure=True)
        assert claim.label == label


def test_a_sure_one_gives_way_only_to_a_sure_one_of_a_lower_address() -> None:
    claim = Claim("shuxiang", first="shuxiang", now=0.0)
    now = asked(claim, 0.0)
    claim.heard("shuxiang", LOW, HIGH, now, unsure=True)
    assert (claim.label, claim.sure, claim.taken) == ("shuxiang", True, {})
    claim.heard("shuxiang", HIGH, LOW, now, unsure=False)
    assert (claim.label, claim.sure, claim.taken) == ("shuxiang", True, {"shuxiang": str(HIGH)})
    claim.ask_again(now)
    now = asked(claim, now)
    assert claim.taken == {}
    claim.heard("shuxiang", LOW, HIGH, now, unsure=False)
    assert (claim.label, claim.sure) == ("shuxiang-2", False)


def test_the_second_says_whose_the_word_is_as_long_as_somebody_has_it() -> None:
    claim = Claim("shuxiang", first="shuxiang-2", now=0.0)
    assert claim.questions == ("shuxiang-2", "shuxiang")
    claim.due(0.0)
    for other in (ipaddress.ip_address("fe80::1"), LOW, ipaddress.ip_address("fe80::1"), HIGH):
        claim.heard("shuxiang", other, HIGH, 0.1, unsure=False)
    now = asked_on(claim, 0.1)
    assert (claim.label, claim.sure, claim.taken) == ("shuxiang-2", True, {"shuxiang": str(LOW)})
    claim.ask_again(now)
    claim.due(now)
    assert claim.taken == {"shuxiang": str(LOW)}
    asked_on(claim, now)
    assert claim.taken == {}


def asked_on(claim: Claim, now: float) -> float:
    """Let a round that has begun come to its end."""
    for _ in range(4):
        now += ASK_SECONDS
        claim.due(now)
    return now


def test_what_it_became_is_asked_for_first() -> None:
    assert Claim("shuxiang", first="shuxiang-3", now=0.0).label == "shuxiang-3"
    assert Claim("shuxiang", first="nonsense", now=0.0).label == "shuxiang"


@given(st.lists(st.floats(0, 2), min_size=2, max_size=4), st.randoms(use_true_random=False))
def test_however_they_start_every_name_is_one_machines(starts: list[float], random: object) -> None:
    """Machines on one link that answer each other at once, tentative until they are sure."""
    machines = [
        (ipaddress.ip_address(f"10.0.0.{number}"), start, Claim("shuxiang", first="shuxiang", now=start))
        for number, start in enumerate(starts, 1)
    ]
    random.shuffle(machines)  # type: ignore[attr-defined]
    now = 0.0
    while now < 20:
        for mine, start, claim in machines:
            if now < start or claim.due(now) is None:
                continue
            for other, other_start, theirs in machines:
                if other != mine and now >= other_start and theirs.label == claim.label:
                    claim.heard(theirs.label, other, mine, now, unsure=not theirs.sure)
        now += 0.05
    labels = [claim.label for _, _, claim in machines]
    assert all(claim.sure for _, _, claim in machines)
    assert len(set(labels)) == len(labels), labels
