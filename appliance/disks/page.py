"""The plain page of a machine whose data disk is missing or damaged: what is wrong and what to do, at any address.

It needs nothing of what is missing: no state, no catalogue, no templates. Every path answers 503, so that no browser and
no other box takes it for content, and is looked at again by itself until the machine serves as before.
"""

from __future__ import annotations

import hashlib
import html
import logging
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path

from appliance.disks.telling import Told
from appliance.firstboot.fields import BOX, HUB
from appliance.firstboot.system import System
from appliance.names.labels import BOX_WORD, HUB_WORD, is_word
from appliance.ports import listen
from catalog.errors import ShuxiangError

RETRY_SECONDS = 30
_LINE_SECONDS = 20
_log = logging.getLogger("shuxiang.disks")

_FRAME = """<!DOCTYPE html>
<html lang="zh-CN"><head><meta charset="utf-8"><title>书箱：数据盘有问题</title>
<meta name="viewport" content="width=device-width"><meta http-equiv="refresh" content="{retry}">
<style>body{{font:18px/1.7 sans-serif;max-width:34em;margin:2em auto;padding:0 1em;color:#222}}
h1{{font-size:1.4em}}li{{margin:.4em 0}}.en{{color:#555;border-top:1px solid #ccc;margin-top:2em;font-size:.9em}}
pre{{white-space:pre-wrap;background:#f4f4f4;padding:.6em;font-size:.8em}}</style></head><body>
<h1>书箱现在打不开课：{what_zh}</h1>
<p>该怎么做：</p><ol>{steps_zh}</ol>
<p>修好以后，这个网页会自己变回来。</p>
<div class="en" lang="en"><h1>No lessons now: {what_en}</h1>
<p>What to do:</p><ol>{steps_en}</ol></div>
<p>给技术员 / for the technician:</p><pre>{details}</pre>
</body></html>
"""


def page(told: Told) -> bytes:
    """Return the page for a machine with a failure."""
    assert told.failure is not None
    message = told.failure.message
    parts = [told.failure.line("zh-CN"), told.failure.line("en")]
    parts += [one.line("en") for one in told.warnings]
    return _FRAME.format(
        retry=RETRY_SECONDS,
        what_zh=html.escape(message.zh),
        what_en=html.escape(message.en),
        steps_zh=_steps(message.hint_zh, "；"),
        steps_en=_steps(message.hint_en, ";"),
        details=html.escape("\n".join([*parts, told.details]).strip()),
    ).encode()


def _steps(text: str, mark: str) -> str:
    """Return the steps of a hint, one line each."""
    found = [step.strip() for step in re.split(mark, text)]
    return "".join(f"<li>{html.escape(step)}</li>" for step in found if step)


class _Answer(BaseHTTPRequestHandler):
    server: _Server
    timeout = _LINE_SECONDS

    def _any(self) -> None:
        body = self.server.body
        self.send_response(503)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Retry-After", str(RETRY_SECONDS))
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = _any

    def log_message(self, format: str, *args: object) -> None:
        _log.debug(format, *args)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, listening: socket.socket, body: bytes) -> None:
        super().__init__(listening.getsockname()[:2], _Answer, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.body = body

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that went away is no fault of ours."""
        _log.debug("%s went away", client_address)


def serve(told: Told, host: str, port: int) -> None:
    """Answer every request with the page until interrupted; raise `ConfigError` E-PORT where the port is taken."""
    if not isinstance(told.failure, ShuxiangError):
        return
    with _Server(listen(host, port), page(told)) as server:
        server.socket.listen(16)
        with named(told.failure.code, host, port):
            server.serve_forever()


@contextmanager
def named(code: str, host: str, port: int, root: Path = Path(os.sep)) -> Iterator[None]:
    """Answer for the machine's names while the page is served, so that the word that children type finds it.

    Who it is, is known from what first boot left below `root`; `shuxiang discover` shows `code` as its state.
    """

    from appliance.discovery import Announcement, Announcer, reachable_at
    from appliance.names.service import NameService, NameState

    said = System(root).stamp().get("settings", {})
    is_hub = said.get("role") == HUB
    own = socket.gethostname().lower()
    words = [HUB_WORD if is_hub else BOX_WORD, *([own] if is_word(own) else [])]
    announcement = Announcement(
        name=str(said.get("name") or own),
        id=hashlib.sha256(own.encode()).hexdigest()[:32],
        role=HUB if is_hub else BOX,
        version=version("shuxiang"),
        state=code,
        port=port,
        host=host,
    )
    with Announcer(announcement) as announcer:

        def tell(state: NameState) -> None:
            announcer.rename(tuple(state.names.values()))

        with NameService(words, tell=tell, reaches=lambda addresses: reachable_at(host, addresses)):
            yield
