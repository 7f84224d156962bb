"""The public pages through the whole WSGI application: what they show, language, scope, requests."""

from __future__ import annotations

import html
import json
import re
from typing import Any

from catalog.scope import EditionRule, Scope

VIDEO = "/r/g3-math-6-video"
BOOK = "/book?stage=primary&grade=g3&subject=math&edition=pep&volume=a"


def text_of(response: Any) -> str:
    return html.unescape(response.get_data(as_text=True))


def test_home_shows_books_newly_arrived_and_the_date_of_the_catalogue(served: Any) -> None:
    response = served.client().get("/")
    text = text_of(response)
    assert response.status_code == 200
    for word in ("三年级", "数学", "新到", "资源更新到 2026年11月20日", "石门村教学点", "11月21日", "上学期"):
        assert word in text
    assert "Set-Cookie" not in response.headers


def test_english_is_asked_for_and_carried_on(served: Any) -> None:
    client = served.client()
    text = text_of(client.get("/?lang=en"))
    assert "Newly arrived" in text and "Resources up to 20 Nov 2026" in text
    assert 'href="/browse?lang=en"' in text and "grade=g3&lang=en" in text
    assert "Bookshelf" in text_of(client.get("/", headers={"Accept-Language": "en"}))
    assert "书架" in text_of(client.get("/", headers={"Accept-Language": "de"}))


def test_browse_leads_from_stage_to_lesson_by_links(served: Any) -> None:
    client = served.client()
    address, seen = "/browse", []
    for label in ("小学", "三年级", "数学", "人教版"):
        text = text_of(client.get(address))
        found = re.search(rf'class="chip[^"]*" href="([^"]+)"[^>]*>{label}<', text)
        assert found, (address, label)
        address = found[1]
        seen.append(address)
    text = text_of(client.get(address))
    book = re.search(r'href="(/book\?[^"]+)"', text)
    assert book and text_of(client.get(book[1])).count('class="lesson"') == 8


def test_a_lesson_shows_its_five_items_together(served: Any) -> None:
    text = text_of(served.client().get(BOOK))
    lesson = text[text.index("认识几分之一</a>") :]
    lesson = lesson[: lesson.index("</div></div>")]
    for kind in ("视频课程", "课件", "教学设计", "学习任务单", "互动课件"):
        assert kind in lesson
    assert lesson.count('class="item no"') == 1


def test_search_marks_words_counts_facets_and_removes_filters(served: Any) -> None:
    client = served.client()
    text = text_of(client.get("/search?q=分数&kind=video"))
    assert "<mark>分数</mark>的简单计算" in text
    drop = re.search(r'class="chip drop" href="([^"]+)" aria-label="去掉 视频课程"', text)
    assert drop and "kind" not in drop[1]
    assert re.search(r"教学设计<i>\d+</i>", text)
    assert "认识几分之一" in text_of(client.get("/search?q=rsjfzy"))


def test_search_pages(served: Any) -> None:
    client = served.client()
    first, second = text_of(client.get("/search")), text_of(client.get("/search?page=2"))
    titles = re.findall(r'class="row" href="(/r/[^"]+)"', first)
    others = re.findall(r'class="row" href="(/r/[^"]+)"', second)
    assert len(titles) == len(others) == 20 and not set(titles) & set(others)
    for page in ("0", "x", "-1", "9" * 30, "9" * 5000, "²"):
        assert client.get("/search", query_string={"page": page}).status_code == 200


def test_nothing_found_helps(served: Any) -> None:
    text = text_of(served.client().get("/search?q=火星移民指南&kind=video"))
    assert "没有找到" in text and "去掉全部筛选再找" in text and "拼音" in text


def test_what_is_asked_is_escaped(served: Any) -> None:
    client = served.client()
    raw = client.get("/search?q=%3Cscript%3Ealert(1)%3C/script%3E").get_data(as_text=True)
    assert "<script>alert" not in raw
    raw = client.get("/browse?stage=%22%3E%3Cb%3E&kind=%3Cb%3E").get_data(as_text=True)
    assert "<b>" not in raw
    assert client.get("/search?kind=%22%3E%3Cimg%20src%3E").get_data(as_text=True).count("<img src>") == 0


