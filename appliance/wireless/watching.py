"""Looks at the wireless network until it is known how it is with it, and makes NetworkManager try where it has given up."""

from __future__ import annotations

import time

from appliance.wireless.networkmanager import bring_up, networks_in_reach, wireless_devices
from appliance.wireless.note import Note
from appliance.wireless.verdict import Asked, Judge, Next

LOOK_SECONDS = 3.0
TRY_SECONDS = 45.0
"""NetworkManager gives a network 25 seconds to be found or to let the machine in."""


def watch(asked: Asked, before: Note | None, seconds: float) -> Note | None:
    """Return how it is with the network that is `asked` for; None where that is not sure after `seconds`.

    Raises `ConfigError` where NetworkManager does not answer.
    """
    judge = Judge(asked, before)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = judge.look(wireless_devices(), time.monotonic())
        if isinstance(found, Note):
            return found
        if found is Next.TRY and (refusal := bring_up(TRY_SECONDS)) is not None:
            note = judge.refused(refusal, networks_in_reach())
            if note is not None:
                return note
        time.sleep(LOOK_SECONDS)
    return None
