"""The week of lessons, Monday to Friday, of the third grade in the autumn term: one module for each subject."""

from __future__ import annotations

from appliance.demo.lessons import Lesson
from appliance.demo.week.chinese import CHINESE
from appliance.demo.week.chinese_practice import CHINESE_PRACTICE
from appliance.demo.week.fraction_sums import FRACTION_SUMS
from appliance.demo.week.mathematics import MATHEMATICS
from appliance.demo.week.music import MUSIC
from appliance.demo.week.science import SCIENCE

WEEK: tuple[Lesson, ...] = tuple(
    sorted(
        (*MATHEMATICS, *FRACTION_SUMS, *CHINESE, *CHINESE_PRACTICE, *SCIENCE, *MUSIC),
        key=lambda lesson: lesson.weekday,
    )
)
