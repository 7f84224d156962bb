"""`/api/v1/…` and `/healthz`: what screens, scripts and tests are built on (DESIGN §5.5).

Invariant: JSON in UTF-8, read only, no cookie; the API applies a school's scope only when asked (`scope=mine`).
"""

from __future__ import annotations

import json

from flask import Blueprint, Response, request

from catalog.resource import is_resource_id
from catalog.scope import EVERYTHING
from webui.answers import resource_answer, search_answer
from webui.house import House
from webui.search import FIELDS, LONGEST_TEXT
from webui.status import box_status

__all__ = ["routes", "search_answer"]

MOST_PER_PAGE = 100
PER_PAGE = 20
_CACHED = {"1": True, "0": False}


def routes(house: House) -> Blueprint:
    """Return the routes of the API."""
    blueprint = Blueprint("api", __name__)

    @blueprint.get("/healthz")
    def health() -> Response:
        house.library.generation()
        return _json({"status": "ok", "role": "box", "version": house.settings.version})

    @blueprint.get("/api/v1/status")
    def status() -> Response:
        settings = house.settings
        return _json(
            box_status(
                house.library,
                house.local,
                box_id=settings.box_id,
                name=settings.name,
                version=settings.version,
                disk=house.operations.disk(),
            )
        )

    @blueprint.get("/api/v1/search")
    def search() -> Response:
        found = house.finder.search(
            request.args.get("q", "").strip()[:LONGEST_TEXT],
            {
                name: codes
                for name in FIELDS
                if (codes := frozenset(filter(None, request.args.getlist(name))))
            },
            cached=_CACHED.get(request.args.get("cached", "")),
            scope=house.scope() if request.args.get("scope") == "mine" else EVERYTHING,
            page=_number("page", 1, 10_000),
            per_page=_number("per_page", PER_PAGE, MOST_PER_PAGE),
        )
        return _json(search_answer(found))

    @blueprint.get("/api/v1/resources/<resource_id>")
    def resource(resource_id: str) -> Response:
        with house.library.reading() as reader:
            entry = reader.resource(resource_id) if is_resource_id(resource_id) else None
        if entry is None or entry.resource.state != "published":
            return refusal("Not Found", 404)
        return _json(resource_answer(entry))

    return blueprint


def _number(name: str, default: int, most: int) -> int:
    text = request.args.get(name, "")
    return max(1, min(int(text), most)) if text.isascii() and text.isdigit() and len(text) < 8 else default


def refusal(reason: str, status: int) -> Response:
    """Return the answer to what the API does not have or do: JSON like every other."""
    return _json({"error": reason.lower()}, status)


def _json(value: object, status: int = 200) -> Response:
    response = Response(
        json.dumps(value, ensure_ascii=False, separators=(",", ":")), status, mimetype="application/json"
    )
    response.headers["Cache-Control"] = "no-store"
    return response
