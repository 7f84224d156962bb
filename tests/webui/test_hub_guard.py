"""Who may do what on the staff pages: log-in, tokens, cookies, limits; and what an upload may not do."""

from __future__ import annotations

import io
import re
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from staff_hub import PASSWORD, Staff, StaffHub

from catalog.errors import ContentError, RoadError
from catalog.resource import is_package_path
from webui.hub.accounts import Guesses, Sessions, check_password, new_password, set_password
from webui.hub.app import HubApp
from webui.hub.uploads import Inbox, is_litter, receive_form, safe_path

ADDRESSES = [
    "/hub/",
    "/hub/take",
    "/hub/batches",
    "/hub/publish",
    "/hub/log",
    "/hub/account",
    "/hub/take/example.csv",
]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StaffHub]:
    hub = StaffHub(tmp_path_factory.mktemp("guard") / "hub")
    yield hub
    hub.close()


@pytest.fixture
def app(hub: StaffHub) -> Iterator[HubApp]:
    app = hub.app()
    yield app
    app.close()


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_page_without_a_log_in(app: HubApp, address: str) -> None:
    answer = Staff(app).get(address)
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/hub/login")


def test_log_in_leads_back_and_never_out(app: HubApp) -> None:
    for asked, target in (
        ("/hub/publish", "/hub/publish"),
        ("https://example.org/hub/", "/hub/"),
        ("//example.org/hub/", "/hub/"),
        ("/hub\\..\\x", "/hub/"),
        ("/api/v1/status", "/hub/"),
    ):
        staff = Staff(app)
        staff.read("/hub/login", query_string={"next": asked})
        answer = staff.send("/hub/login", user="admin", password=PASSWORD, next=asked)
        assert answer.headers["Location"] == target


def test_the_cookie_is_bound_and_the_pages_are_guarded(app: HubApp) -> None:
    staff = Staff(app)
    staff.read("/hub/login")
    answer = staff.send("/hub/login", user="admin", password=PASSWORD)
    cookie = answer.headers["Set-Cookie"]
    for part in ("HttpOnly", "SameSite=Strict", "Path=/hub/"):
        assert part in cookie
    page = staff.read("/hub/")
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["X-UA-Compatible"] == "IE=edge"
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    assert "Set-Cookie" not in page.headers
    assert not re.search(r"\sstyle=|<script>|\son\w+=", page.text), (
        "the policy forbids styles and scripts in the page"
    )


@pytest.mark.parametrize(
    "address",
    [
        "/hub/publish",
        "/hub/logout",
        "/hub/account",
        "/hub/take/begin",
        "/hub/take/disk/8-1",
        "/hub/batches/x/accept",
    ],
)
@pytest.mark.parametrize("token", ["", "0" * 40])
def test_a_form_without_our_token_is_refused(app: HubApp, address: str, token: str) -> None:
    staff = Staff(app)
    staff.log_in()
    jobs = app.console.jobs.all()
    assert staff.post(address, data={"token": token, "seen": app.console.outlook.key()}).status_code == 403
    assert app.console.jobs.all() == jobs
    assert staff.get("/hub/").status_code == 200


def test_an_upload_without_our_token_writes_nothing(app: HubApp, hub: StaffHub) -> None:
    staff = Staff(app)
    staff.log_in()
    before = sorted((hub.directory / "uploads").rglob("*"))
    answer = staff.post(
        "/hub/take/upload", data={"token": "x", "bundle": "main", "files": [(io.BytesIO(b"1"), "a.mp4")]}
    )
    assert answer.status_code == 403
    assert sorted((hub.directory / "uploads").rglob("*")) == before


def test_a_token_serves_its_own_session_and_our_own_origin_only(app: HubApp) -> None:
    one, other = Staff(app), Staff(app)
    one.log_in()
    other.log_in()
    assert one.post("/hub/logout", data={"token": other.token}).status_code == 403
    for headers in ({"Origin": "http://example.org"}, {"Sec-Fetch-Site": "cross-site"}):
        assert one.post("/hub/logout", data={"token": one.token}, headers=headers).status_code == 403
    assert one.send("/hub/logout").status_code == 303
    assert one.get("/hub/").status_code == 303
    assert other.get("/hub/").status_code == 200


