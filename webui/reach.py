"""`/reach`: how to open this box, and 书箱.html, a page to keep on a desktop that finds the box by itself.

That page runs from `file://` in old browsers, where no script may read another site's answer: it asks each place for
a tiny picture (`/reach.png`) and reads its size. Invariant: it never loads a script from a place it tries, for what
answers there may be anyone; the picture's size, made of the box's id, only tells this box from another one.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from flask import Blueprint, Response, request

from webui.house import House

PICTURE = "reach.png"
PAGE_PORTS = (80, 8080)
MOST_PLACES = 48
_HOST = re.compile(r"[A-Za-z0-9.-]{1,100}|\[[0-9A-Fa-f:.]{2,45}\]")


def routes(house: House) -> Blueprint:
    """Return the routes of finding the box."""
    blueprint = Blueprint("reach", __name__)
    size = picture_size(house.settings.box_id)
    picture = png(*size)

    @blueprint.get("/reach")
    def reach() -> Response:
        visit = house.visit()
        known = house.settings.reach()
        port = _port(request.host)
        response = house.page(
            visit,
            house.library.generation(),
            "reach.html",
            words_typed=[f"http://{name}.local{port}/" for name in known.names],
            short_typed=[f"http://{name}{port}/" for name in known.names],
            numbers_typed=[f"http://{_in_address(one)}{port}/" for one in known.addresses],
            taken=sorted(known.taken.items()),
            names=known.names,
        )
        response.headers["Cache-Control"] = "no-store"
        return response

    @blueprint.get("/reach/page.html")
    def page() -> Response:
        known = house.settings.reach()
        places = known_places(request.host, known.names, known.addresses)
        find = house.environments["zh-CN"].get_template("find.html")
        now = house.now()
        port = _port(request.host)
        html = find.render(
            places=[place for place in places if _port(place.rstrip("/")) == port],
            known={"width": size[0], "height": size[1], "places": places, "picture": PICTURE},
            made=f"{now:%Y-%m-%d}",
        )
        response = Response(html, mimetype="text/html")
        name = quote("书箱")
        response.headers["Content-Disposition"] = (
            f"attachment; filename=\"shuxiang.html\"; filename*=UTF-8''{name}.html"
        )
        response.headers["Cache-Control"] = "no-store"
        return response

    @blueprint.get(f"/{PICTURE}")
    def small() -> Response:
        response = Response(picture, mimetype="image/png")
        response.headers["Cache-Control"] = "no-store"
        return response

    return blueprint


def known_places(host: str, names: Iterable[str], addresses: Iterable[str]) -> list[str]:
    """Return the addresses to try, likeliest first: as asked for now, names, numbers; then the same on usual ports."""
    port = _port(host)
    asked = host.removesuffix(port)
    hosts = [asked] if _HOST.fullmatch(asked) else []
    for name in names:
        hosts += [f"{name}.local", name]
    hosts += map(_in_address, addresses)
    ports = dict.fromkeys((port, *("" if one == 80 else f":{one}" for one in PAGE_PORTS)))
    return list(dict.fromkeys(f"http://{one}{number}/" for number in ports for one in hosts))[:MOST_PLACES]


def picture_size(box_id: str) -> tuple[int, int]:
    """Return the width and height, 1 to 64 each, by which a box is told from most others."""
    bits = int(box_id[:3] or "0", 16)
    return 1 + (bits >> 6), 1 + (bits & 63)


def png(width: int, height: int) -> bytes:
    """Return a white picture of that size (PNG, 1 bit grey)."""
    row = b"\0" + b"\xff" * ((width + 7) // 8)
    parts: tuple[tuple[bytes, bytes], ...] = (
        (b"IHDR", struct.pack("!2I5B", width, height, 1, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(row * height, 9)),
        (b"IEND", b""),
    )
    chunks: Any = (
        struct.pack("!I", len(data)) + kind + data + struct.pack("!I", zlib.crc32(kind + data))
        for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _port(host: str) -> str:
    found = re.search(r":[0-9]{1,5}$", host)
    return found[0] if found else ""


def _in_address(address: str) -> str:
    return f"[{address}]" if ":" in address else address
