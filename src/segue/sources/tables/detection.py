"""Open table files: detect their columns and formats, and join the files of a folder."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from segue.config import SourceConfig
from segue.errors import SourceError
from segue.sources.byte_streams import compression_of, copy_stream, is_stream, read_start
from segue.sources.scratch import ScratchFolder
from segue.sources.tables.files import TableFile, is_table, table_files
from segue.sources.tables.table import Table, path_literal, reading
from segue.sources.text.format import TextFormat, detect_encoding, detect_text
from segue.sources.text.header_detection import column_names
from segue.sources.text.json_lines import copy_objects, keys_of

__all__ = [
    "is_table",
    "join_tables",
    "local_path",
    "open_tables",
    "refuse_repeated",
    "with_all_keys",
]

TEXT_OPTIONS = ("columns", "header", "separator", "quote", "escape", "encoding", "comment")
"""The options of ``SourceConfig`` that apply to text files."""

_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
_TIMES = ("DATE", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP", "TIMESTAMP_NS")
_ZONED = "TIMESTAMP WITH TIME ZONE"


def local_path(path: Path, scratch: ScratchFolder) -> Path:
    """A path that can be read more than once: standard input and pipes are copied to a file.

    Raises:
        SourceError: it is a device, or a pipe that nothing writes to.
    """
    return copy_stream(path, scratch.path / "standard-input") if is_stream(path) else path


def open_tables(
    path: Path, config: SourceConfig, scratch: ScratchFolder, *, is_log: bool = True
) -> list[Table]:
    """Inspect a file, or each file of a folder in the order of their relative paths.

    Args:
        path: the file or folder.
        config: its options of text files are used.
        scratch: receives copies of JSONL files that DuckDB cannot read.
        is_log: text files of a log may have no header; see ``detect_text``. The types of JSONL
            in an items file are those of all rows, not only of the first ones.

    Returns:
        One table per file; the warnings of the first one are also those of the folder.

    Raises:
        SourceError: the path does not exist, the folder contains no table, or a file is
            unreadable, empty or not text of the encoding.
    """
    files, warnings = table_files(path)
    given = [name for name in TEXT_OPTIONS if getattr(config, name) not in (None, ())]
    if given and is_log and all(file.file_type == "parquet" for file in files):
        message = f"{path} is in Parquet, to which --{given[0]} does not apply"
        raise SourceError(message, "leave it out")
    with duckdb.connect() as connection:  # one for all files, because opening it takes long
        opener = _Opener(config, scratch, connection, is_log)
        tables = [opener.table(file) for file in files]
    # A file may have only lists of one item in its first rows, which do not look like lists.
    lists = {
        name: "VARCHAR[]" for table in tables for name in table.columns if _is_list(table, name)
    }
    columns = {name: lists.get(name, kind) for name, kind in tables[0].columns.items()}
    first = replace(tables[0], columns=columns, warnings=(*warnings, *tables[0].warnings))
    return [first, *tables[1:]]


def _is_list(table: Table, name: str) -> bool:
    return table.file_type == "text" and table.columns[name] == "VARCHAR[]"


def join_tables(tables: Sequence[Table], required: Iterable[str]) -> Table:
    """Concatenate tables.

    Args:
        tables: at least one, all of the same file type.
        required: names of columns that every table must have. Text files must all have the
            same header. Types of Parquet files may differ if they are all numbers, or all
            times, or if a column has no value at all in a file.

    Raises:
        SourceError: a file does not match the first one; the message names both.
    """
    first, names = tables[0], list(required)
    types = {name: first.columns[name] for name in names}
    for table in tables[1:]:
        if _signature(table, names) != _signature(first, names):
            raise _mismatch(first, table)
        for name in names if first.file_type == "parquet" else ():
            common = common_type(types[name], table.columns[name])
            if common is None:
                a, b = first.files[0].name, table.files[0].name
                message = f"the column {name!r} has the type {types[name]} in {a}, "
                message += f"but {table.columns[name]} in {b}"
                raise SourceError(message, "convert one of the files")
            types[name] = common
    types = {name: "VARCHAR" if kind == '"NULL"' else kind for name, kind in types.items()}
    parts = [_concatenated(list(group)) for _, group in groupby(tables, key=_part_key(names))]
    if len(parts) == 1 and all(parts[0].columns[name] == types[name] for name in names):
        return parts[0]
    warnings = tuple(dict.fromkeys(warning for part in parts for warning in part.warnings))
    files = tuple(file for part in parts for file in part.files)
    parts = [replace(part, warnings=()) for part in parts]
    return replace(
        first, files=files, columns=types, parts=tuple(parts), partition={}, warnings=warnings
    )


def common_type(first: str, second: str) -> str | None:
    """The DuckDB type that values of two types can be read as; None if they differ in kind."""
    kinds = {first.partition("(")[0], second.partition("(")[0]}
    if first.endswith("[]") and second.endswith("[]"):
        element = common_type(first.removesuffix("[]"), second.removesuffix("[]"))
        common = element and f"{element}[]"
    elif len({first, second} - {'"NULL"'}) < 2:
        common = first if second == '"NULL"' else second
    elif kinds <= {*_TIMES, _ZONED}:
        common = _ZONED if _ZONED in kinds else max(kinds, key=_TIMES.index)
    elif kinds <= {*_INTEGERS, "UBIGINT", "HUGEINT"}:
        common = "BIGINT" if kinds <= {*_INTEGERS} else "HUGEINT"
    elif kinds <= {*_INTEGERS, "UBIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL"}:
        common = "DOUBLE"
    else:
        common = None
    return common


def with_all_keys(table: Table) -> Table:
    """The table of a JSONL file with the keys of all objects, not only of the first ones."""
    if table.copies:
        return table
    source = f"SELECT DISTINCT unnest(json_keys(json)) FROM {_json_sql(table, as_objects=True)}"
    try:
        with duckdb.connect() as connection:
            keys = sorted(name for (name,) in connection.execute(source).fetchall())
    except duckdb.Error:
        keys = keys_of(table.files[0], table.text.encoding)
    new = {name: "VARCHAR" for name in keys if name not in table.columns}
    return replace(table, columns=table.columns | new)


class _Opener(NamedTuple):
    """Inspects the files of a log or items file; see ``open_tables``."""

    config: SourceConfig
    scratch: ScratchFolder
    connection: duckdb.DuckDBPyConnection
    is_log: bool

    def table(self, file: TableFile) -> Table:
        """A file as a table with the columns that it has, and those of its folders."""
        path = file.path
        if file.file_type == "parquet":
            table = Table((path,), "parquet", {})
            columns = self._types(table.sql(), path)
            with suppress(pa.ArrowException):  # of a schema that only DuckDB understands
                repeated = column_names(pq.read_schema(path).names)[1]
                table = replace(table, repeated=repeated)
            table = replace(table, columns=columns)
        elif file.file_type == "jsonl":
            table = self._json_table(path)
        else:
            table = self._text_table(path)
        # A key of JSONL without any value has no type, and cannot be read as such.
        null = "VARCHAR" if file.file_type == "jsonl" else '"NULL"'
        types = {name: null if kind == '"NULL"' else kind for name, kind in table.columns.items()}
        # A column of the file takes precedence over a folder of the same name.
        own = {name.casefold() for name in table.columns}
        partition = {n: value for n, value in file.partition.items() if n.casefold() not in own}
        columns = types | dict.fromkeys(partition, "VARCHAR")
        return replace(table, columns=columns, partition=partition)

    def _text_table(self, path: Path) -> Table:
        detected = detect_text(path, self.config, pairs=self.is_log)
        return Table(
            (path,),
            "text",
            {n: "VARCHAR[]" if n in detected.lists else "VARCHAR" for n in detected.names},
            detected.text,
            detected.repeated,
            warnings=tuple(detected.warnings),
        )

    def _json_table(self, path: Path) -> Table:
        """A table with the columns and types that DuckDB detects, in a copy if necessary."""
        sample, encoding = detect_encoding(path, self.config)
        if sample.lstrip().startswith("["):
            message = f"{path} contains one JSON array, expected one object per line"
            raise SourceError(message, "convert it with `jq -c '.[]'`")
        text = TextFormat(encoding=encoding, compression=compression_of(path))
        table = Table((path,), "jsonl", {}, text)
        if table.is_plain and not read_start(path).startswith(codecs.BOM_UTF8):
            with suppress(SourceError):
                columns = self._types(_json_sql(table, all_rows=not self.is_log), path)
                return replace(table, columns=columns)
        copy = self.scratch.new_file(".jsonl")
        copy_objects(path, encoding, None, copy)
        table = replace(table, copies=(copy,))
        return replace(table, columns=self._types(_json_sql(table, all_rows=True), path))

    def _types(self, source: str, file: Path) -> dict[str, str]:
        """The columns and types of an SQL table expression; "NULL" for one without any value."""
        with reading(file):
            query = f"DESCRIBE SELECT * FROM {source}"
            rows = self.connection.execute(query).fetchall()
        return {name: kind for name, kind, *_ in rows}


def refuse_repeated(table: Table, names: Iterable[str]) -> None:
    """Raise a SourceError if several columns of a file have one of these names."""
    for name in names:
        if name.casefold() in table.repeated:
            message = f"{table.files[0]} has more than one column called {name.casefold()!r}"
            hint = "rename one of them"
            if table.file_type == "text":
                hint = f"if its first line is a header, {hint}; else add --no-header"
            raise SourceError(message, hint)


def _json_sql(table: Table, *, all_rows: bool = False, as_objects: bool = False) -> str:
    path = (table.copies or table.files)[0]
    compression = "none" if table.copies else table.text.compression
    options = f"format = 'newline_delimited', compression = '{compression}'"
    options += ", hive_partitioning = false"
    if all_rows:
        options += ", sample_size = -1"
    if as_objects:
        options += ", records = 'false', columns = {'json': 'JSON'}"
    return f"read_json({path_literal(path)}, {options})"


def _part_key(names: Sequence[str]) -> Callable[[Table], object]:
    """What files have in common that are read with one table function."""

    def key(table: Table) -> object:
        types = [table.columns[name] for name in names] if table.file_type == "parquet" else []
        return types, table.text, dict(table.partition)

    return key


def _concatenated(tables: Sequence[Table]) -> Table:
    """Tables that are alike, as one."""
    files = tuple(file for table in tables for file in table.files)
    columns = {name: kind for table in reversed(tables) for name, kind in table.columns.items()}
    ordered = {name: columns[name] for name in [*tables[0].columns, *columns]}
    warnings = tuple(dict.fromkeys(warning for table in tables for warning in table.warnings))
    repeated = frozenset(name for table in tables for name in table.repeated)
    return replace(tables[0], files=files, columns=ordered, warnings=warnings, repeated=repeated)


def _signature(table: Table, required: Sequence[str]) -> tuple[object, ...]:
    """The properties that files must share to be concatenated."""
    if table.file_type == "text":
        text = table.text
        return table.file_type, list(table.columns), text.separator, text.has_header
    return table.file_type, [name in table.columns for name in required]


def _mismatch(first: Table, table: Table) -> SourceError:
    a, b = first.files[0].name, table.files[0].name
    message = (
        f"{a} and {b} do not have the same file type, columns and delimiter: "
        f"{a} has {', '.join(first.columns)}; {b} has {', '.join(table.columns)}"
    )
    hint = "keep only files of one type with the same columns in the folder, or give the "
    hint += "log's file itself, and a table of items with --items-file"
    return SourceError(message, hint)
