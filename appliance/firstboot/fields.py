"""Every key of `shuxiang.toml`: its Chinese names, what its value must be, and the words beside it in the template.

Reader, template and bulk all go by this one table. Keys are TOML's (English); the Chinese names are accepted too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from appliance.firstboot import values
from catalog.curriculum import fold
from catalog.errors import ConfigError
from sync.line.policy_layers import KEYS, POLICY, default_layer, read_layer

BOX, HUB = "box", "hub"
EDITIONS = "scope.editions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One key: `kind` of its plain value (`list`: of text; EDITIONS also of tables), `read` what it means."""

    table: str
    key: str
    labels: tuple[str, ...]
    kind: type
    read: Callable[[Any], Any]
    zh: str
    example: Any
    roles: tuple[str, ...] = (BOX, HUB)
    secret: bool = False

    @property
    def path(self) -> str:
        """`table.key`, as findings and documents name it."""
        return f"{self.table}.{self.key}" if self.table else self.key


TABLES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "hub": ("县中心",),
        "scope": ("本校教材", "范围"),
        "wifi": ("无线网络", "无线"),
        "network": ("网络",),
        "sync": ("同步",),
        POLICY: ("线路规则", "线路"),
    }
)
TABLE_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "hub": "县中心：书箱从哪里取内容，信任谁（只对书箱）",
        "scope": "本校教材：不填就是全部（只对书箱）。可以写中文，也可以写代码",
        "wifi": "要连的无线网络；用网线就不用填",
        "network": "地址：总是自动获取，另外可以再占一个固定地址",
        "sync": "同步（只对书箱）",
        POLICY: "线路规则（只对书箱）：与配置 config.toml 的 [policy] 相同",
    }
)
_POLICY_LABELS = {
    "windows": ("同步时段", "时段"),
    "lessons": ("上课时段",),
    "rate_kb_per_s": ("速度上限", "限速"),
    "rates": ("分时限速", "分时段限速"),
    "gentle_kb_per_s": ("上课限速",),
    "month_budget_mb": ("每月流量", "流量限额"),
    "metered": ("按流量计费",),
    "lan_seconds": ("等邻居秒数",),
    "lan_networks": ("局域网网段",),
    "education_line": ("教育专网", "专网"),
    "upload_lan": ("局域网互传",),
    "upload_kb_per_s": ("上传速度",),
}


def _same(value: Any) -> Any:
    return value


def _policy(key: str) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        try:
            return read_layer({key: value}, where=POLICY)[key]
        except ConfigError as error:
            raise values.wrong("E-PRESEED-TYPE", error.expected, error.found) from error

    return read


