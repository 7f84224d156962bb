"""A serving school for the tests of the pages: built once, opened in a real waitress on two free ports."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from school import PASSWORD, School, listening, village_school
from werkzeug.test import Client
from wsgi import stop

from webui.accounts import set_password
from webui.app import BoxApp, create_box_app


class OnPort:
    """The application as it is asked on one port."""

    def __init__(self, app: Any, port: int) -> None:
        self._app = app
        self._port = port

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        return self._app({**environ, "SERVER_PORT": str(self._port)}, start_response)


@dataclass
class Serving:
    """A school behind waitress."""

    school: School
    app: BoxApp
    port: int
    package_port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self) -> Client:
        """Return a client for the pages, past the sockets."""
        return Client(self.app)

    def package_client(self) -> Client:
        """Return a client for the package port, past the sockets."""
        return Client(OnPort(self.app, self.package_port))

    @property
    def package_url(self) -> str:
        return f"http://127.0.0.1:{self.package_port}"


def free_ports() -> tuple[int, int]:
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    yield from serve(village_school(tmp_path_factory.mktemp("school")))


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Serving]:
    """A school of its own for tests that change it."""
    yield from serve(village_school(tmp_path / "school", grades=("g3",)))


def serve(school: School) -> Iterator[Serving]:
    set_password(school.local, "teacher", PASSWORD)
    port, package_port = free_ports()
    app = create_box_app(
        school.library,
        school.finder,
        school.store.blobs,
        school.local,
        school.operations,
        school.settings(package_port),
    )
    server = listening(app, port, package_port)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield Serving(school, app, port, package_port)
    stop(server, thread)
    app.close()
    school.close()
