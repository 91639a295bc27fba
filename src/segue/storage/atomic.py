"""Atomic file replacement: write under a temporary name, then rename."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from segue.errors import StorageError


def partial_path(file: Path) -> Path:
    """The temporary name of a file while it is being written."""
    return file.with_name(file.name + ".partial")


def check_writable(file: Path) -> None:
    """Check that a file can be written, before a long computation whose result goes into it.

    Raises:
        StorageError: its folder does not exist or is not writable, or the path is a folder.
    """
    folder = file.parent
    if not folder.is_dir():
        reason = f"there is no folder {folder}"
    elif file.is_dir():
        reason = "it is a folder"
    elif not os.access(folder, os.W_OK):
        reason = f"no permission to write in {folder}"
    else:
        return
    raise StorageError(f"cannot write {file}: {reason}", "choose another path")


def replace_file(file: Path, write: Callable[[Path], object]) -> None:
    """Write a file under a temporary name, then rename it, so that no reader sees a partial file.

    Args:
        write: called with the temporary path, writes the content there.

    Raises:
        StorageError: no space, no permission or no such folder. An existing file of that name
            is then unchanged.
    """
    partial = partial_path(file)
    try:
        write(partial)
        partial.replace(file)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise StorageError(
            f"cannot write {file}: {error.strerror or error}",
            "free some space or choose another path",
        ) from None
