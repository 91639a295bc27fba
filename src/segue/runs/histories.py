"""``histories.arrow``: the histories of known users in a run folder, sorted by user.

One uncompressed Arrow record batch, to be memory-mapped, with the columns ``user`` (string),
``items`` (list of item indices of the run; ``UNK`` for an item that it does not know), and one per
sequence feature. Opening it checks everything but the item indices; those are checked when they
are read.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int32, Int64

from segue.errors import RunError
from segue.storage.arrow_files import ARROW_MAGIC, map_record_batch, unreadable_column
from segue.storage.atomic import replace_file
from segue.storage.reading import Problems, decode_object, typed
from segue.tokens import N_SPECIALS, UNK

FORMAT_VERSION = 1

HISTORY_PROBLEMS = Problems(
    RunError, "attach the histories again with `segue attach`, or remove the file"
)

_METADATA = b"segue"
"""Key of the file's metadata: a JSON object."""

_TYPES = {"user": pa.string(), "items": pa.large_list(pa.int32())}


class HistoriesMetadata(msgspec.Struct):
    """What the histories are of.

    Attributes:
        items: the checksum of the run's items, whose indices the histories contain.
        dataset: the name of the dataset that they come from.
        fingerprint: its fingerprint.
        end_us: the time of its last event, in microseconds since 1970; None if it has no times.
    """

    items: str
    dataset: str
    fingerprint: str
    format_version: Annotated[int, msgspec.Meta(ge=FORMAT_VERSION, le=FORMAT_VERSION)] = (
        FORMAT_VERSION
    )
    end_us: int | None = None


class StoredHistory(NamedTuple):
    """The history of a user, and the values of the sequence features by name."""

    items: Int32[np.ndarray, " events"]
    features: dict[str, Any]


class StoredHistories:
    """The histories of a run, memory-mapped.

    Attributes:
        metadata: what they are of.
    """

    def __init__(self, file: Path, items_checksum: str, n_items: int) -> None:
        """Map the file and check it; its events are not read.

        Args:
            file: the file.
            items_checksum: the checksum of the run's ``items.parquet``.
            n_items: the number of these items.

        Raises:
            RunError: the file is missing, damaged, or of other items.
        """
        batch = map_record_batch(file, HISTORY_PROBLEMS)
        if (problem := _problem(batch, file)) is not None:
            raise HISTORY_PROBLEMS.damaged(file, problem)
        content = decode_object(batch.schema.metadata[_METADATA], file, HISTORY_PROBLEMS)
        self.metadata: HistoriesMetadata = typed(content, HistoriesMetadata, file, HISTORY_PROBLEMS)
        if self.metadata.items != items_checksum:
            raise HISTORY_PROBLEMS.damaged(file, "its histories are of the items of another run")
        self._file = file
        self._users = batch.column("user")
        self._offsets = batch.column("items").offsets.to_numpy()
        self._items = batch.column("items").values.to_numpy()
        self._features = batch.drop_columns(list(_TYPES))
        self._index_end = N_SPECIALS + n_items

    def __len__(self) -> int:
        """Number of users."""
        return len(self._users)

    def find(self, user: str) -> StoredHistory | None:
        """The history of a user, by binary search; None for an unknown one.

        Raises:
            RunError: it contains an impossible item index.
        """
        low, high = 0, len(self._users)
        while low < high:
            middle = (low + high) // 2
            if self._users[middle].as_py() < user:
                low = middle + 1
            else:
                high = middle
        if low == len(self._users) or self._users[low].as_py() != user:
            return None
        items = self._items[self._offsets[low] : self._offsets[low + 1]]
        self._check(items)
        names, columns = self._features.schema.names, self._features.columns
        features = {n: column[low].as_py() for n, column in zip(names, columns, strict=True)}
        return StoredHistory(items, features)

    def summary(self) -> dict[str, Any]:
        """Check every event; the numbers of users, events and bytes, and the dataset.

        Raises:
            RunError: a history contains an impossible item index.
        """
        self._check(self._items)
        return {
            "users": len(self),
            "events": len(self._items),
            "bytes": self._file.stat().st_size,
            "dataset": self.metadata.dataset,
            "fingerprint": self.metadata.fingerprint,
        }

    def _check(self, items: Int32[np.ndarray, " events"]) -> None:
        low, high = items.min(initial=UNK), items.max(initial=UNK)
        if low < UNK or high >= self._index_end:
            reason = f"it has the item indices {low} to {high}, expected {UNK} to "
            raise HISTORY_PROBLEMS.damaged(self._file, f"{reason}{self._index_end - 1}")


def write_histories(
    file: Path,
    users: pa.Array,
    offsets: Int64[np.ndarray, " bounds"],
    items: Int32[np.ndarray, " events"],
    features: pa.Table,
    metadata: HistoriesMetadata,
) -> None:
    """Write the file under a temporary name, then rename it.

    Args:
        file: the file.
        users: ids of the users, ascending and distinct.
        offsets: the events of user ``i`` are ``offsets[i]`` to ``offsets[i + 1]``, exclusive.
        items: item indices of the run.
        features: a column per sequence feature.
        metadata: what the histories are of.

    Raises:
        StorageError: it cannot be written; an existing file is unchanged.
    """
    flat = pa.Array.from_buffers(pa.int32(), len(items), [None, pa.py_buffer(items)])
    columns = {"user": users, "items": pa.LargeListArray.from_arrays(pa.array(offsets), flat)}
    columns |= {name: features.column(name).combine_chunks() for name in features.column_names}
    batch = pa.RecordBatch.from_pydict(columns)
    batch = batch.replace_schema_metadata({_METADATA: msgspec.json.encode(metadata)})

    def write(partial: Path) -> None:
        with pa.ipc.new_file(str(partial), batch.schema) as writer:
            writer.write_batch(batch)

    replace_file(file, write)


def _problem(batch: pa.RecordBatch, file: Path) -> str | None:
    """The first thing that is wrong with the file, except for item indices; None if nothing is."""
    for name, kind in _TYPES.items():
        if name not in batch.schema.names:
            return f"it has no column {name}"
        column = batch.column(name)
        if column.type != kind or not len(column) or column.null_count:
            return f"the column {name} is not of {kind} or has no or null values"
    if _METADATA not in (batch.schema.metadata or {}) or _end(file) != ARROW_MAGIC[:6]:
        return "it does not say what its histories are of, or its end is missing"
    return _bad_values(batch)


def _bad_values(batch: pa.RecordBatch) -> str | None:
    """What is wrong with the users, offsets and features of a file with the right columns."""
    try:
        batch.validate(full=True)
    except pa.ArrowInvalid as error:
        return str(error)
    users, items = batch.column("user"), batch.column("items")
    ends = items.offsets[0].as_py(), items.offsets[-1].as_py()
    if items.values.null_count or ends != (0, len(items.values)):
        return f"the offsets of the column items do not fit its {len(items.values):,} values"
    if pc.call_function("less", [users[:-1], users[1:]]).false_count:
        return "its users are not ascending and distinct"
    return unreadable_column(batch.drop_columns(list(_TYPES)))


def _end(file: Path) -> bytes:
    """The last bytes of a file, by which a reader knows that it is complete."""
    with file.open("rb") as stream:
        stream.seek(-6, os.SEEK_END)
        return stream.read()
