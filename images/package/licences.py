"""The package's copyright file: who wrote what it carries, and under which terms, from the wheels themselves.

The format is Debian's machine-readable one (copyright-format 1.0). Invariant: each package of the lock has its
paragraph with the text of its licence; one whose wheel brings none and is not known here is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path

from catalog.errors import ConfigError
from images.package.wheels import canonical

FORMAT = "https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/"
_TEXTS = Path(__file__).parent / "licences"
_WITHOUT_TEXT = {
    "libtorrent": ("2003-2020, Arvid Norberg", "BSD-3-Clause"),
    "rjieba": ("2020 Messense Lv", "MIT"),
}
"""Wheels without a licence file: whose they are and under which text, as their sources say."""
_TEXT_NAME = re.compile(r"(licen[cs]e|copying|notice)", re.IGNORECASE)
_CLAIM = re.compile(r"^\W*(copyright (?:\(c\)|©|\d{4}).*|\(c\) .*|© .*)$", re.IGNORECASE)


def copyright_file(site: Path, prefix: str, licence: Path) -> str:
    """Return the copyright file: ours is `licence` (Apache-2.0), of the wheels in `site` each paragraph has its own.

    `prefix` is where `site` is installed. Raises `ConfigError` E-BUILD for a wheel whose terms are not known.
    """
    parts = [
        f"Format: {FORMAT}\nUpstream-Name: shuxiang\n",
        "Files: *\nCopyright: The Shuxiang authors\n"
        + _terms("Apache-2.0", licence.read_text(encoding="utf-8")),
        f"Files: {prefix}/catalog/search/traditional.py\nCopyright: OpenCC authors, The Shuxiang authors\n"
        "License: Apache-2.0\nComment: simplified forms of traditional characters, from TSCharacters.txt of OpenCC\n",
    ]
    found = sorted(distributions(path=[str(site)]), key=lambda one: canonical(one.name))
    parts += [_paragraph(one, prefix) for one in found]
    return "\n".join(parts)


def stated_licence(found: Distribution) -> str:
    """Return the licence that a package's metadata states: its SPDX expression, else its words."""
    classified = [
        line.rpartition(" :: ")[2]
        for line in found.metadata.get_all("Classifier") or ()
        if line.startswith("License ::")
    ]
    words = _stated(found, "License").partition("\n")[0]
    return _stated(found, "License-Expression") or next(iter(classified), words)


def _stated(found: Distribution, field: str) -> str:
    return str(next(iter(found.metadata.get_all(field) or ()), ""))


def _paragraph(found: Distribution, prefix: str) -> str:
    name = canonical(found.name)
    text = "\n\n".join(_texts(found))
    claims = list(dict.fromkeys(_claims(text)))
    if not text and name in _WITHOUT_TEXT:
        claim, known = _WITHOUT_TEXT[name]
        text, claims = (_TEXTS / f"{known}.txt").read_text(encoding="utf-8"), [f"Copyright (c) {claim}"]
    if not text:
        raise ConfigError("E-BUILD", where=name, expected="LICENSE", found=stated_licence(found))
    author = _stated(found, "Author") or _stated(found, "Author-email")
    whose = claims or [author or "see its licence"]
    files = " ".join(f"{prefix}/{one}" for one in _top_level(found))
    return (
        f"Files: {files}\nCopyright: " + "\n           ".join(whose) + "\n"
        + _terms(stated_licence(found), text) + f"Comment: {found.name} {found.version}\n"
    )  # fmt: skip


def _texts(found: Distribution) -> Iterator[str]:
    for file in found.files or ():
        if file.parts[0].endswith(".dist-info") and _TEXT_NAME.match(file.name):
            yield Path(str(file.locate())).read_text(encoding="utf-8", errors="replace").strip()


def _top_level(found: Distribution) -> list[str]:
    return sorted({file.parts[0] for file in found.files or () if file.parts[0] != ".."})


def _claims(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if (claim := _CLAIM.match(line.strip())) and "[" not in line:
            yield claim[1].strip()


def _terms(short: str, text: str) -> str:
    lines = (f" {line.rstrip()}" if line.strip() else " ." for line in text.strip().splitlines())
    return f"License: {short}\n" + "\n".join(lines) + "\n"
