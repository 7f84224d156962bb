"""What became of a request, for people: `shuxiang-result.txt`, the console, and a card on the admin page.

Invariant: no password stands in it. Chinese first, English below.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from appliance.firstboot.fields import BOX, BY_PATH, TABLES
from appliance.names.labels import BOX_WORD, HUB_WORD
from catalog.clock import CHINA
from catalog.errors import ShuxiangError
from catalog.ingest.findings import Finding

_LANGUAGES = ("zh-CN", "en")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a request ended. `lines` are refusals beside the findings; `applied` the paths that were new.

    `request` is the hash of the request that it speaks of, "" where nothing was applied. `is_clean`: the passwords are off the card. `told` is the text of a result that was stored, by language, and stands for all but `at` and `fine`.
    """

    at: datetime
    fine: bool
    role: str = ""
    name: str = ""
    machine: str = ""
    host_name: str = ""
    fixed_address: str = ""
    fingerprint: str = ""
    applied: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    lines: tuple[ShuxiangError, ...] = ()
    request: str = ""
    is_clean: bool = True
    told: Mapping[str, tuple[str, ...]] | None = None

    def words(self, language: str) -> tuple[str, ...]:
        """Return the lines of the result in one language."""
        if self.told is not None:
            return self.told.get(language, ())
        chinese = language.startswith("zh")
        found = [_head(chinese, self.fine)]
        if self.role:
            found += self._who(chinese)
        for finding in self.findings:
            place = (f"第 {finding.row} 行 " if chinese else f"line {finding.row} ") if finding.row else ""
            found.append(place + finding.line(language))
        found += [refused.line(language) for refused in self.lines]
        return tuple(found)

    def _who(self, chinese: bool) -> list[str]:
        box = self.role == BOX
        paths = _in_order(self.applied)
        if chinese:
            return [
                f"角色：{'书箱' if box else '县中心'}    名称：{self.name}    编号：{self.machine}",
                f"浏览器打开：{' 或 '.join(self._addresses())}",
                f"信任根指纹：{self.fingerprint}",
                "本次应用：" + ("、".join(map(_label, paths)) or "没有改动"),
                "shuxiang.toml 里的密码已删除。以后再改这个文件，下次开机只应用改动的地方。"
                if self.is_clean
                else "卡写不进去，shuxiang.toml 里的密码还在卡上：检查卡的写保护，或换一张卡；每次开机会再试。",
            ]
        return [
            f"role: {'box' if box else 'hub'}    name: {self.name}    id: {self.machine}",
            f"open {' or '.join(self._addresses())}",
            f"fingerprint of the trust root: {self.fingerprint}",
            "applied: " + (", ".join(paths) or "nothing was new"),
            "The passwords are out of shuxiang.toml. Change that file again, and the next start applies what changed."
            if self.is_clean
            else "The card can not be written: the passwords are still in shuxiang.toml. Check its write protection or use another card; every start tries again.",
        ]

    def _addresses(self) -> list[str]:
        """Return what to type: the word that all machines of this role have, its own, the fixed address."""
        box = self.role == BOX
        hosts = [f"{BOX_WORD if box else HUB_WORD}.local", f"{self.host_name}.local"]
        if self.fixed_address:
            hosts.append(self.fixed_address.partition("/")[0])
        return [f"http://{host}/{'' if box else 'hub/'}" for host in hosts]

    def text(self) -> str:
        """Return `shuxiang-result.txt`, Chinese first."""
        at = self.at.astimezone(CHINA)
        parts = [
            "书箱设置结果",
            f"时间：{at:%Y-%m-%d %H:%M}（机器的时钟）",
            *self.words("zh-CN"),
            "",
            "Result of the set-up",
            f"{at:%Y-%m-%d %H:%M} by this machine's clock",
            *self.words("en"),
        ]
        return "\n".join(parts) + "\n"

    def to_json(self) -> dict[str, Any]:
        """Return what `local.db` keeps of it."""
        words = {language: list(self.words(language)) for language in _LANGUAGES}
        at = self.at.isoformat(timespec="seconds")
        return {"at": at, "fine": self.fine, "request": self.request, "words": words}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Result:
        """Return the result that `to_json` wrote."""
        told = {language: tuple(lines) for language, lines in data["words"].items()}
        at = datetime.fromisoformat(data["at"])
        return cls(at=at, fine=data["fine"], request=data["request"], told=told)


def _head(chinese: bool, fine: bool) -> str:
    if chinese:
        return "结果：成功，已按 shuxiang.toml 设置好。" if fine else "结果：没有成功，机器照原来的设置工作。"
    return (
        "result: done, the machine is as shuxiang.toml asks."
        if fine
        else "result: refused, the machine works as it was set up before."
    )


def _label(path: str) -> str:
    """Return what a person calls a key: its Chinese name, with its table's."""
    if path not in BY_PATH:
        return path
    found = BY_PATH[path]
    return "·".join(filter(None, (TABLES.get(found.table, ("",))[0], found.labels[0])))


def _in_order(paths: tuple[str, ...]) -> list[str]:
    order = list(BY_PATH)
    return sorted(paths, key=lambda path: order.index(path) if path in BY_PATH else len(order))
