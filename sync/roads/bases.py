"""Local files that are much like what rsync is to bring: an older edition of the same file, or a damaged copy of it.

rsync looks for a basis of the same name in the folder given by `--compare-dest`, so each basis is linked there under
the hash of what it helps to bring. It is only read: the new bytes go to staging from their beginning on, so that what
a kill leaves there is a beginning like any other road's. (With the older edition itself in staging and `--inplace`,
rsync can not use what moved towards the end: 1.9 MB against 17 kB for a 5 MB file with one insertion.)
Invariant: a basis is never trusted, whatever it holds; it saves bytes or it does not.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from catalog import durable
from sync.formats.release import TreeFile
from sync.roads.staging import Staging

# Below, the checksums cost as much as the bytes.
LEAST_BYTES = 16 << 10


def lay_basis(file: TreeFile, staging: Staging) -> bool:
    """Put the basis of `file` where rsync looks for it; return False where there is none or no room for it.

    rsync uses a basis only where the file itself is not there yet: what an earlier run left of it is moved in front
    of the older edition, and so it is not fetched again either.
    """
    older = staging.bases.get(file.sha256)
    if older is None or file.size_bytes < LEAST_BYTES or not older.is_file():
        return False
    basis = staging.basis_path(file.sha256)
    try:
        durable.make_directory(basis.parent)
        begun = staging.length(file)
        laid_bytes = basis.stat().st_size if basis.exists() else 0
        if begun == 0 and laid_bytes == 0:
            _link(older, basis)
        elif laid_bytes < older.stat().st_size + begun:
            _join((staging.path(file.sha256), older) if begun else (older,), basis)
        staging.forget(file.sha256)
    except OSError:
        basis.unlink(missing_ok=True)
        return False
    return True


def drop_basis(sha256: str, staging: Staging) -> None:
    """Remove the basis of a file that has come."""
    staging.basis_path(sha256).unlink(missing_ok=True)


def _link(older: Path, basis: Path) -> None:
    try:
        durable.link(older, basis)
    except OSError:
        shutil.copyfile(older, basis)


def _join(parts: tuple[Path, ...], basis: Path) -> None:
    """Write the parts one after the other; a kill leaves the old basis or the new one."""
    joined = basis.with_name(f".{basis.name}{durable.TEMPORARY_SUFFIX}{os.getpid()}")
    try:
        with joined.open("wb") as stream:
            for part in parts:
                with part.open("rb") as source:
                    shutil.copyfileobj(source, stream, 1 << 20)
        durable.move(joined, basis)
    except OSError:
        joined.unlink(missing_ok=True)
        raise
