"""A school's scope: which stages, grades and editions are its own. Pure; unset means everything (rule 9).

An edition rule says: for this subject (at this stage, grade and term, where given) the school uses this edition (of
this textbook year, where given). A subject without a matching rule is not narrowed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from catalog.errors import ConfigError
from catalog.library.entries import Shelf


@dataclass(frozen=True, slots=True, kw_only=True)
class EditionRule:
    """Which edition a school uses; None fields match everything. `term` is `a` or `b` as in `volume`."""

    subject: str
    edition: str
    stage: str | None = None
    grade: str | None = None
    term: str | None = None
    textbook_year: int | None = None

    def concerns(self, shelf: Shelf) -> bool:
        """Return whether the rule speaks about the subject, stage, grade and volume of `shelf`."""
        return (
            self.subject == shelf.subject
            and self.stage in (None, shelf.stage)
            and self.grade in (None, shelf.grade)
            and (self.term is None or self.term == shelf.volume)
        )

    def allows(self, shelf: Shelf) -> bool:
        """Return whether the shelf is of the rule's edition; a year that neither side names is no obstacle."""
        if self.edition != shelf.edition:
            return False
        return not self.textbook_year or not shelf.textbook_year or self.textbook_year == shelf.textbook_year


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a school sees by default. `EVERYTHING` narrows nothing."""

    stages: frozenset[str] = frozenset()
    grades: frozenset[str] = frozenset()
    editions: tuple[EditionRule, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.stages or self.grades or self.editions)

    def accepts(self, shelf: Shelf) -> bool:
        """Return whether the school uses this book. What a record does not say never excludes it."""
        if self.stages and shelf.stage and shelf.stage not in self.stages:
            return False
        if self.grades and shelf.grade and shelf.grade not in self.grades:
            return False
        rules = [rule for rule in self.editions if rule.concerns(shelf)]
        return not rules or not shelf.edition or any(rule.allows(shelf) for rule in rules)

    def narrow(self, shelves: Iterable[Shelf]) -> list[Shelf]:
        """Return the shelves that the school uses."""
        return [shelf for shelf in shelves if self.accepts(shelf)]

    def to_json(self) -> dict[str, Any]:
        """Return the scope as plain JSON values; `from_json` reads them back."""
        return {
            "stages": sorted(self.stages),
            "grades": sorted(self.grades),
            "editions": [
                {
                    name: getattr(rule, name)
                    for name in EditionRule.__slots__
                    if getattr(rule, name) is not None
                }
                for rule in self.editions
            ],
        }

    @classmethod
    def from_json(cls, data: object) -> Scope:
        """Return the scope in `data`; raise `ConfigError` E-CONFIG where it is not one."""
        if not isinstance(data, dict):
            raise ConfigError("E-CONFIG", where="scope", expected="table", found=type(data).__name__)
        rules = []
        for rule in data.get("editions", []):
            if not isinstance(rule, dict) or not {"subject", "edition"} <= rule.keys() <= set(
                EditionRule.__slots__
            ):
                raise ConfigError("E-CONFIG", where="scope.editions", expected="subject, edition", found=rule)
            rules.append(EditionRule(**rule))
        return cls(
            stages=frozenset(_texts(data, "stages")),
            grades=frozenset(_texts(data, "grades")),
            editions=tuple(rules),
        )


EVERYTHING = Scope()


def of_term(shelves: Iterable[Shelf], term: str) -> list[Shelf]:
    """Return the books that are taught in `term` (`a` or `b`): its volume, and those that are not split."""
    return [shelf for shelf in shelves if shelf.volume in (term, "full", "other", "")]


def _texts(data: dict[str, Any], name: str) -> list[str]:
    values = data.get(name, [])
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ConfigError("E-CONFIG", where=f"scope.{name}", expected="list of codes", found=values)
    return values
