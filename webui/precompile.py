"""Compiles the templates of a box's pages once, for all starts: `python -m webui.precompile`, when it is installed."""

from __future__ import annotations

import shutil
from pathlib import Path

from jinja2.bccache import Bucket

from webui.compiled import PLACE, Compiled
from webui.house import box_environments
from webui.i18n import TEMPLATES
from webui.static_files import StaticFiles

_FOLDERS = (".", "admin")


class _Making(Compiled):
    def dump_bytecode(self, bucket: Bucket) -> None:
        with (self.directory / bucket.key).open("wb") as stream:
            bucket.write_bytecode(stream)


def precompile(folder: Path = TEMPLATES) -> int:
    """Compile the templates in `folder` for each language, in place of older ones; return how many. Raises `OSError`."""
    shutil.rmtree(folder / PLACE, ignore_errors=True)
    made = 0
    for language, environment in box_environments(StaticFiles(), (folder,)).items():
        environment.bytecode_cache = _Making(folder / PLACE / language)
        environment.bytecode_cache.directory.mkdir(parents=True)
        for path in (path for name in _FOLDERS for path in sorted((folder / name).glob("*.html"))):
            environment.get_template(path.relative_to(folder).as_posix())
            made += 1
    return made


if __name__ == "__main__":
    precompile()
