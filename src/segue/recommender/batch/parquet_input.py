"""The rows of a batch from a Parquet file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from segue.recommender.batch.columns import (
    USER_ID,
    choose_columns,
    empty_lists,
    id_field,
    list_column,
    plain,
)
from segue.recommender.batch.files import INPUT_PROBLEMS, file_fingerprint, file_stamp
from segue.recommender.batch.rows import BatchInput, RowBlock
from segue.storage.reading import regular_size

_BUFFER_BYTES = 1 << 20
"""Bytes of a column that are read at a time: a row group may be larger than the memory."""


class ParquetInput(BatchInput):
    """A Parquet file with a row per request; see ``choose_columns``."""

    def __init__(self, path: Path, id_column: str | None, option_names: Sequence[str]) -> None:
        """Read the schema.

        Raises:
            RequestError: it is not a Parquet file, or its columns do not suit.
        """
        self.name, self.files = str(path), (path,)
        self._path = path
        regular_size(path, INPUT_PROBLEMS)
        try:
            with pq.ParquetFile(path) as file:
                schema, metadata = file.schema_arrow, file.metadata
        except (OSError, pa.ArrowException) as error:
            raise INPUT_PROBLEMS.cannot_read(path, error) from None
        self._columns = choose_columns(self.name, schema.names, id_column, option_names)
        self.ignored_columns = self._columns.ignored
        self.has_users = USER_ID in self._columns.options
        id_type = None if self._columns.id is None else schema.field(self._columns.id).type
        self.id_field = id_field(self._columns.id, id_type)
        n_rows = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        self._group_ends = np.cumsum(n_rows, dtype=np.int64)
        if self._columns.has_items:
            list_column(pa.array([], schema.field("items").type), self.name)  # checks the type

    def fingerprint(self) -> dict[str, Any]:
        return file_fingerprint(self._path)

    def stamp(self) -> Any:
        return file_stamp(self._path)

    def blocks(self, first: int = 0) -> Iterator[RowBlock]:
        try:
            for batch in self._batches(first):
                batch.validate(full=True)  # texts that are not UTF-8
                yield self._block(batch, first)
                first += len(batch)
        except (OSError, pa.ArrowException) as error:
            raise INPUT_PROBLEMS.cannot_read(self._path, error) from None

    def _batches(self, first: int) -> Iterator[pa.RecordBatch]:
        """Record batches of ``rows_per_block`` rows, whatever the row groups of the file are."""
        group = int(np.searchsorted(self._group_ends, first, side="right"))
        n_skipped = first - int(self._group_ends[group - 1] if group else 0)
        pending = pa.table({})
        with pq.ParquetFile(self._path, pre_buffer=False, buffer_size=_BUFFER_BYTES) as file:
            groups = range(group, len(self._group_ends))
            for batch in file.iter_batches(
                batch_size=self.rows_per_block, row_groups=groups, columns=self._columns.read
            ):
                n_dropped = min(n_skipped, len(batch))
                n_skipped -= n_dropped
                new = pa.Table.from_batches([batch.slice(n_dropped)])
                pending = pa.concat_tables([pending, new]) if len(pending) else new
                if len(pending) >= self.rows_per_block:
                    yield _one_batch(pending.slice(0, self.rows_per_block))
                    pending = pending.slice(self.rows_per_block)
            if len(pending):
                yield _one_batch(pending)

    def _block(self, batch: pa.RecordBatch, first: int) -> RowBlock:
        columns = self._columns
        if columns.id is None:
            ids = pa.array(np.arange(first, first + len(batch)))
        else:
            ids = batch.column(columns.id)
            ids = ids.dictionary_decode() if pa.types.is_dictionary(ids.type) else ids
        items = empty_lists(len(batch))
        if columns.has_items:
            items = list_column(batch.column("items"), self.name)
        options = None
        if columns.options:
            values = [batch.column(name).to_pylist() for name in columns.options]
            options = [
                {
                    name: plain(value)
                    for name, value in zip(columns.options, row, strict=True)
                    if value is not None
                }
                for row in zip(*values, strict=True)
            ]
        return RowBlock(first, ids, items, options)


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    return table.combine_chunks().to_batches()[0]
