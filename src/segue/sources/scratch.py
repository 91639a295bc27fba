"""Temporary folders that are removed in every case: explicitly, with their owner, or at exit."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path


class ScratchFolder:
    """A temporary folder, created when it is first needed."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._n_files = 0

    @property
    def path(self) -> Path:
        """The folder; it exists."""
        if self._path is None:
            self._path = Path(tempfile.mkdtemp(prefix="segue-"))
            self._remove = weakref.finalize(self, shutil.rmtree, self._path, ignore_errors=True)
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
        if self._path is not None:
            self._remove()
            self._path = None
