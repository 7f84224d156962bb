"""What `shuxiang.toml` asks for: read, checked whole, every finding at once. Pure; the same check before writing and at boot.

Invariant: a `Request` exists only where there is no finding of level `error`; it says only what the file says.
"""

from __future__ import annotations

import difflib
import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from appliance.firstboot import values
from appliance.firstboot.fields import BOX, EDITIONS, FIELDS, TABLES, Field, field_of, shown, table_of
from appliance.firstboot.statements import Statement, read_statements
from appliance.firstboot.textfile import read_text
from appliance.leases.giving import pool
from catalog.errors import ConfigError, ShuxiangError
from catalog.ingest.findings import ERROR, WARNING, Finding

FILE_NAME = "shuxiang.toml"
ROOT_NAME = "1.root.json"
BEGIN, END = "shuxiang.toml 1", "文件到此结束"
"""Words of the template's first and last line: a file with the one and not the other was cut off."""
Beside = Callable[[str], bytes | None]
"""Returns the bytes of a file in the same folder, None where there is none."""
_YES, _NO = ("是", "有", "开", "true", "yes", "1"), ("否", "无", "没有", "关", "false", "no", "0")
_LIST_BREAKS = str.maketrans("、，;；", ",,,,")


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A password in the file: from where to where its value stands in the text, quotes included."""

    path: str
    begin: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A whole and sound request. `settings` by path as plain JSON; `passwords` by path, those kept are left out.

    `kept` are the paths whose password was taken out of the file before. `root` are the bytes of the trust root's file.
    """

    settings: Mapping[str, Any]
    passwords: Mapping[str, str] = field(repr=False)
    kept: frozenset[str]
    fingerprint: str
    root: bytes | None

    @property
    def role(self) -> str:
        return str(self.settings["role"])

    @property
    def name(self) -> str:
        return str(self.settings["name"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What became of a file: the request, or None and findings that say why; `secrets` where passwords stand."""

    request: Request | None
    findings: tuple[Finding, ...]
    secrets: tuple[Secret, ...] = ()

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(one for one in self.findings if one.level == ERROR)


def read_request(data: bytes, beside: Beside = lambda _: None) -> Reading:
    """Return what the file `data` asks for. Never raises, whatever the bytes."""
    file = read_text(data)
    if isinstance(file, Finding):
        return Reading(request=None, findings=(replace(file, sheet=FILE_NAME),))
    statements, findings = read_statements(file.text)
    sorter = _Sorter(findings)
    for statement in statements:
        sorter.take(statement)
    sorter.look_whole(beside)
    if file.cut or _is_cut(file.text, findings):
        line = file.text.count("\n") + 1
        findings.append(Finding(code="E-PRESEED-CUT", row=line))
    findings.sort(key=lambda one: one.row or 1 << 30)
    found = tuple(replace(one, sheet=FILE_NAME) for one in findings)
    sound = not any(one.level == ERROR for one in found)
    return Reading(request=sorter.request() if sound else None, findings=found, secrets=tuple(sorter.secrets))


def _is_cut(text: str, findings: list[Finding]) -> bool:
    """Return whether the text ends before its end: its last line is wrong and has no end, or the last words lack."""
    if BEGIN in text[:200] and END not in text:
        return True
    last = text.count("\n") + 1
    return not text.endswith("\n") and any(
        one.row == last and one.code in ("E-PRESEED-LINE", "E-PRESEED-VALUE") for one in findings
    )


class _Sorter:
    """Sorts the statements of one file into settings, and notes what is wrong."""

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = findings
        self.settings: dict[str, Any] = {}
        self.passwords: dict[str, str] = {}
        self.secrets: list[Secret] = []
        self.lines: dict[str, int] = {}
        self.fingerprint = ""
        self.root: bytes | None = None
        self._rules: dict[str, tuple[int, dict[str, Any]]] = {}

    def take(self, statement: Statement) -> None:
        """Put one statement in its place."""
        table = self._table(statement)
        if table is None:
            return
        found = field_of(table, statement.key)
        if found is None:
            self._unknown(table, statement)
            return
        if found.path in self.lines:
            self._note("E-PRESEED-TWICE", statement, found=self.lines[found.path])
            return
        self.lines[found.path] = statement.line
        if found.secret:
            self.secrets.append(Secret(path=found.path, begin=statement.begin, end=statement.end))
        try:
            value = found.read(self._plain(found, statement))
        except ConfigError as error:
            # What judges passwords names lengths alone.
            self._note(error.code, statement, expected=error.expected, found=error.found)
            return
        (self.passwords if found.secret else self.settings)[found.path] = value

    def _table(self, statement: Statement) -> str | None:
        """Return the table of a statement; None where it is taken already or belongs nowhere."""
        if not statement.table:
            return ""
        head, *rest = statement.table
        table = table_of(head)
        if table is not None and not rest:
            return table
        if table is not None and len(rest) == 1:
            array, _, number = rest[0].partition("#")
            inner = field_of(table, array)
            if inner is not None and inner.path == EDITIONS and number:
                _, rule = self._rules.setdefault(number, (statement.line, {}))
                rule[statement.key] = statement.source if statement.bare else statement.value
                return None
        header = shown(*(part.partition("#")[0] for part in statement.table))
        expected = ", ".join(f"[{name}]" for name in TABLES)
        self._note("E-PRESEED-KEY", statement, found=f"[{header}]", expected=expected)
        return None

    def _unknown(self, table: str, statement: Statement) -> None:
        known = [one.key for one in FIELDS if one.table == table]
        near = difflib.get_close_matches(statement.key, known, 1)
        expected = near[0] if near else ", ".join(known)
        if elsewhere := [one.path for one in FIELDS if statement.key == one.key]:
            # A key of the top that was added below a table's head.
            expected = f"{elsewhere[0]} → {_place(elsewhere[0])}"
        self._note("E-PRESEED-KEY", statement, expected=expected)

    def _plain(self, found: Field, statement: Statement) -> Any:
        """Return the value of a statement as the field's kind."""
        value = statement.value
        if found.kind is str:
            source = "" if found.secret else statement.source[:40]
            if isinstance(value, list | dict | bool):
                raise values.wrong("E-PRESEED-TYPE", '"…"', source)
            if not isinstance(value, str) or statement.bare:
                self._note("E-PRESEED-QUOTES", statement, level=WARNING, found=source)
                return statement.source
            return value
        if found.kind is bool:
            word = str(value).strip().lower()
            if word not in (*_YES, *_NO):
                raise values.wrong("E-PRESEED-TYPE", "true, false (是, 否)", statement.source)
            return word in _YES
        if found.kind is int:
            text = str(value).strip()
            if isinstance(value, bool | list | dict) or not (text.isascii() and text.isdecimal()):
                raise values.wrong("E-PRESEED-TYPE", "0, 1, 2 …", statement.source)
            return int(text) if len(text) < 19 else 10**18
        return _list(found, statement)

    def look_whole(self, beside: Beside) -> None:
        """Check what only the whole file can tell: what is missing, what does not go together."""
        if self._rules and EDITIONS not in self.lines:
            self._take_rules()
        role = self.settings.get("role")
        if role is None and "role" not in self.lines:
            self._missing("role", 'role = "box"')
        for path in ("name", "admin_password"):
            if path not in self.lines:
                self._missing(path)
        unused = [
            one for one in FIELDS if role is not None and one.path in self.lines and role not in one.roles
        ]
        for one in unused:
            self.findings.append(
                Finding(code="E-PRESEED-UNUSED", level=WARNING, row=self.lines[one.path], column=one.path)
            )
            self.settings.pop(one.path, None)
            self.passwords.pop(one.path, None)
        if role == BOX:
            if "hub.url" not in self.lines:
                self._missing("hub.url")
            self._look_at_root(beside)
        self._look_at_network()

    def _take_rules(self) -> None:
        rules = []
        for line, rule in self._rules.values():
            try:
                rules += values.editions([rule])
            except ConfigError as error:
                self.findings.append(
                    Finding(code=error.code, row=line, column=EDITIONS, expected=error.expected, found=error.found)
                )  # fmt: skip
        self.lines[EDITIONS] = next(iter(self._rules.values()))[0]
        self.settings[EDITIONS] = rules

    def _look_at_root(self, beside: Beside) -> None:
        named = self.settings.get("hub.root")
        self.root = beside(named or ROOT_NAME)
        given = self.settings.get("hub.fingerprint")
        if self.root is None:
            if named is not None:
                self._root_finding(ROOT_NAME, named)
            elif "hub.fingerprint" not in self.lines:
                self._missing("hub.fingerprint", ROOT_NAME)
            self.fingerprint = given or ""
            return
        from sync.trust.pinned import pin_root

        try:
            self.fingerprint = pin_root(self.root, given).fingerprint
        except ShuxiangError as error:
            self._root_finding(error.expected or "1.root.json", error.found or error.code)

    def _root_finding(self, expected: str, found: str) -> None:
        line = self.lines.get("hub.fingerprint", self.lines.get("hub.root", 0))
        column = "hub.fingerprint" if "hub.fingerprint" in self.lines else "hub.root"
        self.findings.append(
            Finding(code="E-PRESEED-ROOT", row=line, column=column, expected=expected, found=found[:80])
        )

    def _look_at_network(self) -> None:
        if "wifi.password" in self.lines and "wifi.ssid" not in self.lines:
            self._missing("wifi.ssid")
        if "wifi.ssid" in self.lines and "wifi.password" not in self.lines:
            # An open network is said, never meant by silence.
            self._missing("wifi.password", 'password = "…", ""')
        fixed, gateway = self.settings.get("network.fixed_address"), self.settings.get("network.gateway")
        if self.settings.get("network.dhcp"):
            self._look_at_leases(fixed)
        if gateway and not (
            fixed and ipaddress.ip_address(gateway) in ipaddress.IPv4Interface(fixed).network
        ):
            self.findings.append(
                Finding(
                    code="E-PRESEED-ADDRESS", row=self.lines["network.gateway"], column="network.gateway",
                    expected=fixed or "network.fixed_address", found=gateway,
                )
            )  # fmt: skip

    def _look_at_leases(self, fixed: str | None) -> None:
        """Check that there are addresses to give: a fixed one of our own, in a network that has room for others."""
        if "network.fixed_address" not in self.lines:
            self._missing("network.fixed_address")
            return
        if fixed is None:
            # It was judged already.
            return
        try:
            if not fixed:
                raise values.wrong("E-PRESEED-ADDRESS", "192.168.88.88/24")
            pool(ipaddress.IPv4Interface(fixed))
        except ConfigError as error:
            self.findings.append(
                Finding(
                    code="E-PRESEED-ADDRESS", row=self.lines["network.fixed_address"], column="network.fixed_address",
                    expected=error.expected, found=error.found,
                )
            )  # fmt: skip

    def request(self) -> Request:
        """Return the request of a file without errors."""
        return Request(
            settings=self.settings,
            passwords={path: text for path, text in self.passwords.items() if text != values.KEPT},
            kept=frozenset(path for path, text in self.passwords.items() if text == values.KEPT),
            fingerprint=self.fingerprint,
            root=self.root,
        )

    def _missing(self, path: str, expected: str = "") -> None:
        """Note a key that is not there; one whose value can not be read is told already."""
        table = path.rpartition(".")[0]
        unreadable = (one.column for one in self.findings if one.code == "E-PRESEED-VALUE")
        if any(
            found is not None and found.path == path
            for found in (field_of(table, word) for word in unreadable)
        ):
            return
        self.findings.append(Finding(code="E-PRESEED-NEED", column=path, expected=expected))

    def _note(
        self,
        code: str,
        statement: Statement,
        *,
        level: str = ERROR,
        expected: object = "",
        found: object = "",
    ) -> None:
        column = shown(*(part.partition("#")[0] for part in statement.table), statement.key)
        self.findings.append(
            Finding(
                code=code, level=level, row=statement.line, column=column, expected=str(expected),
                found=str(found),
            )
        )  # fmt: skip


def _list(found: Field, statement: Statement) -> list[Any]:
    value = statement.value
    if isinstance(value, str):
        # One text instead of a list; words of the vocabulary may stand in it side by side.
        parts = value.translate(_LIST_BREAKS).split(",") if found.table in ("scope", "sync") else [value]
        return [part.strip() for part in parts if part.strip()]
    tables = found.path == EDITIONS
    if not isinstance(value, list) or not all(
        isinstance(part, str | int) or (tables and isinstance(part, dict)) for part in value
    ):
        raise values.wrong("E-PRESEED-TYPE", '["…", "…"]', statement.source)
    return [part if isinstance(part, str | dict) else str(part) for part in value]


def _place(path: str) -> str:
    table = path.rpartition(".")[0]
    return f"[{table}]" if table else "首行 top"
