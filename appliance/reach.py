"""How a running box or hub is reached: its names answered for, told to mDNS and the pages, and kept for the next start.

What a word became is kept in `local.db` (RFC 6762 section 9 asks for it): the second of two boxes stays the second
when both are switched on in the morning. Invariant: it is written only when it changes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from appliance.config import BoxConfig, HubConfig
from appliance.names.labels import own_word
from appliance.names.service import NameService, NameState
from catalog.errors import ShuxiangError
from catalog.local import Local
from webui.operations import Reach

NAMES = "names"

_log = logging.getLogger(__name__)


def words_of(config: BoxConfig | HubConfig, id: str) -> tuple[str, ...]:
    """Return the words that this box or hub answers to where nobody else does: the common one, and its own."""
    both = (config.word, config.own_word or own_word(config.name, id))
    return tuple(dict.fromkeys(word for word in both if word))


@contextmanager
def answering(
    config: BoxConfig | HubConfig,
    local: Local,
    *,
    id: str,
    host: str,
    rename: Callable[[tuple[str, ...]], None],
) -> Iterator[None]:
    """Answer for the names while the block runs; `rename` is told the ones that are ours."""
    if not config.answer_names:
        _keep(local, None)
        yield
        return
    from appliance.discovery import reachable_at

    words = words_of(config, id)
    # Another name on its label is another box: it does not stay the second of anything.
    of = [config.name, *words]
    before: Any = local.get(NAMES)
    first = before["names"] if before and before["of"] == of else {}

    def tell(state: NameState) -> None:
        rename(tuple(state.names.values()))
        if state.names or state.missing:
            names = {**first, **state.names}
            _keep(
                local, {"of": of, "names": names, "taken": dict(state.taken), "missing": dict(state.missing)}
            )

    with NameService(words, tell=tell, first=first, reaches=lambda addresses: reachable_at(host, addresses)):
        yield


def known_names(local: Local) -> NameState:
    """Return the names as the service last knew them; also while it does not run."""
    kept: Any = local.get(NAMES)
    if not kept:
        return NameState()
    names = {word: kept["names"][word] for word in kept["of"][1:] if word in kept["names"]}
    return NameState(names, kept["taken"], kept["missing"])


def reach_of(local: Local, host: str) -> Reach:
    """Return the names and the addresses of this moment that a server listening on `host` answers at, for the pages."""
    from appliance.discovery import local_addresses, reachable_at

    known = known_names(local)
    addresses = tuple(one for one in reachable_at(host, local_addresses()) if not one.startswith("fe80"))
    return Reach(names=tuple(known.names.values()), addresses=addresses, taken=known.taken)


def _keep(local: Local, value: Any) -> None:
    if local.get(NAMES) == value:
        return
    try:
        local.put(NAMES, value)
    except ShuxiangError as error:  # a full disk: the names are answered all the same
        _log.error("%s", error)
