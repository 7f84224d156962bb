"""The sources of one run: which are opened and when, and what of an unsigned hint is believed."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from builders import sha256
from hostile import HostileHub
from hypothesis import given
from hypothesis import strategies as st

from sync import tree
from sync.roads import RoadSettings, road_for
from sync.roads.road import blob_file
from sync.roads.staging import Staging
from sync.updating.carry import Carrier, read_hints

QUICK = RoadSettings(timeout_seconds=1, retry_pause_seconds=0.01)


def write_tree(root: Path, *roads: object) -> Path:
    (root / "metadata").mkdir(parents=True)
    (root / tree.TIMESTAMP).write_bytes(b'{"signed":{}}')
    (root / tree.ROADS).write_text(json.dumps({"roads": roads}))
    return root


def test_who_compares_is_asked_of_open_sources_only(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "tree", "rsync://{host}:8730/tree/")
    with (
        HostileHub(root) as hub,
        socket.create_server(("127.0.0.1", 0)) as idle,
        Staging(tmp_path / "s") as staging,
    ):
        idle.settimeout(0.3)
        second = f"http://127.0.0.1:{idle.getsockname()[1]}/"
        carrier = Carrier([hub.address, second], staging, QUICK, None)
        carrier.sources[0].road()
        carrier.compares()
        carrier.compares()
        # Nobody came to the one that nobody needs, and the hint of the other is known.
        with pytest.raises(TimeoutError):
            idle.accept()
        assert carrier.sources[1].opened is None
        assert [one.address for one in carrier.sources[2:]] == ["rsync://127.0.0.1:8730/tree/"]
        assert [path for path, _ in hub.requests].count(tree.ROADS) == 1
        carrier.close()


def test_hints_of_the_others_are_read_when_something_is_missing(tmp_path: Path) -> None:
    data = b"only at the third"
    third = write_tree(tmp_path / "third")
    place = third / tree.blob_path(sha256(data))
    place.parent.mkdir(parents=True)
    place.write_bytes(data)
    first = write_tree(tmp_path / "first")
    with HostileHub(third) as far, Staging(tmp_path / "s") as staging:
        second = write_tree(tmp_path / "second", far.address)
        carrier = Carrier([str(first), str(second)], staging, QUICK, None)
        carrier.sources[0].road()
        carrier.compares()
        brought = carrier.bring([blob_file(sha256(data), len(data))], lambda _: [], lambda _: None)
        assert brought.came == 1 and not brought.missed
        carrier.close()


@pytest.mark.parametrize(
    "hint",
    [
        "http://h:99999/",
        "http://h:abc/",
        "http://h:0/",
        "rsync://[::1/x",
        "http://a..b/",
        f"http://{'a' * 70}/",
        f"http://{'书' * 70}.cn/",
        "http:///tree/",
        "http://\ud800/",
        "http://h\0h/",
        "rsync://h/m\0",
        "http://h/\r\nX: y",
        "file:///etc/",
        "/etc",
    ],
)
def test_a_hint_that_leads_nowhere_is_left_out(hint: str) -> None:
    data = json.dumps({"roads": [hint, "http://{host}:8088/tree/"]}).encode()
    assert read_hints(data, host="box.lan") == ["http://box.lan:8088/tree/"]


@given(hint=st.text(max_size=30), scheme=st.sampled_from(["http://", "https://", "rsync://"]))
def test_what_is_left_can_be_opened(hint: str, scheme: str) -> None:
    for address in read_hints(json.dumps({"roads": [scheme + hint + "/m/"]}).encode(), host="::1"):
        road_for(address, QUICK).close()


def test_good_hints_stay() -> None:
    roads = ["http://书箱.example/", "rsync://{host}:8730/tree/", "https://[2001:db8::1]:8443/a%20b/"]
    data = json.dumps({"roads": roads}).encode()
    assert read_hints(data, host="fe80::1") == [roads[0], "rsync://[fe80::1]:8730/tree/", roads[2]]
