"""``histories.arrow``: the histories of known users in a run folder, sorted by user.

One uncompressed Arrow record batch, to be memory-mapped, with the columns ``user`` (string),
``items`` (list of item indices of the run; ``UNK`` for an item that it does not know), the cuts of
the split (``train_end``, ``valid_end`` and, under ``windows``, ``target_parts``) and one per
sequence feature. Opening it checks everything but the item indices and cuts; those are checked when
they are read.
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

from segue.dataset import Cuts, Items
from segue.errors import RunError
from segue.runs.histories_dataset import HistoriesDataset
from segue.storage.arrow_files import ARROW_MAGIC, map_record_batch, unreadable_column
from segue.storage.atomic import replace_file
from segue.storage.reading import Problems, decode_object, typed
from segue.tokens import N_SPECIALS, UNK

FORMAT_VERSION = 2
"""Version 1 had no cuts; such files are read as well."""

HISTORY_PROBLEMS = Problems(
    RunError, "attach the histories again with `segue attach`, or remove the file"
)

_METADATA = b"segue"
"""Key of the file's metadata: a JSON object."""

_TYPES = {"user": pa.string(), "items": pa.large_list(pa.int32())}
_CUT_TYPES = {"train_end": pa.int32(), "valid_end": pa.int32()}
_TARGET_PARTS = {"target_parts": pa.large_list(pa.int8())}


class HistoriesMetadata(msgspec.Struct):
    """What the histories are of.

    Attributes:
        items: the checksum of the run's items, whose indices the histories contain.
        dataset: the name of the dataset that they come from.
        fingerprint: its fingerprint.
        end_us: the time of its last event, in microseconds since 1970; None if it has no times.
        manifest: its manifest, with the split that the cuts belong to; None if there are no cuts.
    """

    items: str
    dataset: str
    fingerprint: str
    format_version: Annotated[int, msgspec.Meta(ge=1, le=FORMAT_VERSION)] = FORMAT_VERSION
    end_us: int | None = None
    manifest: dict[str, Any] | None = None


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
        self.metadata = _read_metadata(batch, file)
        if (problem := _problem(batch, self.metadata)) is not None:
            raise HISTORY_PROBLEMS.damaged(file, problem)
        if self.metadata.items != items_checksum:
            raise HISTORY_PROBLEMS.damaged(file, "its histories are of the items of another run")
        self._file = file
        self._batch = batch
        self._users = batch.column("user")
        self._offsets = batch.column("items").offsets.to_numpy()
        self._items = batch.column("items").values.to_numpy()
        self._features = batch.drop_columns(list(_columns(batch, self.metadata)))
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

    def dataset(
        self, items: Items, vocabulary_size: int, training_fingerprint: str
    ) -> HistoriesDataset | None:
        """The histories as a dataset, whose events are not read yet; None if there are no cuts.

        Args:
            items: the items of the run.
            vocabulary_size: that of the run.
            training_fingerprint: the fingerprint of the dataset that the run was trained on.

        Raises:
            RunError: the manifest in the metadata is damaged.
        """
        if self.metadata.manifest is None:
            return None
        names = ["sequence_id" if n == "user" else n for n in self._batch.schema.names]
        return HistoriesDataset(
            self._batch.rename_columns(names),
            self._file,
            self.metadata.manifest,
            name=self.metadata.dataset,
            items=items,
            vocabulary_size=vocabulary_size,
            is_of_training=self.metadata.fingerprint == training_fingerprint,
            problems=HISTORY_PROBLEMS,
        )

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
    cuts: Cuts | None = None,
) -> None:
    """Write the file under a temporary name, then rename it.

    Args:
        file: the file.
        users: ids of the users, ascending and distinct.
        offsets: the events of user ``i`` are ``offsets[i]`` to ``offsets[i + 1]``, exclusive.
        items: item indices of the run.
        features: a column per sequence feature.
        metadata: what the histories are of.
        cuts: how the split cuts each history; None where the metadata have no manifest.

    Raises:
        StorageError: it cannot be written; an existing file is unchanged.
    """
    columns = {"user": users, "items": _lists(offsets, items, pa.int32())}
    if cuts is not None:
        columns |= {name: pa.array(getattr(cuts, name)) for name in _CUT_TYPES}
        if cuts.target_parts is not None:
            columns["target_parts"] = _lists(offsets, cuts.target_parts, pa.int8())
    columns |= {name: features.column(name).combine_chunks() for name in features.column_names}
    batch = pa.RecordBatch.from_pydict(columns)
    batch = batch.replace_schema_metadata({_METADATA: msgspec.json.encode(metadata)})

    def write(partial: Path) -> None:
        with pa.ipc.new_file(str(partial), batch.schema) as writer:
            writer.write_batch(batch)

    replace_file(file, write)


def _lists(offsets: np.ndarray, values: np.ndarray, kind: pa.DataType) -> pa.LargeListArray:
    """A column of lists, without a copy of their values."""
    flat = pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])
    return pa.LargeListArray.from_arrays(pa.array(offsets), flat)


def _read_metadata(batch: pa.RecordBatch, file: Path) -> HistoriesMetadata:
    """What a complete file says of its histories.

    Raises:
        RunError: it does not say it, or is cut short.
    """
    if _METADATA not in (batch.schema.metadata or {}) or _end(file) != ARROW_MAGIC[:6]:
        reason = "it does not say what its histories are of, or its end is missing"
        raise HISTORY_PROBLEMS.damaged(file, reason)
    content = decode_object(batch.schema.metadata[_METADATA], file, HISTORY_PROBLEMS)
    return typed(content, HistoriesMetadata, file, HISTORY_PROBLEMS)


def _columns(batch: pa.RecordBatch, metadata: HistoriesMetadata) -> dict[str, pa.DataType]:
    """The columns with a fixed meaning, and their types; any other one is a sequence feature."""
    if metadata.manifest is None:
        return _TYPES
    has_target_parts = "target_parts" in batch.schema.names
    return _TYPES | _CUT_TYPES | (_TARGET_PARTS if has_target_parts else {})


def _problem(batch: pa.RecordBatch, metadata: HistoriesMetadata) -> str | None:
    """The first thing that is wrong with the file, except for item indices and cuts."""
    columns = _columns(batch, metadata)
    for name, kind in columns.items():
        if name not in batch.schema.names:
            return f"it has no column {name}"
        column = batch.column(name)
        if column.type != kind or not len(column) or column.null_count:
            return f"the column {name} is not of {kind} or has no or null values"
    return _bad_values(batch, columns)


def _bad_values(batch: pa.RecordBatch, columns: dict[str, pa.DataType]) -> str | None:
    """What is wrong with the users, offsets and features of a file with the right columns."""
    try:
        batch.validate(full=True)
    except pa.ArrowInvalid as error:
        return str(error)
    users, n_events = batch.column("user"), len(batch.column("items").values)
    for name in columns.keys() & {"items", *_TARGET_PARTS}:
        lists = batch.column(name)
        ends = lists.offsets[0].as_py(), lists.offsets[-1].as_py()
        if lists.values.null_count or ends != (0, n_events) or len(lists.values) != n_events:
            return f"the offsets of the column {name} do not fit its {len(lists.values):,} values"
    if pc.call_function("less", [users[:-1], users[1:]]).false_count:
        return "its users are not ascending and distinct"
    return unreadable_column(batch.drop_columns(list(columns)))


def _end(file: Path) -> bytes:
    """The last bytes of a file, by which a reader knows that it is complete."""
    with file.open("rb") as stream:
        stream.seek(-6, os.SEEK_END)
        return stream.read()
