"""Open a log: its tables, the roles of their columns, and columns of lists as one row per event."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from segue.config import SourceConfig
from segue.errors import SourceError
from segue.sources.column_roles import (
    ColumnRoles,
    guess_roles,
    is_list_name,
    is_usual,
    list_spellings,
)
from segue.sources.scratch import ScratchFolder
from segue.sources.tables.detection import (
    join_tables,
    local_path,
    open_tables,
    refuse_repeated,
    with_all_keys,
)
from segue.sources.tables.table import Table, is_nested


class OpenedLog(NamedTuple):
    """A log whose files were inspected, but not yet read.

    Attributes:
        path: the file or folder, for messages.
    """

    path: Path
    table: Table
    columns: ColumnRoles


def open_table_log(path: Path, config: SourceConfig, scratch: ScratchFolder) -> OpenedLog:
    """Inspect the files of a log and assign its columns to roles.

    Args:
        scratch: receives a copy of standard input or of a pipe.

    Raises:
        SourceError: there is no readable table, or the column roles are unclear.
    """
    path = local_path(path, scratch)
    tables = open_tables(path, config, scratch)
    tables, columns = _with_roles(tables, config)
    for table in tables:
        refuse_repeated(table, columns.names())
    table = join_tables(tables, columns.names())
    _refuse_nested(path, table, columns)
    lists = [name for name in columns.names() if table.columns[name].endswith("[]")]
    if lists and table.file_type == "text":
        warning = f"the texts of {', '.join(map(repr, lists))} were read as lists"
        table = replace(table, warnings=(*table.warnings, warning))
    elif table.file_type == "text" and is_list_name(columns.item):
        warning = f"each text of the column {columns.item!r} was read as one item id"
        table = replace(table, warnings=(*table.warnings, warning))
    return OpenedLog(path, table.unnested(lists, columns.names()), columns)


def _with_roles(tables: list[Table], config: SourceConfig) -> tuple[list[Table], ColumnRoles]:
    if tables[0].file_type != "jsonl":
        return tables, _roles_of(tables[0], config)
    # DuckDB detects the keys of JSONL from the first rows; others may appear only later.
    try:
        columns = _roles_of(tables[0], config)
    except SourceError:
        columns = None
    if columns is None or columns.time is None or columns.rating is None:
        tables = [with_all_keys(table) for table in tables]
        columns = _roles_of(tables[0], config)
    return tables, columns


def _roles_of(table: Table, config: SourceConfig) -> ColumnRoles:
    """The roles of the columns, where a column of lists is also known by the plural of a name."""
    names = list(table.columns)
    lists = [name for name, sql_type in table.columns.items() if sql_type.endswith("[]")]
    spellings = list_spellings(lists, names, config)
    try:
        return guess_roles(names, config, str(table.files[0]), spellings)
    except SourceError as error:
        has_usual_name = any(is_usual(spellings.get(name, name)) for name in names)
        if table.file_type != "text" or not table.text.has_header or has_usual_name:
            raise
        columns = ",".join(["user", "item", *["-"] * (len(names) - 2)])
        hint = f"{error.hint}; if the first line is an event, add --columns {columns}"
        raise SourceError(error.message, hint) from None


def _refuse_nested(path: Path, table: Table, columns: ColumnRoles) -> None:
    is_list = table.columns[columns.item].endswith("[]")
    for name in columns.names():
        sql_type = table.columns[name]
        allowed = is_list and name != columns.user
        element = sql_type.removesuffix("[]") if allowed else sql_type
        if is_nested(element):
            message = f"{path}: the column {name!r} contains lists or objects ({sql_type})"
            hint = "expected one event per row, or lists of items of the same length in each row"
            raise SourceError(message, hint)