def test_a_resource_plays_and_says_what_it_is(served: Any) -> None:
    raw = served.client().get(VIDEO).get_data(as_text=True)
    text = html.unescape(raw)
    assert '<video controls preload="metadata" poster="/files/' in raw
    assert '<track kind="subtitles"' in raw and "default>" in raw
    assert 'type="video/mp4"' in raw and "这一课" in text and "平均分" in text
    data = json.loads(re.search(r'ld\+json">(.*?)</script>', raw, re.DOTALL)[1])  # type: ignore[index]
    assert data["@type"] == "LearningResource" and data["name"] == "认识几分之一"
    assert data["@id"].endswith("/r/g3-math-6-video")


def test_page_images_can_be_turned_without_scripts(served: Any) -> None:
    client = served.client()
    raw = client.get("/r/g3-math-6-courseware").get_data(as_text=True)
    assert raw.count('class="leaf"') == 6 and raw.count('loading="lazy"') >= 6
    first = client.get("/r/g3-math-6-courseware/page/1").get_data(as_text=True)
    assert (
        'action="/r/g3-math-6-courseware/page/2"' in first
        and "autofocus" in first
        and 'rel="prev"' not in first
    )
    last = client.get("/r/g3-math-6-courseware/page/6").get_data(as_text=True)
    assert 'rel="prev"' in last and "<form" not in last
    assert client.get("/r/g3-math-6-courseware/page/7").status_code == 404
    assert client.get("/r/g3-math-6-courseware/page/0").status_code == 404


def test_wechat_is_told_how_to_download(served: Any) -> None:
    client = served.client()
    assert "在浏览器打开" in text_of(client.get(VIDEO, headers={"User-Agent": "x MicroMessenger/8.0"}))
    assert "在浏览器打开" not in text_of(client.get(VIDEO, headers={"User-Agent": "Chrome/49"}))


