"""Highlights: whole words marked, nothing but `<mark>` let through."""

from __future__ import annotations

import html
import re

from hypothesis import given
from hypothesis import strategies as st

from catalog.search.highlight import highlight, highlight_hit
from catalog.search.language import fold_text

TEXTS = st.text(st.one_of(st.sampled_from("<>&\"'分数學ＡabﬁÉ㎡ 3…"), st.characters()), max_size=60)


def excerpt(parts: list[str], words: tuple[str, ...], *, limit: int) -> str:
    return highlight_hit("题目", parts, words, limit=limit)[1]


def unmarked(marked: str) -> str:
    return html.unescape(re.sub("</?mark>", "", marked))


@given(TEXTS, st.lists(TEXTS.map(fold_text), max_size=4))
def test_the_text_itself_stays_and_is_escaped(text: str, words: list[str]) -> None:
    marked = highlight(text, tuple(words))
    assert unmarked(marked) == text
    assert re.fullmatch("(?:<mark>[^<>]+</mark>|[^<>])*", marked)


@given(TEXTS, st.lists(TEXTS.map(fold_text), max_size=4), st.integers(1, 40))
def test_an_excerpt_is_a_part_of_the_text(text: str, words: list[str], limit: int) -> None:
    marked = highlight(text, tuple(words), limit=limit)
    cut = unmarked(marked)
    assert re.fullmatch("(?:<mark>[^<>]+</mark>|[^<>])*", marked)
    assert cut == text or any(
        cut == before + text[at : at + limit] + after
        for at in range(len(text))
        for before in ("", "…")
        for after in ("", "…")
    )


def test_words_are_marked_whole_in_any_width_case_and_script() -> None:
    assert highlight("《數學》的数", ("数学",)) == "《<mark>數學</mark>》的数"
    assert highlight("My Friends & me", ("frien",)) == "My <mark>Friends</mark> &amp; me"
    assert highlight("Ｕｎｉｔ３", ("unit3",)) == "<mark>Ｕｎｉｔ３</mark>"
    assert (
        highlight("a<b>分数</b>", ("分数", "b"))
        == "a&lt;<mark>b</mark>&gt;<mark>分数</mark>&lt;/<mark>b</mark>&gt;"
    )
    assert highlight("㎡ 三年级数学", ("年级", "级数")) == "㎡ 三<mark>年级数</mark>学"


def test_an_excerpt_shows_the_first_hit() -> None:
    text = "前" * 200 + "分数" + "后" * 200
    marked = highlight(text, ("分数",), limit=40)
    assert "<mark>分数</mark>" in marked and marked.startswith("…") and marked.endswith("…")
    assert len(unmarked(marked)) == 42


def test_the_excerpt_is_of_the_first_part_that_has_a_word() -> None:
    parts = ["没有 a<b", "第八单元 › 认识分数", "分数、小数"]
    assert excerpt(parts, ("分数",), limit=90) == "第八单元 › 认识<mark>分数</mark>"
    assert excerpt(parts, ("小数",), limit=90) == "分数、<mark>小数</mark>"
    assert excerpt(parts, ("面积",), limit=90) == "没有 a&lt;b"
    assert excerpt(["一分", "数二"], ("分数",), limit=90) == "一分"
    assert excerpt([], ("分数",), limit=90) == ""
    assert excerpt(["学" * 200, "𝟏" * 3 + "數" + "学" * 200], ("数",), limit=20).startswith(
        "𝟏𝟏𝟏<mark>數</mark>学"
    )


NO_NUL = st.characters(exclude_characters="\0")


@given(st.lists(st.text(NO_NUL, max_size=30), max_size=4), st.text(NO_NUL, max_size=3))
def test_the_excerpt_is_what_highlighting_each_part_finds(parts: list[str], word: str) -> None:
    each = [highlight(part, (fold_text(word),), limit=12) for part in parts]
    wanted = next((text for text in each if "<mark>" in text), each[0] if each else "")
    assert excerpt(parts, (fold_text(word),), limit=12) == wanted


@given(
    TEXTS.map(lambda text: text.replace("\0", "")), st.lists(st.text(NO_NUL, max_size=9), max_size=2), TEXTS
)
def test_a_hits_title_is_highlighted_as_it_is_alone(title: str, parts: list[str], word: str) -> None:
    words = (fold_text(word.replace("\0", "")),)
    assert highlight_hit(title, parts, words, limit=12)[0] == highlight(title, words)
