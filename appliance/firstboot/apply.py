"""First boot: the request on the card is checked whole, applied once, and answered. Begun again after any cut.

The order: look at card and state · refuse, or settle the state (commit point in `local.db`) · system files, their stamp ·
passwords off the card · the result on the card. Each step is durable and comes to the same when it is done
twice, so the whole starts again from the beginning; the same request again changes nothing. A wrong request changes
nothing at all, and the machine goes on as it was. A card that can not be written takes nothing back: what was applied is
applied, the result says that the passwords are still on it, and every start tries again.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from appliance.firstboot import card as cards
from appliance.firstboot import kept as keeping
from appliance.firstboot.card import RESULT_NAME, Card, result_lines
from appliance.firstboot.fields import BOX, HUB
from appliance.firstboot.owner import as_owner
from appliance.firstboot.request import FILE_NAME, ROOT_NAME, Reading, Request, read_request
from appliance.firstboot.result import Result
from appliance.firstboot.settle import LOOK_NEEDS, SETTLE_NEEDS, look, note_result, settle
from appliance.firstboot.system import STAMP, System, hash_of
from appliance.names.labels import own_word
from catalog import durable
from catalog.errors import ConfigError, ShuxiangError
from catalog.ingest.findings import ERROR, Finding

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How it ended. `failure` None: machine and card are as they should be; `unchanged`: they were so before."""

    result: Result
    unchanged: bool = False
    failure: ShuxiangError | None = None


def first_boot(card_dir: Path, state: Path, root: Path, clock: Clock) -> Outcome:
    """Apply what `shuxiang.toml` in `card_dir` asks for to the state and to the system below `root`.

    Returns how it ended; what is wrong with the file or the machine is in the outcome. The result is written to the card
    and kept for the admin page where either can be written.
    """
    card = Card(card_dir)
    now = clock()
    try:
        known: Mapping[str, Any] = as_owner(state, lambda: look(state), LOOK_NEEDS)
        data = card.read()
        if data is None:
            return _without_file(card, known, now)
        outcome = _Run(card, state, System(root), now, known, data).outcome()
    except ShuxiangError as error:
        outcome = Outcome(result=Result(at=now, fine=False, lines=(error,)), failure=error)
    return _tell(card, state, root, outcome)


def _without_file(card: Card, known: Mapping[str, Any], now: datetime) -> Outcome:
    """A machine that is set up needs no file; one that is not says so."""
    stored = known.get("result")
    if known:
        result = Result.from_json(stored) if stored else Result(at=now, fine=True)
        return Outcome(result=result, unchanged=True)
    error = ConfigError("E-PRESEED-MISSING", where=FILE_NAME)
    outcome = Outcome(result=Result(at=now, fine=False, lines=(error,)), failure=error)
    card.write_result(outcome.result.text())
    return outcome


def _tell(card: Card, state: Path, root: Path, outcome: Outcome) -> Outcome:
    """Write the result to the card and keep it; where only that fails, the outcome says so."""
    failure = outcome.failure
    if not outcome.unchanged:
        try:
            as_owner(state, lambda: note_result(state, outcome.result.to_json()), LOOK_NEEDS)
        except ShuxiangError as error:
            failure = failure or error
    try:
        card.write_result(outcome.result.text(), may_stand_below=outcome.unchanged)
        if failure is None:
            _keep(card, state, root, outcome.result)
    except ShuxiangError as error:
        failure = failure or error
    return replace(outcome, failure=failure)


def _keep(card: Card, state: Path, root: Path, result: Result) -> None:
    """Keep what the next start compares to know that nothing is to be applied."""
    stamp = root / STAMP
    beside = {name: card.beside(name) for name in (FILE_NAME, ROOT_NAME)}
    files = {name: data for name, data in beside.items() if data is not None}
    files[RESULT_NAME] = result_lines(result.text())
    files[stamp.name] = durable.storage(stamp.read_bytes, stamp)
    as_owner(state, lambda: keeping.keep(state, files), keeping.NEEDS)


