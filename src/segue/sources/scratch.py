"""Temporary folders that are removed in every case: explicitly, with their owner, or at exit."""

from __future__ import annotations

import weakref
from contextlib import ExitStack
from pathlib import Path

from segue.storage.temporary import temporary_folder


class ScratchFolder:
    """A temporary folder, created when it is first needed."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._n_files = 0
        self._stack = ExitStack()
        weakref.finalize(self, self._stack.close)

    @property
    def path(self) -> Path:
        """The folder; it exists.

        Raises:
            StorageError: the folder cannot be created.
        """
        if self._path is None:
            self._path = self._stack.enter_context(temporary_folder())
        return self._path

    def new_file(self, suffix: str) -> Path:
        """The path of a file that does not exist yet."""
        self._n_files += 1
        return self.path / f"{self._n_files}{suffix}"

    def __enter__(self) -> ScratchFolder:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the folder with everything in it."""
        self._stack.close()
        self._path = None
