"""The rest of the machine: `bystander.py FILESYSTEM SEED` runs beside a workload until its standard input closes.

It does, often and at random moments, what the kernel and other programs do on a box now and then: it fsyncs a file
of its own (which commits every name and length that anyone has changed on that filesystem) and starts the
write-back of somebody else's data without waiting for it. Both are harmless to a program that syncs what it
promises, and each brings to light a program that does not.

A process of its own: closing a file drops the POSIX locks that the same process holds on it, SQLite's among them.
"""

import os
import random
import select
import sys
from pathlib import Path

_PAUSE_SECONDS = (0.001, 0.03)


def start_writeback(path: Path) -> None:
    """Let the kernel begin to write the dirty pages of the file at `path`; nothing is waited for or flushed."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:  # gone again: the workload goes on meanwhile
        return
    try:
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(handle)


def main() -> None:
    """Disturb the filesystem until standard input closes."""
    filesystem, chance = Path(sys.argv[1]), random.Random(int(sys.argv[2]))
    own = os.open(filesystem / "bystander", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], chance.uniform(*_PAUSE_SECONDS))[0]:
        if chance.random() < 0.5:
            os.write(own, b".")
            os.fsync(own)
            continue
        files = [Path(folder, name) for folder, _, names in os.walk(filesystem) for name in names]
        for path in chance.sample(files, min(3, len(files))):
            start_writeback(path)
    os.close(own)


if __name__ == "__main__":
    main()
