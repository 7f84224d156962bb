"""`box serve` as a process: it serves pages, and imports nothing that only other commands need."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.request import urlopen

import pytest
from command import call, service

HEAVY = {
    "tuf",
    "securesystemslib",
    "cryptography",
    "PIL",
    "openpyxl",
    "python_calamine",
    "pypinyin",
    "libtorrent",
}


def test_serving_imports_only_what_pages_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "box"
    call(state, "box", "init", "--hub", "http://127.0.0.1:9", "--fingerprint", "ab" * 32)
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    with service(state, "box", "serve", "--host", "127.0.0.1", "--port", "0") as serving:
        for path in ("/", "/search?q=fs", "/browse", "/api/v1/status", "/admin"):
            with urlopen(serving["address"] + path, timeout=30) as answer:
                assert answer.read()
    said = capfd.readouterr().err
    imported = {name.partition(".")[0] for name in re.findall(r"\|\s+([\w.]+)$", said, re.MULTILINE)}
    assert {"flask", "waitress", "catalog"} <= imported
    assert not imported & HEAVY
