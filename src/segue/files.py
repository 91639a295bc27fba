"""Writing a file whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from segue.errors import StorageError


def partial_of(file: Path) -> Path:
    """The name that a file has while it is written."""
    return file.with_name(file.name + ".partial")


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
