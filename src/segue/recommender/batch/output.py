"""The output of a batch: its part files, in their order, as one table of items and one of notes."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from segue.dataset import Items
from segue.errors import RequestError
from segue.recommender.answers import ITEM_SCHEMA
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


def item_table(part: pa.Table, id_field: pa.Field, items: Items) -> pa.Table:
    """One row per listed item of a part: the id of its request and ``ITEM_SCHEMA``."""
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
        scores.flatten().cast(pa.float64()),
        pa.array(ranks, pa.int64()),
    ]
    return pa.Table.from_arrays(columns, schema=pa.schema([id_field, *ITEM_SCHEMA]))


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

    def __init__(self, path: Path, id_field: pa.Field, items: Items) -> None:
        """Open the file."""
        self.path, self.id_field, self.items = path, id_field, items
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

    @property
    def schema(self) -> pa.Schema:
        """The columns of the table of items."""
        return pa.schema([self.id_field, *ITEM_SCHEMA])


class ParquetWriter(OutputWriter):
    """A Parquet file with a row group per part."""

    def open(self) -> None:
        self._writer = self.stack.enter_context(pq.ParquetWriter(str(self.path), self.schema))

    def write(self, part: pa.Table) -> None:
        table = item_table(part, self.id_field, self.items)
        if len(table):
            self._writer.write_table(table, row_group_size=len(table))


class CsvWriter(OutputWriter):
    """A CSV file with a header."""

    def open(self) -> None:
        self._writer = self.stack.enter_context(pa_csv.CSVWriter(str(self.path), self.schema))

    def write(self, part: pa.Table) -> None:
        self._writer.write_table(item_table(part, self.id_field, self.items))


class JsonLinesWriter(OutputWriter):
    """One JSON object per request, with the keys of ``Answer`` that differ between requests."""

    def open(self) -> None:
        self._file = self.stack.enter_context(self.path.open("w", encoding="utf-8"))

    def write(self, part: pa.Table) -> None:
        listed = item_table(part, self.id_field, self.items).drop_columns([self.id_field.name])
        rows, start = listed.to_pylist(), 0
        for request in part.to_pylist():
            end = start + len(request["items"])
            content: dict[str, Any] = {
                self.id_field.name: request["id"],
                "items": rows[start:end],
                "unknown_items": request["unknown_items"],
                "truncated": request["truncated"],
                "notes": request["notes"],
            }
            self._file.write(json.dumps(content, ensure_ascii=False, default=str) + "\n")
            start = end


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
