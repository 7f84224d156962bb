"""Rows of a list: what a record says is escaped, what the search marked is kept."""

from __future__ import annotations

from html import escape

from builders import resource

from catalog.library import Entry
from webui.cards import card, drawn_rows
from webui.words import Words

EVIL = "<script>alert('1')</script>&\""


def test_nothing_of_a_record_becomes_html() -> None:
    words = Words("zh-CN", lambda message: message)
    record = resource(title=EVIL, path=(EVIL, EVIL), kind=f"raw:{EVIL}", volume_text=EVIL)
    item = card(Entry(number=1, resource=record, current=False, serving=()), words)
    html = drawn_rows(lambda name: f"[{name}]", EVIL)([item], "?lang=en", record.id)
    assert "<script" not in html and escape(EVIL) in html
    assert f'href="/r/{record.id}?lang=en" aria-current="page"' in html
    assert html.count('class="here"') == 1


def test_marks_of_the_search_are_kept() -> None:
    words = Words("zh-CN", lambda message: message)
    entry = Entry(number=1, resource=resource(), current=False, serving=())
    item = card(entry, words, title="认识<mark>分数</mark>", excerpt="a &lt; <mark>b</mark>")
    html = drawn_rows(lambda name: "", "")([item], "")
    assert "<b>认识<mark>分数</mark></b>" in html and '<span class="x">a &lt; <mark>b</mark></span>' in html
    assert "aria-current" not in html
