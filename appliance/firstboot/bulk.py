"""Makes the `shuxiang.toml` of every school of a county from its list: a folder for each, passwords in one sheet.

Invariants: a file is written only where it passes the check of first boot; one that is there is never overwritten, so
that a second run adds the schools that are new. The sheet is durable before the first folder and names the passwords of
all folders that were there as well, in this list or not: of several sheets the newest is whole and right, wherever a run
was cut. A wrong row never hides the others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from appliance.firstboot.request import FILE_NAME, Request, read_request
from appliance.firstboot.template import write_request
from catalog import durable
from catalog.ingest.findings import WARNING, Finding
from catalog.ingest.schools import School, read_schools, write_sheet
from webui.hub.accounts import new_password

PASSWORDS_NAME = "密码表"
_HEADERS = ("名称", "学校标识码", "文件夹", "管理密码 technician", "老师密码 teacher")
_ACCOUNTS = ("admin_password", "teacher_password")
_PLACES = {
    "name": "name",
    "school_code": "school_code",
    "hub": "hub.url",
    "wifi_ssid": "wifi.ssid",
    "fixed_address": "network.fixed_address",
    "gateway": "network.gateway",
}
_LISTS = {"stages": "scope.stages", "grades": "scope.grades", "parents": "sync.parents", "subscriptions": "sync.subscriptions"}  # fmt: skip
_SWITCHES = {"wifi_hidden": "wifi.hidden", "metered": "policy.metered", "education_line": "policy.education_line"}  # fmt: skip
_NUMBERS = {"month_budget_mb": "policy.month_budget_mb", "rate_kb_per_s": "policy.rate_kb_per_s"}
_COLUMN = {path: column for places in (_PLACES, _LISTS, _SWITCHES, _NUMBERS) for column, path in places.items()}  # fmt: skip
_COLUMN |= {"wifi.password": "wifi_password"}
_YES = ("是", "有", "√", "1", "true", "yes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What a run made: the folders that are new, the sheet of all passwords (None where nothing is new), findings."""

    folders: tuple[str, ...]
    kept: tuple[str, ...]
    sheet: Path | None
    findings: tuple[Finding, ...]


def make_for_schools(schools: Path, target: Path, *, fingerprint: str, hub: str) -> Made:
    """Write a folder with a `shuxiang.toml` into `target` for each school of the list `schools`.

    `hub` is the address where a row names none. Raises `StorageError`.
    """
    findings: list[Finding] = []
    taken: dict[str, School] = {}
    rows: list[tuple[str, ...]] = []
    new: dict[str, bytes] = {}
    kept: list[str] = []
    durable.storage(lambda: durable.make_directory(target), target)
    for school in read_schools(schools, findings.append):
        passwords = {path: new_password() for path in _ACCOUNTS}
        data = _file_of(school, {"role": "box", "hub.url": hub, "hub.fingerprint": fingerprint}, passwords)
        reading = read_request(data)
        findings += [_at_row(one, school) for one in reading.findings]
        if reading.request is None or _is_double(school, taken, findings):
            continue
        folder = _folder_of(school)
        place = target / folder / FILE_NAME
        if place.exists():
            kept.append(folder)
            request = _request_at(place)
            findings.append(
                Finding(code="E-FILE-EXISTS", level=WARNING, sheet=school.sheet, row=school.row, path=f"{folder}/{FILE_NAME}")
            )  # fmt: skip
        else:
            new[folder] = data
            request = reading.request
        rows.append(_row(folder, request))
    sheet = _write_passwords(target, [*rows, *_other_rows(target, {*new, *kept})]) if new else None
    for folder, data in new.items():
        place = target / folder / FILE_NAME
        durable.storage(lambda: _write(place, data), place)  # noqa: B023
    return Made(folders=tuple(new), kept=tuple(kept), sheet=sheet, findings=tuple(findings))


