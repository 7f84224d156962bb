"""The page layer: kept pages, 304, gzip, what makes a page new, bounded memory, counts of use."""

from __future__ import annotations

import gzip
from typing import Any

from school import TODAY
from werkzeug.test import Client

from webui.layer import PageLayer


class Counting:
    """A WSGI application that answers each address with a long page and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.headers = [("Content-Type", "text/html"), ("Cache-Control", "no-cache")]
        self.status = "200 OK"

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        self.asked += 1
        start_response(self.status, self.headers)
        return [f"{environ['PATH_INFO']}?{environ['QUERY_STRING']} ".encode() * 200]


def layer(**more: Any) -> tuple[Client, Counting, dict[str, Any], PageLayer]:
    inner, state = Counting(), {"key": (1,), "counts": []}
    kept = PageLayer(
        inner, lambda: state["key"], lambda resource, event: state["counts"].append((resource, event)), **more
    )
    return Client(kept), inner, state, kept


def test_a_page_is_rendered_once_and_unchanged_is_304() -> None:
    client, inner, _, _ = layer()
    first = client.get("/browse?a=1")
    again = client.get("/browse?a=1")
    assert first.data == again.data and inner.asked == 1
    unchanged = client.get("/browse?a=1", headers={"If-None-Match": first.headers["ETag"]})
    assert unchanged.status_code == 304 and not unchanged.data and inner.asked == 1
    head = client.head("/browse?a=1")
    assert (
        head.status_code == 200 and not head.data and int(head.headers["Content-Length"]) == len(first.data)
    )


def test_a_page_is_kept_packed_and_sent_as_the_client_takes_it() -> None:
    client, inner, _, kept = layer()
    plain = client.get("/browse")
    packed = client.get("/browse", headers={"Accept-Encoding": "gzip, deflate"})
    assert packed.headers["Content-Encoding"] == "gzip" and gzip.decompress(packed.data) == plain.data
    assert "Content-Encoding" not in plain.headers and inner.asked == 1
    assert len(packed.data) < len(plain.data) / 4 and kept.kept_bytes < len(packed.data) + 2000
    assert packed.headers["ETag"] == plain.headers["ETag"]


def test_a_new_state_language_or_query_is_a_new_page() -> None:
    client, inner, state, _ = layer()
    client.get("/")
    state["key"] = (2,)
    client.get("/")
    client.get("/", headers={"Accept-Language": "en"})
    client.get("/?lang=en")
    assert inner.asked == 4
    client.get("/r/x", headers={"Host": "a:1"})
    client.get("/r/x", headers={"Host": "b:1"})
    client.get("/r/x", headers={"Host": "b:1", "User-Agent": "MicroMessenger"})
    assert inner.asked == 7


def test_only_good_public_pages_without_cookies_are_kept() -> None:
    client, inner, _, _ = layer()
    for status, more in (
        ("404 Not Found", []),
        ("200 OK", [("Set-Cookie", "a=b")]),
        ("200 OK", [("Cache-Control", "no-store")]),
    ):
        inner.status = status
        inner.headers = [("Content-Type", "text/html"), *(more or [("Cache-Control", "no-cache")])]
        before = inner.asked
        client.get(f"/browse?{len(more)}{status[:3]}{before}")
        client.get(f"/browse?{len(more)}{status[:3]}{before}")
        assert inner.asked == before + 2
    before = inner.asked
    client.get("/admin/")
    client.get("/admin/")
    client.post("/browse")
    assert inner.asked == before + 3


def test_memory_is_bounded() -> None:
    client, _, _, kept = layer(limit_bytes=200_000)
    for number in range(200):
        client.get(f"/browse?n={number}", headers={"Accept-Encoding": "gzip"})
    assert 50_000 < kept.kept_bytes <= 200_000


def test_use_is_counted_by_hour_without_anybody(fresh: Any) -> None:
    client = fresh.client()
    page = client.get("/r/g3-math-6-courseware")
    client.get("/r/g3-math-6-courseware", headers={"If-None-Match": page.headers["ETag"]})
    client.head("/r/g3-math-6-courseware")
    client.get("/r/g3-math-6-courseware/page/1")
    client.get("/r/does-not-exist")
    address = (
        page.get_data(as_text=True).split('<a class="btn" href="')[1].split('"')[0].replace("&amp;", "&")
    )
    assert client.get(address).status_code == 200
    fresh.package_client().get("/p/g3-math-6-exercise/")
    fresh.app.usage.flush()
    counts = {(item.resource_id, item.event): item for item in fresh.school.local.usage()}
    assert counts["g3-math-6-courseware", "open"].count == 2
    assert counts["g3-math-6-courseware", "download"].count == 1
    assert counts["g3-math-6-exercise", "play"].count == 1
    assert len(counts) == 3
    assert {item.hour for item in counts.values()} == {TODAY.strftime("%Y-%m-%dT%H")}


def test_a_sync_is_seen_at_once(fresh: Any) -> None:
    client = fresh.client()
    before = client.get("/r/g3-math-1-plan").data
    with fresh.school.library.reading() as reader:
        entry = reader.resource("g3-math-1-plan")
    record = {**entry.resource.to_json(), "title": "秒的认识（修订）"}
    with fresh.school.library.writing() as writer:
        writer.put_resource(type(entry.resource).from_json(record))
    after = client.get("/r/g3-math-1-plan").data
    assert before != after and "秒的认识（修订）".encode() in after
