"""Items files (``--items-file``): item attributes and precomputed vectors from a table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa

from segue.config import SourceConfig
from segue.errors import ResourceError, SourceError, quantity
from segue.ids import EXPECTED, refused_sql, refused_type
from segue.sources.events.sorting import EVENTS_PER_BATCH, connect
from segue.sources.items.columns import ItemColumns, choose_columns, item_id_sql, select_terms
from segue.sources.items.vectors import cast_vectors, vector_widths
from segue.sources.schema import ItemsFile
from segue.sources.scratch import ScratchFolder
from segue.sources.tables.copies import can_be_copied, copied, is_read_exactly
from segue.sources.tables.detection import join_tables, local_path, open_tables, refuse_repeated
from segue.sources.tables.table import Table, identifier, reading
from segue.sources.text.lines import EncodingError

ITEMS_SHARE = 0.5
"""Largest share of the memory limit for the rows of an items file, which are kept in memory."""


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
    columns = choose_columns(table, config, path)
    refuse_repeated(table, [columns.item])
    # DuckDB infers the types of JSONL from the first rows, which may contain only integers.
    table = replace(table, columns=table.columns | dict.fromkeys(columns.vectors, "DOUBLE[]"))
    with reading(path), connect(config.memory_limit) as connection:
        _refuse_bad_ids(connection, table, columns.item)
        if table.file_type == "jsonl":
            # Several threads may move the last row of a JSON file to the front.
            connection.execute("SET threads = 1")
        table, rows, n_rows = _rows(table, columns, connection, scratch, config.memory_limit)
    if rows.num_rows == 0:
        raise SourceError(f"{path} has no row with an item id", "expected one item per row")
    items = cast_vectors(_single_batch(rows, path), columns.vectors)
    n_repeats = items.num_rows - len(items.column("item_id").unique())
    report = {
        "columns": {"item": columns.item, **columns.attributes},
        "further": columns.plain,
        "vectors": vector_widths(items, columns.vectors, path),
        "warnings": [*table.warnings, *_warnings(columns, n_rows - rows.num_rows, n_repeats, path)],
    }
    return ItemsFile(items, report)


def _rows(
    table: Table,
    columns: ItemColumns,
    connection: duckdb.DuckDBPyConnection,
    scratch: ScratchFolder,
    memory_limit: int,
) -> tuple[Table, pa.Table, int]:
    """The selected columns, from copies if DuckDB does not read the files or not all their rows.

    Returns:
        The table that was read; its rows with an item id; and the number of all its rows.
    """
    if table.is_plain:
        try:
            rows = _read_within(connection, table, columns, memory_limit)
            n_rows = _n_rows(connection, table)
        except duckdb.Error as error:
            if not can_be_copied(table, error):
                raise
        else:
            if is_read_exactly(table, n_rows):
                return table, rows, n_rows
    table = copied(table, columns.names(), scratch)
    rows = _read_within(connection, table, columns, memory_limit)
    return table, rows, _n_rows(connection, table)


def _n_rows(connection: duckdb.DuckDBPyConnection, table: Table) -> int:
    return connection.sql(f"SELECT count(*) FROM {table.sql()}").fetchall()[0][0]


def _query(table: Table, columns: ItemColumns) -> str:
    return f"""
        SELECT {", ".join(select_terms(columns, table))}
        FROM {table.sql(as_text=[columns.item])}
        WHERE {item_id_sql(columns.item, table)} IS NOT NULL
    """


def _read_within(
    connection: duckdb.DuckDBPyConnection, table: Table, columns: ItemColumns, memory_limit: int
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


def _single_batch(rows: pa.Table, path: Path) -> pa.RecordBatch:
    """The rows as one batch.

    Raises:
        ResourceError: the text of a column is too long for one, so that rows would be lost.
    """
    batches = rows.combine_chunks().to_batches()
    if len(batches) > 1:
        message = f"a column of {path} has more than 2 GiB of text"
        raise ResourceError(message, "leave that column out, or shorten its texts")
    return batches[0]


def _warnings(columns: ItemColumns, n_without_id: int, n_repeats: int, path: Path) -> list[str]:
    warnings = []
    if columns.nested:
        names = ", ".join(columns.nested)
        warnings.append(f"{path.name}: left out lists and objects that are not vectors: {names}")
    if columns.reserved:
        names = ", ".join(columns.reserved)
        warnings.append(f"{path.name}: left out columns whose names the dataset reserves: {names}")
    if n_without_id:
        left_out = quantity(n_without_id, "row")
        warnings.append(f"{path.name}: left out {left_out} without an item id")
    if n_repeats:
        repeats = quantity(n_repeats, "row repeats", "rows repeat")
        warnings.append(f"{path.name}: {repeats} an earlier id: the first row of each id is used")
    return warnings
