"""A stick that is plugged into a running machine, and the one line that says how far it is: on pages and on the console."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from catalog.messages import MESSAGES

MISSING = "E-ROAD-MISSING"
"""The code of a run that took all that the stick had, while the box wants more."""


class Phase(StrEnum):
    """How far a stick is; PLAIN: there is nothing on it to import."""

    WAITING = "waiting"
    IMPORTING = "importing"
    DONE = "done"
    WRONG = "wrong"
    PULLED = "pulled"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stick:
    """A stick: `percent` of its content done (None: not known), the refusal's `code`, how many `files` came.

    `suspects` are names at its root that a virus leaves there. `recent`: people at any page still want to know.
    """

    name: str
    phase: Phase
    percent: int | None = None
    code: str = ""
    files: int = 0
    suspects: tuple[str, ...] = ()
    recent: bool = True

    def line(self, language: str) -> str:
        """Return how far it is in `zh-CN` or `en`, and whether it may be pulled out."""
        chinese = language.startswith("zh")
        subject = f"U 盘“{self.name}”" if chinese else f"Stick “{self.name}”"
        words = self._words()
        return f"{subject}{words[0]}" if chinese else f"{subject}{words[1]}"

    def warning(self, language: str) -> str:
        """Return what to do about the names that a virus left; "" where there are none."""
        if not self.suspects:
            return ""
        if language.startswith("zh"):
            names = "、".join(self.suspects)
            return f"盘上有像病毒的文件，没有打开，也没有运行：{names}。请在电脑上杀毒。"
        return (
            f"It carries what a virus leaves; none of it was opened or run: {', '.join(self.suspects)}. "
            "Clean it on a computer."
        )

    def _words(self) -> tuple[str, str]:
        percent = "" if self.percent is None else f" {self.percent}%"
        match self.phase:
            case Phase.WAITING:
                return "插好了，马上导入。", " is in: its import is about to begin."
            case Phase.IMPORTING:
                return f"正在导入{percent}……", f" is being imported{percent}…"
            case Phase.PLAIN:
                return "上没有书箱的内容，没有动它。", " carries no content for this box and was left alone."
            case Phase.PULLED:
                return (
                    "没导完就拔出了。书箱里的内容没有坏；再插上会接着导。",
                    " was pulled out before its end. Nothing here is harmed; plugged in again, it goes on.",
                )
            case Phase.DONE:
                return self._done()
            case Phase.WRONG:
                return self._wrong()

    def _done(self) -> tuple[str, str]:
        if self.code == MISSING:
            return (
                f"上有的都导入了，新到 {self.files} 个文件；还缺的等下一次同步。可以拔出了。",
                f": all that it has is imported, {self.files} new files; the rest waits for the next sync. You may pull it out.",
            )
        if self.files:
            return (
                f"导入完了，新到 {self.files} 个文件。可以拔出了。",
                f" is imported: {self.files} new files. You may pull it out.",
            )
        return (
            "上的内容，书箱里都有了。可以拔出了。",
            " has nothing that is not here already. You may pull it out.",
        )

    def _wrong(self) -> tuple[str, str]:
        if self.code == "E-ROLLBACK" and self.files:
            return (
                f"上的内容比书箱里的旧；其中还缺的 {self.files} 个文件导入了。可以拔出了，请换新的盘。",
                f" is older than what is here; {self.files} files of it that were missing are imported. "
                "You may pull it out; use a newer one.",
            )
        known = _WRONG.get(self.code)
        if known is not None:
            return known
        message = MESSAGES[self.code if self.code in MESSAGES else "E-SERVICE"]
        return (
            f"不能导入：{message.zh}。{message.hint_zh}。（{self.code}）可以拔出了。",
            f" can not be imported: {message.en}. {message.hint_en}. ({self.code}) You may pull it out.",
        )


_WRONG = {
    "E-ROLLBACK": (
        "上的内容比书箱里的旧，没有导入。可以拔出了，请用新的盘。",
        " is older than what is here and was not imported. You may pull it out; use a newer one.",
    ),
    "E-STICK-OTHER": (
        "是另一个县中心的，没有导入。可以拔出了。",
        " belongs to another hub and was not imported. You may pull it out.",
    ),
}
