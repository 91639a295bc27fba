"""The sequences of a prepared dataset: events stored end to end in memory-mapped arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Float32, Int8, Int32, Int64

from segue.errors import DatasetError

NO_TARGET = -1
"""Label of the split ``windows``: an event too early in its sequence to be a target."""
TRAIN_TARGET = 0
"""Label of the split ``windows``: a training target."""
TEST_TARGET = 1
"""Label of the split ``windows``: a held-out target of the test part."""
VALID_TARGET = 2
"""Label of the split ``windows``: a held-out target of the validation part."""

SESSION_OF = "session_of"
"""The attribute of a session that names the sequence it was cut from. It is not called ``user``
because that sequence feature is the sequence's own id."""


class MappedFile(NamedTuple):
    """A memory-mapped file, with the inode and size (bytes) it had when it was mapped."""

    path: Path
    inode: int
    size: int

    @classmethod
    def of(cls, path: Path) -> MappedFile:
        """The file with its current inode and size."""
        status = path.stat()
        return cls(path, status.st_ino, status.st_size)

    def check(self) -> None:
        """Check that the file still has its size.

        Reading beyond the end of a mapped file kills the process without a message. That can
        happen when a program such as ``cp`` overwrites the file in place. A file that was
        deleted or replaced by another stays mapped as it was.

        Raises:
            DatasetError: the size has changed.
        """
        try:
            status = self.path.stat()
        except OSError:
            return
        if status.st_ino == self.inode and status.st_size != self.size:
            raise DatasetError(
                f"{self.path} was overwritten while it was read: it has {status.st_size:,} bytes "
                f"and had {self.size:,}",
                "restore the dataset; a run then continues with --resume",
            )


class Cuts(NamedTuple):
    """How a split divides each sequence.

    Attributes:
        train_end: the position of the first event after the training events.
        valid_end: the position of the first event after the validation events; the rest are
            test events.
        target_parts: under the split ``windows`` only, the label of each event: ``NO_TARGET``,
            ``TRAIN_TARGET``, ``TEST_TARGET`` or ``VALID_TARGET``. Both positions are then the
            length of the sequence.
    """

    train_end: Int32[np.ndarray, " sequences"]
    valid_end: Int32[np.ndarray, " sequences"]
    target_parts: Int8[np.ndarray, " events"] | None = None


class Spans(NamedTuple):
    """Consecutive events of some sequences, one span per sequence.

    Attributes:
        rows: the sequence of each span.
        starts: the index of its first event in ``Sequences.items``.
        lengths: its number of events.
    """

    rows: Int64[np.ndarray, " spans"]
    starts: Int64[np.ndarray, " spans"]
    lengths: Int64[np.ndarray, " spans"]

    def take(self, indices: Int64[np.ndarray, " chosen"]) -> Spans:
        """Select spans by index."""
        return Spans(*(array[indices] for array in self))


@dataclass(frozen=True)
class Sequences:
    """All sequences of a dataset, in its order; sequence ``i`` is *row* ``i``.

    The arrays are read-only views of the memory-mapped file: opening reads nothing, and pages
    are read on first access.

    Attributes:
        ids: the caller's id of each sequence.
        offsets: row ``i`` consists of the events ``offsets[i]`` to ``offsets[i + 1]``, exclusive.
        items: item indices of all events; never a special token, and at or above the
            dataset's ``vocabulary_size`` where an item is outside the catalogue.
        times: microseconds since 1970 in UTC, or None where the log has no times.
        ratings: the ratings, NaN where an event has none, or None where the log has none.
        train_end: see ``Cuts``.
        valid_end: see ``Cuts``.
        target_parts: see ``Cuts``.
        attributes: one row per sequence, such as a playlist's name; may have no column.
        file: the file that the arrays are views of; None where they are in memory.
    """

    ids: pa.StringArray
    offsets: Int64[np.ndarray, " bounds"]
    items: Int32[np.ndarray, " events"]
    times: Int64[np.ndarray, " events"] | None
    ratings: Float32[np.ndarray, " events"] | None
    train_end: Int32[np.ndarray, " sequences"]
    valid_end: Int32[np.ndarray, " sequences"]
    target_parts: Int8[np.ndarray, " events"] | None
    attributes: pa.Table
    file: MappedFile | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def n_events(self) -> int:
        """Number of events in all sequences together."""
        return len(self.items)

    @cached_property
    def lengths(self) -> Int64[np.ndarray, " sequences"]:
        """Number of events in each sequence."""
        return np.diff(self.offsets)

    @property
    def cuts(self) -> Cuts:
        """Where each sequence is cut into its training, validation and test part."""
        return Cuts(self.train_end, self.valid_end, self.target_parts)

    def row(self, i: int) -> Int32[np.ndarray, " events"]:
        """Item indices of sequence ``i``, oldest first, as a view."""
        return self.items[self.offsets[i] : self.offsets[i + 1]]

    def check(self) -> None:
        """Check that the arrays can still be read. To be called before a long read.

        Raises:
            DatasetError: their file was overwritten.
        """
        if self.file is not None:
            self.file.check()

    def find(self, sequence_id: str) -> int | None:
        """The row of a sequence by the caller's id; None where there is no such sequence."""
        row = self.ids.index(sequence_id).as_py()
        return row if row >= 0 else None
