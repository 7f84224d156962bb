"""Writes `shuxiang.toml`: the template with a Chinese word for every key, or the file of one machine.

Invariant: what is written here reads back as the same settings (`read_request`), and shows well in Notepad of Windows 7:
UTF-8 with its mark, Windows' line ends. First and last line let the reader see a file that was cut off.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Mapping
from typing import Any

from appliance.firstboot import values
from appliance.firstboot.fields import BOX, EDITIONS, FIELDS, TABLE_WORDS, TABLES, Field
from appliance.firstboot.request import BEGIN, END
from catalog.errors import ConfigError

_HEAD = (
    f"# 书箱设置 {BEGIN}",
    "# 用记事本修改，保存后把卡插回机器，开机时应用一次；结果写在旁边的 shuxiang-result.txt。",
    "# 行首有 # 的行不起作用：要用哪一项，就去掉它前面的 #。= 号后面的字要加引号。",
    '# 应用后密码会从这里删去，变成 "*"，意思是“不变”。以后再改，下次开机只应用改动的地方。',
)
_FOOT = f"# ———— {END} ————"


def write_request(settings: Mapping[str, Any], passwords: Mapping[str, str] | None = None) -> bytes:
    """Return the file that asks for `settings` (by path, as `Request` has them); other keys stand there as comments."""
    given = {**settings, **(passwords or {})}
    role = str(given.get("role", BOX))
    fields = [one for one in FIELDS if role in one.roles]
    lines = list(_HEAD)
    for table in ("", *TABLES):
        members = [one for one in fields if one.table == table]
        if not members:
            continue
        lines += ["", f"# {TABLE_WORDS[table]}", f"[{table}]"] if table else [""]
        for one in members:
            lines += [f"# {one.zh}", _line(one, given)]
    lines += ["", _FOOT, ""]
    return codecs.BOM_UTF8 + "\r\n".join(lines).encode()


def write_template(role: str = BOX) -> bytes:
    """Return the template for a role: what must be filled in stands open, all else as a comment with an example."""
    open_keys = {"role": role, "name": "", "admin_password": ""}
    if role == BOX:
        open_keys |= {"hub.url": "", "hub.fingerprint": ""}
    return write_request(open_keys)


def _line(one: Field, given: Mapping[str, Any]) -> str:
    if one.path in given:
        return f"{one.key} = {_value(one, given[one.path])}"
    return f"# {one.key} = {_value(one, one.example)}"


def _value(one: Field, value: Any) -> str:
    if one.path == EDITIONS:
        return "[" + ", ".join(_rule(rule) for rule in value) + "]"
    return _quoted(value)


def _rule(rule: Any) -> str:
    if isinstance(rule, str):
        return _quoted(rule)
    text = values.edition_text(rule)
    try:
        same = values.editions([text]) == [rule]
    except ConfigError:
        same = False
    if same:
        return _quoted(text)
    return "{ " + ", ".join(f"{key} = {_quoted(value)}" for key, value in rule.items()) + " }"


def _quoted(value: Any) -> str:
    """Return a TOML value; JSON's strings are TOML's basic strings but for the delete character, which has no place here."""
    return json.dumps(value, ensure_ascii=False)
