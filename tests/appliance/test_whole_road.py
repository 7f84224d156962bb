"""The whole road by the commands that people type: folder, hub, release, box, over every road."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote
from urllib.request import urlopen

import pytest
from command import call, refusal, service
from supplier import write_folder

from appliance.ports import listen, port_of

RESOURCES = 20


@dataclass(frozen=True)
class County:
    """A published county and its running hub."""

    state: Path
    folder: Path
    http: str
    rsync: str
    fingerprint: str

    @property
    def root(self) -> Path:
        return self.state / "public" / "metadata" / "1.root.json"


@pytest.fixture(scope="module")
def county(tmp_path_factory: pytest.TempPathFactory) -> Iterator[County]:
    base = tmp_path_factory.mktemp("county")
    state, folder = base / "hub", base / "folder"
    made = call(state, "hub", "init", "--name", "青禾县")
    write_folder(folder, files=RESOURCES)
    taken = call(state, "hub", "ingest", folder)
    assert (taken["rows"], taken["added"], taken["rejected"]) == (RESOURCES, RESOURCES, [])
    assert call(state, "hub", "publish")["release"] == 1
    with listen("127.0.0.1", 0) as free:
        rsync_port = port_of(free)
    with service(
        state, "hub", "run", "--host", "127.0.0.1", "--port", "0", "--rsync-port", str(rsync_port)
    ) as hub:
        yield County(
            state=state,
            folder=folder,
            http=hub["address"],
            rsync=f"rsync://127.0.0.1:{rsync_port}",
            fingerprint=made["fingerprint"],
        )


def new_box(state: Path, county: County, hub: str, *more: str) -> Path:
    call(state, "box", "init", "--hub", hub, "--root", county.root, *more)
    return state


def hashes(state: Path) -> set[str]:
    found = set()
    for path in (state / "blobs").rglob("*"):
        if path.is_file():
            assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
            found.add(path.name)
    return found


@pytest.mark.parametrize("road", ["http", "rsync", "directory"])
def test_a_fresh_box_gets_everything_over_each_road(road: str, county: County, tmp_path: Path) -> None:
    hub = {"http": county.http, "rsync": county.rsync, "directory": str(county.state / "public")}[road]
    box = new_box(tmp_path / "box", county, hub)
    done = call(box, "box", "sync")
    assert done["release"] == done["content_release"] == 1 and done["activated"]
    assert set(done["roads"]) == {road} and done["fetched_blobs"] == RESOURCES
    assert hashes(box) == hashes(county.state)
    status = call(box, "box", "status")
    assert status["resources"] == status["cached"] == RESOURCES and status["last_sync"]["result"] == "ok"
    again = call(box, "box", "sync")
    assert not again["activated"] and again["fetched_blobs"] == 0
    assert call(box, "box", "verify") == {
        "checked": RESOURCES,
        "damaged": 0,
        "repaired": 0,
        "fetched_bytes": 0,
    }


def test_an_unchanged_poll_costs_less_than_a_kilobyte_of_bodies(county: County, tmp_path: Path) -> None:
    box = new_box(tmp_path / "box", county, county.http)
    call(box, "box", "sync")
    assert call(box, "box", "sync")["fetched_bytes"] <= 1024


def test_a_box_gives_what_it_holds(county: County, tmp_path: Path) -> None:
    """Rule 10: by HTTP as a parent, and as a tree on a stick, with the publisher's signatures."""
    parent = new_box(tmp_path / "parent", county, county.http)
    call(parent, "box", "sync")
    with service(parent, "box", "serve", "--host", "127.0.0.1", "--port", "0") as serving:
        child = new_box(tmp_path / "child", county, serving["address"])
        done = call(child, "box", "sync")
        assert done["content_release"] == 1 and hashes(child) == hashes(parent)
        configured = new_box(tmp_path / "configured", county, "http://127.0.0.1:9")
        config = configured / "config.toml"
        text = config.read_text().replace("# parents = []", f'parents = ["{serving["address"]}"]')
        config.write_text(text)
        assert call(configured, "box", "sync")["content_release"] == 1
    stick = tmp_path / "stick"
    written = call(child, "box", "export", stick)
    assert written["blobs"] == RESOURCES
    far = new_box(tmp_path / "far", county, "http://127.0.0.1:9")
    assert refusal(far, "box", "sync", code=32) == "E-ROAD"
    assert call(far, "box", "sync", "--from", stick)["content_release"] == 1
    assert hashes(far) == hashes(parent)


def test_a_box_trusts_by_fingerprint(county: County, tmp_path: Path) -> None:
    state = tmp_path / "box"
    call(state, "box", "init", "--hub", county.http, "--fingerprint", county.fingerprint)
    assert call(state, "box", "sync")["content_release"] == 1
    other = tmp_path / "other"
    call(other, "box", "init", "--hub", county.http, "--fingerprint", "0" * 64)
    assert refusal(other, "box", "sync", code=11) == "E-FINGERPRINT"


def test_damage_is_found_and_repaired(county: County, tmp_path: Path) -> None:
    box = new_box(tmp_path / "box", county, county.http)
    call(box, "box", "sync")
    victims = sorted(hashes(box))[:2]
    for name in victims:
        path = box / "blobs" / name[:2] / name
        data = bytearray(path.read_bytes())
        data[1000:2000] = bytes(1000)
        path.write_bytes(data)
    found = call(box, "box", "verify", code=20)
    assert found["damaged"] == 2 and found["repaired"] == 0
    mended = call(box, "box", "verify", "--repair")
    assert mended["damaged"] == mended["repaired"] == 2 and mended["fetched_bytes"] > 0
    assert hashes(box) == hashes(county.state)


