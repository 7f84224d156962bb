"""`/stick`: how far the import of a stick is, whether it may be pulled out, and what is wrong with it. No login.

Invariant: what it shows is what the service knows at this moment; it reloads itself only while an import is under way.
"""

from __future__ import annotations

from flask import Blueprint, Response

from catalog.stick import Phase
from webui.house import House

REFRESH_SECONDS = 3
_UNDER_WAY = (Phase.WAITING, Phase.IMPORTING)


def routes(house: House) -> Blueprint:
    """Return the route of the page of sticks."""
    blueprint = Blueprint("sticks", __name__)

    @blueprint.get("/stick")
    def stick() -> Response:
        plugged = house.settings.sticks()
        under_way = any(one.phase in _UNDER_WAY for one in plugged)
        response = house.page(
            house.visit(),
            house.library.generation(),
            "stick.html",
            at="stick",
            plugged=plugged,
            refresh=REFRESH_SECONDS if under_way else 0,
        )
        response.headers["Cache-Control"] = "no-store"
        return response

    return blueprint
