"""What the two sides of a plugged stick tell each other, and the tunes."""

from __future__ import annotations

import json
import wave
from array import array
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.plugging.notes import (
    NOTES,
    TOLD,
    TOLD_NAME,
    Note,
    Told,
    read_notes,
    read_told,
    remove_note,
    stick_of,
    tell,
    write_note,
)
from appliance.plugging.sounds import RATE, Tune, wave_of

NOTE = Note(id="1", name="资源盘", device="/dev/sdb1", kind="vfat", mounted="/m", trees=(".",), suspects=("a.lnk",))  # fmt: skip


def test_a_note_comes_back_as_it_was_told_and_goes(tmp_path: Path) -> None:
    assert read_notes(tmp_path) == []
    (tmp_path / NOTES).mkdir()
    write_note(tmp_path, NOTE)
    write_note(tmp_path, Note(id="2", name="b", device="/dev/sdc", code="E-STICK-KIND", found="BitLocker"))
    assert read_notes(tmp_path)[0] == NOTE and len(read_notes(tmp_path)) == 2
    remove_note(tmp_path, NOTE.name)
    remove_note(tmp_path, NOTE.name)
    assert [note.name for note in read_notes(tmp_path)] == ["b"]


def test_what_the_box_tells_is_read_by_its_stick_alone(tmp_path: Path) -> None:
    one = Told(id="1", phase="done", code="", files=3)
    tell(tmp_path, [one])
    assert read_told(tmp_path, "1") is None, "nobody listens"
    (tmp_path / TOLD).mkdir()
    tell(tmp_path, [one, Told(id="2", phase="wrong", code="E-ROLLBACK")])
    assert read_told(tmp_path, "1") == one and read_told(tmp_path, "3") is None


@given(st.binary(max_size=200) | st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_whatever_stands_there_is_no_harm(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    run = tmp_path_factory.mktemp("run")
    for folder, name in ((NOTES, "x.json"), (TOLD, TOLD_NAME)):
        (run / folder).mkdir()
        (run / folder / name).write_bytes(data)
    assert read_notes(run) == [] or isinstance(read_notes(run)[0].name, str)
    read_told(run, "1")


def test_a_run_from_a_stick_knows_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHUXIANG_RUN", str(tmp_path))
    assert stick_of(str(tmp_path / "sticks" / "资源盘" / "tree")) == "资源盘"
    assert stick_of(str(tmp_path / "sticks")) == ""
    assert stick_of("http://hub:8088") == stick_of(None) == stick_of("/media/x") == ""


@pytest.mark.parametrize("tune", list(Tune))
def test_a_tune_is_sound_at_its_length_and_neither_clicks_nor_cuts(tune: Tune) -> None:
    with wave.open(BytesIO(wave_of(tune.value))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE)
        samples = array("h", file.readframes(file.getnframes()))
    assert abs(len(samples) / RATE - sum(seconds for _, seconds in tune.value)) < 0.001
    assert 12_000 < max(samples) < 20_000
    assert abs(samples[0]) < 200 and abs(samples[-1]) < 400
