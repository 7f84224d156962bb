"""Compiled templates: taken where they are true of the text, never where it changed, and never written by pages."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Environment

from webui.compiled import PLACE
from webui.house import box_environments
from webui.i18n import LANGUAGES, TEMPLATES
from webui.precompile import precompile
from webui.static_files import StaticFiles


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TEMPLATES, tmp_path / "templates"))


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The names of the templates that are compiled from here on."""
    names: list[str | None] = []
    whole = Environment.compile

    def compile_and_note(self: Environment, source: Any, name: str | None = None, *more: Any) -> Any:
        names.append(name)
        return whole(self, source, name, *more)

    monkeypatch.setattr(Environment, "compile", compile_and_note)
    return names


def test_no_page_of_an_installed_box_is_compiled_again(folder: Path, compiled: list[str | None]) -> None:
    made = precompile(folder)
    assert made == len(compiled) > 2 * 15
    compiled.clear()
    for environment in box_environments(StaticFiles(), (folder,)).values():
        for name in ("today.html", "resource.html", "search.html", "admin/home.html"):
            assert environment.get_template(name).root_render_func
    assert not compiled


def test_a_template_that_changed_is_compiled_when_it_is_asked_for(
    folder: Path, compiled: list[str | None]
) -> None:
    precompile(folder)
    compiled.clear()
    before = {path: path.read_bytes() for path in (folder / PLACE).rglob("*") if path.is_file()}
    (folder / "leaf.html").write_text("another")
    for language, environment in box_environments(StaticFiles(), (folder,)).items():
        assert environment.get_template("leaf.html").render() == "another", language
    assert compiled == ["leaf.html"] * len(LANGUAGES)
    assert {path: path.read_bytes() for path in (folder / PLACE).rglob("*") if path.is_file()} == before


def test_pages_write_nothing_beside_their_templates(folder: Path) -> None:
    for environment in box_environments(StaticFiles(), (folder,)).values():
        environment.get_template("today.html")
    assert not (folder / PLACE).exists()
