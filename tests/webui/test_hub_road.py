"""The whole road of county staff: upload or disk, findings, decision, publication; jobs that outlive a restart."""

from __future__ import annotations

import io
import re
import subprocess
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from openpyxl import load_workbook
from staff_hub import Staff, StaffHub, county_batch
from werkzeug.test import TestResponse

from catalog.local import Local
from sync.trust.heads import heads
from webui.hub.app import HubApp
from webui.hub.jobs import CLOSED, DONE, FAILED, RECEIVING, REVIEW, Job


class Office:
    """A hub with its application and a logged-in browser; `reopen` is a restart of the service."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.hub = StaffHub(directory)
        self._open()

    def _open(self) -> None:
        self.app: HubApp = self.hub.app()
        self.staff = Staff(self.app)
        self.staff.log_in()

    def reopen(self) -> None:
        self.close()
        self.hub = StaffHub(self.directory)
        self._open()

    def close(self) -> None:
        self.app.close()
        self.hub.close()

    def job(self, address: str) -> Job:
        job = self.app.console.jobs.get(address.rpartition("/")[2])
        assert job is not None
        return job

    def upload(self, batch: Path, **fields: str) -> str:
        files = [
            (path.open("rb"), f"{batch.name}/{path.relative_to(batch).as_posix()}")
            for path in sorted(batch.rglob("*"))
            if path.is_file()
        ]
        try:
            answer = self.staff.send(
                "/hub/take/upload", **{"bundle": "main", "title": "", "licence": "", **fields}, folder=files
            )
        finally:
            for stream, _ in files:
                stream.close()
        assert answer.status_code == 303, answer.text
        return answer.headers["Location"]

    def settled(self, address: str) -> TestResponse:
        """Read the page of a job as a browser does, until it no longer reloads itself."""
        for _ in range(300):
            answer = self.staff.read(address)
            assert answer.status_code == 200, answer.text
            if 'http-equiv="refresh"' not in answer.text:
                return answer
            time.sleep(0.05)
        raise AssertionError(answer.text)

    def gone(self, address: str) -> None:
        """Wait until the uploaded files of a job are deleted: they go after the job has ended."""
        content = self.app.console.jobs.folder_of(self.job(address)) / "content"
        for _ in range(100):
            if not content.exists():
                return
            time.sleep(0.05)
        raise AssertionError(content)

    def publish(self) -> str:
        page = self.settled("/hub/publish")
        seen = re.search(r'name="seen" value="([^"]+)"', page.text)
        assert seen, page.text
        answer = self.staff.send("/hub/publish", seen=seen[1])
        assert answer.status_code == 303
        return answer.headers["Location"]


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    office = Office(tmp_path / "hub")
    yield office
    office.close()


def test_from_upload_over_findings_to_a_release(office: Office, tmp_path: Path) -> None:
    batch = county_batch(tmp_path / "三上数学")
    address = office.upload(batch)

    review = office.settled(address)
    assert office.job(address).state == REVIEW
    counts = office.job(address).counts
    assert counts is not None
    assert (counts.rows, counts.rejected, counts.added) == (9, 3, 6)
    for words in (
        "清单中的文件不存在",
        "认识几分之一.mp4",
        "文件是空的（0 字节）",
        "三年级数学",
        "校本版",
        "重新导出该 PDF",
    ):
        assert words in review.text
    assert office.hub.library.generation().library == 0, "a scan writes nothing"

    only_empty = office.staff.read(f"{address}?code=E-EMPTY-FILE")
    assert "空的.mp4" in only_empty.text
    assert "坏的.pdf" not in only_empty.text

    assert office.staff.send(f"{address}/accept").status_code == 303
    done = office.settled(address)
    assert office.job(address).state == DONE
    assert "还没有发给书箱" in done.text
    assert "时间的计算（板书）" in done.text
    cover = re.search(r"/hub/cover/[0-9a-f]{64}", done.text)
    assert cover
    assert office.staff.get(cover[0]).mimetype.startswith("image/")
    office.gone(address)

    released = office.settled(office.publish())
    assert "第 1 次发布已签发" in released.text
    assert heads(office.hub.directory / "public")[0].release.number == 1
    assert "没有变化，不需要发布。" in office.settled("/hub/publish").text
    assert "还没有发给书箱" not in office.staff.read(address).text

    log = [(line.actor, line.action) for line in office.hub.local.audit_log()]
    assert log[::-1][:1] == [("admin", "log in")]
    assert {("admin", action) for action in ("take upload", "accept", "publish")} <= set(log)


def test_rejected_rows_come_back_as_excel_and_go_in_once_mended(office: Office, tmp_path: Path) -> None:
    batch = county_batch(tmp_path / "三上数学")
    address = office.upload(batch)
    office.settled(address)
    answer = office.staff.get(f"{address}/rejected.xlsx")
    assert answer.status_code == 200
    rows = [[cell.value for cell in row] for row in load_workbook(io.BytesIO(answer.data)).active.iter_rows()]
    assert rows[0][:3] == ["标题", "学段", "年级"]
    assert rows[0][-2:] == ["退回原因", "原行号"]
    assert [row[0] for row in rows[1:]] == ["认识几分之一（微课）", "观察物体（微课）", "练习二"]
    assert "E-FILE-MISSING" in rows[1][-2]

    office.staff.send(f"{address}/accept")
    office.settled(address)
    assert office.staff.get(f"{address}/rejected.xlsx").status_code == 200, (
        "still there after the good rows are in"
    )

    subprocess.run(
        ["ffmpeg", "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", "testsrc=s=64x64:d=1", "-pix_fmt", "yuv420p",
         batch / "认识几分之一.mp4"], check=True,
    )  # fmt: skip
    again = office.upload(batch)
    office.settled(again)
    office.staff.send(f"{again}/accept")
    office.settled(again)
    counts = office.job(again).counts
    assert counts is not None
    assert (counts.added, counts.changed, counts.unchanged, counts.rejected) == (1, 0, 6, 2)


def test_a_whole_batch_is_sent_back(office: Office, tmp_path: Path) -> None:
    address = office.upload(county_batch(tmp_path / "三上数学"))
    office.settled(address)
    assert "整批退回" in office.staff.read(f"{address}/send-back").text
    office.staff.send(f"{address}/send-back")
    assert office.job(address).state == CLOSED
    office.gone(address)
    assert office.staff.get(f"{address}/rejected.xlsx").status_code == 200
    assert office.hub.library.generation().library == 0
    office.staff.send(f"{address}/accept")
    assert office.job(address).state == CLOSED, "what went back can not be taken any more"


def test_zip_and_list_beside_it(office: Office, tmp_path: Path) -> None:
    batch = county_batch(tmp_path / "三上数学")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in batch.rglob("*"):
            if path.is_file() and path.suffix != ".xlsx":
                archive.write(path, path.relative_to(batch).as_posix())
    packed.seek(0)
    with (batch / "资源清单.xlsx").open("rb") as sheet:
        answer = office.staff.send(
            "/hub/take/upload", bundle="", title="西岭乡 2026", licence="own",
            files=[(packed, "三上数学.zip"), (sheet, "资源清单.xlsx")],
        )  # fmt: skip
    address = answer.headers["Location"]
    office.settled(address)
    counts, job = office.job(address).counts, office.job(address)
    assert counts is not None
    assert (counts.rows, counts.rejected) == (9, 3)
    assert (job.bundle, job.licence) == ("2026", "own")
    office.staff.send(f"{address}/accept")
    office.settled(address)
    with office.hub.library.reading() as reader:
        assert [(bundle.id, bundle.title) for bundle in reader.bundles()] == [("2026", "西岭乡 2026")]


def test_a_job_goes_on_after_a_restart(office: Office, tmp_path: Path) -> None:
    address = office.upload(county_batch(tmp_path / "三上数学"))
    office.settled(address)
    office.hub.held = True  # another process holds the hub: the ingest waits
    office.staff.send(f"{address}/accept")
    waiting = office.staff.read(address)
    assert "正在收入" in waiting.text
    assert 'http-equiv="refresh"' in waiting.text
    office.reopen()
    assert "已收入" in office.settled(address).text
    assert office.job(address).state == DONE
    office.reopen()
    assert office.job(address).state == DONE
    assert "三上数学" in office.staff.read("/hub/batches").text


def test_files_that_a_cut_left_behind_go_at_the_next_start(office: Office, tmp_path: Path) -> None:
    address = office.upload(county_batch(tmp_path / "三上数学", lessons=1, sound=False))
    office.settled(address)
    jobs = office.app.console.jobs
    jobs.change(office.job(address).id, CLOSED)  # and the power fails here
    assert (jobs.folder_of(office.job(address)) / "content").exists()
    office.reopen()
    assert not (office.app.console.jobs.folder_of(office.job(address)) / "content").exists()
    assert office.staff.get(f"{address}/rejected.xlsx").status_code == 200


def test_a_restart_in_the_middle_of_an_ingest_loses_nothing(office: Office, tmp_path: Path) -> None:
    address = office.upload(county_batch(tmp_path / "三上数学", lessons=12))
    office.settled(address)
    office.hub.pace_seconds = 0.2
    office.staff.send(f"{address}/accept")
    for _ in range(100):
        page = office.staff.read(address).text
        if "<progress max" in page:
            break
        time.sleep(0.02)
    assert "收入资源库" in page
    assert re.search(r"\d+ / \d+ 项", page)
    office.app.close()
    assert office.job(address).waiting_or_running
    office.reopen()
    office.settled(address)
    counts = office.job(address).counts
    assert counts is not None
    assert counts.good == 15
    with office.hub.library.reading() as reader:
        assert reader.counts().resources == reader.counts().cached == 15


def test_a_broken_source_stops_the_job_with_one_line_and_a_second_try(office: Office) -> None:
    answer = office.staff.send(
        "/hub/take/upload",
        bundle="main",
        licence="",
        files=[(io.BytesIO(b"PK\x03\x04 no archive"), "坏.zip")],
    )
    address = answer.headers["Location"]
    page = office.settled(address)
    assert office.job(address).state == FAILED
    assert "E-ARCHIVE" in page.text
    assert "再试一次" in page.text
    office.staff.send(f"{address}/try-again")
    office.settled(address)
    assert office.job(address).state == FAILED


def test_publishing_asks_again_when_the_content_changed_meanwhile(office: Office, tmp_path: Path) -> None:
    for name in ("一", "二"):
        address = office.upload(county_batch(tmp_path / name, lessons=2, sound=False), title=name, bundle="")
        office.settled(address)
        if name == "一":
            office.staff.send(f"{address}/accept")
            office.settled(address)
            page = office.settled("/hub/publish")
            seen = re.search(r'name="seen" value="([^"]+)"', page.text)
            assert seen
    office.staff.send(f"{address}/accept")
    office.settled(address)
    answer = office.staff.send("/hub/publish", seen=seen[1])
    assert answer.headers["Location"] == "/hub/publish?said=changed"
    assert "内容刚刚有变化" in office.settled("/hub/publish?said=changed").text
    assert heads(office.hub.directory / "public") == []


def test_pieces_go_on_where_an_upload_was_cut(office: Office, tmp_path: Path) -> None:
    batch = county_batch(tmp_path / "三上数学", lessons=2)
    staff = office.staff
    begun = staff.send("/hub/take/begin", bundle="main", name="三上数学", licence="").get_json()
    base = f"/hub/take/{begun['job']}"
    headers = {"X-Token": staff.token}

    def piece(path: str, data: bytes, offset: int, total: int) -> TestResponse:
        query = {"path": path, "offset": offset, "total": total}
        return staff.post(f"{base}/piece", query_string=query, data=data, headers=headers)

    files = {
        path.relative_to(batch).as_posix(): path.read_bytes() for path in batch.rglob("*") if path.is_file()
    }
    first = "图片/01 秒的认识.png"
    data = files.pop(first)
    assert piece(first, data[:500], 0, len(data)).get_json() == {"have": 500}

    office.reopen()  # the power fails
    staff = office.staff
    headers = {"X-Token": staff.token}
    assert office.job(base).state == RECEIVING
    assert "“三上数学”还没传完" in staff.read("/hub/take").text
    assert staff.get(f"{base}/have", query_string={"path": first}).get_json() == {"have": 500}
    wrong = piece(first, data[:10], 100, len(data))
    assert (wrong.status_code, wrong.get_json()["have"]) == (409, 500)
    assert piece(first, data[500:], 500, len(data)).get_json() == {"have": len(data)}
    for path, content in files.items():
        assert piece(path, content, 0, len(content)).status_code == 200
    assert piece("../../../../etc/passwd", b"x", 0, 1).status_code == 400
    answer = staff.send(f"/hub/batches/{begun['job']}/check")
    address = answer.headers["Location"]
    office.settled(address)
    counts = office.job(address).counts
    assert counts is not None
    assert (counts.rows, counts.rejected) == (8, 3)


def test_the_home_page_shows_the_way_and_what_waits(office: Office, tmp_path: Path) -> None:
    assert "还没有发布过" in office.staff.read("/hub/").text
    address = office.upload(county_batch(tmp_path / "三上数学"))
    office.settled(address)
    page = office.staff.read("/hub/").text
    assert "1 批等您查看" in page
    english = office.staff.read("/hub/", headers={"Accept-Language": "en"}).text
    assert "Batches waiting for you: 1" in english


def test_status_and_health_need_no_login(office: Office) -> None:
    stranger = Staff(office.app)
    assert stranger.get("/healthz").get_json() == {"status": "ok", "role": "hub", "version": "0.1.0"}
    status = stranger.get("/api/v1/status").get_json()
    assert (status["role"], status["release"], status["resources"]) == ("hub", 0, 0)
    assert set(status) == {
        "role", "id", "name", "version", "release", "content_release", "bundles", "resources", "cached",
        "last_sync", "disk", "updated_to",
    }  # fmt: skip
    assert stranger.get("/").headers["Location"] == "/hub/"


def test_the_log_is_kept_in_local_db(office: Office, tmp_path: Path) -> None:
    office.settled(office.upload(county_batch(tmp_path / "三上数学")))
    with Local.open(office.directory / "local.db") as local:
        assert "take upload" in [line.action for line in local.audit_log()]
    assert "上传一批资源" in office.staff.read("/hub/log").text
