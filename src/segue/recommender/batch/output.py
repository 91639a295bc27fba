"""The output of a batch: its part files, in their order, as one table of items and one of notes."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from segue.dataset import Items
from segue.errors import RequestError
from segue.recommender.answers import ITEM_SCHEMA
from segue.recommender.shown_attributes import SHOWN, shown_attributes, shown_columns
from segue.storage.atomic import check_writable
from segue.tokens import N_SPECIALS

SUFFIXES = (".parquet", ".csv", ".jsonl")
"""Formats of the output, by the suffix of its name."""


def check_output(output: Path, inputs: Iterable[Path]) -> None:
    """Check the name of an output before anything is computed.

    Args:
        inputs: files that must not be overwritten.

    Raises:
        RequestError: it has another suffix, or is an input.
        StorageError: it cannot be written.
    """
    if output.suffix not in SUFFIXES:
        message = f"the output {output} does not end with {', '.join(SUFFIXES)}"
        raise RequestError(message, "the suffix chooses the format")
    check_writable(output)
    for path in inputs:
        if output.exists() and output.samefile(path):
            raise RequestError(f"the output {output} is the input", "choose another output")


def notes_path(output: Path) -> Path:
    """Where the notes of an output are."""
    return output.with_name(f"{output.name}.notes.parquet")


class OutputLayout(NamedTuple):
    """The columns of an output.

    Attributes:
        id_field: name and type of the ids of the requests.
        items: the items of the model.
        has_probabilities: whether each item has its probability.
    """

    id_field: pa.Field
    items: Items
    has_probabilities: bool = False

    @property
    def schema(self) -> pa.Schema:
        """The columns of the table of items."""
        columns = shown_columns(self.items, np.zeros(0, np.int64))
        shown = [pa.field(name, column.type) for name, column in columns.items()]
        further = [pa.field("probability", pa.float64())] * self.has_probabilities
        before, after = list(ITEM_SCHEMA)[:2], list(ITEM_SCHEMA)[2:]
        return pa.schema([self.id_field, *before, *shown, *after, *further])


def item_table(part: pa.Table, layout: OutputLayout) -> pa.Table:
    """One row per listed item of a part: the id of its request, and what the item has."""
    items = layout.items
    lists, scores = (part.column(name).combine_chunks() for name in ("items", "scores"))
    counts = pc.call_function("list_value_length", [lists]).to_numpy()
    indices = lists.flatten().to_numpy()
    starts = np.cumsum(counts) - counts
    ranks = np.arange(len(indices)) - np.repeat(starts, counts) + 1
    owners = pa.array(np.repeat(np.arange(len(part)), counts))
    columns = [
        part.column("id").combine_chunks().take(owners),
        items.table.column("item_id").take(pa.array(indices - N_SPECIALS)).combine_chunks(),
        pa.array(items.titles(indices), pa.string()),
        *shown_columns(items, indices).values(),
        scores.flatten().cast(pa.float64()),
        pa.array(ranks, pa.int64()),
    ]
    if layout.has_probabilities:
        values = part.column("probabilities").combine_chunks().flatten()
        columns.append(values.cast(pa.float64()))
    return pa.Table.from_arrays(columns, schema=layout.schema)


def note_table(part: pa.Table, id_field: pa.Field) -> pa.Table:
    """The requests of a part with unknown or truncated events, or with notes."""
    is_noted = (
        (pc.call_function("list_value_length", [part.column("unknown_items")]).to_numpy() > 0)
        | (part.column("truncated").to_numpy() > 0)
        | (pc.call_function("list_value_length", [part.column("notes")]).to_numpy() > 0)
    )
    selected = part.select(["id", "unknown_items", "truncated", "notes"])
    return selected.filter(pa.array(is_noted)).rename_columns(
        [id_field.name, "unknown_items", "truncated", "notes"]
    )


class OutputWriter(ABC):
    """Writes the lists of one part after another to a file."""

    def __init__(self, path: Path, layout: OutputLayout) -> None:
        """Open the file."""
        self.path, self.layout = path, layout
        self.stack = ExitStack()
        self.open()

    @abstractmethod
    def open(self) -> None:
        """Open the file, and add it to ``stack``."""

    @abstractmethod
    def write(self, part: pa.Table) -> None:
        """Write a part."""

    def __enter__(self) -> OutputWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.stack.close()


class ParquetWriter(OutputWriter):
    """A Parquet file with a row group per part."""

    def open(self) -> None:
        self._writer = self.stack.enter_context(
            pq.ParquetWriter(str(self.path), self.layout.schema)
        )

    def write(self, part: pa.Table) -> None:
        table = item_table(part, self.layout)
        if len(table):
            self._writer.write_table(table, row_group_size=len(table))


class CsvWriter(OutputWriter):
    """A CSV file with a header; several values of an attribute are joined by ``|``."""

    def open(self) -> None:
        schema = _joined(self.layout.schema.empty_table()).schema
        self._writer = self.stack.enter_context(pa_csv.CSVWriter(str(self.path), schema))

    def write(self, part: pa.Table) -> None:
        self._writer.write_table(_joined(item_table(part, self.layout)))


class JsonLinesWriter(OutputWriter):
    """One JSON object per request, with the keys of ``Answer`` that differ between requests."""

    def open(self) -> None:
        self._file = self.stack.enter_context(self.path.open("w", encoding="utf-8"))

    def write(self, part: pa.Table) -> None:
        id_name = self.layout.id_field.name
        table = item_table(part, self.layout)
        columns = [name for name in table.column_names if name not in (id_name, *SHOWN)]
        rows, start = table.select(columns).to_pylist(), 0
        indices = part.column("items").combine_chunks().flatten().to_numpy()
        attributes = shown_attributes(self.layout.items, indices)
        rows = [_with_attributes(*row) for row in zip(rows, attributes, strict=True)]
        for request in part.to_pylist():
            end = start + len(request["items"])
            content: dict[str, Any] = {
                id_name: request["id"],
                "items": rows[start:end],
                "unknown_items": request["unknown_items"],
                "truncated": request["truncated"],
                "notes": request["notes"],
            }
            self._file.write(json.dumps(content, ensure_ascii=False, default=str) + "\n")
            start = end


def _with_attributes(item: dict[str, Any], attributes: dict[str, Any]) -> dict[str, Any]:
    """An item of a list as JSON, with the attributes that it has."""
    return item | ({"attributes": attributes} if attributes else {})


def _joined(table: pa.Table) -> pa.Table:
    """The table with lists of texts as one text each."""
    for position, column in enumerate(table.columns):
        if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
            values = column.cast(pa.list_(pa.string()))
            joined = pc.call_function("binary_join", [values, pa.scalar("|")])
            table = table.set_column(position, table.column_names[position], joined)
    return table


WRITERS: dict[str, type[OutputWriter]] = dict(
    zip(SUFFIXES, (ParquetWriter, CsvWriter, JsonLinesWriter), strict=True)
)


class NotesWriter:
    """Writes the tables of ``note_table`` to a Parquet file, if they have any row.

    Attributes:
        n_rows: number of rows so far.
    """

    def __init__(self, path: Path, id_field: pa.Field) -> None:
        """Name the file; it is opened for the first row."""
        self._path, self._id_field = path, id_field
        self._writer: pq.ParquetWriter | None = None
        self.n_rows = 0

    def __enter__(self) -> NotesWriter:
        return self

    def __exit__(self, *error: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def write(self, part: pa.Table) -> None:
        """Append the notes of a part."""
        table = note_table(part, self._id_field)
        if not len(table):
            return
        if self._writer is None:
            self._writer = pq.ParquetWriter(str(self._path), table.schema)
        self._writer.write_table(table)
        self.n_rows += len(table)