def test_subscription_and_request(county: County, tmp_path: Path) -> None:
    box = new_box(tmp_path / "box", county, county.http, "--subscribe", "none")
    done = call(box, "box", "sync")
    assert done["release"] == 1 and done["fetched_blobs"] == 0
    hit = call(box, "box", "search", "分数的简单计算")["hits"][0]
    assert not hit["cached"]
    call(box, "box", "request", hit["id"])
    assert call(box, "box", "sync")["fetched_blobs"] == 1
    assert refusal(box, "box", "request", "nobody", code=10) == "E-RESOURCE"
    assert refusal(box, "box", "subscribe", "nothing", code=3) == "E-BUNDLE"
    assert call(box, "box", "subscribe", "main")["subscriptions"] == ["main"]
    plan = call(box, "box", "sync", "--dry-run")
    assert plan["fetch_blobs"] == RESOURCES - 1
    assert call(box, "box", "sync")["fetched_blobs"] == RESOURCES - 1


def test_pages_tree_and_api_of_a_serving_box(county: County, tmp_path: Path) -> None:
    box = new_box(tmp_path / "box", county, county.http)
    call(box, "box", "sync")
    with service(box, "box", "run", "--host", "127.0.0.1", "--port", "0") as serving:

        def get(path: str) -> bytes:
            with urlopen(serving["address"] + path) as answer:
                data: bytes = answer.read()
                return data

        assert json.loads(get("/healthz"))["role"] == "box"
        found = json.loads(get("/api/v1/search?q=" + quote("分数")))
        assert found["total"] == RESOURCES and found["facets"]["subject"] == {"math": RESOURCES}
        assert json.loads(get("/api/v1/search?q=fsdjdjs"))["total"] > 0
        record = json.loads(get("/api/v1/resources/" + found["hits"][0]["id"]))
        file = record["files"][0]
        assert hashlib.sha256(get(file["url"])).hexdigest() == file["sha256"]
        for page in ("/", "/browse", "/search?q=" + quote("分数"), "/r/" + record["id"]):
            assert "分数" in get(page).decode() or page == "/browse"
        assert json.loads(get("/tree/metadata/timestamp.json"))["signed"]["_type"] == "timestamp"


def test_hub_answers_its_own_status(county: County) -> None:
    with urlopen(county.http + "/healthz") as answer:
        assert json.load(answer)["role"] == "hub"


def test_reindex_and_lost_index(county: County, tmp_path: Path) -> None:
    box = new_box(tmp_path / "box", county, county.http)
    call(box, "box", "sync")
    shutil.rmtree(box / "index")
    call(box, "box", "search", "分数", code=24)
    assert call(box, "box", "reindex")["resources"] == RESOURCES
    assert call(box, "box", "search", "分数")["total"] == RESOURCES


def test_a_changed_release_reaches_the_box(tmp_path: Path) -> None:
    hub, folder, box = tmp_path / "hub", tmp_path / "folder", tmp_path / "box"
    call(hub, "hub", "init", "--name", "青禾县")
    write_folder(folder, files=4)
    call(hub, "hub", "ingest", folder)
    assert call(hub, "hub", "ingest", folder)["unchanged"] == 4
    call(hub, "hub", "publish")
    unchanged = call(hub, "hub", "publish")
    assert not unchanged["published"] and unchanged["release"] == 1
    call(box, "box", "init", "--hub", hub / "public", "--root", hub / "public/metadata/1.root.json")
    call(box, "box", "sync")
    sheet = write_folder(folder, files=6)
    text = sheet.read_text(encoding="utf-8-sig").replace("教案0,", "教案（修订）,")
    sheet.write_text(text, encoding="utf-8")
    taken = call(hub, "hub", "ingest", folder)
    assert taken["added"] + taken["changed"] + taken["unchanged"] == 6 and taken["added"] >= 2
    published = call(hub, "hub", "publish")
    assert published["release"] == 2 and published["published"]
    done = call(box, "box", "sync")
    assert done["release"] == 2 and done["fetched_blobs"] == 2
    assert len(hashes(hub)) == 6, "what nothing names any more is collected"
    assert call(box, "box", "search", "修订")["total"] == 1


def test_states_of_others_are_refused(tmp_path: Path) -> None:
    hub = tmp_path / "hub"
    call(hub, "hub", "init", "--name", "青禾县")
    assert refusal(hub, "hub", "init", "--name", "青禾县", code=3) == "E-STATE-EXISTS"
    assert refusal(hub, "box", "status", code=3) == "E-STATE-ROLE"
    assert refusal(tmp_path / "nothing", "box", "status", code=3) == "E-STATE-MISSING"
    box, root = tmp_path / "box", hub / "public/metadata/1.root.json"
    assert refusal(box, "box", "init", "--hub", "gopher://x", "--root", root, code=3) == "E-CONFIG"
    assert not box.exists()
    call(box, "box", "init", "--hub", "http://127.0.0.1:9", "--root", root)
    # Whatever else is wrong with the command, a state that stands is what matters.
    again = ("box", "init", "--hub", "http://127.0.0.1:9", "--fingerprint", "no fingerprint")
    assert refusal(box, *again, code=3) == "E-STATE-EXISTS"
    (hub / "config.toml").write_text('role = "hub"\nname = "x"\nnmae = "y"\n')
    assert refusal(hub, "hub", "publish", code=3) == "E-CONFIG"
