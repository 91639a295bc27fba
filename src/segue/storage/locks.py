"""Locks on folders, which end with the process that holds them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked_folder(path: Path) -> Iterator[bool]:
    """Lock a folder against other processes; the lock ends with the process, even if it is killed.

    Yields:
        Whether it is locked now; False if another process has locked it. Always True on Windows,
        where folders cannot be locked, and on file systems without locks.
    """
    if os.name == "nt":
        yield True
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield _lock(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True
