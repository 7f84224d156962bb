"""制盘: empty disks made into data disks, from the browser with a disk in the hub.

As for cards: choose, confirm, work, without scripts. Invariant: nothing is erased but what the confirming page has shown,
by the seal of each disk, and of a disk that holds something only with a tick beside it.
"""

from __future__ import annotations

from flask import Blueprint, Response, request

from catalog.errors import ContentError, ShuxiangError
from webui.hub.card_operations import CardContents, CardOperations, DiskWish
from webui.hub.console import Console


def disk_pages(console: Console, cards: CardOperations) -> Blueprint:
    """Return the pages of 制盘."""
    pages = Blueprint("disks", __name__, url_prefix="/hub/cards/disks")
    counter = _Counter(console, cards)

    @pages.get("")
    def choose() -> Response:
        return counter.choose()

    @pages.post("/look")
    def look() -> Response:
        console.check_token(request.form.get("token", ""), console.session())
        return counter.confirm()

    @pages.post("/make")
    def make() -> Response:
        console.check_token(request.form.get("token", ""), console.session())
        return counter.make()

    return pages


class _Counter:
    """What the pages do."""

    def __init__(self, console: Console, cards: CardOperations) -> None:
        self._console = console
        self._cards = cards

    def choose(self, problem: ShuxiangError | None = None) -> Response:
        console, standing = self._console, self._cards.standing()
        contents: dict[str, CardContents] = {}
        if standing.devices:
            try:
                contents = self._cards.contents([device.key for device in standing.devices])
            except ShuxiangError as error:
                problem = problem or error
        return console.page(
            "disks.html",
            status=400 if problem else 200,
            at="cards",
            standing=standing,
            contents=contents,
            running=sum(not work.is_over for work in standing.works),
            problem=problem.line(console.language()) if problem else "",
        )

    def confirm(self) -> Response:
        """Show what will be erased."""
        by_key = {device.key: device for device in self._cards.standing().devices}
        wishes, devices = self._wishes(), []
        if not wishes:
            return self.choose(ContentError("E-CARD-CHOICE"))
        try:
            contents = self._cards.contents([wish.device for wish in wishes])
        except ShuxiangError as error:
            return self.choose(error)
        for wish in wishes:
            device, held = by_key.get(wish.device), contents.get(wish.device)
            if device is None or held is None or device.seal != wish.seal:
                return self.choose(ContentError("E-CARD-CHANGED", where=wish.device))
            if held.refusal is not None:
                return self.choose(held.refusal)
            devices.append((device, held))
        return self._console.page("disk_confirm.html", at="cards", devices=devices)

    def make(self) -> Response:
        wishes = self._wishes()
        try:
            if not wishes:
                raise ContentError("E-CARD-CHOICE")
            self._cards.make_disks(wishes)
        except ShuxiangError as error:
            return self.choose(error)
        told = "、".join(f"{wish.device} {wish.seal}" for wish in wishes)
        self._console.audit("make disks", told)
        return self._console.go("cards/work")

    def _wishes(self) -> list[DiskWish]:
        form = request.form
        erased = form.getlist("erase")
        return [
            DiskWish(device=key, seal=form.get(f"seal-{key}", ""), erase=key in erased)
            for key in form.getlist("device")
        ]
