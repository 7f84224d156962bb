"""The tree over HTTP: what is given, what is not, and that nothing else is reachable."""

from __future__ import annotations

import http.client
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import Store, sha256
from wsgi import served

from sync import tree
from sync.serve import held_tree, published_tree


@pytest.fixture
def public(tmp_path: Path) -> Path:
    root = tmp_path / "public"
    for path, data in (
        (tree.TIMESTAMP, b'{"t":1}'),
        (tree.PINNED_ROOT, b"{}"),
        (tree.ROADS, b"{}"),
        (tree.box_path("a" * 32), b"{}"),
        (tree.manifest_path("b" * 64, "main", compressed=True), b"zst"),
        (tree.blob_path("c" * 64), b"0123456789"),
        ("secret.txt", b"no"),
    ):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    return root


@pytest.fixture
def hub(public: Path) -> Iterator[http.client.HTTPConnection]:
    with served(published_tree(public)) as connection:
        yield connection


def get(
    connection: http.client.HTTPConnection, path: str, method: str = "GET", **headers: str
) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection.request(
        method, path, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )
    response = connection.getresponse()
    return response.status, response.headers, response.read()


def test_a_poll_is_answered_shortly(hub: http.client.HTTPConnection) -> None:
    status, headers, body = get(hub, "/" + tree.TIMESTAMP)
    assert (status, body) == (200, b'{"t":1}')
    status, again, body = get(hub, "/" + tree.TIMESTAMP, If_None_Match=headers["ETag"])
    assert (status, body) == (304, b"")
    status, _, body = get(hub, "/" + tree.root_path(2))
    assert (status, body) == (404, b"")
    assert len(str(again)) < 300


def test_a_replaced_file_has_another_tag(hub: http.client.HTTPConnection, public: Path) -> None:
    tag = get(hub, "/" + tree.TIMESTAMP)[1]["ETag"]
    new = public / "new"
    new.write_bytes(b'{"t":2}')
    new.replace(public / tree.TIMESTAMP)
    status, _, body = get(hub, "/" + tree.TIMESTAMP, If_None_Match=tag)
    assert (status, body) == (200, b'{"t":2}')


def test_ranges(hub: http.client.HTTPConnection) -> None:
    path = "/" + tree.blob_path("c" * 64)
    status, headers, body = get(hub, path, Range="bytes=3-")
    assert (status, headers["Content-Range"], body) == (206, "bytes 3-9/10", b"3456789")
    assert headers["ETag"] == f'"{"c" * 64}"' and "immutable" in headers["Cache-Control"]
    assert get(hub, path, Range="bytes=10-")[0] == 416
    status, headers, body = get(hub, path, "HEAD")
    assert (status, headers["Content-Length"], body) == (200, "10", b"")
    assert get(hub, path, "POST")[0] == 405


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/secret.txt",
        "/metadata/",
        "/blobs/cc/",
        "/blobs/cc",
        "/metadata/../secret.txt",
        "/blobs/../secret.txt",
        "/blobs/%2e%2e/secret.txt",
        "//etc/passwd",
        "/etc/passwd",
        "/blobs/dd/" + "c" * 64,
        "/metadata/timestamp.json/",
        "/metadata/timestamp.json%00",
    ],
)
def test_nothing_else_is_reachable(hub: http.client.HTTPConnection, path: str) -> None:
    status, _, body = get(hub, path)
    assert (status, body) == (404, b"")


def test_a_link_or_a_pipe_is_not_followed(hub: http.client.HTTPConnection, public: Path) -> None:
    link, pipe = public / tree.blob_path("d" * 64), public / tree.blob_path("e" * 64)
    for path in (link, pipe):
        path.parent.mkdir(parents=True)
    link.symlink_to(public / "secret.txt")
    os.mkfifo(pipe)
    assert get(hub, "/" + tree.blob_path("d" * 64))[0] == 404
    assert get(hub, "/" + tree.blob_path("e" * 64))[0] == 404


def test_a_box_gives_only_verified_blobs_and_is_told_whose_file_is_asked_for(
    public: Path, tmp_path: Path
) -> None:
    with Store(tmp_path / "box") as store:
        blob = store.add(b"a lesson")
        stray = store.blobs.path(sha256(b"stray"))
        stray.parent.mkdir(parents=True, exist_ok=True)
        stray.write_bytes(b"stray")

        def holds(digest: str) -> bool:
            with store.library.reading() as reader:
                return reader.has(digest)

        asked: list[str] = []
        held = held_tree(public, store.blobs.path, holds, tmp_path / "parcels", asked.append)
        with served(held) as box:
            assert get(box, "/" + tree.TIMESTAMP)[0] == 200
            assert get(box, "/" + tree.blob_path(blob.sha256))[2] == b"a lesson"
            assert get(box, "/" + tree.blob_path(sha256(b"stray")))[0] == 404
            assert get(box, "/" + tree.box_path("b" * 32))[0] == 404
            assert asked == ["b" * 32]
            assert get(box, "/" + tree.ROADS)[0] == 404
