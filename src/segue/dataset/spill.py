"""Events on their way to the prepared format: raw columns in temporary files.

They are written and read in blocks by ordinary file operations, so that a log of any
length passes through little memory.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int32, Int64

from segue.axes import offsets_of
from segue.dataset.filters import Events
from segue.dataset.sequences import row_blocks

_DTYPES = {"items": np.int32, "times": np.int64, "ratings": np.float32}


class EventLog:
    """Whole sequences: first appended, some rows at a time, then read, some rows at a time."""

    def __init__(self, folder: Path) -> None:
        """Begin an empty log whose files lie in ``folder``, which is made for it."""
        folder.mkdir()
        self._folder = folder
        self._lengths: list[np.ndarray] = []

    def append(self, events: Events) -> None:
        """Add rows at the end; every call has the same columns. No call may follow a read."""
        for name in _DTYPES:
            values = getattr(events, name)
            if values is not None:
                with (self._folder / name).open("ab") as file:
                    file.write(np.ascontiguousarray(values).data)
        self._lengths.append(events.lengths)

    @cached_property
    def lengths(self) -> Int64[np.ndarray, " rows"]:
        """Events in each row."""
        return np.concatenate([np.zeros(0, np.int64), *self._lengths])

    def blocks(self) -> Iterator[Events]:
        """Read everything in order, some whole rows at a time, into memory of its own."""
        offsets = offsets_of(self.lengths)
        for first, end in row_blocks(offsets):
            local = offsets[first : end + 1] - offsets[first]
            start, count = int(offsets[first]), int(local[-1])
            columns: dict[str, Any] = {name: self._read(name, start, count) for name in _DTYPES}
            yield Events(local, **columns)

    def item_counts(self, n_codes: int) -> Int64[np.ndarray, " codes"]:
        """Events of each code, of ``n_codes`` codes."""
        counts = np.zeros(n_codes, np.int64)
        for events in self.blocks():
            counts += np.bincount(events.items, minlength=n_codes)
        return counts

    def column(self, name: str) -> np.ndarray | None:
        """``items``, ``times`` or ``ratings`` of all events, mapped from its file."""
        path = self._folder / name
        if not path.exists():
            return None
        return np.asarray(np.memmap(path, dtype=_DTYPES[name], mode="r"))

    def translate_items(self, translation: Int32[np.ndarray, " codes"]) -> None:
        """Replace each item ``code`` by ``translation[code]``."""
        translated = self._folder / "translated"
        with translated.open("wb") as file:
            for events in self.blocks():
                file.write(translation[events.items].data)
        translated.replace(self._folder / "items")

    def remove(self) -> None:
        """Delete the files."""
        shutil.rmtree(self._folder)

    def _read(self, name: str, start: int, count: int) -> np.ndarray | None:
        path, dtype = self._folder / name, np.dtype(_DTYPES[name])
        if not path.exists():
            return None
        return np.fromfile(path, dtype, count, offset=start * dtype.itemsize)
