"""Tables as DuckDB reads them: SQL for CSV, TSV, JSONL, Parquet and copies, and its errors."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Literal

import duckdb
import pyarrow.parquet as pq

from segue.errors import SourceError
from segue.sources.text.format import BLANKS, TextFormat
from segue.sources.text.list_texts import list_sql
from segue.sources.text.record_reader import Reading, RecordError, long_fields, records

FileType = Literal["text", "jsonl", "parquet"]


@dataclass(frozen=True)
class Table:
    """Files with the same columns, read as one table in the order of the files.

    Attributes:
        columns: column name -> DuckDB type.
        text: the format of text and JSONL files.
        repeated: the names, in lower case, that several columns of a file have.
        partition: the values of columns that the names of folders give, as in ``day=2024-01-01``.
        copies: copies of the files that are read in their place: of text as Parquet files with
            ``line_column``, of JSONL as plain JSONL.
        lists: columns of lists, all of the same length within a row, each read as one row per
            element; ``columns`` has the types of their elements.
        parts: tables of which this is the concatenation; empty if all files are alike.
        warnings: how the files are read where that is not ordinary.
    """

    files: tuple[Path, ...]
    file_type: FileType
    columns: dict[str, str]
    text: TextFormat = field(default_factory=TextFormat)
    repeated: frozenset[str] = frozenset()
    partition: Mapping[str, str] = field(default_factory=dict)
    copies: tuple[Path, ...] = ()
    lists: tuple[str, ...] = ()
    parts: tuple[Table, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether DuckDB can read the files, or copies of them."""
        if self.parts:
            return all(part.is_plain for part in self.parts)
        if self.copies:
            return True
        if self.file_type == "text" and self.text.separator == BLANKS and len(self.columns) > 2:
            return False  # DuckDB does not read several blanks as one separator
        return self.file_type == "parquet" or self.text.is_plain

    def sql(self, as_text: Iterable[str] = ()) -> str:
        """The SQL table expression that reads the files.

        Args:
            as_text: names of JSONL columns to read as the literal text in the file. Columns
                of text files are always text; those of Parquet keep their types.
        """
        source = self._rows_sql(list(as_text))
        if not self.lists or self.parts:  # the parts are unnested by themselves
            return source
        unnested = [f"unnest({self._list_sql(n)}) AS {identifier(n)}" for n in self.lists]
        return f"(SELECT * REPLACE ({', '.join(unnested)}) FROM {source})"

    def unequal_lists_sql(self) -> str | None:
        """A query for the first row whose lists differ in length: its number and the lengths."""
        if len(self.lists) < 2:
            return None
        lengths = [f"coalesce(len({self._list_sql(name)}), 0)" for name in self.lists]
        columns = ", ".join(f"{length} AS length{i}" for i, length in enumerate(lengths))
        different = " OR ".join(f"length0 != length{i}" for i in range(1, len(lengths)))
        names = ", ".join(f"length{i}" for i in range(len(lengths)))
        source = self._rows_sql(list(self.lists))
        return f"""
            SELECT row, {names} FROM (SELECT row_number() OVER () AS row, {columns} FROM {source})
            WHERE {different} ORDER BY row LIMIT 1
        """

    def unnested(self, lists: Iterable[str], used: Iterable[str]) -> Table:
        """The table with some columns of lists read as one row per element.

        Args:
            used: the columns to keep; text files keep all, since a row is split into all of them.
        """
        names = tuple(lists)
        kept = self.columns if self.file_type == "text" else used
        columns = {name: self.columns[name].removesuffix("[]") for name in kept}
        parts = tuple(part.unnested(names, used) for part in self.parts)
        return replace(self, columns=columns, lists=names, parts=parts) if names else self

    def per_file(self) -> Iterator[Table]:
        """One table for each file."""
        for part in self.parts:
            for table in part.per_file():
                yield replace(table, columns=self.columns)
        if not self.parts:
            copies = [(copy,) for copy in self.copies] or [()] * len(self.files)
            for file, copy in zip(self.files, copies, strict=True):
                yield replace(self, files=(file,), copies=copy)

    def _rows_sql(self, as_text: list[str]) -> str:
        """The SQL table expression of the rows as they are in the files."""
        return self._union_sql(as_text) if self.parts else self._files_sql(as_text)

    def _union_sql(self, as_text: list[str]) -> str:
        """The parts one after another, with their columns in the common types."""
        selects = []
        for part in self.parts:
            terms = [
                f"CAST({identifier(name)} AS {self.columns[name]}) AS {identifier(name)}"
                if self.file_type == "parquet" and self.columns[name] != part.columns[name]
                else identifier(name)
                for name in self.columns
            ]
            selects.append(f"SELECT {', '.join(terms)} FROM {part.sql(as_text)}")
        return f"({' UNION ALL '.join(selects)})"

    def _list_sql(self, name: str) -> str:
        """SQL for a column of lists; see ``list_texts`` for those in text."""
        if self.file_type != "text":
            return identifier(name)
        return list_sql(identifier(name))

    def _stored_type(self, name: str) -> str:
        return self.columns[name] + ("[]" if name in self.lists else "")

    def _files_sql(self, as_text: list[str]) -> str:
        paths = f"[{', '.join(map(path_literal, self.copies or self.files))}]"
        types = {name: self._stored_type(name) for name in self.columns}
        types |= {name: "VARCHAR[]" if name in self.lists else "VARCHAR" for name in as_text}
        if self.file_type == "text":
            types = dict.fromkeys(types, "VARCHAR")
        stored = {name: types[name] for name in self.columns if name not in self.partition}
        struct = ", ".join(f"{literal(name)}: {literal(kind)}" for name, kind in stored.items())
        compression = f"compression = '{'none' if self.copies else self.text.compression}'"
        if self.file_type == "parquet" or (self.file_type == "text" and self.copies):
            source = f"read_parquet({paths}, binary_as_string = true, hive_partitioning = false)"
        elif self.file_type == "jsonl":
            options = f"format = 'newline_delimited', {compression}, hive_partitioning = false"
            source = f"read_json({paths}, {options}, columns = {{{struct}}})"
        else:
            text = self.text
            source = (
                f"read_csv({paths}, auto_detect = false, delim = {literal(text.separator)}, "
                f"quote = {literal(text.quote)}, escape = {literal(text.quote)}, {compression}, "
                f"header = {text.has_header}, hive_partitioning = false, columns = {{{struct}}})"
            )
        if not self.partition:
            return source
        values = [f"{literal(value)} AS {identifier(n)}" for n, value in self.partition.items()]
        return f"(SELECT *, {', '.join(values)} FROM {source})"


