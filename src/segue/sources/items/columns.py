"""The columns of an items file: which one has which meaning, and SQL that reads them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from segue.config import SourceConfig
from segue.errors import SourceError
from segue.ids import id_sql
from segue.sources.column_roles import candidates, find_column, first_match
from segue.sources.items.vectors import is_vector, vector_sql
from segue.sources.schema import ITEM_COLUMNS, RESERVED_COLUMNS
from segue.sources.tables.table import Table, identifier, is_nested, text_sql
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


class ItemColumns(NamedTuple):
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


def choose_columns(table: Table, config: SourceConfig, path: Path) -> ItemColumns:
    """Assign the columns of a table to their kinds by name and type.

    Raises:
        SourceError: no column, or more than one, could be the id.
    """
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
    return ItemColumns(item, attributes, plain, vectors, nested, reserved)


def attribute_columns(names: Iterable[str]) -> list[str]:
    """The names that are usual for an attribute of items."""
    spellings = " ".join(ATTRIBUTE_SPELLINGS.values())
    return [name for name in names if first_match(spellings, [name]) is not None]


def _id_column(names: list[str], config: SourceConfig, path: Path) -> str:
    if config.item_column in names:
        return find_column(config.item_column, names, str(path), "--item-column")
    matches = candidates("item", names) or [name for name in names if name.casefold() == "id"]
    if len(matches) == 1:
        return matches[0]
    problem = "more than one column" if matches else "no column"
    message = f"{path} has {problem} that could be the item id: {', '.join(names)}"
    raise SourceError(message, "name the column item_id, or as in the log")


def select_terms(columns: ItemColumns, table: Table) -> Iterator[str]:
    """The terms of a SELECT of the items: ``item_id``, attributes, additional columns, vectors."""
    yield f"{item_id_sql(columns.item, table)} AS item_id"
    for attribute, name in columns.attributes.items():
        yield _attribute_sql(attribute, name, table)
    for name in columns.plain:
        value = _text_sql(name, table) if table.columns[name] == "JSON" else identifier(name)
        yield f"{value} AS {identifier(name)}"
    yield from map(vector_sql, columns.vectors)


def item_id_sql(column: str, table: Table) -> str:
    """SQL for the ids; JSON is read as the text in the file."""
    sql_type = table.columns[column] if table.file_type == "parquet" else "VARCHAR"
    return id_sql(identifier(column), sql_type)


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