def test_guessing_is_slowed_down(app: HubApp, hub: StaffHub) -> None:
    staff = Staff(app)
    staff.read("/hub/login")
    for _ in range(Guesses.PER_ADDRESS):
        assert staff.send("/hub/login", user="admin", password="wrong").status_code == 403
    answer = staff.send("/hub/login", user="admin", password=PASSWORD)
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 60
    assert "试的次数太多" in answer.text
    elsewhere = Staff(app)
    elsewhere.read("/hub/login", environ_base={"REMOTE_ADDR": "192.0.2.7"})
    answer = elsewhere.post(
        "/hub/login",
        data={"token": elsewhere.token, "user": "admin", "password": PASSWORD},
        environ_base={"REMOTE_ADDR": "192.0.2.7"},
    )
    assert answer.status_code == 303
    assert "log-in refused" in [line.action for line in hub.local.audit_log()]


def test_the_limit_ends_with_its_window() -> None:
    guesses = Guesses()
    for second in range(5):
        assert guesses.wait_seconds("a", "u", float(second)) == 0
        guesses.failed("a", "u", float(second))
    assert guesses.wait_seconds("a", "u", 5.0) == pytest.approx(595.0)
    assert guesses.wait_seconds("b", "u", 5.0) == 0
    assert guesses.wait_seconds("a", "u", 600.5) == 0
    for place in range(16):
        guesses.failed(f"other {place}", "u", 6.0)
    assert guesses.wait_seconds("b", "u", 6.0) > 0, (
        "one user's password is not guessed from many addresses either"
    )


def test_passwords_are_hashed_and_a_new_one_ends_the_sessions(tmp_path: Path) -> None:
    hub = StaffHub(tmp_path / "hub")
    app = hub.app()
    staff = Staff(app)
    staff.log_in()
    assert (
        staff.send("/hub/account", old="wrong", new="a longer one", again="a longer one").status_code == 403
    )
    assert staff.send("/hub/account", old=PASSWORD, new="short", again="short").status_code == 400
    assert (
        staff.send("/hub/account", old=PASSWORD, new="a longer one", again="another one").status_code == 400
    )
    assert (
        staff.send("/hub/account", old=PASSWORD, new="a longer one", again="a longer one").status_code == 303
    )
    assert staff.get("/hub/").status_code == 303
    assert not check_password(hub.local, "admin", PASSWORD)
    assert check_password(hub.local, "admin", "a longer one")
    assert not check_password(hub.local, "nobody", "a longer one")
    app.close()
    hub.close()
    assert b"a longer one" not in (tmp_path / "hub" / "local.db").read_bytes()


def test_sessions_end_in_time_and_passwords_are_unlike(hub: StaffHub) -> None:
    sessions, now = Sessions(hub.local), datetime.now(UTC)
    cookie = sessions.begin("admin", now)
    assert sessions.find(cookie, now + timedelta(hours=9)) is not None
    assert sessions.find(cookie, now + timedelta(hours=11)) is None
    assert sessions.find("", now) is None
    made = {new_password() for _ in range(50)}
    assert len(made) == 50
    assert all(re.fullmatch(r"(\w{3}-){3}\w{3}", password) for password in made)
    set_password(hub.local, "second", "another password")
    assert sessions.find(cookie, now) is not None, "one user's new password does not end another's session"


@given(st.text(max_size=60))
def test_no_name_leads_out_of_the_folder(name: str) -> None:
    try:
        path = safe_path(name)
    except ContentError as error:
        assert error.code == "E-NAME"
        return
    assert is_package_path(path)
    assert Path("/in/box").joinpath(path).resolve().is_relative_to("/in/box")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "..",
        "../a",
        "a/../../b",
        "/etc/passwd",
        "a//b",
        "a\x00.mp4",
        "..\\..\\x",
        "a/ b",
        "x" * 300,
        "\\\\pc\\..",
    ],
)
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(ContentError):
        safe_path(name)


def test_names_of_old_browsers_and_litter() -> None:
    assert safe_path("C:\\Users\\王老师\\课 1.mp4") == "课 1.mp4"
    assert safe_path("\\\\server\\share\\课.mp4") == "课.mp4"
    assert safe_path("三上\\数学\\课.mp4") == "三上/数学/课.mp4"
    assert is_litter("三上/Thumbs.db")
    assert is_litter("~$资源清单.xlsx")
    assert not is_litter("资源清单.xlsx")


