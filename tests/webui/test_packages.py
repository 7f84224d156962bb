"""Interactive packages on the package port: the sandbox, the shim, the start page; the ports do not mix."""

from __future__ import annotations

from typing import Any

import pytest
from builders import file_of
from hypothesis import given
from hypothesis import strategies as st

from webui.packages import SHIM_TAG, start_path, with_shim

PACKAGE = "/p/g3-math-6-exercise/"


def test_every_answer_is_sandboxed_and_without_cookies(served: Any) -> None:
    client = served.package_client()
    for path in (
        PACKAGE,
        f"{PACKAGE}index.html",
        f"{PACKAGE}js/main.js",
        f"{PACKAGE}nope",
        "/-/shim.js",
        "/",
        "/p/",
    ):
        response = client.get(path)
        policy = response.headers["Content-Security-Policy"]
        assert policy == "sandbox allow-scripts allow-forms allow-popups", path
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert "Set-Cookie" not in response.headers
    assert client.post(PACKAGE).status_code == 405


def test_the_start_page_gets_the_shim_first(served: Any) -> None:
    client = served.package_client()
    start = client.get(PACKAGE)
    assert start.status_code == 302 and start.headers["Location"].endswith(f"{PACKAGE}index.html")
    page = client.get(f"{PACKAGE}index.html")
    assert page.data.index(SHIM_TAG) < page.data.index(b"js/main.js")
    assert page.headers["Content-Type"] == "text/html"
    unchanged = client.get(f"{PACKAGE}index.html", headers={"If-None-Match": page.headers["ETag"]})
    assert unchanged.status_code == 304
    script = client.get(f"{PACKAGE}js/main.js", headers={"Range": "bytes=0-5"})
    assert script.status_code == 206 and script.data == b"window"


def test_the_ports_do_not_mix(served: Any) -> None:
    assert served.client().get(f"{PACKAGE}index.html").status_code == 404
    client = served.package_client()
    for path in ("/", "/r/g3-math-6-video", "/admin/", "/files/x/y", "/static/shuxiang.css"):
        assert client.get(path).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "../../library.db",
        "..%2f..%2flibrary.db",
        "%2e%2e/x",
        "js/../index.html",
        "js//main.js",
        "a\\b",
        "x%00",
        "js",
        "js/",
    ],
)
def test_no_path_leaves_the_package(served: Any, path: str) -> None:
    assert served.package_client().get(PACKAGE + path).status_code in (404, 308)


def page(path: str, media_type: str = "text/html") -> Any:
    return file_of(path.encode(), "x.html", role="package", path=path, media_type=media_type)


def test_start_page() -> None:
    assert start_path([]) is None
    assert start_path([page("js/a.js", "text/javascript")]) is None
    assert start_path([page("b/index.html"), page("z.html")]) == "z.html"
    assert start_path([page("a.html"), page("index.htm"), page("c/index.html")]) == "index.htm"
    manifest = '<manifest><resources><resource identifier="r" adlcp:scormtype="sco" href="sco/go.html?x=1"/></resources>'
    assert start_path([page("index.html"), page("sco/go.html")], manifest) == "sco/go.html"
    assert start_path([page("index.html")], manifest) == "index.html"


def test_shim_in_pages_of_any_encoding() -> None:
    assert with_shim(b"<html><head lang=x><script>") == b"<html><head lang=x>" + SHIM_TAG + b"<script>"
    assert with_shim(b"<!DOCTYPE html><p>") == b"<!DOCTYPE html>" + SHIM_TAG + b"<p>"
    assert with_shim(b"<header>x") == SHIM_TAG + b"<header>x"
    assert with_shim(b"\xef\xbb\xbfx") == b"\xef\xbb\xbf" + SHIM_TAG + b"x"
    gbk = "<head><title>分数</title>".encode("gb2312")
    assert with_shim(gbk) == gbk.replace(b"<head>", b"<head>" + SHIM_TAG)
    wide = "<head>".encode("utf-16")
    assert with_shim(wide) == wide


@given(st.binary(max_size=200))
def test_shim_changes_nothing_else(html: bytes) -> None:
    assert with_shim(html).replace(SHIM_TAG, b"") == html.replace(SHIM_TAG, b"")
