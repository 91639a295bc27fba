"""The prepared dataset: a folder of three files, read and written here alone.

``manifest.json``    what it is: see ``segue.dataset.manifest``
``items.parquet``    one row an item: index, id, title, attributes, training count
``sequences.arrow``  one record batch, one row a sequence, to be memory-mapped
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from segue.axes import N_SPECIALS
from segue.dataset.manifest import ITEMS, SEQUENCES, Manifest, read_manifest
from segue.dataset.sequences import MappedFile, Sequences
from segue.dataset.vocabulary import Items
from segue.errors import DatasetError
from segue.sources.schema import TIMES

_EVENT_TYPES = {
    "items": pa.int32(),
    "times": TIMES,
    "ratings": pa.float32(),
    "target_parts": pa.int8(),
}
SEQUENCE_FIELDS = ("sequence_id", *_EVENT_TYPES, "train_end", "valid_end")
"""Columns of ``sequences.arrow`` with a fixed meaning; any further one is an attribute."""


class Dataset:
    """A prepared dataset, opened. Made by ``Dataset.open`` or by ``segue.prepare``.

    Attributes:
        path: its folder.
        manifest: what it is.
        sequences: all sequences, memory-mapped.
    """

    def __init__(self, path: Path, manifest: Manifest, sequences: Sequences) -> None:
        self.path = path
        self.manifest = manifest
        self.sequences = sequences

    @classmethod
    def open(cls, path: str | Path) -> Dataset:
        """Open a folder that ``prepare`` wrote; cheap, whatever its size.

        Raises:
            DatasetError: it is missing, damaged, or of another format version.
        """
        path = Path(path)
        manifest = read_manifest(path)
        return cls(path, manifest, read_sequences(path))

    @cached_property
    def items(self) -> Items:
        """The items; read when first asked for."""
        return read_items(self.path)

    @property
    def name(self) -> str:
        """The folder's name, for people."""
        return self.path.resolve().name

    @property
    def fingerprint(self) -> str:
        """What identifies the content: items, sequences and split, in hexadecimal."""
        return self.manifest.fingerprint

    @property
    def n_catalogue(self) -> int:
        """Items that can be recommended."""
        return self.manifest.counts.catalogue

    @property
    def table_size(self) -> int:
        """Rows of an item table: the special tokens and the catalogue."""
        return N_SPECIALS + self.n_catalogue


def read_sequences(folder: Path) -> Sequences:
    """Memory-map ``sequences.arrow``.

    Raises:
        DatasetError: it is not what ``write_sequences`` writes.
    """
    try:
        batch = pa.ipc.open_file(pa.memory_map(str(folder / SEQUENCES))).get_batch(0)
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
            file=MappedFile.of(folder / SEQUENCES),
        )
    except (OSError, pa.ArrowInvalid, KeyError) as error:
        message = f"cannot read {SEQUENCES} of dataset {folder}: {error}"
        raise DatasetError(message, "prepare the dataset again") from None


def read_items(folder: Path) -> Items:
    """Read ``items.parquet``.

    Raises:
        DatasetError: it cannot be read.
    """
    try:
        return Items(pq.read_table(folder / ITEMS))
    except (OSError, pa.ArrowInvalid) as error:
        message = f"cannot read {ITEMS} of dataset {folder}: {error}"
        raise DatasetError(message, "prepare the dataset again") from None


def write_sequences(folder: Path, sequences: Sequences) -> None:
    """Write ``sequences.arrow``: one record batch, so that every column maps as one array.

    The arrays are written from where they lie, without a copy in memory. The same
    sequences give the same bytes.
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
        columns[name] = _one_array(attributes.column(name))
    batch = pa.RecordBatch.from_pydict(columns)
    with pa.ipc.new_file(str(folder / SEQUENCES), batch.schema) as writer:
        writer.write_batch(batch)


def write_items(folder: Path, tables: Iterable[pa.Table]) -> None:
    """Write ``items.parquet``: the rows of ``Items.table``, as they come.

    Args:
        tables: of one schema, at least one. Each is written, and let go, before the next is
            asked for.
    """
    tables = iter(tables)
    table = next(tables)
    with pq.ParquetWriter(folder / ITEMS, table.schema, compression="zstd") as writer:
        while table is not None:
            writer.write_table(table)
            table = None
            table = next(tables, None)


def _events(batch: pa.RecordBatch, name: str) -> np.ndarray | None:
    if name not in batch.schema.names:
        return None
    values = batch.column(name).values
    return (values.view(pa.int64()) if values.type == TIMES else values).to_numpy()


def _attributes(batch: pa.RecordBatch) -> pa.Table:
    return pa.Table.from_batches([batch]).drop_columns(
        [name for name in SEQUENCE_FIELDS if name in batch.schema.names]
    )


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    """The single chunk of a combined column; an empty column has none."""
    return column.chunk(0) if column.num_chunks else pa.array([], column.type)
