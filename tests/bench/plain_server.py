"""What the figures of pages and files stand beside: a bare Flask page and two plain ways to send a file's range.

`python tests/bench/plain_server.py PORT FILE`: `/` a Flask page of twenty rows by a template, `/send` Flask's
`send_file`, `/wrapped` the server's own `wsgi.file_wrapper` over a seeked file; waitress with eight threads, as a box.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import waitress
from flask import Flask, Response, send_file

PAGE = "<!DOCTYPE html><title>{{ title }}</title><ul>{% for row in rows %}<li><a href='/r/{{ row }}'>{{ title }} {{ row }}</a>{% endfor %}</ul>"


def application(path: str) -> Any:
    """Return the WSGI application over the file at `path`."""
    app = Flask(__name__)
    template = app.jinja_env.from_string(PAGE)

    @app.get("/")
    def page() -> str:
        return template.render(title="分数的初步认识", rows=range(20))

    @app.get("/send")
    def send() -> Response:
        return send_file(path, conditional=True)

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/wrapped":
            return app(environ, start_response)
        first, _, last = environ["HTTP_RANGE"].removeprefix("bytes=").partition("-")
        length = int(last) - int(first) + 1
        stream = Path(path).open("rb")  # noqa: SIM115 - closed by waitress, which sends it
        stream.seek(int(first))
        start_response("206 Partial Content", [("Content-Length", str(length))])
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](stream, 1 << 18)
        return wrapped

    return answer


if __name__ == "__main__":
    waitress.serve(application(sys.argv[2]), listen=f"127.0.0.1:{sys.argv[1]}", threads=8, _quiet=True)
