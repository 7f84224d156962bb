"""`config.toml` of a box or a hub: what a technician may write, each key with its type and default.

The file is written once by `init` and then belongs to people; what the pages change lives in `local.db`.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from appliance.names.labels import BOX_WORD, HUB_WORD, LONGEST_WORD, is_word
from catalog import durable
from catalog.curriculum import LICENCES
from catalog.errors import ConfigError
from catalog.scope import EVERYTHING, Scope
from sync.daemon import PRIVATE_NETWORKS
from sync.line.policy_layers import KEYS, POLICY, Layer, default_layer, read_layer

CONFIG_NAME = "config.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxConfig:
    """What a box is told: `hub` and `parents` are addresses of trees, parents are asked first (rule 10)."""

    name: str
    hub: str
    fingerprint: str
    parents: tuple[str, ...] = ()
    port: int = 8080
    package_port: int | None = None
    sync_minutes: int = 30
    reserve_bytes: int = 64 << 20
    rsync_password: str | None = None
    scope: Scope = EVERYTHING
    policy: Layer = field(default_factory=dict)
    word: str = BOX_WORD
    own_word: str = ""
    answer_names: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class HubConfig:
    """What a hub is told. `review = "required"` keeps records without a state as drafts; `roads` are hints."""

    name: str
    licence: str = "contract-county"
    review: str = "none"
    port: int = 8088
    rsync_port: int = 8873
    rsync_allow: tuple[str, ...] = PRIVATE_NETWORKS
    torrent_port: int = 8874
    roads: tuple[str, ...] = ()
    word: str = HUB_WORD
    own_word: str = ""
    answer_names: bool = True


@dataclass(frozen=True, slots=True)
class _Key:
    """Where a field stands in the file and how its value is read."""

    table: str
    name: str
    kind: type
    scale: int = 1


_NAMES = {
    "word": _Key("names", "word", str),
    "own_word": _Key("names", "own", str),
    "answer_names": _Key("names", "answer", bool),
}
_BOX = {
    "name": _Key("", "name", str),
    "hub": _Key("hub", "url", str),
    "fingerprint": _Key("hub", "fingerprint", str),
    "parents": _Key("sync", "parents", list),
    "sync_minutes": _Key("sync", "every_minutes", int),
    "rsync_password": _Key("sync", "rsync_password", str),
    "port": _Key("serve", "port", int),
    "package_port": _Key("serve", "package_port", int),
    "reserve_bytes": _Key("disk", "reserve_mb", int, 1 << 20),
    "scope": _Key("scope", "", dict),
    "policy": _Key("policy", "", dict),
    **_NAMES,
}
_HUB = {
    "name": _Key("", "name", str),
    "licence": _Key("ingest", "licence", str),
    "review": _Key("ingest", "review", str),
    "port": _Key("serve", "port", int),
    "rsync_port": _Key("rsync", "port", int),
    "rsync_allow": _Key("rsync", "allow", list),
    "torrent_port": _Key("torrent", "port", int),
    "roads": _Key("publish", "roads", list),
    **_NAMES,
}


def read_config(path: Path) -> BoxConfig | HubConfig:
    """Return the configuration at `path`; raise `ConfigError` naming the key that is wrong."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise ConfigError("E-STATE-MISSING", where=path.parent) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError("E-CONFIG", where=path, expected="TOML, UTF-8", found=error) from error
    except OSError as error:
        raise durable.storage_error(error, path) from error
    role = data.pop("role", None)
    if role == "box":
        return BoxConfig(**_read(data, _BOX, path, ("name", "hub", "fingerprint")))
    if role == "hub":
        config = HubConfig(**_read(data, _HUB, path, ("name",)))
        if config.licence not in LICENCES:
            raise ConfigError(
                "E-CONFIG", where="ingest.licence", expected=", ".join(LICENCES), found=config.licence
            )
        if config.review not in ("none", "required"):
            raise ConfigError(
                "E-CONFIG", where="ingest.review", expected="none, required", found=config.review
            )
        return config
    raise ConfigError("E-CONFIG", where="role", expected="box, hub", found=role)


