"""The demo: a sample county goes the whole road, from a folder with a list to a page in a classroom.

A hub takes the county's folder and publishes; the box gets the catalogue and one resource that was asked for by HTTP,
then subscribes to everything and gets the rest by rsync. Everything real, on loopback, under STATE/hub and STATE/box;
run again, it goes on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

from appliance.box import Box, NewBox
from appliance.cli.bar import size_text
from appliance.config import CONFIG_NAME
from appliance.demo.county import write_county
from appliance.hub import Hub
from appliance.ports import listen, port_of
from appliance.processes import service
from appliance.syncing import run_sync
from catalog.errors import ContentError
from catalog.progress import OnProgress, Progress
from sync import tree
from sync.updating.update import UpdateResult

COUNTY, HUB_NAME, BOX_NAME = "county", "青禾县电教馆", "石桥教学点"
LOOPBACK = "127.0.0.1"
LOGIN_NAME = "login.json"
TECHNICIAN = "technician"
SEARCHES = ("分数", "fs", "三年级数学", "音乐")

Say = Callable[[str, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """A county that stands: the hub's address and login, and the syncs that were made."""

    hub_address: str
    user: str
    password: str
    box: Path
    box_password: str
    syncs: tuple[UpdateResult, ...]


@contextmanager
def running_county(state: Path, progress: OnProgress, say: Say) -> Iterator[Demo]:
    """Build the county under `state`, run its hub, and bring the box up to date over both roads."""
    say("写出示例县的课程（视频、课件、教案、音乐、互动练习）…", "writing the sample county's lessons …")
    county = write_county(state / COUNTY, lambda item, done, total: progress(_lesson(item, done, total)))
    login = _make_hub(state / "hub")
    with Hub.open(state / "hub") as hub:
        _take(hub, county.source, county.sheet, progress)
        release = hub.publish(progress)
        fingerprint = hub.fingerprint
        with hub.library.reading() as reader:
            first = next(entry.resource.id for entry in reader.entries() if entry.files_of("play"))
    say(f"县中心已发布第 {release.release} 次。", f"the hub has published release {release.release}.")
    rsync_port = _free_port()
    with service(
        state / "hub", "hub", "run", "--host", LOOPBACK, "--port", "0", "--rsync-port", str(rsync_port)
    ) as hub_service:
        address = hub_service["address"]
        root = (state / "hub" / "public" / tree.PINNED_ROOT).read_bytes()
        with _open_box(state / "box", address, fingerprint, root) as box:
            box_password = box.new_password(TECHNICIAN)
            box.local.add_request(first, box.clock())
            by_http = _sync(box, address, progress)
            box.subscribe(None)
            by_rsync = _sync(box, f"rsync://{LOOPBACK}:{rsync_port}", progress)
        for result in (by_http, by_rsync):
            say(
                f"书箱已同步到第 {result.release} 次发布：{_roads_text(result)}",
                f"the box is at release {result.release}: {_roads_text(result)}",
            )
        yield Demo(
            hub_address=address,
            user=login["user"],
            password=login["password"],
            box=state / "box",
            box_password=box_password,
            syncs=(by_http, by_rsync),
        )


def check(address: str, say: Say) -> dict[str, Any]:
    """Ask the serving box what a classroom asks and return what was seen; raise `ContentError` E-DEMO otherwise."""
    status = _json(f"{address}/api/v1/status")
    found = {words: _json(f"{address}/api/v1/search?q={quote(words)}")["total"] for words in SEARCHES}
    video = _json(f"{address}/api/v1/search?kind=video&cached=1&per_page=1")
    for name, value in {"cached": status["cached"], **found, "video": video["total"]}.items():
        if not value:
            raise ContentError("E-DEMO", where=name, expected="> 0", found=value)
    record = _json(f"{address}/api/v1/resources/{video['hits'][0]['id']}")
    file = next(file for file in record["files"] if file["role"] == "play")
    with urlopen(address + file["url"] if file["url"].startswith("/") else file["url"]) as answer:
        digest = hashlib.file_digest(answer, "sha256").hexdigest()
    if digest != file["sha256"]:
        raise ContentError("E-HASH", where=file["url"], expected=file["sha256"], found=digest)
    for page in ("/", "/browse", "/search?q=" + quote("分数"), f"/r/{record['id']}"):
        with urlopen(address + page) as answer:
            answer.read()
    say("检查通过：页面、搜索、视频都在。", "checked: pages, search and video are there.")
    return {
        "resources": status["resources"],
        "cached": status["cached"],
        "search": found,
        "played": record["title"],
    }


def _make_hub(directory: Path) -> dict[str, str]:
    """Return the login of the demo's hub, which is made where it is not there; a demo may keep its password."""
    login = directory / LOGIN_NAME
    if not (directory / CONFIG_NAME).exists():
        made, new = Hub.create(directory, HUB_NAME)
        made.close()
        login.write_text(json.dumps({"user": new.user, "password": new.password}))
        login.chmod(0o600)
    value: dict[str, str] = json.loads(login.read_text())
    return value


def _take(hub: Hub, source: Path, sheet: Path, progress: OnProgress) -> None:
    with hub.ingesting(source, sheet=sheet, progress=progress) as session:
        result = session.run()
    for finding in result.rejected:
        raise ContentError("E-DEMO", where=f"{sheet.name}:{finding.row}", found=finding.line("en"))


def _open_box(directory: Path, hub: str, fingerprint: str, root: bytes) -> Box:
    if (directory / CONFIG_NAME).exists():
        return Box.open(directory)
    return Box.create(
        directory, NewBox(hub=hub, name=BOX_NAME, root=root, fingerprint=fingerprint, subscriptions=())
    )


def _sync(box: Box, source: str, progress: OnProgress) -> UpdateResult:
    result = run_sync(box, source, progress)
    result.raise_for_failure()
    return result


def _lesson(item: str, done: int, total: int) -> Progress:
    return Progress(phase="lessons", item=item, done=done, total=total)


def _roads_text(result: UpdateResult) -> str:
    return ", ".join(f"{road} {size_text(count)}" for road, count in result.roads.items())


def _free_port() -> int:
    with listen(LOOPBACK, 0) as taken:
        return port_of(taken)


def _json(address: str) -> dict[str, Any]:
    with urlopen(address, timeout=30) as answer:
        value: dict[str, Any] = json.load(answer)
        return value
