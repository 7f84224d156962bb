"""The recovery sheet to print and the recovery file to keep, handed out to who knows the password, until both are kept.

Whoever has both has the hub's root keys. Invariant: each is given out only for the password typed anew, never from a
session left open; each time is in the log; after both were shown to be kept elsewhere, nothing is left here to give.
"""

from __future__ import annotations

from flask import Blueprint, Response, abort, request

from catalog.errors import ShuxiangError
from webui.hub.console import Console
from webui.hub.operations import RecoveryOperations, RecoveryWrong

FILE_BYTES = 64 << 10
FORM_BYTES = 128 << 10
FILE_NAME = "recovery.json"
# The sheet is a page of its own, with its style in it and nothing that runs.
_SHEET_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"  # fmt: skip
_WRONG = {
    RecoveryWrong.FILE: "选的不是这份恢复文件，或者没有拷完整。请从 U 盘上选 recovery.json；不对就再下载一次。",
    RecoveryWrong.SHEET: "和纸上的最后一组对不上。请看纸上“恢复口令”最后的五个字符。",
}


def recovery_pages(console: Console, recovery: RecoveryOperations) -> Blueprint:
    """Return the page of the recovery sheet and file."""
    pages = Blueprint("recovery", __name__, url_prefix="/hub/recovery")

    carrier = console.settings.carrier

    def page(problem: str = "", status: int = 400, stored: str = "") -> Response:
        sticks = carrier.sticks() if carrier is not None else []
        return console.page(
            "recovery.html",
            status=status if problem else 200,
            standing=recovery.standing(),
            sticks=[one for one in sticks if one.refusal is None],
            problem=problem,
            stored=stored,
            now=console.settings.clock(),
        )

    def refused() -> Response | None:
        """Return the page that refuses where the password that was typed is not the user's."""
        console.check_token(request.form.get("token", ""), console.session())
        user = console.session().user
        right, wait = console.is_right(user, request.form.get("password", "")[:1000])
        if right:
            return None
        if wait:
            words = console.words[console.language()]
            return page(console.say("试的次数太多，请过 %(wait)s再试。") % {"wait": words.left(wait)}, 429)
        console.audit("recovery refused")
        return page(console.say("密码不对。"), 403)

    @pages.get("")
    def show() -> Response:
        return page()

    @pages.post("/sheet")
    def sheet() -> Response:
        if (answer := refused()) is not None:
            return answer
        data = recovery.sheet()
        console.audit("take sheet")
        answer = Response(data, mimetype="text/html")
        answer.headers["Content-Security-Policy"] = _SHEET_POLICY
        return console.dress(answer)

    @pages.post("/file")
    def file() -> Response:
        if (answer := refused()) is not None:
            return answer
        data = recovery.file()
        console.audit("take recovery file")
        answer = Response(data, mimetype="application/octet-stream")
        answer.headers.set("Content-Disposition", "attachment", filename=FILE_NAME)
        return console.dress(answer)

    @pages.post("/stick")
    def stick() -> Response:
        if (answer := refused()) is not None:
            return answer
        key = request.form.get("stick", "")
        place = next((one for one in carrier.sticks() if one.key == key), None) if carrier else None
        if carrier is None or place is None:
            return page(console.say("刚才的盘已经拔掉了。插好以后再选。"))
        try:
            carrier.put_file(key, FILE_NAME, recovery.file())
        except ShuxiangError as error:
            return page(console.words[console.language()].of_stick(error.code))
        console.audit("store recovery file", place.name)
        return page(stored=place.name)

    @pages.post("/kept")
    def kept() -> Response:
        if (request.content_length or 0) > FORM_BYTES:
            abort(413)
        console.check_token(request.form.get("token", ""), console.session())
        sent, key = request.files.get("file"), request.form.get("stick", "")
        data = sent.stream.read(FILE_BYTES) if sent is not None and sent.filename else b""
        if not data and key and carrier is not None:
            data = carrier.read_file(key, FILE_NAME, FILE_BYTES) or b""
        wrong = recovery.keep(data, request.form.get("group", ""), console.session().user)
        if wrong is not None:
            return page(console.say(_WRONG[wrong]))
        console.audit("recovery kept")
        return console.go("recovery")

    return pages
