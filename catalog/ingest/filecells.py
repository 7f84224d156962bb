"""The files that a row names: one path or several in a cell, folder and name apart, or objects in JSON Lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from catalog.resource import File, is_sha256


def file_cells(values: Mapping[str, Any]) -> Iterator[tuple[str, Any, str | None]]:
    """Yield (role, ways to name the file or the blob itself, language) for each file that a row names."""
    name, folder = values.get("file"), values.get("file_path")
    if isinstance(name, str) and isinstance(folder, str):
        yield "source", (folder.rstrip("\\/") + "/" + name, folder), None
    elif isinstance(name or folder, str):
        for part in _split(str(name or folder)):
            yield "source", (part,), None
    for item in [*_as_list(values.get("files")), *_as_list(name if not isinstance(name, str) else None)]:
        yield from _json_file(item)
    for role, column in (("thumb", "cover"), ("subtitle", "subtitle")):
        for cell in _as_list(values.get(column)):
            for part in _split(str(cell)):
                yield role, (part,), "zh-CN" if role == "subtitle" else None


def _json_file(item: Any) -> Iterator[tuple[str, Any, str | None]]:
    if isinstance(item, str):
        yield "source", (item,), None
    elif isinstance(item, Mapping):
        role = str(item.get("role") or "source")
        language = str(item["language"]) if item.get("language") else None
        ways = tuple(str(item[key]) for key in ("path", "file", "name") if item.get(key))
        blob = _blob(item, role)
        if blob is not None:
            yield role, blob, language
        else:
            yield role, ways or ("",), language


def _blob(item: Mapping[str, Any], role: str) -> File | None:
    """Return the file of an exported record, which names a blob instead of a path."""
    sha256, size_bytes, name = item.get("sha256"), item.get("size_bytes"), item.get("name")
    if not (is_sha256(sha256) and isinstance(size_bytes, int) and isinstance(name, str)):
        return None
    return File(
        role=role,
        name=name,
        media_type=str(item.get("media_type") or ""),
        size_bytes=size_bytes,
        sha256=str(sha256),
        path=str(item["path"]) if item.get("path") else None,
        language=str(item["language"]) if item.get("language") else None,
    )


def _as_list(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _split(cell: str) -> list[str]:
    return [part.strip() for part in cell.replace("；", ";").replace("\n", ";").split(";") if part.strip()]