def _read(
    data: dict[str, Any], keys: Mapping[str, _Key], path: Path, required: tuple[str, ...]
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for field_name, key in keys.items():
        table: Any = data.get(key.table, {}) if key.table else data
        if not isinstance(table, dict):
            raise ConfigError("E-CONFIG", where=key.table, expected="table", found=table)
        if key.kind is dict:
            if table:
                read = Scope.from_json if field_name == "scope" else _read_policy
                values[field_name] = read(table)
                data.pop(key.table)
            continue
        value: Any = table.pop(key.name, None)
        if value is None:
            continue
        place = ".".join(filter(None, (key.table, key.name)))
        if not _is_of(value, key.kind):
            raise ConfigError("E-CONFIG", where=place, expected=key.kind.__name__, found=value)
        if key.table == "names" and key.kind is str and value and not is_word(value):
            raise ConfigError("E-CONFIG", where=place, expected=f"a-z 0-9 -, <= {LONGEST_WORD}", found=value)
        if key.kind is int and value < 0:
            raise ConfigError("E-CONFIG", where=place, expected=">= 0", found=value)
        values[field_name] = (
            tuple(value) if key.kind is list else value * key.scale if key.kind is int else value
        )
    unknown = [f"{name}.{inner}" if isinstance(value, dict) else name
               for name, value in data.items() for inner in (value if isinstance(value, dict) else [name])]  # fmt: skip
    if unknown:
        raise ConfigError("E-CONFIG", where=path, found=unknown[0])
    for name in required:
        if name not in values:
            key = keys[name]
            raise ConfigError("E-CONFIG", where=path, expected=".".join(filter(None, (key.table, key.name))))
    return values


def _read_policy(table: dict[str, Any]) -> Layer:
    return read_layer(table, where=POLICY)


def _is_of(value: Any, kind: type) -> bool:
    # A boolean is an int to isinstance, and never what a number key means.
    if isinstance(value, list):
        return kind is list and all(isinstance(part, str) for part in value)
    return type(value) is kind


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of a new configuration: a key that is set, or one that shows its default."""

    key: str
    value: Any
    word: str
    default: bool = field(default=False)

    def text(self) -> str:
        mark = "# " if self.default else ""
        return f"# {self.word}\n{mark}{self.key} = {_toml(self.value)}\n"


def _toml(value: Any) -> str:
    """Return a value as TOML: JSON, but for tables."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(part)}" for key, part in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _usual(config: BoxConfig | HubConfig, name: str) -> bool:
    """Return whether the field `name` has its default."""
    found: bool = getattr(config, name) == next(one.default for one in fields(config) if one.name == name)
    return found


def write_config(path: Path, config: BoxConfig | HubConfig) -> None:
    """Write a configuration file with a word for every key: `read_config` gives the same configuration back."""
    if isinstance(config, BoxConfig):
        head = "# 书箱配置 · box configuration\n"
        tables: dict[str, list[_Line]] = {
            "": [_Line("role", "box", "角色 role"), _Line("name", config.name, "名称 name")],
            "hub": [
                _Line("url", config.hub, "县中心地址 address of the hub"),
                _Line("fingerprint", config.fingerprint, "信任根指纹 fingerprint of the trust root"),
            ],
            "sync": [
                _Line(
                    "parents",
                    list(config.parents),
                    "先问的上级书箱 boxes to ask before the hub",
                    not config.parents,
                ),
                _Line(
                    "every_minutes",
                    config.sync_minutes,
                    "同步间隔（分钟）minutes between syncs",
                    _usual(config, "sync_minutes"),
                ),
                *(
                    [_Line("rsync_password", config.rsync_password, "rsync 口令 password")]
                    if config.rsync_password
                    else []
                ),
            ],
            POLICY: [
                _Line(
                    name,
                    config.policy.get(name, value),
                    f"{KEYS[name].zh} · {KEYS[name].en}",
                    name not in config.policy,
                )
                for name, value in default_layer().items()
            ],
            "serve": [
                _Line("port", config.port, "网页端口 port of the pages", _usual(config, "port")),
                *(
                    [_Line("package_port", config.package_port, "互动包端口 port of packages")]
                    if config.package_port is not None
                    else []
                ),
            ],
            "disk": [
                _Line(
                    "reserve_mb",
                    config.reserve_bytes >> 20,
                    "保留空间 space that is kept free",
                    _usual(config, "reserve_bytes"),
                )
            ],
        }
        if config.scope:
            words = {"stages": "学段 stages", "grades": "年级 grades", "editions": "教材版本 editions"}
            tables["scope"] = [_Line(key, value, words[key]) for key, value in config.scope.to_json().items()]
    else:
        head = "# 县中心配置 · hub configuration\n"
        tables = {
            "": [_Line("role", "hub", "角色 role"), _Line("name", config.name, "名称 name")],
            "ingest": [
                _Line("licence", config.licence, "未注明授权时 where a list names no licence"),
                _Line("review", config.review, "none 直接发布 · required 先审后发", _usual(config, "review")),
            ],
            "serve": [_Line("port", config.port, "网页端口 port of the console", _usual(config, "port"))],
            "rsync": [
                _Line("port", config.rsync_port, "rsync 端口 port", _usual(config, "rsync_port")),
                _Line(
                    "allow",
                    list(config.rsync_allow),
                    "允许的网段 networks that may connect",
                    _usual(config, "rsync_allow"),
                ),
            ],
            "torrent": [
                _Line("port", config.torrent_port, "BitTorrent 端口 port", _usual(config, "torrent_port"))
            ],
            "publish": [
                _Line(
                    "roads",
                    list(config.roads),
                    "其他通道 other roads, {host} = this hub",
                    _usual(config, "roads"),
                )
            ],
        }
    tables["names"] = [
        _Line(
            "word", config.word, "浏览器里可以打的名字 the word to type in a browser", _usual(config, "word")
        ),
        _Line("own", config.own_word, "另一个自己的名字 another name of its own", _usual(config, "own_word")),
        _Line(
            "answer",
            config.answer_names,
            "在网内应答这些名字 answer for them on the network",
            _usual(config, "answer_names"),
        ),
    ]
    parts = [head]
    for table, lines in tables.items():
        parts.append((f"\n[{table}]\n" if table else "") + "".join(line.text() for line in lines))
    durable.write_file(path, "".join(parts).encode())
