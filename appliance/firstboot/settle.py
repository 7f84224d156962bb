"""What a request does to a state: made where there is none, then only what changed since the last request.

Invariant: the one transaction in `local.db` that remembers the request (`FIRSTBOOT`) is the commit point. Everything
before it may be done again with the same outcome; a cut leaves the request not applied, and the next start applies it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from appliance import state as states
from appliance.box import ALL, SCOPE, SCOPE_GIVEN, SUBSCRIPTIONS, Box, NewBox
from appliance.config import CONFIG_NAME, BoxConfig, HubConfig, read_config, write_config
from appliance.firstboot.fields import BOX, EDITIONS, HUB
from appliance.firstboot.request import Request
from catalog.clock import system_clock
from catalog.local import Local
from catalog.scope import EVERYTHING, Scope
from sync.line.policy_layers import POLICY
from webui.accounts import is_set, set_password

FIRSTBOOT = "firstboot"
"""Setting of `local.db`: `{request, settings, cleaned, applied, id, given}` of the last request that was applied.

`given` are hashes of the passwords that it gave: a card that can not be cleaned gives them again at every start, and
what was changed on the page since must stay."""
RESULT = "firstboot_result"
"""Setting of `local.db`: `{at, fine, request, words}` as `Result.to_json` writes it, for the admin page."""
SCHOOL_CODE = "school_code"
LOOK_NEEDS = ("encodings.utf_8_sig", "decimal", "sqlite_utils", "sync.trust.identity")
SETTLE_NEEDS = (*LOOK_NEEDS, "appliance.hub", "appliance.identity", "sync.trust.pinned", "werkzeug.security")
"""What `look` and `settle` import late: see `owner.as_owner`."""
_ADMIN = {"admin_password": "technician", "teacher_password": "teacher"}


def look(state: Path) -> dict[str, Any]:
    """Return what is known of the state: `{}` where there is none, else role, fingerprint, accounts and what was applied."""
    if not (state / CONFIG_NAME).exists():
        return {}
    config = read_config(state / CONFIG_NAME)
    with Local.open(state / "local.db") as local:
        known: dict[str, Any] = {
            "name": config.name,
            "memory": local.get(FIRSTBOOT, {}),
            "result": local.get(RESULT),
        }
        if isinstance(config, BoxConfig):
            accounts = [path for path, account in _ADMIN.items() if is_set(local, account)]
            return known | {"role": BOX, "fingerprint": config.fingerprint, "accounts": accounts}
    from sync.trust.identity import fingerprint_of

    return known | {"role": HUB, "fingerprint": fingerprint_of(state), "accounts": ["admin_password"]}


def note_result(state: Path, result: Mapping[str, Any]) -> None:
    """Keep what became of a request for the admin page; does nothing where there is no state."""
    if (state / CONFIG_NAME).exists():
        with Local.open(state / "local.db") as local:
            if local.get(RESULT) != result:
                local.put(RESULT, dict(result))


def settle(
    state: Path, request: Request, before: Mapping[str, Any], memory: Mapping[str, Any]
) -> dict[str, Any]:
    """Bring the state to what `request` asks for and return what is remembered of it: `memory`, and `id`, `applied`.

    `before` are the settings of the last request, `memory` is `{request, cleaned}` of this one.

    Raises `ConfigError`, `ContentError`, `StorageError`; `RoadError` E-BUSY.
    """
    if not (state / CONFIG_NAME).exists():
        _make(state, request)
    with states.locked(state, FIRSTBOOT):
        return (_settle_box if request.role == BOX else _settle_hub)(state, request, before, memory)


def _make(state: Path, request: Request) -> None:
    said = request.settings
    if request.role == HUB:
        from appliance.hub import Hub

        Hub.create(state, request.name, password=request.passwords["admin_password"])[0].close()
        return
    new = NewBox(
        hub=said["hub.url"],
        name=request.name,
        root=request.root,
        fingerprint=request.fingerprint,
        subscriptions=_subscriptions(said),
        parents=tuple(said.get("sync.parents", ())),
        scope=_scope(said),
        policy=_policy(said),
    )
    Box.create(state, new).close()


def _settle_box(
    state: Path, request: Request, before: Mapping[str, Any], memory: Mapping[str, Any]
) -> dict[str, Any]:
    said, changed = request.settings, changed_settings(request.settings, before)
    config = read_config(state / CONFIG_NAME)
    assert isinstance(config, BoxConfig)
    policy = dict(config.policy)
    for path in changed:
        if path.startswith(f"{POLICY}."):
            key = path.removeprefix(f"{POLICY}.")
            policy.pop(key, None)
            if path in said:
                policy[key] = said[path]
    new = replace(config, policy=policy)
    if "name" in changed:
        new = replace(new, name=request.name)
    if "hub.url" in changed:
        new = replace(new, hub=said["hub.url"])
    if "sync.parents" in changed:
        new = replace(new, parents=tuple(said.get("sync.parents", ())))
    scoped = any(path.startswith("scope.") for path in changed)
    if scoped:
        new = replace(new, scope=_scope(said))
    if new != config:
        write_config(state / CONFIG_NAME, new)
    with Box.open(state) as box:
        values: dict[str, Any] = {}
        if scoped:
            given = new.scope.to_json() if new.scope else None
            values |= {SCOPE: given, SCOPE_GIVEN: given}
        if "sync.subscriptions" in changed:
            chosen = _subscriptions(said)
            values[SUBSCRIPTIONS] = None if chosen is None else ALL if chosen == (ALL,) else list(chosen)
        for path in _new_passwords(box.local, request, memory):
            set_password(box.local, _ADMIN[path], request.passwords[path])
        return _remember(box.local, request, memory, changed, values, box.id)


def _settle_hub(
    state: Path, request: Request, before: Mapping[str, Any], memory: Mapping[str, Any]
) -> dict[str, Any]:
    from appliance.hub import Hub
    from webui.hub import accounts

    config = read_config(state / CONFIG_NAME)
    assert isinstance(config, HubConfig)
    changed = changed_settings(request.settings, before)
    if "name" in changed and config.name != request.name:
        write_config(state / CONFIG_NAME, replace(config, name=request.name))
    with Hub.open(state) as hub:
        for path in _new_passwords(hub.local, request, memory):
            accounts.set_password(hub.local, accounts.FIRST_USER, request.passwords[path])
        return _remember(hub.local, request, memory, changed, {}, hub.id)


def _new_passwords(local: Local, request: Request, memory: Mapping[str, Any]) -> list[str]:
    """Return the paths of the accounts' passwords that were not given by the same request before."""
    from werkzeug.security import check_password_hash

    stored = local.get(FIRSTBOOT, {})
    given = stored.get("given", {}) if stored.get("request") == memory["request"] else {}
    return [
        path
        for path, password in request.passwords.items()
        if path in _ADMIN and not (path in given and check_password_hash(given[path], password))
    ]