def _other_rows(target: Path, named: set[str]) -> list[tuple[str, ...]]:
    """Return the rows of the folders made before that this list does not name, or in a row that is wrong, by name."""
    places = sorted(path for path in target.glob(f"*/{FILE_NAME}") if path.parent.name not in named)
    return [_row(place.parent.name, _request_at(place)) for place in places]


def _request_at(place: Path) -> Request | None:
    return read_request(durable.storage(place.read_bytes, place)).request


def _row(folder: str, request: Request | None) -> tuple[str, ...]:
    """Return the sheet's row of a folder; passwords are empty where someone took them out, or wrote what is none."""
    if request is None:
        return (folder, "", folder, *("" for _ in _ACCOUNTS))
    code = request.settings.get("school_code", "")
    return (request.name, code, folder, *(request.passwords.get(path, "") for path in _ACCOUNTS))


def _file_of(school: School, said: Mapping[str, Any], passwords: Mapping[str, str]) -> bytes:
    settings: dict[str, Any] = dict(said)
    secrets = dict(passwords)
    for column, text in school.values.items():
        if column in _PLACES:
            settings[_PLACES[column]] = text
        elif column in _LISTS:
            settings[_LISTS[column]] = [
                part.strip() for part in re.split("[、，,;；\n]", text) if part.strip()
            ]
        elif column in _SWITCHES:
            settings[_SWITCHES[column]] = text.strip().lower() in _YES
        elif column in _NUMBERS:
            settings[_NUMBERS[column]] = int(text) if text.isascii() and text.isdecimal() else text
        elif column == "wifi_password":
            secrets["wifi.password"] = text
    if "wifi.ssid" in settings:
        # An empty cell beside a network's name is an open network.
        secrets.setdefault("wifi.password", "")
    if school.editions:
        settings["scope.editions"] = [rule for _, rule in school.editions]
    return write_request(settings, secrets)


def _at_row(finding: Finding, school: School) -> Finding:
    """Return a finding about the file as one about the row that it was made of."""
    column = _COLUMN.get(finding.column, finding.column)
    return replace(finding, sheet=school.sheet, row=school.row, column=column)


def _is_double(school: School, taken: dict[str, School], findings: list[Finding]) -> bool:
    """Return whether another row has this name, code or folder: two machines of one name are told apart by nobody."""
    own = [(column, school.values.get(column, "")) for column in ("name", "school_code")]
    # Windows and FAT know no case.
    keys = {f"{column} {text}": (column, text) for column, text in own if text}
    keys[f"folder {_folder_of(school).casefold()}"] = ("name", _folder_of(school))
    for key, (column, text) in keys.items():
        if key in taken:
            other = taken[key]
            findings.append(
                Finding(code="E-PRESEED-DOUBLE", sheet=school.sheet, row=school.row, column=column, found=f"{text} @ {other.sheet} {other.row}")
            )  # fmt: skip
            return True
    taken |= dict.fromkeys(keys, school)
    return False


def _folder_of(school: School) -> str:
    """Return a folder's name that every filesystem takes: code and name."""
    parts = [school.values.get("school_code", ""), school.values["name"]]
    clean = re.sub(r'[\x00-\x1f/\\:*?"<>|]+', " ", "-".join(filter(None, parts)))
    return clean.strip(" .")[:80].strip(" .") or "书箱"


def _write(place: Path, data: bytes) -> None:
    durable.make_directory(place.parent, mode=0o700)
    durable.write_file(place, data, mode=0o600)


def _write_passwords(target: Path, rows: list[tuple[str, ...]]) -> Path:
    """Write the sheet for the technician beside the folders in one step; an earlier one stays."""
    number, place = 1, target / f"{PASSWORDS_NAME}.xlsx"
    while place.exists():
        number += 1
        place = target / f"{PASSWORDS_NAME} {number}.xlsx"

    staged = target / f".{PASSWORDS_NAME}.part"

    def write() -> None:
        staged.unlink(missing_ok=True)
        staged.touch(mode=0o600)
        write_sheet(staged, PASSWORDS_NAME, _HEADERS, rows)
        durable.publish_file(staged, place)

    durable.storage(write, place)
    return place
