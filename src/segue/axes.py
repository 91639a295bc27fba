"""Words shared by every module: axis names, special tokens and index types.

Axis words, as used in annotations and docstrings:

``sequence``  one playlist, user or session         ``event``   one item in a sequence
``batch``     sequences computed together           ``length``  positions in the context
``table``     rows of the item table, specials too  ``dim``     width of an embedding
``negative``  items drawn by a sampled loss         ``k``       places of a ranked list

An *item id* is what the caller knows, a string. An *item index* is a row of the tables:
the special tokens first, then the catalogue by falling training count, then the items
outside the catalogue. So ``index < table_size`` says at once whether an item can be
recommended or only be met.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Int32, Int64

PAD = 0
"""Fills the end of short sequences. Never counts, neither as input nor as target."""
START = 1
"""Stands before the first event; takes one of the context's places."""
END = 2
"""Label after a sequence's last event; counts once."""
UNK = 3
"""Stands for an item outside the catalogue; counts as a label, so that a model learns how
often the unknown comes."""

N_SPECIALS = 4
"""Item indices below this are special tokens; the catalogue begins here."""

INDEX_DTYPE = np.int32
"""Item indices, in memory and on disk."""


class Ragged(NamedTuple):
    """Rows of different lengths, stored end to end.

    Row ``i`` is ``values[offsets[i]:offsets[i + 1]]``.
    """

    offsets: Int64[np.ndarray, " rows+1"]
    values: Int32[np.ndarray, " values"]

    def row(self, i: int) -> Int32[np.ndarray, " row"]:
        """The values of row ``i``."""
        return self.values[self.offsets[i] : self.offsets[i + 1]]

    def slice(self, begin: int, end: int) -> Ragged:
        """The rows ``begin`` up to ``end``; their values are a view."""
        offsets = self.offsets[begin : end + 1]
        return Ragged(offsets - offsets[0], self.values[offsets[0] : offsets[-1]])

    @property
    def n_rows(self) -> int:
        """Rows, empty ones too."""
        return len(self.offsets) - 1

    @classmethod
    def of(cls, rows: list[np.ndarray] | list[list[int]]) -> Ragged:
        """Join rows end to end."""
        lengths = np.fromiter((len(row) for row in rows), dtype=np.int64, count=len(rows))
        parts = [np.asarray(row, dtype=INDEX_DTYPE) for row in rows]
        values = np.concatenate(parts) if parts else np.zeros(0, INDEX_DTYPE)
        return cls(offsets_of(lengths), values)


def offsets_of(lengths: Int64[np.ndarray, " rows"]) -> Int64[np.ndarray, " rows+1"]:
    """Offsets of rows laid end to end, from their lengths."""
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def spans(
    starts: Int64[np.ndarray, " rows"], lengths: Int64[np.ndarray, " rows"]
) -> Int64[np.ndarray, " values"]:
    """The positions ``starts[i]``, ``starts[i] + 1``, ... of every span, end to end."""
    before = np.cumsum(lengths) - lengths
    return np.arange(lengths.sum()) + np.repeat(starts - before, lengths)
