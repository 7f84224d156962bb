"""First boots that are killed: each in a process of its own, at a chosen one of the moments at which something became durable.

Run: `python -m first_boots DIRECTORY MOMENTS`; prints one JSON line for each moment. A process without threads, so that
it can fork; what it runs is the real thing, only that every function of `catalog.durable` counts.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from appliance.firstboot.apply import first_boot
from appliance.firstboot.template import write_request
from catalog import durable
from catalog.clock import system_clock
from catalog.local import Local

SETTINGS: dict[str, Any] = {
    "role": "box",
    "name": "石桥教学点",
    "time_zone": "Asia/Shanghai",
    "hub.url": "http://192.168.1.10:8088",
    "hub.fingerprint": "ab" * 32,
    "scope.grades": ["g1", "g3"],
    "wifi.ssid": "school",
    "network.fixed_address": "192.168.88.88/24",
    "sync.subscriptions": ["main"],
    "policy.metered": True,
}
PASSWORDS = {"admin_password": "12345678a", "wifi.password": "87654321"}
HUB = {"role": "hub", "name": "青禾县电教馆"}
_COUNTED = (
    "write_file",
    "overwrite",
    "write_in_place",
    "point",
    "sync_directory",
    "sync_file",
    "make_directory",
)


def boot(base: Path) -> bool:
    """Start the machine in `base` once; return whether it is as the card asks."""
    return first_boot(base / "card", base / "state", base / "root", system_clock).failure is None


def prepare(base: Path, role: str) -> None:
    for name in ("card", "root"):
        (base / name).mkdir(parents=True)
    said, passwords = (SETTINGS, PASSWORDS) if role == "box" else (HUB, {"admin_password": "12345678a"})
    (base / "card" / "shuxiang.toml").write_bytes(write_request(said, passwords))


def forked(action: Callable[[], object]) -> int:
    """Do `action` in a process of its own and return how that ended."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if action() else 2
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed_at(moment: int, action: Callable[[], object]) -> Callable[[], object]:
    """Return `action` in a process that dies before its `moment`-th durable step, odd ones in the middle: after it."""
    count = 0

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count == moment:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)

        return call

    def run() -> object:
        for name in _COUNTED:
            setattr(durable, name, counted(getattr(durable, name)))
        put_all = Local.put_all

        def put_and_count(local: Local, values: Any) -> None:
            counted(lambda: None)()
            put_all(local, values)
            counted(lambda: None)()

        Local.put_all = put_and_count  # type: ignore[method-assign]
        return action()

    return run


def outcome(base: Path) -> dict[str, str]:
    """Return everything that the machine in `base` holds now and that does not differ from one first boot to the next."""
    with Local.open(base / "state" / "local.db") as local:
        kept = local.get("firstboot")
        names = ("subscriptions", "scope", "scope_given", "school_code", "firstboot", "firstboot_result")
        found = {name: json.dumps(local.get(name), ensure_ascii=False) for name in names}
        # Hashes have a salt.
        found["firstboot"] = json.dumps({**kept, "given": sorted(kept["given"])}, ensure_ascii=False)
        found["accounts"] = str(
            [local.get(f"password:{one}") is not None for one in ("technician", "teacher")]
        )
    for path in [*(base / "card").iterdir(), *(base / "root").rglob("*"), base / "state" / "config.toml"]:
        if path.is_symlink():
            found[str(path.relative_to(base))] = str(path.readlink())
        elif path.name == "1.root.json":
            pinned = base / "state" / "public" / "metadata" / "1.root.json"
            found[path.name] = str(path.read_bytes() == pinned.read_bytes())
        elif path.is_file():
            found[str(path.relative_to(base))] = path.read_bytes().decode("utf-8-sig")
    fingerprint = re.search(r"[0-9a-f]{64}", found["card/shuxiang-result.txt"])
    assert fingerprint is not None
    for text, word in ((fingerprint[0], "ROOT"), (kept["id"], "ID"), (kept["id"][:8], "ID8")):
        found = {name: value.replace(text, word) for name, value in found.items()}
    return {name: re.sub(r"20\d\d-\d\d-\d\d[T ][0-9:+]*", "TIME", value) for name, value in found.items()}


def main(directory: Path, moments: list[int], role: str) -> None:
    plain = directory / "plain"
    prepare(plain, role)
    assert forked(lambda: boot(plain)) == 0
    wanted = outcome(plain)
    for moment in moments:
        base = directory / str(moment)
        prepare(base, role)
        ended = forked(killed_at(moment, lambda: boot(base)))  # noqa: B023
        again = forked(lambda: boot(base))  # noqa: B023
        third = forked(lambda: boot(base))  # noqa: B023
        found = outcome(base)
        different = sorted(name for name in {*wanted, *found} if wanted.get(name) != found.get(name))
        print(json.dumps({"moment": moment, "ended": ended, "again": [again, third], "different": different}), flush=True)  # fmt: skip
        shutil.rmtree(base)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(one) for one in sys.argv[2].split(",")], sys.argv[3])
