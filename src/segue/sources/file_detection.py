"""Detect the type, columns and delimiter of table files, before they are read.

The name of a file gives its type. The first line of a text file gives its columns and its
delimiter. A first line of two plain words, neither a usual column name, is not a header but the
first row of a list of ``user item`` pairs. The files of a folder are concatenated in the order
of their names.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa

from segue.errors import SourceError
from segue.sources.column_roles import is_usual
from segue.sources.duckdb_tables import FileType, Table, not_utf8, path_literal, reading

FILE_TYPES: dict[str, FileType] = {
    ".csv": "text",
    ".tsv": "text",
    ".txt": "text",
    ".inter": "text",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
"""File types by suffix. A file with another suffix is read as text if it is given by name."""

COMPRESSION_SUFFIXES = (".gz", ".zst")

SAMPLE_BYTES = 1 << 20
"""Bytes of a text file that are read to detect its contents."""


def is_table(path: Path) -> bool:
    """Whether a path is, by its name, a table file, or a folder that contains one."""
    if path.is_dir():
        return bool(_table_files(path))
    return path.is_file() and _file_type(path) is not None


def open_tables(path: Path, *, pairs: bool = True) -> list[Table]:
    """Inspect a file, or each file of a folder in the order of their names.

    Text files in a folder (such as ``README.txt``) are ignored if there are table files of
    another type.

    Args:
        path: the file or folder.
        pairs: whether a text file without a header may be a list of ``user item`` pairs.

    Raises:
        SourceError: the path does not exist, the folder contains no table, or a file is
            unreadable, empty or not UTF-8.
    """
    if not path.exists():
        raise SourceError(f"{path} does not exist", "check the path")
    files = _table_files(path) if path.is_dir() else [path]
    if not files:
        message = f"folder {path} contains no table, expected files of {', '.join(FILE_TYPES)}"
        raise SourceError(message, "give the file itself, or convert it to one of these types")
    return [_open_file(file, pairs=pairs) for file in files]


def join_tables(tables: Sequence[Table], required: Iterable[str]) -> Table:
    """Concatenate tables.

    Args:
        tables: at least one, all of the same file type.
        required: names of columns that every table must have. Text files must all have the
            same header.

    Raises:
        SourceError: a file does not match the first one; the message names both.
    """
    first = tables[0]
    for table in tables[1:]:
        if _signature(table, required) != _signature(first, required):
            a, b = first.files[0].name, table.files[0].name
            message = (
                f"{a} and {b} do not have the same file type, columns and delimiter: "
                f"{a} has {', '.join(first.columns)}; {b} has {', '.join(table.columns)}"
            )
            hint = "keep only files of one type with the same columns in the folder, or give the "
            hint += "log's file itself, and a table of items with --items-file"
            raise SourceError(message, hint)
    return replace(first, files=tuple(file for table in tables for file in table.files))


def _file_type(path: Path) -> FileType | None:
    name = path.name.lower()
    for suffix in COMPRESSION_SUFFIXES:
        name = name.removesuffix(suffix)
    return FILE_TYPES.get(Path(name).suffix)


def _table_files(folder: Path) -> list[Path]:
    files = [file for file in folder.iterdir() if file.is_file() and file.name[0] not in "._"]
    tables = sorted((file for file in files if _file_type(file)), key=lambda file: file.name)
    return [file for file in tables if ".txt" not in file.suffixes] or tables


def _open_file(file: Path, *, pairs: bool) -> Table:
    file_type = _file_type(file) or "text"
    if file_type == "parquet":
        return _with_detected_columns(Table((file,), file_type, {}))
    sample = _read_sample(file)
    if file_type == "jsonl":
        if sample.startswith("["):
            message = f"{file} contains one JSON array, expected one object per line"
            raise SourceError(message, "convert it with `jq -c '.[]'`")
        return _with_detected_columns(Table((file,), file_type, {}))
    return _text_table(file, re.split(r"[\r\n]", sample, maxsplit=1)[0], pairs=pairs)


def _read_sample(file: Path) -> str:
    """The beginning of a text file.

    Raises:
        SourceError: the file cannot be read, is empty, or is not UTF-8.
    """
    try:
        with pa.input_stream(str(file), compression="detect") as stream:
            data = stream.read(SAMPLE_BYTES)
    except OSError as error:
        message = f"{file} cannot be read: {error}"
        raise SourceError(message, "check that it is complete and that you may read it") from None
    try:
        # The sample may end within a character; an incremental decoder leaves that part out.
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(data)
    except UnicodeDecodeError:
        raise not_utf8(file) from None
    if not text.strip():
        raise SourceError(f"{file} is empty", "expected a table with one event or item per row")
    return text


def _with_detected_columns(table: Table) -> Table:
    """The table with the columns and types that DuckDB detects."""
    source = table.sql() if table.file_type == "parquet" else _json_sql(table.files[0])
    with reading(table.files[0]), duckdb.connect() as connection:
        rows = connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
    # A key that is null in every sampled row has the type "NULL", which cannot be read.
    types = {name: "VARCHAR" if kind == '"NULL"' else kind for name, kind, *_ in rows}
    return replace(table, columns=types)


def _json_sql(file: Path) -> str:
    return f"read_json({path_literal(file)}, format = 'newline_delimited')"


def _text_table(file: Path, first_line: str, *, pairs: bool) -> Table:
    if not first_line.strip():
        message = f"the first line of {file} is blank, expected the names of the columns"
        raise SourceError(message, "remove the blank line")
    words = first_line.split()
    counts = {delimiter: first_line.count(delimiter) for delimiter in "\t,;|"}
    if len(words) == 2 and not any(counts[delimiter] for delimiter in ",;|"):
        separator = first_line.strip()[len(words[0]) : -len(words[1])]
        if pairs and not any(is_usual(word) for word in words):
            columns = {"user": "VARCHAR", "item": "VARCHAR"}
            return Table((file,), "text", columns, separator, has_header=False)
        counts[separator] = 1
    delimiter = max(counts, key=lambda candidate: counts[candidate])
    try:
        names = next(csv.reader([first_line], delimiter=delimiter[0]))
    except csv.Error as error:
        message = f"the first line of {file} is not a valid header: {error}"
        raise SourceError(message, "expected the names of the columns") from None
    names = [name.strip() or f"column{i}" for i, name in enumerate(names)]
    name_counts = Counter(name.casefold() for name in names)
    repeated = [name for name, count in name_counts.items() if count > 1]
    if repeated:
        message = f"{file} has more than one column called {repeated[0]!r}"
        hint = "if its first line is a header, rename one of them; else add a header above it"
        raise SourceError(message, hint)
    return Table((file,), "text", dict.fromkeys(names, "VARCHAR"), delimiter)


def _signature(table: Table, required: Iterable[str]) -> tuple[object, ...]:
    """The properties that files must share to be concatenated."""
    if table.file_type == "text":
        return table.file_type, list(table.columns), table.delimiter, table.has_header
    if table.file_type == "parquet":
        return table.file_type, [table.columns.get(name) for name in required]
    return table.file_type, [name in table.columns for name in required]