def line_of_row(table: Table, row: int) -> int | None:
    """Find the line, counted from 1, on which a row of a single text file ends.

    Args:
        row: data row, counted from 1. Blank lines are not rows; quoted text may span lines.

    Returns:
        None if the file is not text.
    """
    if table.file_type != "text":
        return None
    if table.copies:
        return _line_in_copy(table.copies[0], row)
    reading = Reading(table.text, "")
    numbered = records(table.files[0], reading, len(table.columns), used=())
    try:
        with long_fields():
            selected = islice(numbered, row - 1 + table.text.has_header, None)
            return next((record.line for record in selected), None)
    except RecordError:
        return None


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Convert DuckDB's errors about a file into a one-line ``SourceError``.

    Those about text do not come here: it is read again by a reader that names the line.

    Args:
        path: the file or folder that is read.

    Raises:
        SourceError: DuckDB could not read a file.
    """
    try:
        yield
    except duckdb.Error as error:
        text = str(error)
        file = re.search(r'in file "(.+?)"', text)
        reason = text.splitlines()[0].partition(": ")[2] or text
        message = f"{file[1] if file else path} cannot be read: {reason.strip()}"
        is_other_type = "JSON transform error" in reason
        hint = "expected values of one type" if is_other_type else "check that it is complete"
        raise SourceError(message, hint) from None


def literal(text: str) -> str:
    """Text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def path_literal(path: Path) -> str:
    """A path as an SQL literal, escaped because DuckDB interprets paths as glob patterns."""
    return literal(glob.escape(str(path)))


def identifier(name: str) -> str:
    """The name of a column as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def is_nested(sql_type: str) -> bool:
    """Whether a column of this DuckDB type contains lists or objects."""
    return sql_type.endswith("]") or sql_type.startswith(("STRUCT", "MAP", "UNION"))


def text_sql(column: str) -> str:
    """SQL for a column as text, NULL where it is empty.

    Also safe inside TRY_CAST: DuckDB 2.0 moves the cast of a bare CSV column into the reader,
    where a text that cannot be cast is an error rather than NULL (duckdb#23818).
    """
    return f"nullif(CAST({identifier(column)} AS VARCHAR), '')"


def _line_in_copy(copy: Path, row: int) -> int | None:
    file = pq.ParquetFile(copy)
    name = file.schema_arrow.names[-1]
    for batch in file.iter_batches(columns=[name]):
        if row <= batch.num_rows:
            return batch.column(0)[row - 1].as_py()
        row -= batch.num_rows
    return None
