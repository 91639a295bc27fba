"""Events spilled to disk while a log is read: raw columns in temporary files.

They are written and read in blocks, so that memory does not grow with the length of the log.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int32, Int64

from segue.preparation.filters import RawEvents
from segue.ragged import offsets_of, row_blocks

_DTYPES = {"items": np.int32, "times": np.int64, "ratings": np.float32}


class EventSpill:
    """Sequences on disk: first appended block by block, then read block by block."""

    def __init__(self, folder: Path) -> None:
        """Create ``folder`` for the files, without events."""
        folder.mkdir()
        self._folder = folder
        self._lengths: list[np.ndarray] = []

    def append(self, events: RawEvents) -> None:
        """Append rows, with the same columns in every call. Not allowed after a read."""
        for name in _DTYPES:
            values = getattr(events, name)
            if values is not None:
                with (self._folder / name).open("ab") as file:
                    file.write(np.ascontiguousarray(values).data)
        self._lengths.append(events.lengths)

    @cached_property
    def lengths(self) -> Int64[np.ndarray, " rows"]:
        """Number of events in each row."""
        return np.concatenate([np.zeros(0, np.int64), *self._lengths])

    def blocks(self) -> Iterator[RawEvents]:
        """Read all events in order, in blocks of complete rows, into memory."""
        offsets = offsets_of(self.lengths)
        for first, end in row_blocks(offsets):
            block_offsets = offsets[first : end + 1] - offsets[first]
            start, count = int(offsets[first]), int(block_offsets[-1])
            columns: dict[str, Any] = {name: self._read(name, start, count) for name in _DTYPES}
            yield RawEvents(block_offsets, **columns)

    def item_counts(self, n_codes: int) -> Int64[np.ndarray, " codes"]:
        """Events per item code, for the codes below ``n_codes``."""
        counts = np.zeros(n_codes, np.int64)
        for events in self.blocks():
            counts += np.bincount(events.items, minlength=n_codes)
        return counts

    def column(self, name: str) -> np.ndarray | None:
        """``items``, ``times`` or ``ratings`` of all events, memory-mapped; None if absent."""
        path = self._folder / name
        if not path.exists():
            return None
        return np.asarray(np.memmap(path, dtype=_DTYPES[name], mode="r"))

    def translate_items(self, indices: Int32[np.ndarray, " codes"]) -> None:
        """Replace each item ``code`` by ``indices[code]``."""
        translated = self._folder / "translated"
        with translated.open("wb") as file:
            for events in self.blocks():
                file.write(indices[events.items].data)
        translated.replace(self._folder / "items")

    def remove(self) -> None:
        """Delete the files."""
        shutil.rmtree(self._folder)

    def _read(self, name: str, start: int, count: int) -> np.ndarray | None:
        path, dtype = self._folder / name, np.dtype(_DTYPES[name])
        if not path.exists():
            return None
        return np.fromfile(path, dtype, count, offset=start * dtype.itemsize)
