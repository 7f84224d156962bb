"""`config.toml` is written so that it reads back as what it was written from."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.config import BoxConfig, HubConfig, read_config, write_config
from catalog.scope import EditionRule, Scope

PLAIN = BoxConfig(name="石桥教学点", hub="http://10.0.0.2:8088", fingerprint="ab" * 32)
FULL = BoxConfig(
    name='石桥"教学"点',
    hub="rsync://10.0.0.2/tree",
    fingerprint="ab" * 32,
    parents=("http://10.0.0.3:8080",),
    port=80,
    package_port=8081,
    sync_minutes=5,
    reserve_bytes=128 << 20,
    rsync_password="secret",
    scope=Scope(
        stages=frozenset({"primary"}),
        grades=frozenset({"g1", "g2"}),
        editions=(EditionRule(subject="math", edition="raw:某版", grade="g1", textbook_year=2024),),
    ),
    policy={"windows": ["1-5 18:00-23:30"], "metered": True, "month_budget_mb": 500},
    word="shu",
    own_word="shiqiao",
    answer_names=False,
)
HUB = HubConfig(
    name="青禾县", licence="own", review="required", port=80, rsync_port=1873, rsync_allow=("10.0.0.0/8",),
    torrent_port=1874, roads=("http://{host}/x",), word="hub", answer_names=False,
)  # fmt: skip


@pytest.mark.parametrize("config", [PLAIN, FULL, HubConfig(name="青禾县"), HUB])
def test_what_is_written_reads_back(config: BoxConfig | HubConfig, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    write_config(path, config)
    assert read_config(path) == config
    # Every key stands there, to be found by who looks for it: those that are as usual as a comment.
    text = path.read_text(encoding="utf-8")
    assert "port = " in text and "word = " in text