class _Run:
    """One look at the card, and what comes of it."""

    def __init__(
        self, card: Card, state: Path, system: System, now: datetime, known: Mapping[str, Any], data: bytes
    ) -> None:
        self.card, self.state, self.system, self.now, self.known = card, state, system, now, known
        self.memory: Mapping[str, Any] = known.get("memory", {})
        self.data = data
        self.refused: list[ShuxiangError] = []
        """What the card did not take."""
        self.is_clean = True

    def outcome(self) -> Outcome:
        cleaned = base64.b64decode(self.memory.get("cleaned", ""))
        if cards.is_torn(self.data, cleaned):
            self._mend(cleaned)
        if self._is_applied(self.data):
            return self._unchanged()
        reading = read_request(self.data, self.card.beside)
        if reading.request is None and cards.is_half_cleaned(self.data, cleaned):
            self._mend(cleaned)
            if self._is_applied(cleaned):
                return self._unchanged()
            reading = read_request(cleaned, self.card.beside)
        errors = reading.errors or (self._against(reading.request) if reading.request else ())
        if reading.request is None or errors:
            findings = (*reading.findings, *(one for one in errors if one not in reading.findings))
            failure = ConfigError("E-PRESEED", where=FILE_NAME)
            return Outcome(
                result=Result(at=self.now, fine=False, findings=findings, lines=(failure,)), failure=failure
            )
        return self._apply(reading, reading.request)

    def _is_applied(self, data: bytes) -> bool:
        found = hash_of(data)
        return self.memory.get("request") == found and self.system.stamp().get("request") == found

    def _unchanged(self) -> Outcome:
        self._give_root()
        # The trust root may be gone from the card since: what is applied stays so.
        findings = read_request(self.data, self.card.beside).findings
        outcome = self._told(tuple(one for one in findings if one.level != ERROR), self.memory)
        stored = self.known.get("result")
        result = Result.from_json(stored) if stored else None
        if (
            result is None
            or not result.fine
            or result.to_json()["words"] != outcome.result.to_json()["words"]
        ):
            # A cut came before the result was kept, a wrong file was put back to what is applied, or the card took more.
            return outcome
        return replace(outcome, result=result, unchanged=True)

    def _mend(self, cleaned: bytes) -> None:
        """Finish what a cut stopped while the passwords were overwritten: by then the request was applied."""
        self._clean(cleaned)
        self.data = cleaned

    def _clean(self, cleaned: bytes) -> None:
        try:
            self.card.clean(cleaned)
        except ShuxiangError as error:
            self.is_clean = False
            self.refused.append(error)

    def _against(self, request: Request) -> tuple[Finding, ...]:
        """Return what of a sound request does not go with this machine."""
        found: list[Finding] = []

        def note(code: str, path: str, expected: str = "", said: str = "") -> None:
            found.append(Finding(code=code, sheet=FILE_NAME, column=path, expected=expected, found=said))

        role = self.known.get("role")
        if role is not None and role != request.role:
            note("E-PRESEED-ROLE", "role", role, request.role)
        elif role == BOX and self.known["fingerprint"] != request.fingerprint:
            note("E-PRESEED-COUNTY", "hub.fingerprint", self.known["fingerprint"][:16], request.fingerprint[:16])  # fmt: skip
        for path in sorted(request.kept):
            here = (
                self.system.has_wifi(request.settings.get("wifi.ssid"))
                if path == "wifi.password"
                else path in self.known.get("accounts", ())
            )
            if not here:
                note("E-PRESEED-KEPT", path, '"…"', '"*"')
        return tuple(found)

    def _apply(self, reading: Reading, request: Request) -> Outcome:
        cleaned = cards.cleaned(self.data, reading.secrets)
        memory = {"request": hash_of(cleaned), "cleaned": base64.b64encode(cleaned).decode()}
        before = self.memory.get("settings", {})
        kept = as_owner(self.state, lambda: settle(self.state, request, before, memory), SETTLE_NEEDS)
        self.known = as_owner(self.state, lambda: look(self.state), LOOK_NEEDS)
        self.system.write(request, self._host_name(kept))
        self.system.finish(memory["request"], request.settings)
        self._clean(cleaned)
        self._give_root()
        return self._told(reading.findings, kept)

    def _host_name(self, kept: Mapping[str, Any]) -> str:
        return own_word(self.known["name"], kept["id"])

    def _told(self, findings: tuple[Finding, ...], kept: Mapping[str, Any]) -> Outcome:
        """Return how it is with a request that is applied."""
        result = Result(
            at=self.now,
            fine=True,
            role=self.known["role"],
            name=self.known["name"],
            machine=kept["id"],
            host_name=self._host_name(kept),
            fixed_address=str(kept["settings"].get("network.fixed_address", "")),
            fingerprint=self.known["fingerprint"],
            applied=tuple(kept["applied"]),
            request=kept["request"],
            is_clean=self.is_clean,
            findings=findings,
            lines=tuple(self.refused),
        )
        return Outcome(result=result, failure=self.refused[0] if self.refused else None)

    def _give_root(self) -> None:
        """Put a hub's trust root beside the file: whoever sets up its boxes needs it, and it is no secret."""
        if self.known["role"] != HUB:
            return
        try:
            self._write_root()
        except ShuxiangError as error:
            self.refused.append(error)

    def _write_root(self) -> None:
        from sync import tree

        place = self.state / "public" / tree.PINNED_ROOT
        root = durable.storage(place.read_bytes, place)
        if self.card.beside(ROOT_NAME) != root:
            target = self.card.directory / ROOT_NAME
            durable.storage(lambda: durable.write_in_place(target, root), target)
