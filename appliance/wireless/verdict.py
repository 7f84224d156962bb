"""From what NetworkManager says to what a person must do (pure).

Invariant: nothing is said of one look. A fault is told when it has lasted, or was seen twice; what was told before and
is seen again, at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from appliance.wireless.networkmanager import (
    ACTIVATED,
    CONNECTION,
    DISCONNECTED,
    IP_CONFIG,
    MOST_NAMES,
    NO_ADDRESS,
    NO_SECRETS,
    NOT_FOUND,
    SUPPLICANT,
    Device,
    Network,
    Refusal,
)
from appliance.wireless.note import Note

ADAPTER_SECONDS, ADDRESS_SECONDS = 20.0, 45.0
"""How long an adapter may take to come up after the start, and a router to give an address."""
JOINING_SECONDS = 40.0
"""How long NetworkManager is left alone with it: there are failures after which it begins anew at once, for ever."""
TIMES = 2
_OPEN, _JOINING = "open", "joining"


class Next(Enum):
    """What to do where nothing is to be said yet."""

    WAIT = "wait"
    TRY = "try"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The network that shuxiang.toml asks for; `secured`: with a password."""

    ssid: str
    secured: bool


class Judge:
    """One look after the other at the network that is `asked` for; `before` is what was told last."""

    def __init__(self, asked: Asked, before: Note | None) -> None:
        self._asked = asked
        self._before = before
        self._since: tuple[str, float] = ("", 0.0)
        self._refused: list[str] = []

    def look(self, devices: Sequence[Device], at: float) -> Note | Next:
        """Return how it is at the time `at` in seconds, or what to do to know it."""
        working = [device for device in devices if device.state >= DISCONNECTED]
        ours = next((device for device in working if device.connection == CONNECTION), None)
        if not working:
            found = " ".join(f"{device.name} {device.word}" for device in devices) or "0"
            return self._lasting("E-WIFI-ADAPTER", at, ADAPTER_SECONDS, ">= 1", found)
        if ours is None:
            return Next.TRY if any(device.state == DISCONNECTED for device in working) else Next.WAIT
        if not IP_CONFIG <= ours.state <= ACTIVATED:
            if self._held(_JOINING, at) < JOINING_SECONDS:
                return Next.WAIT
            self._since = ("", at)
            return Next.TRY
        if ours.useful_address:
            return Note(ssid=self._asked.ssid, address=ours.useful_address)
        taken = next(iter(ours.addresses), "0")
        return self._lasting("E-WIFI-ADDRESS", at, ADDRESS_SECONDS, "DHCP", taken)

    def refused(self, refusal: Refusal, networks: Sequence[Network]) -> Note | None:
        """Return what keeps the machine off the network that it was refused by; None where that is not sure yet."""
        note = why(self._asked, refusal, networks)
        self._refused.append(note.code)
        return note if self._refused.count(note.code) >= TIMES or note.is_as(self._before) else None

    def _lasting(self, code: str, at: float, seconds: float, expected: str, found: str) -> Note | Next:
        note = Note(ssid=self._asked.ssid, code=code, expected=expected, found=found)
        return note if self._held(code, at) >= seconds or note.is_as(self._before) else Next.WAIT

    def _held(self, what: str, at: float) -> float:
        """Return for how many seconds it has been so."""
        if self._since[0] != what:
            self._since = (what, at)
        return at - self._since[1]


def why(asked: Asked, refusal: Refusal, networks: Sequence[Network]) -> Note:
    """Return what a refusal means, given the networks that are in reach.

    A wrong password of WPA2 fails in the four-way handshake, and NetworkManager asks for new secrets that nobody gives.
    One of WPA3 fails before the station is associated, and a password that is missing, or not wanted, matches no network:
    both are told as a network that was not found, although it is there to be seen.
    """
    security = next((one.security for one in networks if one.ssid == asked.ssid), None)
    not_heard = refusal.reason == NOT_FOUND or refusal.reason in SUPPLICANT
    if refusal.reason in NO_ADDRESS:
        return Note(ssid=asked.ssid, code="E-WIFI-ADDRESS", expected="DHCP", found=refusal.words)
    if refusal.reason == NO_SECRETS or (not_heard and security is not None):
        expected = _OPEN if security == "" else security or "WPA"
        found = refusal.words if asked.secured else _OPEN
        return Note(ssid=asked.ssid, code="E-WIFI-PASSWORD", expected=expected, found=found)
    if not_heard:
        names = ", ".join(list(dict.fromkeys(one.ssid for one in networks))[:MOST_NAMES])
        return Note(ssid=asked.ssid, code="E-WIFI-NOT-FOUND", expected=asked.ssid, found=names or "0")
    return Note(ssid=asked.ssid, code="E-WIFI-JOIN", found=refusal.words)
