"""Attributes of items on their way to the prepared format: columns in temporary files.

They are written as they come and read back one column at a time and a block at a time, so
that of millions of items only the rows that are asked for are in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Int32

NOWHERE = -1
"""In place of a row: there is none."""


class _Part(NamedTuple):
    """Successive rows of one schema, in one file."""

    path: Path
    schema: pa.Schema
    n_rows: int


class Descriptions:
    """Rows of attributes: first appended, some at a time, then taken in any order."""

    def __init__(self, folder: Path) -> None:
        """Begin without rows; files will lie in ``folder``, which is made for them."""
        folder.mkdir()
        self._folder = folder
        self._parts: list[_Part] = []
        self._writer: pa.RecordBatchFileWriter | None = None

    def append(self, rows: pa.RecordBatch) -> None:
        """Add rows, of at least one column; columns may differ from call to call.

        No call may follow a read.
        """
        if self._writer is None or rows.schema != self._parts[-1].schema:
            self.close()
            path = self._folder / str(len(self._parts))
            self._writer = pa.ipc.new_file(str(path), rows.schema)
            self._parts.append(_Part(path, rows.schema, 0))
        self._writer.write_batch(rows)
        last = self._parts[-1]
        self._parts[-1] = last._replace(n_rows=last.n_rows + rows.num_rows)

    def close(self) -> None:
        """Finish what is being written; reading does it too."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    @property
    def schema(self) -> pa.Schema:
        """The columns of all rows, in the order in which they turned up."""
        schemas = [pa.schema([]), *(part.schema for part in self._parts)]
        return pa.unify_schemas(schemas, promote_options="permissive")

    def take(self, name: str, rows: Int32[np.ndarray, " n"]) -> pa.Array:
        """A column of the given rows; null for ``NOWHERE``, and where there was none."""
        self.close()
        kind, begin = self.schema.field(name).type, 0
        order = np.argsort(rows)
        rising = rows[order]
        found = [pa.nulls(int(np.searchsorted(rising, 0)), kind)]
        for block in self._blocks(name):
            end = begin + len(block)
            low, high = np.searchsorted(rising, [begin, end])
            found.append(block.take(pa.array(rising[low:high] - begin)).cast(kind))
            begin = end
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        return pa.concat_arrays(found).take(pa.array(place))

    def _blocks(self, name: str) -> Iterator[pa.Array]:
        """A column as it was appended."""
        for part in self._parts:
            index = part.schema.get_field_index(name)
            if index < 0:
                yield pa.nulls(part.n_rows)
                continue
            options = pa.ipc.IpcReadOptions(included_fields=[index])
            with pa.ipc.open_file(str(part.path), options=options) as reader:
                for number in range(reader.num_record_batches):
                    yield reader.get_batch(number).column(0)
