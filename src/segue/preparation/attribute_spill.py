"""Item attributes spilled to disk while a log is read: Arrow columns in temporary files.

They are read back one column and one block at a time, so that only the requested rows of
millions of items are in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Int32

NO_ROW = -1
"""Row number of an item without a row."""


class _SpillFile(NamedTuple):
    """One file of successive rows with the same schema."""

    path: Path
    schema: pa.Schema
    n_rows: int


class AttributeSpill:
    """Rows of attributes on disk: first appended block by block, then taken in any order."""

    def __init__(self, folder: Path) -> None:
        """Create ``folder`` for the files, without rows."""
        folder.mkdir()
        self._folder = folder
        self._files: list[_SpillFile] = []
        self._writer: pa.RecordBatchFileWriter | None = None

    def append(self, rows: pa.RecordBatch) -> None:
        """Append rows of at least one column. Columns may differ between calls.

        Not allowed after a read.
        """
        if self._writer is None or rows.schema != self._files[-1].schema:
            self.close()
            path = self._folder / str(len(self._files))
            self._writer = pa.ipc.new_file(str(path), rows.schema)
            self._files.append(_SpillFile(path, rows.schema, 0))
        self._writer.write_batch(rows)
        last = self._files[-1]
        self._files[-1] = last._replace(n_rows=last.n_rows + rows.num_rows)

    def close(self) -> None:
        """Finish writing; ``take`` calls this too."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    @property
    def schema(self) -> pa.Schema:
        """The columns of all rows, in the order of their first appearance."""
        schemas = [pa.schema([]), *(file.schema for file in self._files)]
        return pa.unify_schemas(schemas, promote_options="permissive")

    def take(self, name: str, rows: Int32[np.ndarray, " n"]) -> pa.Array:
        """A column of the given rows; null for ``NO_ROW`` and where a row lacks the column."""
        self.close()
        column_type, start = self.schema.field(name).type, 0
        order = np.argsort(rows)
        sorted_rows = rows[order]
        values = [pa.nulls(int(np.searchsorted(sorted_rows, 0)), column_type)]
        for block in self._blocks(name):
            end = start + len(block)
            low, high = np.searchsorted(sorted_rows, [start, end])
            values.append(block.take(pa.array(sorted_rows[low:high] - start)).cast(column_type))
            start = end
        inverse_order = np.empty_like(order)
        inverse_order[order] = np.arange(len(order))
        return pa.concat_arrays(values).take(pa.array(inverse_order))

    def _blocks(self, name: str) -> Iterator[pa.Array]:
        """A column in the order of the rows, in the blocks that were appended."""
        for file in self._files:
            index = file.schema.get_field_index(name)
            if index < 0:
                yield pa.nulls(file.n_rows)
                continue
            options = pa.ipc.IpcReadOptions(included_fields=[index])
            with pa.ipc.open_file(str(file.path), options=options) as reader:
                for number in range(reader.num_record_batches):
                    yield reader.get_batch(number).column(0)
