"""The pages in Debian's Chromium at three sizes: nothing overflows, targets are large, media play, no script needed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from catalog.curriculum import SUBJECTS

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]
SIZES = [(360, 640, "zh-CN"), (360, 640, "en"), (1024, 768, "zh-CN"), (1920, 1080, "zh-CN")]
PAGES = {
    "home": "/",
    "browse": "/browse?stage=primary&grade=g3",
    "book": "/book?stage=primary&grade=g3&subject=math&edition=pep&volume=a",
    "search": "/search?q=分数&kind=video",
    "nothing": "/search?q=火星移民",
    "video": "/r/g3-math-6-video",
    "slides": "/r/g3-math-6-courseware",
    "leaf": "/r/g3-math-6-courseware/page/2",
    "package": "/r/g3-math-6-exercise",
    "audio": "/r/g3-music-1-video",
    "picture": "/r/g3-art-1-courseware",
    "away": "/r/g3-chinese-2-plan",
    "missing": "/nope",
    "login": "/admin/",
}
SMALL = """() => [...document.querySelectorAll('a, button, input:not([type=hidden]), select, summary')].filter(e => {
  var box = e.getBoundingClientRect();
  return box.width > 1 && box.height > 1 && (box.height < 43.5 || box.width < 43.5)
    && !e.closest('p') && !e.matches('.skip, .toggle, .tick input');
}).map(e => e.outerHTML.slice(0, 100))"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        yield chromium
        chromium.close()


def opened(browser: Browser, width: int, height: int, **options: Any) -> tuple[Page, list[str]]:
    context = browser.new_context(viewport={"width": width, "height": height}, locale="zh-CN", **options)
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    return page, problems


@pytest.mark.parametrize(("width", "height", "language"), SIZES)
def test_every_page_fits_every_screen(
    browser: Browser, served: Any, width: int, height: int, language: str
) -> None:
    page, problems = opened(browser, width, height)
    for name, path in PAGES.items():
        joint = "&" if "?" in path else "?"
        page.goto(f"{served.url}{path}{joint}lang={language}")
        overflow = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert overflow <= 0, (name, overflow)
        assert page.evaluate(SMALL) == [], name
        if name == "missing":
            problems.clear()
        assert problems == [], name
    page.context.close()


@pytest.mark.parametrize("width", [320, 360, 440, 1024])
def test_no_word_on_a_cover_is_broken_in_two(browser: Browser, served: Any, width: int) -> None:
    page, _ = opened(browser, width, 768)
    for path in ("/?lang=en", "/browse?stage=primary&grade=g3&lang=en"):
        page.goto(served.url + path)
        broken = page.evaluate(
            """(subjects) => { var slip = document.querySelector('.slip'), broken = [];
            subjects.forEach(function (subject) {
              slip.className = 'slip serif' + (subject.length > 5 ? ' long' : '');
              slip.textContent = subject;
              subject.split(' ').reduce(function (start, word) {
                var range = document.createRange();
                range.setStart(slip.firstChild, start); range.setEnd(slip.firstChild, start + word.length);
                if (range.getClientRects().length > 1) broken.push(word);
                return start + word.length + 1;
              }, 0);
            }); return broken; }""",
            [english for _, english, _ in SUBJECTS.values()],
        )
        assert broken == [], path
    page.context.close()


@pytest.mark.parametrize("path", ["/r/g3-math-6-video", "/r/g3-music-1-video"])
def test_media_play(browser: Browser, served: Any, path: str) -> None:
    page, problems = opened(browser, 1024, 768)
    page.goto(served.url + path)
    page.evaluate("var m = document.querySelector('video, audio'); m.muted = true; m.play()")
    page.wait_for_function("document.querySelector('video, audio').currentTime > 0.4", timeout=15_000)
    assert problems == []
    page.context.close()


def test_subtitles_are_shown(browser: Browser, served: Any) -> None:
    page, _ = opened(browser, 1024, 768)
    page.goto(f"{served.url}/r/g3-math-6-video")
    page.evaluate("document.querySelector('video').load()")
    page.wait_for_function("document.querySelector('video').textTracks[0].cues.length === 2", timeout=15_000)
    assert page.evaluate("document.querySelector('video').textTracks[0].mode") == "showing"
    page.context.close()


def test_a_package_runs_in_its_sandbox(browser: Browser, served: Any) -> None:
    page, problems = opened(browser, 1024, 768)
    page.goto(f"{served.url}/r/g3-math-6-exercise")
    page.wait_for_function(
        "document.querySelector('[data-result]').textContent === '得分 90'", timeout=15_000
    )
    frame = page.frames[1]
    assert frame.evaluate("self.origin") == "null"
    assert frame.evaluate("localStorage.getItem('a')") == "1"
    assert frame.evaluate("document.cookie = 'x=1'; document.cookie") == "x=1"
    assert frame.evaluate("API_1484_11.GetValue('cmi.mode')") == "normal"
    assert page.context.cookies() == []
    with pytest.raises(Exception, match=r"cross-origin|Blocked a frame"):
        frame.evaluate("parent.document.title")
    assert problems == []
    page.context.close()


@pytest.mark.parametrize("width", [360, 1024])
def test_the_way_to_a_lesson_without_scripts(browser: Browser, fresh: Any, width: int) -> None:
    page, _ = opened(browser, width, 768, java_script_enabled=False)
    page.goto(fresh.url)
    page.fill("input[name=q]", "rsjfzy")
    page.keyboard.press("Enter")
    page.click("text=认识几分之一 课件")
    page.click("text=大屏翻页")
    page.wait_for_url("**/page/1")
    page.keyboard.press("Enter")
    page.wait_for_url("**/page/2*")
    page.click("text=返回")
    page.goto(f"{fresh.url}/r/g3-math-1-video")
    page.click("text=申请这项资源")
    assert page.locator("text=已登记点播申请").count() == 1
    page.goto(f"{fresh.url}/search?q=分数")
    if width == 360:
        assert not page.locator(".facets").is_visible()
        page.click("label[for=more]")
    page.locator(".facets").get_by_text("教学设计").click()
    assert page.locator(".chip.drop").count() == 1
    page.context.close()


def test_keys_of_a_presenter_turn_the_pages(browser: Browser, served: Any) -> None:
    page, _ = opened(browser, 1920, 1080)
    page.goto(f"{served.url}/r/g3-math-6-courseware/page/1")
    for key, number in (("PageDown", 2), ("ArrowRight", 3), ("PageUp", 2)):
        page.keyboard.press(key)
        page.wait_for_url(f"**/page/{number}*")
    page.keyboard.press("Escape")
    page.wait_for_url("**/r/g3-math-6-courseware*")
    page.context.close()


def test_focus_can_be_seen(browser: Browser, served: Any) -> None:
    page, _ = opened(browser, 1024, 768)
    page.goto(served.url)
    for _ in range(6):
        page.keyboard.press("Tab")
        width = page.evaluate("parseFloat(getComputedStyle(document.activeElement).outlineWidth)")
        assert width >= 2
    page.context.close()
