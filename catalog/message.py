"""The form of a refusal's words: code, what is wrong, expected, found, what to do, on one line."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """What is wrong and what to do, in Chinese and English."""

    exit_code: int
    zh: str
    en: str
    hint_zh: str
    hint_en: str

    def line(self, code: str, language: str, *, where: str = "", expected: str = "", found: str = "") -> str:
        """Return `CODE: what is wrong: expected, found. What to do` as one line in `language`."""
        chinese = language.startswith("zh")
        parts = [f"{code}: {self.zh if chinese else self.en}"]
        if where:
            parts.append(f"（{where}）" if chinese else f" ({where})")
        details = []
        if expected:
            details.append(f"应为 {expected}" if chinese else f"expected {expected}")
        if found:
            details.append(f"实为 {found}" if chinese else f"found {found}")
        if details:
            parts.append(("：" if chinese else ": ") + ("，" if chinese else ", ").join(details))
        hint = self.hint_zh if chinese else self.hint_en
        parts.append(("。" if chinese else ". ") + hint)
        return " ".join("".join(parts).split())