def test_unsafe_names_in_a_form_are_left_out_and_said(app: HubApp, hub: StaffHub) -> None:
    staff = Staff(app)
    staff.log_in()
    answer = staff.send(
        "/hub/take/upload",
        bundle="main",
        files=[
            (io.BytesIO(b"1"), "../../up.mp4"),
            (io.BytesIO(b"fine"), "图.txt"),
            (io.BytesIO(b"x"), "Thumbs.db"),
        ],
    )
    job = app.console.jobs.get(answer.headers["Location"].rpartition("/")[2])
    assert job is not None
    assert job.refused_names == ("../../up.mp4",)
    app.console.worker.close()
    assert not list(hub.directory.rglob("up.mp4"))
    assert not list(hub.directory.rglob("Thumbs.db"))
    assert "名称不安全" in staff.get(f"/hub/batches/{job.id}").text or job.waiting_or_running


def test_a_form_that_breaks_off_leaves_nothing(app: HubApp, hub: StaffHub) -> None:
    staff = Staff(app)
    staff.log_in()
    before = app.console.jobs.all(), sorted((hub.directory / "uploads").iterdir())
    boundary = "x-boundary"
    body = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="token"\r\n\r\n{staff.token}\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="bundle"\r\n\r\nmain\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="a.mp4"\r\n\r\n'
    ).encode() + b"half a film"
    answer = staff.post(
        "/hub/take/upload", input_stream=io.BytesIO(body), content_length=len(body),
        content_type=f"multipart/form-data; boundary={boundary}",
    )  # fmt: skip
    assert answer.status_code == 400
    assert "E-ROAD-SHORT" in answer.text
    assert (app.console.jobs.all(), sorted((hub.directory / "uploads").iterdir())) == before


@pytest.mark.parametrize("body", [b"", b"--x--\r\n", b"no form at all", b"--x\r\n\r\n"])
def test_what_is_no_form_is_refused_in_one_line(app: HubApp, body: bytes) -> None:
    staff = Staff(app)
    staff.log_in()
    answer = staff.post(
        "/hub/take/upload", input_stream=io.BytesIO(body), content_length=len(body),
        content_type="multipart/form-data; boundary=x",
    )  # fmt: skip
    assert answer.status_code in (400, 403)


def test_an_empty_form_and_a_bundle_without_name_say_what_to_do(app: HubApp) -> None:
    staff = Staff(app)
    staff.log_in()
    answer = staff.send("/hub/take/upload", bundle="main", files=(io.BytesIO(b""), ""))
    assert answer.status_code == 400
    assert "没有收到文件" in answer.text
    answer = staff.send("/hub/take/upload", bundle="", title=" ", files=(io.BytesIO(b"1"), "a.txt"))
    assert "E-TITLE" in answer.text
    assert "E-BUNDLE" in staff.send("/hub/take/begin", bundle="nobody's").get_json()["line"]


def test_a_large_form_is_streamed_in_bounded_memory(tmp_path: Path) -> None:
    boundary, pieces = b"x-boundary", 600

    class Endless(io.RawIOBase):
        """A form with one file of 150 MB, made while it is read."""

        def __init__(self) -> None:
            self.left = pieces
            self.head = (
                b'--x-boundary\r\nContent-Disposition: form-data; name="files"; filename="a.bin"\r\n\r\n'
            )
            self.tail = b"\r\n--x-boundary--\r\n"

        def read(self, size: int = -1) -> bytes:
            if self.head:
                head, self.head = self.head, b""
                return head
            if self.left:
                self.left -= 1
                return b"\0" * (256 << 10)
            tail, self.tail = self.tail, b""
            return tail

    inbox = Inbox(tmp_path)
    inbox.open()
    tracemalloc.start()
    received = receive_form(Endless(), boundary, lambda _: inbox)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert received.files == 1
    assert peak_bytes < 8 << 20
    assert (inbox.content / "a.bin").stat().st_size == pieces * (256 << 10)


def test_pieces_know_where_they_belong(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    inbox.open()
    assert inbox.add_piece("夹/a.mp4", 0, 6, io.BytesIO(b"abc")) == 3
    with pytest.raises(RoadError):
        inbox.add_piece("夹/a.mp4", 0, 6, io.BytesIO(b"abc"))
    assert not (inbox.content / "夹" / "a.mp4").exists()
    assert inbox.unfinished() == 1
    assert inbox.add_piece("夹/a.mp4", 3, 6, io.BytesIO(b"def")) == 6
    assert (inbox.content / "夹" / "a.mp4").read_bytes() == b"abcdef"
    assert (inbox.unfinished(), inbox.measure()) == (0, (1, 6))
    assert inbox.add_piece("空.txt", 0, 0, io.BytesIO(b"")) == 0
    assert (inbox.content / "空.txt").exists()
