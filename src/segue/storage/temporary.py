"""Temporary folders, which are removed also when a signal ends the process."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from segue.errors import StorageError

_folders: set[Path] = set()
"""The temporary folders that exist, or are about to."""


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A new folder in ``TMPDIR``, by default in the temporary folder of the system.

    Raises:
        StorageError: the folder cannot be created.
    """
    try:
        parent = Path(os.environ.get("TMPDIR") or tempfile.gettempdir()).absolute()
    except OSError as error:
        raise _not_writable("the folder of temporary files", error) from None
    with removed_at_end(parent / f"segue-{os.urandom(8).hex()}") as folder:
        try:
            folder.mkdir(mode=0o700)
        except OSError as error:
            raise _not_writable(str(parent), error) from None
        yield folder


@contextmanager
def removed_at_end(folder: Path) -> Iterator[Path]:
    """Remove a folder at the end of the block, or of the process if a signal ends it earlier.

    Args:
        folder: it need not exist yet.
    """
    # Registered before it exists: a signal may arrive between any two instructions.
    _folders.add(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _folders.discard(folder)


def remove_temporary_folders() -> None:
    """Remove the temporary folders of blocks that have not ended."""
    for folder in list(_folders):
        shutil.rmtree(folder, ignore_errors=True)
        _folders.discard(folder)


def _not_writable(folder: str, error: OSError) -> StorageError:
    message = f"cannot write temporary files to {folder}: {error.strerror or error}"
    return StorageError(message, "set TMPDIR to a folder that can be written")
