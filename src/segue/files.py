"""Writing a file whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from segue.errors import StorageError


def partial_of(file: Path) -> Path:
    """The name that a file has while it is written."""
    return file.with_name(file.name + ".partial")


def check_place(file: Path) -> None:
    """Raise where a file surely cannot be written, before work is done that would be lost.

    Raises:
        StorageError: there is no such folder, nothing may be written in it, or the file's own
            name is a folder's.
    """
    folder = file.parent
    if not folder.is_dir():
        why = f"there is no folder {folder}"
    elif file.is_dir():
        why = "it is a folder"
    elif not os.access(folder, os.W_OK):
        why = f"no permission to write in {folder}"
    else:
        return
    raise StorageError(f"cannot write {file}: {why}", "choose another place")


def replace_file(file: Path, write: Callable[[Path], object]) -> None:
    """Write a file under another name, then give it its own: no reader sees half of it.

    Args:
        write: writes the content to the path that it is given.

    Raises:
        StorageError: no space, no permission or no such folder; an older file is still there.
    """
    partial = partial_of(file)
    try:
        write(partial)
        partial.replace(file)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise StorageError(
            f"cannot write {file}: {error.strerror or error}",
            "free some space or choose another place",
        ) from None
