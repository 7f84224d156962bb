"""What one lesson of the sample county consists of: the words from which its five items 五件套 are made.

A lesson is data only; `slides`, `deck`, `handouts` and `film` draw it. Figures are SVG fragments in a box of
520 × 420 pixels (`FIGURE_WIDTH`, `FIGURE_HEIGHT`) with their origin at the top left.
"""

from __future__ import annotations

from dataclasses import dataclass

FIGURE_WIDTH = 520
FIGURE_HEIGHT = 420


@dataclass(frozen=True, slots=True, kw_only=True)
class Slide:
    """One slide: what stands on it, what is drawn on it, and what the teacher says with it."""

    title: str
    lines: tuple[str, ...]
    figure: str
    speech: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a lesson plan 教学环节, with its minutes."""

    name: str
    minutes: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One exercise with its answer; `space` is how many empty lines a pupil needs under it."""

    text: str
    answer: str
    figure: str = ""
    space: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """A lesson in its place in the week and in the textbook."""

    weekday: int
    subject: str
    edition: str
    unit: str
    name: str
    number: int
    summary: str
    keywords: tuple[str, ...]
    knowledge: tuple[str, ...]
    author: str
    goals: tuple[str, ...]
    focus: str
    difficulty: str
    preparation: str
    slides: tuple[Slide, ...]
    steps: tuple[Step, ...]
    tasks: tuple[Question, ...]
    questions: tuple[Question, ...]

    @property
    def speech(self) -> str:
        """Everything that is said in the lesson's video."""
        return "".join(slide.speech for slide in self.slides)
