"""A policy as it is written: the keys of `[policy]` in a box's config, in the hub's file for a box and in `local.db`.

Invariant: all three have the same keys and one reader, so that what a technician writes in one place means the same in
another; a layer says only what it says, each key by itself, and the later layer wins (`combine`).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from catalog.errors import ConfigError
from catalog.local import Local
from sync.line.hours import TimedRate, WeekHours
from sync.line.policy import Policy, Span

POLICY = "policy"
"""Setting of `local.db`: the layer of the page and of `box policy`."""
PAUSE, NOW = "policy_pause", "policy_now"
"""Settings of `local.db`: the spans of a pause and of "sync now for an hour"."""
MOST_NUMBER = 10**9
MOST_ITEMS = 50

Layer = Mapping[str, Any]
"""Keys of `KEYS` with plain JSON (or TOML) values, as `read_layer` has checked them."""


@dataclass(frozen=True, slots=True)
class _Key:
    """A key: the field of `Policy` that it sets, the kind of its plain value, what makes the field of it, its words."""

    field: str
    kind: type
    read: Callable[[Any], Any]
    zh: str
    en: str


def _hours(values: list[str]) -> tuple[WeekHours, ...]:
    return tuple(map(WeekHours.read, values))


def _rates(values: list[str]) -> tuple[TimedRate, ...]:
    return tuple(map(TimedRate.read, values))


def _networks(values: list[str]) -> tuple[str, ...]:
    for value in values:
        try:
            ipaddress.ip_network(value, strict=False)
        except ValueError as error:
            raise ConfigError("E-CONFIG", expected="192.168.0.0/16", found=value[:80]) from error
    return tuple(values)


def _limit(scale: int) -> Callable[[int], int | None]:
    return lambda value: value * scale or None


KEYS: dict[str, _Key] = {
    "windows": _Key(
        "windows",
        list,
        _hours,
        "只在这些时段自动同步，如 “1-5 18:00-23:30”",
        'sync by itself in these hours only, such as "1-5 18:00-23:30"',
    ),
    "lessons": _Key("lessons", list, _hours, "上课时段：放慢速度", "lessons: sync gently"),
    "rate_kb_per_s": _Key(
        "rate_bytes_per_second", int, _limit(1000), "速度上限（kB/秒），0 不限", "rate in kB/s, 0: no limit"
    ),
    "rates": _Key(
        "rates",
        list,
        _rates,
        "分时段的速度上限，如 “1-5 08:00-17:00 50”",
        'rate by hours, such as "1-5 08:00-17:00 50"',
    ),
    "gentle_kb_per_s": _Key(
        "gentle_bytes_per_second",
        int,
        lambda value: value * 1000,
        "有人在看或上课时的速度（kB/秒），0 暂不同步",
        "rate while someone watches and in lessons in kB/s, 0: wait",
    ),
    "month_budget_mb": _Key(
        "month_budget_bytes", int, _limit(10**6), "每月流量限额（MB），0 不限", "MB a month, 0: no limit"
    ),
    "metered": _Key(
        "metered",
        bool,
        bool,
        "按流量计费的线路：少查、不上传",
        "a line paid by the byte: polls seldom, never uploads",
    ),
    "lan_seconds": _Key(
        "lan_seconds",
        int,
        float,
        "先等局域网内其他书箱的秒数",
        "seconds to wait for boxes of the same LAN first",
    ),
    "lan_networks": _Key(
        "lan_networks",
        list,
        _networks,
        "算作局域网的网段（不限速），不填为本机所在网段",
        "networks that count as LAN and are exempt; else this machine's own subnets",
    ),
    "education_line": _Key(
        "education_line",
        bool,
        bool,
        "教育专网：可与其他学校互传",
        "the line is the education network: other schools may be given content",
    ),
    "upload_lan": _Key(
        "upload_lan", bool, bool, "在局域网内与其他书箱互传", "give content to boxes of the same LAN"
    ),
    "upload_kb_per_s": _Key(
        "upload_bytes_per_second",
        int,
        _limit(1000),
        "给其他学校的上传速度（kB/秒），0 不限",
        "rate to other schools in kB/s, 0: no limit",
    ),
}


def read_layer(data: object, *, where: str, strict: bool = True) -> dict[str, Any]:
    """Return the layer in `data`, checked; raise `ConfigError` E-CONFIG naming the key that is wrong.

    `strict`: a key that is none of ours is refused (a file of a person); else it is left out (a newer hub's file).
    """
    if not isinstance(data, Mapping):
        raise ConfigError("E-CONFIG", where=where, expected="table", found=str(data)[:80])
    layer = {}
    for name, value in data.items():
        key = KEYS.get(name)
        if key is None:
            if strict:
                raise ConfigError("E-CONFIG", where=f"{where}.{name}", expected=", ".join(KEYS))
            continue
        _check(key, value, f"{where}.{name}")
        layer[name] = value
    return layer


def _check(key: _Key, value: Any, where: str) -> None:
    plain = type(value) is key.kind
    if key.kind is list:
        plain = plain and len(value) <= MOST_ITEMS
        plain = plain and all(isinstance(one, str) and len(one) <= 200 for one in value)
    if not plain or (key.kind is int and not 0 <= value <= MOST_NUMBER):
        expected = f"0..{MOST_NUMBER}" if key.kind is int else key.kind.__name__
        raise ConfigError("E-CONFIG", where=where, expected=expected, found=str(value)[:80])
    try:
        key.read(value)
    except ConfigError as error:
        raise ConfigError("E-CONFIG", where=where, expected=error.expected, found=error.found) from error


def combine(*layers: Layer, pause: Span | None = None, now: Span | None = None) -> Policy:
    """Return the policy of `layers`, each checked by `read_layer`; for each key the last that says it wins."""
    said = {name: value for layer in layers for name, value in layer.items()}
    fields = {KEYS[name].field: KEYS[name].read(value) for name, value in said.items()}
    return Policy(**fields, pause=pause, now=now)


def default_layer() -> dict[str, Any]:
    """Return every key with what holds where nobody says anything."""
    usual = Policy()
    return {
        "windows": [],
        "lessons": [str(hours) for hours in usual.lessons],
        "rate_kb_per_s": 0,
        "rates": [],
        "gentle_kb_per_s": usual.gentle_bytes_per_second // 1000,
        "month_budget_mb": 0,
        "metered": usual.metered,
        "lan_seconds": round(usual.lan_seconds),
        "lan_networks": [],
        "education_line": usual.education_line,
        "upload_lan": usual.upload_lan,
        "upload_kb_per_s": 0,
    }


def read_assignment(text: str) -> tuple[str, Any]:
    """Return key and value of `key=value` as on a command line (lists by `;`; nothing: None, the key is taken back).

    Raises `ConfigError` E-CONFIG.
    """
    name, equals, value = text.partition("=")
    name, value = name.strip(), value.strip()
    key = KEYS.get(name)
    if key is None or not equals:
        raise ConfigError("E-CONFIG", where=name, expected=", ".join(f"{one}=…" for one in KEYS))
    if not value:
        return name, None
    parsed: Any = value
    if key.kind is list:
        parsed = [part.strip() for part in value.split(";") if part.strip()] if value != "[]" else []
    elif key.kind is bool:
        parsed = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(
            value.lower()
        )
    elif value.isascii() and value.isdigit():
        parsed = int(value)
    if parsed is None:
        raise ConfigError("E-CONFIG", where=name, expected="true, false", found=value[:80])
    return name, read_layer({name: parsed}, where=POLICY)[name]


def stored_layer(local: Local) -> dict[str, Any]:
    """Return the layer that page or command line have set here."""
    return dict(local.get(POLICY, {}))


def change_stored(local: Local, changes: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Set keys of the layer that is kept here (None takes one back) and return it; values are checked already."""
    layer = stored_layer(local)
    for name, value in changes:
        layer.pop(name, None)
        if value is not None:
            layer[name] = value
    local.put(POLICY, layer or None)
    return layer


def stored_span(local: Local, name: str) -> Span | None:
    """Return the span kept as `name` (`PAUSE`, `NOW`)."""
    return Span.from_json(local.get(name))
