"""Tells how it is with the wireless network: in the run directory, on the card above the result of first boot.

Invariant: the card is written only where a person reads something new, and what first boot wrote there stays as it is.
"""

from __future__ import annotations

from pathlib import Path

from appliance.firstboot.card import RESULT_NAME, Card
from appliance.wireless.note import Note, read_note, write_note

HEAD = "无线网络不通 / the wireless network does not work"
LINE = "=" * 60


def tell(run: Path, card: Path, note: Note) -> bool:
    """Keep `note` and bring the card up to date; return whether there is something new to be said.

    Raises `StorageError` where the card can not be written; the note is kept by then.
    """
    before = read_note(run)
    if note != before and not (note.code and note.is_as(before)):
        write_note(run, note)
    if card.is_mount():
        tell_on_card(Card(card), note)
    return not note.is_as(before)


def tell_on_card(card: Card, note: Note) -> None:
    """Put the fault above what the card's result says, or take it away again."""
    stored = card.beside(RESULT_NAME)
    if stored is None and not note.code:
        return
    text = (stored or b"").decode("utf-8-sig", "replace").replace("\r\n", "\n")
    if not _says(text, note):
        card.write_result(with_fault(text, note))


def with_fault(text: str, note: Note) -> str:
    """Return the text of `shuxiang-result.txt` with what `note` says above it, and nothing of before."""
    rest = text.partition(f"{LINE}\n")[2] if text.startswith(HEAD) else text
    if not note.code:
        return rest
    return "\n".join([HEAD, note.line("zh-CN"), note.line("en"), LINE, rest])


def _says(text: str, note: Note) -> bool:
    """Return whether the text tells this fault already, whatever else is in reach by now; or tells of none."""
    if not note.code:
        return not text.startswith(HEAD)
    told = text.partition("\n")[2].partition("\n")[0]
    return text.startswith(HEAD) and told.startswith(f"{note.code}: ") and f"（{note.ssid}）" in told