def _remember(
    local: Local,
    request: Request,
    memory: Mapping[str, Any],
    changed: list[str],
    values: Mapping[str, Any],
    machine: str,
) -> dict[str, Any]:
    """Commit: the settings and the memory of the request in one transaction."""
    from werkzeug.security import generate_password_hash

    new = _new_passwords(local, request, memory)
    stored = local.get(FIRSTBOOT, {})
    again = stored.get("request") == memory["request"]
    applied = stored["applied"] if again else sorted({*changed, *request.passwords})
    given = dict(stored.get("given", {})) if again else {}
    given |= {path: generate_password_hash(request.passwords[path]) for path in new}
    kept = {**memory, "settings": dict(request.settings), "applied": applied, "id": machine, "given": given}
    local.put_all({**values, SCHOOL_CODE: request.settings.get(SCHOOL_CODE), FIRSTBOOT: kept})
    if not again:
        local.audit("shuxiang.toml", FIRSTBOOT, " ".join(applied), system_clock())
    return kept


def changed_settings(said: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    """Return the paths whose value is another than at the last request, those that are gone included."""
    return sorted(path for path in {*before, *said} if before.get(path) != said.get(path))


def _scope(said: Mapping[str, Any]) -> Scope:
    found = {path.partition(".")[2]: value for path, value in said.items() if path.startswith("scope.")}
    if EDITIONS in said:
        found["editions"] = said[EDITIONS]
    return Scope.from_json(found) if found else EVERYTHING


def _policy(said: Mapping[str, Any]) -> dict[str, Any]:
    return {path.partition(".")[2]: value for path, value in said.items() if path.startswith(f"{POLICY}.")}


def _subscriptions(said: Mapping[str, Any]) -> tuple[str, ...] | None:
    chosen = said.get("sync.subscriptions")
    return None if chosen is None else () if chosen == ["none"] else tuple(chosen)
