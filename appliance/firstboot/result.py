"""What became of a request, for people: `shuxiang-result.txt`, the console, and a card on the admin page.

Invariant: no password stands in it. Chinese first, English below.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from appliance.firstboot.fields import BOX, BY_PATH
from catalog.clock import CHINA
from catalog.errors import ShuxiangError
from catalog.ingest.findings import Finding

_LANGUAGES = ("zh-CN", "en")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a request ended. `lines` are refusals beside the findings; `applied` the paths that were new.

    `told` is the text of a result that was stored, by language, and stands for all but `at` and `fine`.
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
        if chinese:
            found = [f"角色：{'书箱' if box else '县中心'}    名称：{self.name}    编号：{self.machine}"]
            port = "" if box else "/hub/"
            found.append(f"浏览器打开：http://{self.host_name}.local{port}" + (f" 或 http://{_bare(self.fixed_address)}{port}" if self.fixed_address else ""))  # fmt: skip
            found.append(f"信任根指纹：{self.fingerprint}")
            found.append("本次应用：" + ("、".join(_label(path) for path in self.applied) or "没有改动"))
            found.append("shuxiang.toml 里的密码已删除。以后再改这个文件，下次开机只应用改动的地方。")
            return found
        found = [f"role: {'box' if box else 'hub'}    name: {self.name}    id: {self.machine}"]
        port = "" if box else "/hub/"
        found.append(f"open http://{self.host_name}.local{port}" + (f" or http://{_bare(self.fixed_address)}{port}" if self.fixed_address else ""))  # fmt: skip
        found.append(f"fingerprint of the trust root: {self.fingerprint}")
        found.append("applied: " + (", ".join(self.applied) or "nothing was new"))
        found.append(
            "The passwords are out of shuxiang.toml. Change that file again, and the next start applies what changed."
        )
        return found

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
        return {"at": self.at.isoformat(timespec="seconds"), "fine": self.fine, "words": words}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Result:
        """Return the result that `to_json` wrote."""
        told = {language: tuple(lines) for language, lines in data["words"].items()}
        return cls(at=datetime.fromisoformat(data["at"]), fine=data["fine"], told=told)


def _head(chinese: bool, fine: bool) -> str:
    if chinese:
        return "结果：成功，已按 shuxiang.toml 设置好。" if fine else "结果：没有成功，机器照原来的设置工作。"
    return (
        "result: done, the machine is as shuxiang.toml asks."
        if fine
        else "result: refused, the machine works as it was set up before."
    )


def _label(path: str) -> str:
    return BY_PATH[path].labels[0] if path in BY_PATH else path


def _bare(address: str) -> str:
    return address.partition("/")[0]
