"""``sequences.arrow``: write it, memory-map it, and check what is in it.

Mapping checks the columns and their lengths, in a time that does not depend on the number of
sequences. ``check_values`` reads every value once; ``Dataset`` calls it before the first use.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int64

from segue.dataset.manifest import DATASET_PROBLEMS, SEQUENCES
from segue.dataset.sequences import NO_TARGET, VALID_TARGET, MappedFile, Sequences
from segue.ragged import BLOCK_EVENTS
from segue.sources.schema import TIMES
from segue.storage.arrow_files import map_record_batch, unreadable_column
from segue.storage.reading import Problems
from segue.tokens import N_SPECIALS

_EVENT_TYPES = {
    "items": pa.int32(),
    "times": TIMES,
    "ratings": pa.float32(),
    "target_parts": pa.int8(),
}
_ROW_TYPES = {"sequence_id": pa.string(), "train_end": pa.int32(), "valid_end": pa.int32()}
SEQUENCE_FIELDS = ("sequence_id", *_EVENT_TYPES, "train_end", "valid_end")
"""Columns of ``sequences.arrow`` with a fixed meaning; any other column is an attribute."""


def write_sequences(folder: Path, sequences: Sequences) -> None:
    """Write ``sequences.arrow``: a single record batch, so that each column maps as one array.

    The event arrays are written without a copy in memory. The same sequences give the same
    bytes.
    """
    columns: dict[str, pa.Array] = {"sequence_id": sequences.ids}
    offsets = pa.array(sequences.offsets)
    for name, value_type in _EVENT_TYPES.items():
        values = getattr(sequences, name)
        if values is not None:
            flat = pa.Array.from_buffers(value_type, len(values), [None, pa.py_buffer(values)])
            columns[name] = pa.LargeListArray.from_arrays(offsets, flat)
    columns["train_end"] = pa.array(sequences.train_end)
    columns["valid_end"] = pa.array(sequences.valid_end)
    attributes = sequences.attributes.combine_chunks()
    for name in attributes.column_names:
        columns[name] = _single_array(attributes.column(name))
    batch = pa.RecordBatch.from_pydict(columns)
    with pa.ipc.new_file(str(folder / SEQUENCES), batch.schema) as writer:
        writer.write_batch(batch)


def map_sequences(folder: Path) -> pa.RecordBatch:
    """Memory-map ``sequences.arrow`` and check its columns, but not their values.

    Raises:
        DatasetError: it was not written by ``write_sequences``.
    """
    path = folder / SEQUENCES
    batch = map_record_batch(path, DATASET_PROBLEMS)
    expected = {name: pa.large_list(kind) for name, kind in _EVENT_TYPES.items()} | _ROW_TYPES
    for name, kind in expected.items():
        if name not in batch.schema.names:
            if name in ("items", *_ROW_TYPES):
                raise DATASET_PROBLEMS.cannot_read(path, f"it has no column {name}")
            continue
        column = batch.column(name)
        if column.type != kind:
            reason = f"the column {name} is of type {column.type}, expected {kind}"
            raise DATASET_PROBLEMS.cannot_read(path, reason)
        flat = column.values if name in _EVENT_TYPES else column
        if column.null_count or flat.null_count:
            raise DATASET_PROBLEMS.cannot_read(path, f"the column {name} has null values")
        if name in _EVENT_TYPES and (
            not len(column)
            or column.offsets[0].as_py() != 0
            or column.offsets[-1].as_py() != len(flat)
            or len(flat) != len(batch.column("items").values)
        ):
            reason = f"the offsets of the column {name} do not fit its {len(flat):,} values"
            raise DATASET_PROBLEMS.damaged(path, reason)
    return batch


def sequences_of(batch: pa.RecordBatch, path: Path) -> Sequences:
    """The columns of a mapped batch as arrays; nothing is read.

    Args:
        batch: from ``map_sequences``.
        path: the mapped file.
    """
    items = batch.column("items")
    return Sequences(
        ids=batch.column("sequence_id"),
        offsets=items.offsets.to_numpy(),
        items=items.values.to_numpy(),
        times=_events(batch, "times"),
        ratings=_events(batch, "ratings"),
        train_end=batch.column("train_end").to_numpy(),
        valid_end=batch.column("valid_end").to_numpy(),
        target_parts=_events(batch, "target_parts"),
        attributes=_attributes(batch),
        file=MappedFile.of(path),
    )


def read_sequences(folder: Path) -> Sequences:
    """Memory-map ``sequences.arrow``; see ``map_sequences``.

    Raises:
        DatasetError: it was not written by ``write_sequences``.
    """
    return sequences_of(map_sequences(folder), folder / SEQUENCES)


def check_values(
    batch: pa.RecordBatch,
    path: Path,
    n_items: int,
    *,
    is_windows: bool,
    lowest_item: int = N_SPECIALS,
    problems: Problems = DATASET_PROBLEMS,
) -> None:
    """Check every value, in blocks: one pass over the file in bounded memory.

    Offsets rise, cuts lie within their sequence, events are items of the dataset, times do not
    fall within a sequence, and texts are UTF-8.

    Args:
        batch: from ``map_sequences``.
        path: the mapped file, for messages.
        n_items: number of items of the dataset.
        is_windows: whether the split is ``windows``, which alone has ``target_parts``.
        lowest_item: the lowest item index that may occur.
        problems: the error to raise.

    Raises:
        problems.error: a value is out of bounds; names the first sequence where there is one.
    """
    try:
        batch.validate(full=True)
    except pa.ArrowInvalid as error:
        raise problems.damaged(path, error) from None
    sequences = sequences_of(batch, path)
    problem = (
        unreadable_column(sequences.attributes)
        or _bad_offsets(batch, sequences.offsets)
        or _bad_cuts(sequences, is_windows=is_windows)
        or _bad_events(batch, sequences, (lowest_item, N_SPECIALS + n_items - 1))
    )
    if problem is not None:
        raise problems.damaged(path, problem)


def _bad_offsets(batch: pa.RecordBatch, offsets: Int64[np.ndarray, " bounds"]) -> str | None:
    """Whether the list columns have other offsets than ``items``; those rise."""
    for name in _EVENT_TYPES.keys() - {"items"}:
        if name not in batch.schema.names:
            continue
        list_offsets = batch.column(name).offsets.to_numpy()
        for start in range(0, len(offsets), BLOCK_EVENTS):
            block = slice(start, start + BLOCK_EVENTS)
            if not np.array_equal(offsets[block], list_offsets[block]):
                return f"the lists of the column {name} are not as long as those of items"
    return None


def _bad_cuts(sequences: Sequences, *, is_windows: bool) -> str | None:
    if is_windows != (sequences.target_parts is not None):
        return "the column target_parts belongs to the split windows, and only to it"
    for start in range(0, len(sequences), BLOCK_EVENTS):
        rows = slice(start, start + BLOCK_EVENTS)
        lengths = np.diff(sequences.offsets[start : start + BLOCK_EVENTS + 1])
        train_end, valid_end = sequences.train_end[rows], sequences.valid_end[rows]
        bad = (train_end < 0) | (train_end > valid_end) | (valid_end > lengths)
        if is_windows:
            bad |= train_end < lengths
        if bad.any():
            row = int(bad.argmax())
            return (
                f"sequence {start + row} has {lengths[row]:,} events, but its training events end "
                f"at {train_end[row]:,} and its validation events at {valid_end[row]:,}"
            )
    return None


def _bad_events(
    batch: pa.RecordBatch, sequences: Sequences, item_bounds: tuple[int, int]
) -> str | None:
    bounds = {"items": item_bounds, "target_parts": (NO_TARGET, VALID_TARGET)}
    for name, (lowest, highest) in bounds.items():
        if name not in batch.schema.names or not sequences.n_events:
            continue
        extremes = pc.call_function("min_max", [batch.column(name).values])
        low, high = extremes["min"].as_py(), extremes["max"].as_py()
        if low < lowest or high > highest:
            return f"{name} has values from {low} to {high}, expected {lowest} to {highest}"
    for start in range(0, sequences.n_events, BLOCK_EVENTS):
        end = start + BLOCK_EVENTS
        if sequences.ratings is not None and np.isinf(sequences.ratings[start:end]).any():
            return "a rating is infinite"
        if sequences.times is not None:
            # One more, so that the first time of the next block is compared too.
            times = sequences.times[start : end + 1]
            falls = np.flatnonzero(times[1:] < times[:-1]) + start + 1
            if (row := _row_within(sequences.offsets, falls)) is not None:
                return f"the times of sequence {row} fall"
    return None


def _row_within(
    offsets: Int64[np.ndarray, " bounds"], events: Int64[np.ndarray, " events"]
) -> int | None:
    """The sequence of the first event that does not start a sequence; None if all do."""
    rows = np.searchsorted(offsets, events, side="right") - 1
    within = np.flatnonzero(offsets[rows] != events)
    return int(rows[within[0]]) if len(within) else None


def _events(batch: pa.RecordBatch, name: str) -> np.ndarray | None:
    if name not in batch.schema.names:
        return None
    values = batch.column(name).values
    return (values.view(pa.int64()) if values.type == TIMES else values).to_numpy()


def _attributes(batch: pa.RecordBatch) -> pa.Table:
    return pa.Table.from_batches([batch]).drop_columns(
        [name for name in SEQUENCE_FIELDS if name in batch.schema.names]
    )


def _single_array(column: pa.ChunkedArray) -> pa.Array:
    """The only chunk of a combined column; an empty column has no chunk."""
    return column.chunk(0) if column.num_chunks else pa.array([], column.type)