def test_what_is_not_here_can_be_asked_for(fresh: Any) -> None:
    client = fresh.client()
    away = "/r/g3-math-1-video"
    text = text_of(client.get(away))
    assert "还没有送到本机" in text
    token = re.search(r'name="token" value="([^"]+)"', text)
    assert token
    refused = client.post(f"{away}/request", data={"token": "0" * 40})
    assert refused.status_code == 400 and fresh.school.local.requests() == []
    for headers in ({"Origin": "http://elsewhere.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert client.post(f"{away}/request", data={"token": token[1]}, headers=headers).status_code == 400
    other = client.post("/r/g3-math-2-video/request", data={"token": token[1]})
    assert other.status_code == 400
    done = client.post(f"{away}/request", data={"token": token[1]})
    assert done.status_code == 303 and "Set-Cookie" not in done.headers
    assert [item.resource_id for item in fresh.school.local.requests()] == ["g3-math-1-video"]
    text = text_of(client.get(away))
    assert "已登记点播申请" in text and 'name="token"' not in text
    client.post(f"{away}/request", data={"token": token[1]})
    assert fresh.school.local.requests()[0].asked == 1


def test_the_schools_own_books_come_first_and_all_are_one_tap_away(fresh: Any) -> None:
    scope = Scope(grades=frozenset({"g3"}), editions=(EditionRule(subject="math", edition="bnu"),))
    fresh.school.local.put("scope", scope.to_json())
    fresh.app.house.look_again()
    client = fresh.client()
    text = text_of(client.get("/search?q=分数"))
    assert "没有找到" in text and "全部版本" in text
    everything = re.search(r'class="chip" href="([^"]*all=1[^"]*)">全部版本', text)
    assert everything and "分数的简单计算" in re.sub("</?mark>", "", text_of(client.get(everything[1])))
    assert "subject=math" not in text_of(client.get("/")) and "subject=chinese" in text_of(client.get("/"))
    shelf = text_of(client.get("/browse?stage=primary&grade=g3"))
    assert "/book?" in shelf and "subject=math&edition" not in shelf and "all=1" in shelf
    found = client.get("/api/v1/search?q=分数").get_json()
    assert found["total"] > 0
    assert client.get("/api/v1/search?q=分数&scope=mine").get_json()["total"] == 0


def test_what_is_recalled_is_not_shown(fresh: Any) -> None:
    with fresh.school.library.reading() as reader:
        entry = reader.resource("g3-math-6-video")
    record = {**entry.resource.to_json(), "state": "recalled"}
    with fresh.school.library.writing() as writer:
        writer.put_resource(type(entry.resource).from_json(record))
    client = fresh.client()
    assert client.get(VIDEO).status_code == 404
    assert client.get("/api/v1/resources/g3-math-6-video").status_code == 404


def test_missing_pages_say_so(served: Any) -> None:
    client = served.client()
    for path in ("/nope", "/r/nope", "/r/..%2f..%2fetc", "/book?grade=g9", "/r/%00", "/r/" + "a" * 300):
        response = client.get(path)
        assert response.status_code == 404, path
        assert "回到今天" in text_of(response)


def test_an_empty_box_says_what_to_do(tmp_path: Any) -> None:
    from school import School
    from werkzeug.test import Client

    from webui.app import create_box_app

    school = School(tmp_path)
    app = create_box_app(
        school.library,
        school.finder,
        school.store.blobs,
        school.local,
        school.operations,
        school.settings(1),
    )
    client = Client(app)
    assert "书箱还是空的" in text_of(client.get("/"))
    for path in ("/browse", "/search", "/search?q=x", "/api/v1/status", "/healthz", "/admin/"):
        assert client.get(path).status_code == 200, path
    app.close()
    school.close()


def test_pages_are_light(served: Any) -> None:
    client = served.client()
    parts = sum(
        len(client.get(address, headers={"Accept-Encoding": "gzip"}).data)
        for address in set(
            re.findall(r'(?:href|src)="(/static/[^"#]+)', client.get("/").get_data(as_text=True))
        )
    )
    glyphs = len(client.get("/static/glyphs.svg", headers={"Accept-Encoding": "gzip"}).data)
    for path in ("/", "/browse", BOOK, "/search?q=分数"):
        page = len(client.get(path, headers={"Accept-Encoding": "gzip"}).data)
        assert page + parts + glyphs <= 60_000, (path, page, parts)


def test_what_was_left_out_for_want_of_room_is_said_and_can_be_asked_for(fresh: Any) -> None:
    record = fresh.school.record("g3-math-6-courseware")
    file = record.files_of("source")[0]
    assert fresh.client().get(f"/files/{file.sha256}/x.pptx").status_code == 200
    with fresh.school.library.writing() as writer:
        number = writer.put_resource(record)
        writer.set_left_out({number: ["source"]})
        writer.remove_blobs([file.sha256])
    client = fresh.client()
    text = text_of(client.get("/r/g3-math-6-courseware"))
    assert text.count('class="leaf"') == 6 and "本机没有存" in text and "磁盘放不下" in text
    assert client.get(f"/files/{file.sha256}/x.pptx").status_code == 404
    token = re.search(r'name="token" value="([^"]+)"', text)
    assert token
    client.post("/r/g3-math-6-courseware/request", data={"token": token[1]})
    assert [item.resource_id for item in fresh.school.local.requests()] == ["g3-math-6-courseware"]


def test_a_failing_disk_is_one_plain_page(fresh: Any) -> None:
    client = fresh.client()
    fresh.school.library.close()
    (fresh.school.directory / "library.db").write_bytes(b"no database " * 1000)
    for name in ("library.db-wal", "library.db-shm"):
        (fresh.school.directory / name).unlink(missing_ok=True)
    for path in ("/", "/search?q=a", "/api/v1/status", f"/files/{'0' * 64}/x"):
        response = client.get(path)
        assert response.status_code == 503, path
        assert "检查磁盘" in text_of(response) and "check the disk" in text_of(response)
