"""Folding, terms and plans: what is typed agrees with what was indexed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from catalog.search.language import bigrams, fold_text, runs, terms, title_grams
from catalog.search.plans import plans
from catalog.search.record import text_of
from catalog.search.traditional import SIMPLIFIED_OF

TITLES = st.text(
    st.sampled_from("分数的初步认识三年级上册第课时Unit 3ABｆ１（）《》，·重慶長ཨོཾ་مكتب_-"),
    min_size=2,
    max_size=24,
)


@given(st.text(max_size=60))
def test_folding_twice_is_folding_once(text: str) -> None:
    assert fold_text(fold_text(text)) == fold_text(text)


def test_usual_characters_fold_as_the_tables_say() -> None:
    # A letter of full width takes the text to the tables.
    usual = [chr(code) for code in range(0x10000) if not 0xD800 <= code < 0xE000]
    assert [one for one in usual if fold_text(one + "ｆ") != fold_text(one) + "f"] == []


def test_folding_joins_the_ways_to_write_a_word() -> None:
    assert fold_text("數學") == fold_text("数学") == "数学"
    assert fold_text("Ｕｎｉｔ　３") == "unit 3"
    assert fold_text("長度單位") == "长度单位"
    assert not SIMPLIFIED_OF.keys() & set(SIMPLIFIED_OF.values())


@given(st.text(max_size=40))
def test_bigrams_are_the_pairs_of_neighbours(text: str) -> None:
    pairs = bigrams(text)
    assert all(pair in text for pair in pairs)
    assert len(pairs) == max(1, len(text) - 1)


def test_terms_do_not_cross_punctuation_and_keep_lone_characters() -> None:
    assert terms("分数，小数") == ["分数", "小数"]
    assert terms("第3课时") == ["第", "3", "课时", "课", "时"]
    assert terms("ppt课件_2024") == ["ppt", "课件", "课", "件", "2024"]
    assert [run.text for run in runs(fold_text("བོད་སྐད་"))] == ["བོད", "སྐད"]


@given(TITLES, st.data())
def test_every_part_of_a_title_is_asked_by_terms_that_the_title_has(title: str, data: st.DataObject) -> None:
    folded = fold_text(title)
    has = {("text", term) for term in terms(folded)} | {("gram", gram) for gram in title_grams(folded)}
    start = data.draw(st.integers(0, max(0, len(folded) - 2)))
    part = folded[start : data.draw(st.integers(start + 2, max(start + 2, len(folded))))]
    if not runs(part):
        return
    assert any(
        all(
            any(
                (leaf.field, leaf.text) in has
                or (leaf.prefix and any(f == leaf.field and term.startswith(leaf.text) for f, term in has))
                for leaf in clause
            )
            for clause in plan.clauses
        )
        and all(phrase in folded for phrase in plan.phrases)
        for plan in plans(part, lambda leaf: False)
    ), part


@given(st.text(max_size=200))
def test_any_text_makes_plans_or_none(text: str) -> None:
    found = list(plans(text, lambda leaf: True))
    assert bool(found) == bool(runs(fold_text(text[:160])))
    assert all(plan.clauses for plan in found)


def test_labels_of_the_curriculum_are_part_of_the_text() -> None:
    from builders import resource

    text = text_of(resource(grades=("g3",)))
    assert {"三年级上册数学", "数学三年级上册", "人教版", "视频课程", "微课", "小学", "3年级"} <= set(
        text.split("\n")
    )
