"""`/files/` through a real waitress: ranges, names, types, what must never run in our origin."""

from __future__ import annotations

import http.client
from typing import Any
from urllib.parse import quote

from builders import file_of, resource, sha256
from school import film

from webui.files import disposition, is_harmless


def ask(served: Any, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
    connection.request(
        method, path, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, {name.lower(): value for name, value in response.getheaders()}, body


def test_the_whole_file_and_ranges(served: Any) -> None:
    data = film()
    path = f"/files/{sha256(data)}/{quote('课.mp4')}"
    status, headers, body = ask(served, path)
    assert (status, body) == (200, data)
    assert headers["content-type"] == "video/mp4" and headers["x-content-type-options"] == "nosniff"
    assert "immutable" in headers["cache-control"] and headers["accept-ranges"] == "bytes"
    size = len(data)
    for text, first, last in (
        ("bytes=0-99", 0, 99),
        ("bytes=100-", 100, size - 1),
        ("bytes=-1000", size - 1000, size - 1),
        (f"bytes=5-{10 * size}", 5, size - 1),
        (f"bytes=1000-{200_000}", 1000, 200_000),
    ):
        status, headers, body = ask(served, path, Range=text)
        assert status == 206 and body == data[first : last + 1], text
        assert headers["content-range"] == f"bytes {first}-{last}/{size}"
    assert ask(served, path, Range=f"bytes={size}-")[0] == 416
    assert ask(served, path, Range="bytes=0-1,5-6")[0] == 200
    assert ask(served, path, Range="bytes=0-9", If_Range='"other"')[2] == data
    assert ask(served, path, If_None_Match=headers["etag"])[0] == 304
    status, headers, body = ask(served, path, "HEAD")
    assert (status, headers["content-length"], body) == (200, str(size), b"")
    assert ask(served, path, "POST")[0] == 405


def test_downloads_have_their_right_name(served: Any) -> None:
    with served.school.library.reading() as reader:
        file = reader.resource("g3-math-6-courseware").files_of("source")[0]
    path = f"/files/{file.sha256}/{quote(file.name)}?r=g3-math-6-courseware&download=1"
    status, headers, _ = ask(served, path)
    assert status == 200
    assert headers["content-disposition"].endswith("filename*=UTF-8''" + quote(file.name, safe=""))
    assert headers["content-disposition"].startswith("attachment")
    bare = f"/files/{sha256(film())}/{quote('课.mp4')}?download"
    assert ask(served, bare, "HEAD")[1]["content-disposition"].startswith("attachment")


def test_what_is_not_here_is_404(served: Any) -> None:
    for path in (
        f"/files/{'0' * 64}/x.mp4",
        "/files/abc/x.mp4",
        "/files/",
        f"/files/{sha256(film())}/",
        f"/files/{sha256(film())}/a/b",
        f"/files/{sha256(film())}/..",
        "/files/../../etc/passwd",
    ):
        assert ask(served, path)[0] == 404, path


def test_pages_and_scripts_are_never_shown_in_our_origin(fresh: Any) -> None:
    evil = b"<script>alert(document.cookie)</script>"
    for name, media_type in (
        ("a.html", "text/html"),
        ("a.svg", "image/svg+xml"),
        ("a.xml", "text/xml"),
        ("a", ""),
    ):
        data = evil + media_type.encode()
        fresh.school.store.add(data)
        item = resource(f"evil{name}", files=(file_of(data, name, role="source", media_type=media_type),))
        with fresh.school.library.writing() as writer:
            writer.put_resource(item, "main")
        _, headers, body = ask(fresh, f"/files/{sha256(data)}/{name}")
        assert body == data and headers["content-disposition"].startswith("attachment")
        assert (
            "sandbox" in headers["content-security-policy"] and headers["x-content-type-options"] == "nosniff"
        )


def test_a_deleted_blob_is_gone(fresh: Any) -> None:
    path = f"/files/{sha256(film())}/x.mp4"
    assert ask(fresh, path)[0] == 200
    fresh.school.store.blobs.path(sha256(film())).unlink()
    assert ask(fresh, path)[0] == 404


def test_disposition_follows_rfc_6266() -> None:
    assert disposition("attachment", "plan.pdf") == 'attachment; filename="plan.pdf"'
    assert disposition("attachment", '课 "1";.pdf') == (
        "attachment; filename=\"_ _1__.pdf\"; filename*=UTF-8''%E8%AF%BE%20%221%22%3B.pdf"
    )
    assert "\n" not in disposition("inline", "a\nb")


def test_harmless_types() -> None:
    assert is_harmless("video/mp4") and is_harmless("text/plain; charset=gbk") and is_harmless("IMAGE/PNG")
    assert not any(map(is_harmless, ("text/html", "image/svg+xml", "application/xhtml+xml", "", "text/xml")))


def test_an_unchanged_file_keeps_the_connection(served: Any) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
    path = f"/files/{sha256(film())}/x.mp4"
    for wanted in (304, 304, 200, 304):
        headers = {"If-None-Match": f'"{sha256(film())}"'} if wanted == 304 else {}
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        assert response.status == wanted and response.getheader("Connection") is None
        response.read()
        kept = connection.sock
        assert kept is not None
    connection.request("GET", path, headers={"If-None-Match": "*", "Connection": "close"})
    response = connection.getresponse()
    assert response.status == 304 and response.getheader("Connection") == "close"
    response.read()
    connection.close()


def test_range_requests_on_one_connection(served: Any) -> None:
    data = film()
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
    for start in range(0, 400_000, 100_000):
        connection.request(
            "GET", f"/files/{sha256(data)}/x.mp4", headers={"Range": f"bytes={start}-{start + 99_999}"}
        )
        assert connection.getresponse().read() == data[start : start + 100_000]
    connection.close()