_BOX = (BOX,)
FIELDS: tuple[Field, ...] = (
    Field(table="", key="role", labels=("角色",), kind=str, read=values.role, zh="角色：box 书箱，hub 县中心", example="box"),
    Field(table="", key="name", labels=("名称", "名字", "学校名称"), kind=str, read=values.name, zh="名称，如学校名", example="石桥教学点"),
    Field(table="", key="admin_password", labels=("管理密码", "技术员密码"), kind=str, read=values.password, secret=True, zh="管理页的密码（8 个字符以上）；应用后会从这里删去", example=""),
    Field(table="", key="teacher_password", labels=("老师密码", "教师密码"), kind=str, read=values.password, secret=True, roles=_BOX, zh="老师的密码；应用后会从这里删去", example=""),
    Field(table="", key="school_code", labels=("学校标识码", "学校代码"), kind=str, read=values.school_code, zh="学校标识码（10 位）", example="3362000123"),
    Field(table="", key="time_zone", labels=("时区",), kind=str, read=values.time_zone, zh="时区", example="Asia/Shanghai"),
    Field(table="", key="language", labels=("语言",), kind=str, read=values.language, zh="屏幕上的语言：zh-CN 中文，en 英文", example="zh-CN"),
    Field(table="", key="ssh_keys", labels=("远程登录公钥", "SSH公钥"), kind=list, read=values.ssh_keys, zh="技术员远程登录（SSH）的公钥，一般不用填；不填就不能远程登录", example=["ssh-ed25519 AAAA… name"]),
    Field(table="hub", key="url", labels=("地址", "网址"), kind=str, read=values.tree_address, roles=_BOX, zh="县中心的地址", example="http://192.168.1.10:8088"),
    Field(table="hub", key="fingerprint", labels=("指纹", "信任根指纹"), kind=str, read=values.fingerprint, roles=_BOX, zh="信任根指纹，抄自县中心的恢复单；或者把 1.root.json 放在本文件旁边", example="0" * 64),
    Field(table="hub", key="root", labels=("信任根", "信任根文件"), kind=str, read=values.file_beside, roles=_BOX, zh="信任根文件（在本文件旁边）", example="1.root.json"),
    Field(table="scope", key="stages", labels=("学段",), kind=list, read=values.stages, roles=_BOX, zh="学段", example=["小学"]),
    Field(table="scope", key="grades", labels=("年级",), kind=list, read=values.grades, roles=_BOX, zh="年级", example=["一年级", "二年级"]),
    Field(table="scope", key="editions", labels=("教材", "版本", "教材版本"), kind=list, read=values.editions, roles=_BOX, zh="教材版本：[学段 年级] 学科 [上册] 版本 [教材年份]", example=["数学 人教版", "三年级 英语 上册 外研社版 2024"]),
    Field(table="wifi", key="ssid", labels=("名称", "网络名", "网络名称"), kind=str, read=values.ssid, zh="无线网络的名称", example="school"),
    Field(table="wifi", key="password", labels=("密码",), kind=str, read=values.wifi_password, secret=True, zh='无线密码（8 到 63 个字符），没有密码写 ""；应用后会从这里删去', example="12345678"),
    Field(table="wifi", key="hidden", labels=("隐藏",), kind=bool, read=_same, zh="无线网络不广播名称", example=False),
    Field(table="network", key="fixed_address", labels=("固定地址",), kind=str, read=values.fixed_address, zh="再占一个固定地址，全校不变，可以贴在墙上；先问清没有别的机器用它", example="192.168.88.88/24"),
    Field(table="network", key="gateway", labels=("网关",), kind=str, read=values.address, zh="网关（没有自动获取时才要）", example="192.168.88.1"),
    Field(table="network", key="dns", labels=("域名服务器",), kind=list, read=values.addresses, zh="域名服务器（没有自动获取时才要）", example=["192.168.88.1"]),
    Field(table="network", key="dhcp", labels=("分配地址",), kind=bool, read=_same, zh="没有路由器的局域网：由本机给别的机器分配地址（要先填固定地址；只在网线上分配；网上有别的分配地址的机器时自动让开）", example=False),
    Field(table="sync", key="parents", labels=("上级", "上级书箱"), kind=list, read=values.tree_addresses, roles=_BOX, zh="先问的上级书箱（如中心校的）", example=["http://192.168.1.20:8080"]),
    Field(table="sync", key="subscriptions", labels=("订阅",), kind=list, read=values.subscriptions, roles=_BOX, zh="订阅：all 全部，none 不取，或资源包；不写由县中心定", example=["all"]),
    *(
        Field(table=POLICY, key=key, labels=_POLICY_LABELS[key], kind=KEYS[key].kind, read=_policy(key), roles=_BOX, zh=KEYS[key].zh, example=default)
        for key, default in default_layer().items()
    ),
)  # fmt: skip
BY_PATH: Mapping[str, Field] = MappingProxyType({field.path: field for field in FIELDS})
_TABLE_OF = {fold(word): table for table, labels in TABLES.items() for word in (table, *labels)}
_KEY_OF = {(field.table, fold(word)): field for field in FIELDS for word in (field.key, *field.labels)}
_KEYS = frozenset(word for _, word in _KEY_OF)
HIDDEN = "…"
"""Stands for a word that is none of ours: it may be a password that slipped to where a key belongs."""


def table_of(word: str) -> str | None:
    """Return the table that a header names, in English or Chinese; None where it is none of ours."""
    return _TABLE_OF.get(fold(word))


def field_of(table: str, word: str) -> Field | None:
    """Return the field that `word` names in `table`; None where it is none of ours."""
    return _KEY_OF.get((table, fold(word)))


def is_key(word: str) -> bool:
    """Return whether `word` names a field of any table."""
    return fold(word) in _KEYS


def shown(*words: str) -> str:
    """Return `table.key` as a finding may print it: each word that is none of ours is hidden."""
    return ".".join(word if is_key(word) or table_of(word) else HIDDEN for word in words)
