"""制卡: cards and disks for new boxes, written from the browser with a reader in the hub.

Three looks at one thing: what is in the readers (choose), what will be erased (confirm), how far it is (work). They work
without scripts; only the last reloads itself, so that nobody's choice is lost. Invariant: nothing is written but what
the confirming page has shown, by the seal of each medium.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from flask import Blueprint, Response, abort, request, send_file

from catalog.errors import ContentError, ShuxiangError
from webui.hub.card_operations import CardOperations, Wish
from webui.hub.console import Console

REFRESH_SECONDS = 2
LINES_SHOWN = 200
TABLE_BYTES = 8 << 20
_TABLES = (".xlsx", ".xls", ".csv")


def card_pages(console: Console, cards: CardOperations) -> Blueprint:
    """Return the pages of 制卡."""
    pages = Blueprint("cards", __name__, url_prefix="/hub/cards")
    counter = _Counter(console, cards)

    @pages.get("")
    def choose() -> Response:
        return counter.choose()

    @pages.post("/look")
    def look() -> Response:
        console.check_token(request.form.get("token", ""), console.session())
        return counter.confirm()

    @pages.post("/write")
    def write() -> Response:
        console.check_token(request.form.get("token", ""), console.session())
        return counter.write()

    @pages.get("/work")
    def work() -> Response:
        return counter.work()

    @pages.post("/stop")
    def stop() -> Response:
        console.check_token(request.form.get("token", ""), console.session())
        name = request.form.get("work", "")
        if name in {one.id for one in cards.standing().works if not one.is_over}:
            cards.stop(name)
            console.audit("stop card", name)
        return console.go("cards/work")

    @pages.post("/dismiss")
    def dismiss() -> Response:
        console.check_token(request.form.get("token", ""), console.session())
        cards.dismiss()
        return console.go("cards")

    @pages.post("/schools")
    def schools() -> Response:
        console.check_token(request.form.get("token", ""), console.session())
        return counter.take_schools()

    @pages.get("/passwords.xlsx")
    def passwords() -> Response:
        sheet = cards.passwords()
        if sheet is None:
            abort(404)
        console.audit("take passwords", sheet.name)
        return console.dress(send_file(sheet, as_attachment=True, download_name=sheet.name, max_age=0))

    @pages.get("/record")
    def record() -> Response:
        lines = cards.lines()
        return console.page(
            "card_record.html", at="cards", lines=lines[:LINES_SHOWN], all=len(lines), now=console.settings.clock()
        )  # fmt: skip

    @pages.get("/record.csv")
    def record_table() -> Response:
        path = cards.record()
        if not path.exists():
            abort(404)
        answer = send_file(path, mimetype="text/csv", as_attachment=True, download_name="制卡记录.csv", max_age=0)  # fmt: skip
        return console.dress(answer)

    return pages


class _Counter:
    """What the pages do."""

    def __init__(self, console: Console, cards: CardOperations) -> None:
        self._console = console
        self._cards = cards

    def choose(self, problem: ShuxiangError | None = None) -> Response:
        console, standing = self._console, self._cards.standing()
        images = self._cards.images()
        return console.page(
            "cards.html",
            status=400 if problem else 200,
            at="cards",
            standing=standing,
            running=sum(not work.is_over for work in standing.works),
            images=images,
            chosen=request.form.get("image") or (images[0].key if images else ""),
            schools=self._cards.schools(),
            has_passwords=self._cards.passwords() is not None,
            address=f"http://{request.host}",
            problem=problem.line(console.language()) if problem else "",
            made=request.args.get("made", "") if request.args.get("made", "").isdigit() else "",
            now=console.settings.clock(),
        )

    def confirm(self) -> Response:
        """Show what will be erased; what does not fit is refused here already."""
        console = self._console
        image = next((one for one in self._cards.images() if one.key == request.form.get("image")), None)
        by_key = {device.key: device for device in self._cards.standing().devices}
        wishes, devices = self._wishes(), []
        for wish in wishes:
            device = by_key.get(wish.device)
            if device is None or device.seal != wish.seal:
                return self.choose(ContentError("E-CARD-CHANGED", where=wish.device))
            devices.append((device, wish))
        if image is None or not wishes:
            return self.choose(ContentError("E-CARD-CHOICE"))
        named = [wish.school for wish in wishes if wish.school]
        if len(set(named)) < len(named):
            return self.choose(ContentError("E-CARD-TWICE"))
        small = [device for device, _ in devices if device.size_bytes < image.size_bytes]
        if small:
            words = console.words[console.language()]
            return self.choose(
                ContentError(
                    "E-CARD-CHOICE",
                    where=small[0].model or small[0].key,
                    expected=f"≥ {words.size(image.size_bytes)}",
                    found=words.size(small[0].size_bytes),
                )
            )
        return console.page("card_confirm.html", at="cards", image=image, devices=devices)

    def write(self) -> Response:
        wishes = self._wishes()
        try:
            if not wishes:
                raise ContentError("E-CARD-CHOICE")
            self._cards.write(request.form.get("image", ""), wishes)
        except ShuxiangError as error:
            return self.choose(error)
        told = "、".join(f"{wish.device} {wish.seal} {wish.school}".strip() for wish in wishes)
        self._console.audit("write cards", told)
        return self._console.go("cards/work")

    def work(self) -> Response:
        standing = self._cards.standing()
        running = any(not work.is_over for work in standing.works)
        return self._console.page(
            "card_work.html", at="cards", refresh=REFRESH_SECONDS if running else 0, standing=standing, running=running
        )  # fmt: skip

    def take_schools(self) -> Response:
        """Make the settings of the schools in the list that was sent."""
        console = self._console
        file = request.files.get("table")
        name = Path((file.filename if file else "") or "").name
        if file is None or not name.lower().endswith(_TABLES) or (request.content_length or 0) > TABLE_BYTES:
            return self.choose(ContentError("E-SHEET", where=name))
        hub = request.form.get("hub", "").strip()
        if urlsplit(hub).scheme not in ("http", "https"):
            return self.choose(ContentError("E-CARD-ADDRESS", found=hub))
        with tempfile.TemporaryDirectory(dir=console.settings.uploads, prefix="schools-") as folder:
            table = Path(folder) / f"schools{Path(name).suffix.lower()}"
            file.save(table)
            try:
                made = self._cards.make_schools(table, hub)
            except ShuxiangError as error:
                return self.choose(error)
        console.audit("make schools", f"{name}: {made.new} + {made.kept}")
        if made.findings:
            return console.page(
                "card_schools.html", at="cards", made=made, name=name, language=console.language()
            )
        return console.go("cards", made=str(made.new), kept=str(made.kept))

    def _wishes(self) -> list[Wish]:
        form = request.form
        return [
            Wish(device=key, seal=form.get(f"seal-{key}", ""), school=form.get(f"school-{key}", ""))
            for key in form.getlist("device")
        ]
