"""How a word becomes a name that only one machine answers to: pure, told what was heard and what time it is.

RFC 4795 section 4 for what an answer means: from one that is sure of its name, the name is taken; of two that both
still ask, the lower address keeps it. Two that were sure of it and meet later (a cable joins two networks) go by the
lower address too, so that exactly one gives way. Invariant: no name is sure before three askings went unanswered.
"""

from __future__ import annotations

import ipaddress

from appliance.names.dns import Address
from appliance.names.labels import LAST_NUMBER, number_of, numbered

ASKINGS = 3
ASK_SECONDS = 0.3
AGAIN_SECONDS = 300.0


class Claim:
    """One word on its way to a name: `label` is the name, `sure` whether it is ours alone as far as was heard.

    `taken` maps each name that somebody else has to an address of theirs. One that became `word-2` goes on asking for
    the word too, so that it can say whose that is.
    """

    def __init__(self, word: str, *, first: str, now: float) -> None:
        self.word = word
        self.sure = False
        self.taken: dict[str, str] = {}
        self._round: set[str] = set()
        self._number = number_of(word, first)
        self._asked, self._next = 0, now

    @property
    def label(self) -> str:
        """The name that is asked for or answered to."""
        return numbered(self.word, self._number)

    @property
    def questions(self) -> tuple[str, ...]:
        """The names to ask for: the label, and the word where that is another."""
        return (self.label,) if self.label == self.word else (self.label, self.word)

    def due(self, now: float) -> int | None:
        """Return which asking is to be sent now (0, 1, 2); None where there is none. The last one makes it sure."""
        if now < self._next:
            return None
        if self._asked == ASKINGS:
            self._asked, self._next = 0, now + AGAIN_SECONDS
            self.sure = True
            for name in {*self.questions} - self._round:
                self.taken.pop(name, None)
            return None
        if self._asked == 0:
            self._round = set()
        self._asked += 1
        self._next = now + ASK_SECONDS
        return self._asked - 1

    def wait(self, now: float) -> float:
        """Return the seconds until something is due."""
        return max(0.0, self._next - now)

    def ask_again(self, now: float) -> None:
        """Look again whether the name is ours alone: the network has changed, or somebody saw two of us."""
        if self._asked == 0:
            self._next = now

    def heard(self, label: str, other: Address, mine: Address | None, now: float, *, unsure: bool) -> None:
        """Take note that `other` answers for `label`, where we are `mine`; `unsure`: it is still asking itself."""
        if label not in self.questions:
            return
        if label != self.label:
            if not unsure:
                self._note(label, other)
            return
        lower = mine is None or mine.version != other.version or int(other) < int(mine)
        if unsure and (self.sure or not lower):
            return  # it hears of us in its turn, and gives way
        self._note(label, other)
        if self.sure and not lower:
            return
        self._number = self._number + 1 if self._number < LAST_NUMBER else 1
        self.sure = False
        self._asked, self._next = 0, now

    def _note(self, label: str, other: Address) -> None:
        """Keep one address of who has the name: of all that answer, IPv4 first and the lowest, so that it stands still."""
        before = ipaddress.ip_address(self.taken[label]) if label in self.taken else None
        better = before is None or (other.version, int(other)) < (before.version, int(before))
        if better or (label not in self._round and other.version == 4):
            self.taken[label] = str(other)
        self._round.add(label)
