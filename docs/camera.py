"""The camera of `make docs`: a browser, pages at their sizes, and the PNG files in `docs/pictures/`.

Invariant: a picture is as wide as its name says, and no larger than the limit; text in a frame is a file's own text.
"""

from __future__ import annotations

import base64
import html
import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, FloatRect, Page, Playwright

REPOSITORY = Path(__file__).resolve().parent.parent
PICTURES = REPOSITORY / "docs" / "pictures"
SIZES = {360: 640, 1024: 768, 1920: 1080}
MANUAL = 1024
"""The one width of pictures that only a manual shows."""
MAX_BYTES = 200_000
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--autoplay-policy=no-user-gesture-required",
    "--lang=zh-CN",
)
_FRAME = """<!DOCTYPE html><html lang="zh-CN"><meta charset="utf-8"><style>
body{{margin:0;background:#fff;font:16px/1.6 "Noto Sans CJK SC",sans-serif;color:#222}}
#frame{{width:1024px;border-bottom:1px solid #8a8f98}}
#bar{{background:#e9ebee;padding:8px 14px;border-bottom:1px solid #c3c7cd}}
#bar b{{display:inline-block;background:#fff;border:1px solid #c3c7cd;border-radius:16px;padding:2px 18px;font-weight:400;min-width:420px;font-size:19px}}
#bar span{{font-size:15px}}
img{{display:block}}
pre{{margin:0;padding:10px 16px 14px;font:16px/1.55 "Noto Sans Mono CJK SC",monospace;white-space:pre-wrap;word-break:break-all}}
mark{{background:#ffe89a;padding:2px 0}}
</style><body><div id="frame"><div id="bar">{bar}</div>{inner}</div>"""


def launched(playwright: Playwright, *more: str) -> Browser:
    """Start a browser that speaks Chinese."""
    return playwright.chromium.launch(
        executable_path="/usr/bin/chromium", args=[*ARGUMENTS, *more], env={**os.environ, "LANGUAGE": "zh_CN"}
    )


@contextmanager
def opened(browser: Browser, width: int = MANUAL) -> Iterator[Page]:
    """Open a page in Chinese, `width` pixels wide."""
    context = browser.new_context(
        viewport={"width": width, "height": SIZES[width]}, locale="zh-CN", timezone_id="Asia/Shanghai"
    )
    yield context.new_page()
    context.close()


def log_in(page: Page, address: str, user: str, password: str) -> None:
    """Log in to the staff pages of the hub at `address`."""
    page.goto(f"{address}/hub/")
    page.fill("input[name=user]", user)
    page.fill("input[name=password]", password)
    page.click("button[type=submit]")
    page.wait_for_load_state("networkidle")


def save(page: Page, name: str, *, top: int = 0, height: int | None = None) -> None:
    """Save what the window shows, or `height` pixels of the whole page from `top` on."""
    width = page.viewport_size["width"] if page.viewport_size else MANUAL
    clip = FloatRect(x=0, y=top, width=width, height=height) if height else None
    _keep(page.screenshot(clip=clip, full_page=height is not None), name)


def save_at(page: Page, name: str, address: str, *, height: int = 600) -> None:
    """Save what the window shows below a bar with the address that was typed."""
    shot = page.screenshot(clip={"x": 0, "y": 0, "width": MANUAL, "height": height}, full_page=True)
    picture = f'<img src="data:image/png;base64,{base64.b64encode(shot).decode()}">'
    _save_framed(page, name, f"<b>{html.escape(address)}</b>", picture)


def save_text(
    page: Page, name: str, file_name: str, lines: Sequence[str], marked: Sequence[str] = ()
) -> None:
    """Save lines of a text file as an editor shows them; those that begin with a word in `marked` in yellow."""
    shown = [
        f"<mark>{html.escape(line)}</mark>"
        if line.startswith(tuple(marked)) and marked
        else html.escape(line)
        for line in lines
    ]
    _save_framed(page, name, f"<span>{html.escape(file_name)}</span>", "<pre>" + "\n".join(shown) + "</pre>")


def _save_framed(page: Page, name: str, bar: str, inner: str) -> None:
    page.goto("about:blank")
    page.set_content(_FRAME.format(bar=bar, inner=inner), wait_until="load")
    height = page.evaluate("document.getElementById('frame').offsetHeight")
    save(page, name, height=height)


def _keep(shot: bytes, name: str) -> None:
    """Keep it as a PNG of a palette, with as many colours as the limit allows."""
    picture = Image.open(io.BytesIO(shot)).convert("RGB")
    for colours in (256, 128, 64, 32):
        out = io.BytesIO()
        picture.quantize(colours, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
        if out.tell() <= MAX_BYTES:
            break
    (PICTURES / f"{name}.png").write_bytes(out.getvalue())
