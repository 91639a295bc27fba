"""The prepared dataset: a folder of three files.

``manifest.json``    description and checksums: see ``segue.dataset.manifest``
``items.parquet``    one row per item: index, id, title, attributes, training count
``sequences.arrow``  one record batch with one row per sequence, to be memory-mapped
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Bool, Int64

from segue.config import SeenPolicy, TargetChoice
from segue.dataset.items import Items, PopularityOrder
from segue.dataset.manifest import ITEMS, SEQUENCES, Manifest, read_manifest
from segue.dataset.sequences import MappedFile, Sequences
from segue.dataset.splits import SplitRule, rule_of
from segue.dataset.targets import SplitPart, Targets
from segue.errors import DatasetError
from segue.sources.schema import TIMES
from segue.tokens import N_SPECIALS

_EVENT_TYPES = {
    "items": pa.int32(),
    "times": TIMES,
    "ratings": pa.float32(),
    "target_parts": pa.int8(),
}
SEQUENCE_FIELDS = ("sequence_id", *_EVENT_TYPES, "train_end", "valid_end")
"""Columns of ``sequences.arrow`` with a fixed meaning; any other column is an attribute."""


class Dataset:
    """An open prepared dataset, from ``Dataset.open`` or ``segue.prepare``.

    Attributes:
        path: its folder.
        manifest: what it was prepared from, its counts, split and audit.
        sequences: all sequences, memory-mapped.
    """

    def __init__(self, path: Path, manifest: Manifest, sequences: Sequences) -> None:
        self.path = path
        self.manifest = manifest
        self.sequences = sequences

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Dataset:
        """Open a folder written by ``prepare``. Its sequences are mapped, not read.

        Raises:
            DatasetError: it is missing, damaged, or of another format version.
        """
        folder = Path(path)
        manifest = read_manifest(folder)
        return cls(folder, manifest, read_sequences(folder))

    @cached_property
    def items(self) -> Items:
        """The items, read on first access."""
        return read_items(self.path)

    @property
    def name(self) -> str:
        """The name of the folder, for display."""
        return self.path.resolve().name

    @property
    def fingerprint(self) -> str:
        """A hexadecimal checksum of the content: items, sequences and split."""
        return self.manifest.fingerprint

    @property
    def n_catalogue(self) -> int:
        """Number of items with a row of the item embeddings."""
        return self.manifest.counts.catalogue

    @property
    def vocabulary_size(self) -> int:
        """Number of rows of the item embeddings: special tokens and catalogue."""
        return N_SPECIALS + self.n_catalogue

    @cached_property
    def popularity_order(self) -> PopularityOrder:
        """The vocabulary in order of popularity."""
        return PopularityOrder.of(self.items.training_counts[: self.vocabulary_size])

    @cached_property
    def is_candidate(self) -> Bool[np.ndarray, " indices"]:
        """By item index, whether an item may be recommended."""
        return self.items.candidate_mask(self.vocabulary_size)

    @property
    def n_candidates(self) -> int:
        """Number of items that may be recommended."""
        return int(np.count_nonzero(self.is_candidate))

    @property
    def default_seen(self) -> SeenPolicy:
        """How items of the history are treated unless an option says otherwise.

        ``include`` where the audit recommends it, because many events repeat an item of their
        sequence; else the default of the split.
        """
        repeats = self.manifest.audit.get("repeats", {})
        is_included = repeats.get("recommended_seen") == "include"
        return "include" if is_included else self.split_rule.default_seen

    @property
    def split_rule(self) -> SplitRule:
        """The split, as the interface to all that depends on its kind."""
        return rule_of(self.manifest.split)

    def targets(
        self,
        part: SplitPart,
        choice: TargetChoice = "last",
        *,
        rows: Int64[np.ndarray, " chosen"] | None = None,
        earliest: int = 0,
    ) -> Targets:
        """The held-out targets of a part; see ``SplitRule.targets``."""
        return self.split_rule.targets(self.sequences, part, choice, rows=rows, earliest=earliest)

    def target_rows(self, part: SplitPart, *, earliest: int = 0) -> Int64[np.ndarray, " rows"]:
        """The rows of the sequences that have a held-out target; see ``SplitRule.target_rows``."""
        return self.split_rule.target_rows(self.sequences, part, earliest=earliest)


def read_sequences(folder: Path) -> Sequences:
    """Memory-map ``sequences.arrow``.

    Raises:
        DatasetError: it was not written by ``write_sequences``.
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


def write_items(folder: Path, tables: Iterable[pa.Table]) -> None:
    """Write ``items.parquet``: consecutive rows of ``Items.table``.

    Args:
        tables: at least one, all with the same schema. Each table is written and released before
            the next one is requested.
    """
    tables = iter(tables)
    table = next(tables)
    with pq.ParquetWriter(folder / ITEMS, table.schema, compression="zstd") as writer:
        while table is not None:
            writer.write_table(table)
            table = None  # release it before the next one is built
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


def _single_array(column: pa.ChunkedArray) -> pa.Array:
    """The only chunk of a combined column; an empty column has no chunk."""
    return column.chunk(0) if column.num_chunks else pa.array([], column.type)
