"""The API as DESIGN §5.5 fixes it."""

from __future__ import annotations

import re
from typing import Any

from builders import sha256
from school import film


def test_health_and_status(served: Any) -> None:
    client = served.client()
    assert client.get("/healthz").get_json() == {"status": "ok", "role": "box", "version": "0.1.0"}
    status = client.get("/api/v1/status").get_json()
    assert list(status) == [
        "role", "id", "name", "version", "release", "content_release", "bundles", "resources", "cached",
        "last_sync", "disk", "updated_to", "damaged",
    ]  # fmt: skip
    assert status["role"] == "box" and status["release"] == 7 and status["last_sync"] is None
    assert status["bundles"]["main"]["resources"] == status["resources"] > status["cached"] > 0
    assert set(status["disk"]) == {"total_bytes", "free_bytes", "reserve_bytes"}


def test_search(served: Any) -> None:
    client = served.client()
    found = client.get("/api/v1/search?q=分数&per_page=5&kind=video").get_json()
    assert set(found) == {"total", "took_ms", "hits", "facets"}
    assert found["total"] >= len(found["hits"]) == 5
    hit = found["hits"][0]
    assert {"id", "title", "cached", "highlight"} <= set(hit) and set(hit["highlight"]) == {
        "title",
        "excerpt",
    }
    assert "<mark>" in hit["highlight"]["title"] + hit["highlight"]["excerpt"]
    assert found["facets"]["kind"]["video"] == found["total"]
    assert found["facets"]["kind"]["plan"] > 0
    narrow = client.get("/api/v1/search?q=分数&kind=video&kind=plan").get_json()
    assert narrow["total"] == found["facets"]["kind"]["video"] + found["facets"]["kind"]["plan"]


def test_search_by_what_is_here_and_page_bounds(served: Any) -> None:
    client = served.client()
    here = client.get("/api/v1/search?cached=1&per_page=100").get_json()
    assert here["hits"] and all(hit["cached"] for hit in here["hits"])
    away = client.get("/api/v1/search?cached=0&per_page=100").get_json()
    assert away["hits"] and not any(hit["cached"] for hit in away["hits"])
    assert here["total"] + away["total"] == client.get("/api/v1/search").get_json()["total"]
    assert len(client.get("/api/v1/search?per_page=1000").get_json()["hits"]) == 100
    assert client.get("/api/v1/search?per_page=0&page=x").status_code == 200
    pages = [client.get(f"/api/v1/search?per_page=50&page={n}").get_json()["hits"] for n in (1, 2)]
    assert not {hit["id"] for hit in pages[0]} & {hit["id"] for hit in pages[1]}


def test_pinyin_initials(served: Any) -> None:
    hits = served.client().get("/api/v1/search?q=rsjfzy").get_json()["hits"]
    assert any(hit["title"] == "认识几分之一" for hit in hits)


def test_a_record_with_the_addresses_of_its_files(served: Any) -> None:
    client = served.client()
    record = client.get("/api/v1/resources/g3-math-6-video").get_json()
    play = next(file for file in record["files"] if file["role"] == "play")
    assert {"role", "name", "media_type", "size_bytes", "sha256", "url"} <= set(play)
    assert client.get(play["url"]).data == film() and play["sha256"] == sha256(film())
    assert client.get("/api/v1/resources/nope").status_code == 404


def test_every_refusal_is_json(served: Any) -> None:
    client = served.client()
    for path in ("/api/v1/resources/nope", "/api/v1/resources/", "/api/v1/resources/a/b", "/api/v1/nope"):
        answer = client.get(path)
        assert (answer.status_code, answer.get_json()) == (404, {"error": "not found"}), path
    answer = client.post("/api/v1/search")
    assert (answer.status_code, answer.get_json()) == (405, {"error": "method not allowed"})


def test_highlight_is_escaped_html(served: Any) -> None:
    hits = served.client().get("/api/v1/search?q=Smart").get_json()["hits"]
    assert hits
    for hit in hits:
        for text in hit["highlight"].values():
            assert re.sub(r"</?mark>", "", text).count("<") == 0
