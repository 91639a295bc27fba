"""Items files (``--items-file``): item attributes and precomputed vectors from a table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np
import pyarrow as pa

from segue.config import SourceConfig
from segue.errors import ResourceError, SourceError, quantity
from segue.ids import EXPECTED, id_sql, refused_sql, refused_type
from segue.sources.column_roles import candidates, find_column, first_match
from segue.sources.events.sorting import EVENTS_PER_BATCH, connect
from segue.sources.schema import ITEM_COLUMNS, RESERVED_COLUMNS, VECTOR, ItemsFile
from segue.sources.scratch import ScratchFolder
from segue.sources.tables.copies import can_be_copied, copied, is_read_exactly
from segue.sources.tables.detection import join_tables, local_path, open_tables, refuse_repeated
from segue.sources.tables.table import Table, identifier, is_nested, reading, text_sql
from segue.sources.text.lines import EncodingError
from segue.sources.text.list_texts import list_sql

ATTRIBUTE_SPELLINGS = {
    "title": "title itemtitle movietitle tracktitle songtitle booktitle "
    "name itemname moviename trackname songname productname",
    "artist": "artist artistname artists author authorname authors",
    "album": "album albumname albumtitle",
    "genres": "genres genre categories category",
    "year": "year releaseyear yearofrelease publicationyear releasedate",
}
"""Usual spellings of the columns of each attribute; the earliest that the file has is used."""

ITEMS_SHARE = 0.5
"""Largest share of the memory limit for the rows of an items file, which are kept in memory."""

_NUMBER_LIST_TYPE = re.compile(
    r"(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL\(.+\))\[\d*\]"
)


def read_items_file(path: Path, config: SourceConfig) -> ItemsFile:
    """Read a table of item attributes (CSV, TSV, JSONL or Parquet, optionally compressed).

    The id column is ``config.item_column`` if the table has it; otherwise it is guessed as in a
    log, where a plain ``id`` also qualifies. Title, artist, album, genres (a list, or text
    separated by ``|`` or ``;``) and year (the first four digits) are recognised by their usual
    names. Additional columns of plain values are kept unchanged; lists of numbers are vectors
    (see ``VECTOR``; an empty list means no vector). Rows without an id are left out, with a
    warning that counts them. If an id occurs in several rows, all are returned, the first one is
    used, and a warning counts the repeats. Columns named like ``RESERVED_COLUMNS`` are left out
    with a warning.

    Raises:
        ResourceError: the table does not fit within the memory limit.
        SourceError: the table cannot be read, is empty, has no id column, or has vectors of
            different widths or with values that are not finite.
    """
    # The options of text files are those of the log, except an encoding that the file needs.
    own = SourceConfig(item_column=config.item_column, memory_limit=config.memory_limit)
    with ScratchFolder() as scratch:
        path = local_path(path, scratch)
        try:
            return _read(path, own, scratch)
        except EncodingError:
            if config.encoding is None:
                raise
        return _read(path, own.model_copy(update={"encoding": config.encoding}), scratch)


def _read(path: Path, config: SourceConfig, scratch: ScratchFolder) -> ItemsFile:
    tables = open_tables(path, config, scratch, is_log=False)
    table = join_tables(tables, dict.fromkeys(name for table in tables for name in table.columns))
    columns = _choose_columns(table, config, path)
    refuse_repeated(table, [columns.item])
    # DuckDB infers the types of JSONL from the first rows, which may contain only integers.
    table = replace(table, columns=table.columns | dict.fromkeys(columns.vectors, "DOUBLE[]"))
    with reading(path), connect(config.memory_limit) as connection:
        _refuse_bad_ids(connection, table, columns.item)
        if table.file_type == "jsonl":
            # Several threads may move the last row of a JSON file to the front.
            connection.execute("SET threads = 1")
        table, rows = _rows(table, columns, connection, scratch, config.memory_limit)
        n_without_id = _n_without_id(connection, table, columns.item)
    if rows.num_rows == 0:
        raise SourceError(f"{path} has no row with an item id", "expected one item per row")
    items = _cast_vectors(rows.to_batches()[0], columns.vectors)
    n_repeats = items.num_rows - len(items.column("item_id").unique())
    report = {
        "columns": {"item": columns.item, **columns.attributes},
        "further": columns.plain,
        "vectors": _vector_widths(items, columns.vectors, path),
        "warnings": [*table.warnings, *_warnings(columns, n_without_id, n_repeats, path)],
    }
    return ItemsFile(items, report)


def _rows(
    table: Table,
    columns: _Columns,
    connection: duckdb.DuckDBPyConnection,
    scratch: ScratchFolder,
    memory_limit: int,
) -> tuple[Table, pa.Table]:
    """The selected columns, from copies if DuckDB does not read the files or not all their rows."""
    if table.is_plain:
        try:
            rows = _read_within(connection, table, columns, memory_limit)
            n_rows = connection.sql(f"SELECT count(*) FROM {table.sql()}").fetchall()[0][0]
        except duckdb.Error as error:
            if not can_be_copied(table, error):
                raise
        else:
            if is_read_exactly(table, n_rows):
                return table, rows.combine_chunks()
    table = copied(table, columns.names(), scratch)
    return table, _read_within(connection, table, columns, memory_limit).combine_chunks()


def _query(table: Table, columns: _Columns) -> str:
    return f"""
        SELECT {", ".join(_select_terms(columns, table))}
        FROM {table.sql(as_text=[columns.item])}
        WHERE {_id_sql(columns.item, table)} IS NOT NULL
    """


def _n_without_id(connection: duckdb.DuckDBPyConnection, table: Table, column: str) -> int:
    rows = f"{table.sql(as_text=[column])} WHERE {_id_sql(column, table)} IS NULL"
    return connection.sql(f"SELECT count(*) FROM {rows}").fetchall()[0][0]


def _read_within(
    connection: duckdb.DuckDBPyConnection, table: Table, columns: _Columns, memory_limit: int
) -> pa.Table:
    """The selected columns, which are kept in memory.

    Raises:
        ResourceError: they take more than ``ITEMS_SHARE`` of the memory limit (bytes).
    """
    reader = connection.sql(_query(table, columns)).to_arrow_reader(EVENTS_PER_BATCH)
    batches, n_bytes = [], 0
    for batch in reader:
        batches.append(batch)
        n_bytes += batch.nbytes
        if n_bytes > memory_limit * ITEMS_SHARE:
            message = f"the items of {table.files[0]} take more than {ITEMS_SHARE:.0%} of the "
            message += f"memory limit of {memory_limit:,} bytes"
            raise ResourceError(message, "raise --memory-limit")
    return pa.Table.from_batches(batches, reader.schema)


class _Columns(NamedTuple):
    """The columns of an items file by kind.

    Attributes:
        item: the column of ids.
        attributes: attribute with a fixed meaning -> its column.
        plain: additional columns of plain values.
        vectors: columns of lists of numbers.
        nested: columns of other lists or of objects, which are left out.
        reserved: columns named like ``RESERVED_COLUMNS``, which are left out.
    """

    item: str
    attributes: dict[str, str]
    plain: list[str]
    vectors: list[str]
    nested: list[str]
    reserved: list[str]

    def names(self) -> list[str]:
        """The columns that are read."""
        return [self.item, *self.attributes.values(), *self.plain, *self.vectors]


def _choose_columns(table: Table, config: SourceConfig, path: Path) -> _Columns:
    item = _id_column(list(table.columns), config, path)
    remaining = [name for name in table.columns if name != item]
    matches = {key: first_match(names, remaining) for key, names in ATTRIBUTE_SPELLINGS.items()}
    attributes = {key: name for key, name in matches.items() if name is not None}
    reserved = [name for name in remaining if name in RESERVED_COLUMNS]
    plain, vectors, nested = [], [], []
    for name in remaining:
        if name in (*attributes.values(), *ITEM_COLUMNS, *reserved):
            continue
        sql_type = table.columns[name]
        kind = vectors if is_vector(sql_type) else nested if is_nested(sql_type) else plain
        kind.append(name)
    return _Columns(item, attributes, plain, vectors, nested, reserved)


def _id_column(names: list[str], config: SourceConfig, path: Path) -> str:
    if config.item_column in names:
        return find_column(config.item_column, names, str(path), "--item-column")
    matches = candidates("item", names) or [name for name in names if name.casefold() == "id"]
    if len(matches) == 1:
        return matches[0]
    problem = "more than one column" if matches else "no column"
    message = f"{path} has {problem} that could be the item id: {', '.join(names)}"
    raise SourceError(message, "name the column item_id, or as in the log")


def _select_terms(columns: _Columns, table: Table) -> Iterator[str]:
    yield f"{_id_sql(columns.item, table)} AS item_id"
    for attribute, name in columns.attributes.items():
        yield _attribute_sql(attribute, name, table)
    for name in columns.plain:
        value = _text_sql(name, table) if table.columns[name] == "JSON" else identifier(name)
        yield f"{value} AS {identifier(name)}"
    yield from map(_vector_sql, columns.vectors)


def _id_sql(column: str, table: Table) -> str:
    """SQL for the ids; JSON is read as the text in the file."""
    sql_type = table.columns[column] if table.file_type == "parquet" else "VARCHAR"
    return id_sql(identifier(column), sql_type)


def _refuse_bad_ids(connection: duckdb.DuckDBPyConnection, table: Table, column: str) -> None:
    """Raise a SourceError if a value of the id column cannot be an id."""
    path, sql_type = table.files[0], table.columns[column]
    if kind := refused_type(sql_type):
        message = f"{path}: the column {column!r} contains {kind}, expected item ids"
        raise SourceError(message, "name the column item_id, or as in the log")
    if table.file_type == "parquet":
        is_refused = refused_sql(identifier(column), sql_type)
        query = f"SELECT {identifier(column)} FROM {table.sql()} WHERE {is_refused} LIMIT 1"
        if rows := connection.sql(query).fetchall():
            message = f"{path}: the column {column!r} has the item id {rows[0][0]!r}"
            raise SourceError(message, f"expected whole numbers that are exact: {EXPECTED}")


def _attribute_sql(attribute: str, name: str, table: Table) -> str:
    if attribute == "genres" and table.columns[name].endswith("[]"):
        return f"CAST({identifier(name)} AS VARCHAR[]) AS genres"
    text = _text_sql(name, table)
    if attribute == "genres":
        genres = rf"string_split_regex({text}, '\s*[|;]\s*')"
        genres = f"CASE WHEN starts_with({text}, '[') THEN {list_sql(text)} ELSE {genres} END"
        return f"list_filter({genres}, lambda genre: genre != '') AS genres"
    if attribute == "year":
        return rf"TRY_CAST(regexp_extract({text}, '\d{{4}}') AS INTEGER) AS year"
    return f"{text} AS {attribute}"


def _text_sql(name: str, table: Table) -> str:
    """SQL for an attribute as text. Values of JSON may have different types within a column."""
    if table.columns[name] == "JSON":
        return f"nullif({identifier(name)} ->> '$', '')"
    return text_sql(name)


def _warnings(columns: _Columns, n_without_id: int, n_repeats: int, path: Path) -> list[str]:
    warnings = []
    if columns.nested:
        names = ", ".join(columns.nested)
        warnings.append(f"{path.name}: left out lists and objects that are not vectors: {names}")
    if columns.reserved:
        names = ", ".join(columns.reserved)
        warnings.append(f"{path.name}: left out columns whose names the dataset reserves: {names}")
    if n_without_id:
        rows = quantity(n_without_id, "row")
        warnings.append(f"{path.name}: left out {rows} without an item id")
    if n_repeats:
        repeats = quantity(n_repeats, "row repeats", "rows repeat")
        warnings.append(f"{path.name}: {repeats} an earlier id: the first row of each id is used")
    return warnings


def is_vector(sql_type: str) -> bool:
    """Whether a column of this DuckDB type contains lists of numbers."""
    return _NUMBER_LIST_TYPE.fullmatch(sql_type) is not None


def _vector_sql(name: str) -> str:
    """SQL for a column of lists of numbers in 32 bits, NULL where a list is empty.

    A number outside the range of 32 bits becomes a NULL element, which ``_vector_widths``
    rejects.
    """
    return f"nullif(TRY_CAST({identifier(name)} AS FLOAT[]), []) AS {identifier(name)}"


def _cast_vectors(items: pa.RecordBatch, names: Sequence[str]) -> pa.RecordBatch:
    """Cast the named columns to ``VECTOR``."""
    for name in names:
        index = items.schema.get_field_index(name)
        items = items.set_column(index, name, items.column(name).cast(VECTOR))
    return items


def _vector_widths(items: pa.RecordBatch, names: Sequence[str], path: Path) -> dict[str, int]:
    """Check that the vectors of each column have the same width and finite numbers.

    Args:
        items: one row per item, with ``item_id`` and the named columns of type ``VECTOR``;
            null for an item without a vector.
        names: the columns to check.
        path: the file of the vectors, for messages.

    Returns:
        The width of each column, without columns that contain no vector.

    Raises:
        SourceError: a vector is invalid; the message names the column and the first such item.
    """
    return {
        name: _vector_width(items, name, path)
        for name in names
        if items.column(name).null_count < items.num_rows
    }


def _vector_width(items: pa.RecordBatch, name: str, path: Path) -> int:
    column = items.column(name)
    vectors, ids = column.drop_null(), items.column("item_id").filter(column.is_valid())
    widths = vectors.value_lengths().to_numpy()
    width = int(widths[0])
    different = np.flatnonzero(widths != width)
    if len(different):
        first = int(different[0])
        message = (
            f"{path}: the column {name!r} has vectors of {width} numbers, "
            f"but one of {widths[first]} for the item {ids[first].as_py()!r}"
        )
        raise SourceError(message, "give all items vectors of the same width, or none")
    invalid = np.flatnonzero(~np.isfinite(vectors.flatten().fill_null(np.nan).to_numpy()))
    if len(invalid):
        item_id = ids[int(invalid[0]) // width].as_py()
        message = f"{path}: the column {name!r} has a number that is missing or not finite in 32"
        message += f" bits, in the vector of the item {item_id!r}"
        raise SourceError(message, "correct the vector, or leave it out")
    return width
