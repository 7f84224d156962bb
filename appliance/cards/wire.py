"""What hub and writer say to each other over a Unix socket: one request, one answer, each a JSON value to its end.

A request to write carries the image as an open file (unix(7), SCM_RIGHTS). Invariant: no path and no address travels;
the writer is given a name of a device, the seal of the medium in it, bytes, and what they should be.
"""

from __future__ import annotations

import json
import os
import socket
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from appliance.plugging.device import count_of_media
from catalog.errors import ConfigError, ContentError, RoadError, ShuxiangError, StorageError, UsageError
from catalog.messages import MESSAGES
from images.contents import Content
from images.devices import Device

SOCKET = Path("/run/shuxiang-writer.sock")
DISKS = Path("/sys/class/block")
_CHUNK = 64 << 10
_MOST_BYTES = 4 << 20
_ANSWER_SECONDS = 30.0
_KINDS = ((range(2, 3), UsageError), (range(10, 20), ContentError), (range(20, 30), StorageError), (range(30, 40), RoadError))  # fmt: skip


def ask(path: Path, request: dict[str, Any], file: int | None = None) -> Any:
    """Send `request` to the writer at `path`, with an open file, and return its answer.

    Raises `ConfigError` E-CARD-WRITER where nobody answers there, and what the writer refuses with.
    """
    data = json.dumps(request, ensure_ascii=False).encode()
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(_ANSWER_SECONDS)
            line.connect(str(path))
            sent = socket.send_fds(line, [data], [file] if file is not None else [])
            line.sendall(data[sent:])
            line.shutdown(socket.SHUT_WR)
            answer = json.loads(_to_the_end(line, b""))
    except (OSError, ValueError) as error:
        raise ConfigError("E-CARD-WRITER", found=getattr(error, "strerror", "") or error) from error
    if refused := answer.get("refused"):
        raise refusal_of(refused)
    return answer


def heard(line: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Return the request that comes over `line` and the files with it, which the caller closes; raise `ValueError`."""
    data, files, _, _ = socket.recv_fds(line, _CHUNK, 1)
    try:
        value = json.loads(_to_the_end(line, data))
        if not isinstance(value, dict):
            raise ValueError("no object")
    except (OSError, ValueError):
        for file in files:
            os.close(file)
        raise
    return value, list(files)


def answer(line: socket.socket, value: dict[str, Any]) -> None:
    """Answer; whoever asked may be gone."""
    with suppress(OSError):
        line.sendall(json.dumps(value, ensure_ascii=False).encode())


def _to_the_end(line: socket.socket, data: bytes) -> bytes:
    held = bytearray(data)
    while part := line.recv(_CHUNK):
        held += part
        if len(held) > _MOST_BYTES:
            raise ValueError("too long")
    return bytes(held)


def refusal_json(error: ShuxiangError) -> dict[str, str]:
    """Return a refusal as a value."""
    return {"code": error.code, "where": error.where, "expected": error.expected, "found": error.found}


def refusal_of(value: dict[str, Any]) -> ShuxiangError:
    """Return the refusal that a value tells of."""
    code = str(value["code"])
    kind = next((kind for codes, kind in _KINDS if MESSAGES[code].exit_code in codes), ConfigError)
    return kind(code, where=value["where"], expected=value["expected"], found=value["found"])


def content_json(content: Content) -> dict[str, Any]:
    """Return what lies on a disk as a value."""
    return asdict(content) | {"is_data_disk": content.is_data_disk}


def seal_of(device: Device) -> str:
    """Return what a medium is known by between page and writing: another card in the reader has another.

    Of equal cards a reader tells the same of both; the kernel's count tells them apart.
    """
    return f"{device.model}|{device.serial}|{device.size_bytes}|{count_of_media(DISKS / device.name)}"
