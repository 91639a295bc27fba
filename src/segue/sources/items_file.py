"""Descriptions of items from a table of their own: ``--items-file``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from segue.config import SourceConfig
from segue.errors import SourceError
from segue.sources.columns import candidates, find_column, matching
from segue.sources.events import connect
from segue.sources.layouts import join_tables, open_tables
from segue.sources.schema import ITEM_COLUMNS, RESERVED_COLUMNS, ItemsFile
from segue.sources.tables import Table, identifier, is_nested, reading, text_sql
from segue.sources.vectors import as_vectors, is_vector, vector_sql, vector_widths
from segue.wording import counted

SPELLINGS = {
    "title": "title itemtitle movietitle tracktitle songtitle booktitle "
    "name itemname moviename trackname songname productname",
    "artist": "artist artistname artists author authorname authors",
    "album": "album albumname albumtitle",
    "genres": "genres genre categories category",
    "year": "year releaseyear yearofrelease publicationyear releasedate",
}
"""For each attribute its usual spellings; the earliest that the file has is taken."""


def read_items_file(path: Path, config: SourceConfig) -> ItemsFile:
    """Read a table of item attributes (CSV, TSV, JSONL or Parquet, compressed or not).

    The id column is the one that ``config.item_column`` names where the table has it, else
    it is guessed as in a log, a bare ``id`` included. Title, artist, album, genres (a list,
    or text separated by ``|`` or ``;``) and year (the first four digits) are taken by their
    usual names. Of the further columns, plain ones are kept as they are, and lists of
    numbers are vectors (see ``VECTOR``; an empty list is none). Rows without an id are left
    out; of several rows with one id the first counts, and a warning says how many there are.
    Columns with the names of ``RESERVED_COLUMNS`` are left out with a warning.

    Raises:
        SourceError: the table cannot be read, is empty, has no column of ids, or has vectors
            of different widths or with numbers that are not finite.
    """
    tables = open_tables(path, pairs=False)
    table = join_tables(tables, tables[0].columns)
    chosen = _choose(table, config, path)
    # The first rows of JSONL, which tell its types, may hold whole numbers only.
    table = replace(table, columns=table.columns | dict.fromkeys(chosen.vectors, "DOUBLE[]"))
    with reading(path), connect(config.memory_limit) as connection:
        query = f"""
            SELECT {", ".join(_terms(chosen, table))} FROM {table.sql(as_text=[chosen.item])}
            WHERE {text_sql(chosen.item)} IS NOT NULL
        """
        found = connection.sql(query).to_arrow_table().combine_chunks()
    if found.num_rows == 0:
        raise SourceError(f"{path} describes no item", "expected one item a row")
    items = as_vectors(found.to_batches()[0], chosen.vectors)
    n_again = items.num_rows - len(items.column("item_id").unique())
    report = {
        "columns": {"item": chosen.item, **chosen.known},
        "further": chosen.plain,
        "vectors": vector_widths(items, chosen.vectors, path),
        "warnings": _notes(chosen, n_again, path),
    }
    return ItemsFile(items, report)


class _Columns(NamedTuple):
    """The columns of a table: the id, attributes with a fixed meaning, and the rest by kind.

    ``nested`` and ``reserved`` ones are left out.
    """

    item: str
    known: dict[str, str]
    plain: list[str]
    vectors: list[str]
    nested: list[str]
    reserved: list[str]


def _choose(table: Table, config: SourceConfig, path: Path) -> _Columns:
    item = _id_column(list(table.columns), config, path)
    others = [name for name in table.columns if name != item]
    found = {key: matching(spellings, others) for key, spellings in SPELLINGS.items()}
    known = {key: name for key, name in found.items() if name is not None}
    reserved = [name for name in others if name in RESERVED_COLUMNS]
    plain, vectors, nested = [], [], []
    for name in others:
        if name in (*known.values(), *ITEM_COLUMNS, *reserved):
            continue
        sql_type = table.columns[name]
        kind = vectors if is_vector(sql_type) else nested if is_nested(sql_type) else plain
        kind.append(name)
    return _Columns(item, known, plain, vectors, nested, reserved)


def _id_column(names: list[str], config: SourceConfig, path: Path) -> str:
    if config.item_column in names:
        return find_column(config.item_column, names, str(path), "--item-column")
    found = candidates("item", names) or [name for name in names if name.casefold() == "id"]
    if len(found) == 1:
        return found[0]
    problem = "more than one column" if found else "no column"
    message = f"{path} has {problem} that could be the item's id; it has {', '.join(names)}"
    raise SourceError(message, "call it item_id, or as in the log")


def _terms(chosen: _Columns, table: Table) -> Iterator[str]:
    """The SELECT list."""
    yield f"{text_sql(chosen.item)} AS item_id"
    for key, name in chosen.known.items():
        yield _attribute_sql(key, name, table)
    yield from map(identifier, chosen.plain)
    yield from map(vector_sql, chosen.vectors)


def _attribute_sql(key: str, name: str, table: Table) -> str:
    if key == "genres" and table.columns[name].endswith("[]"):
        return f"CAST({identifier(name)} AS VARCHAR[]) AS genres"
    text = text_sql(name)
    if key == "genres":
        parts = rf"string_split_regex({text}, '\s*[|;]\s*')"
        return f"list_filter({parts}, lambda genre: genre != '') AS genres"
    if key == "year":
        return rf"TRY_CAST(regexp_extract({text}, '\d{{4}}') AS INTEGER) AS year"
    return f"{text} AS {key}"


def _notes(chosen: _Columns, n_again: int, path: Path) -> list[str]:
    notes = []
    if chosen.nested:
        names = ", ".join(chosen.nested)
        notes.append(f"{path.name}: lists and objects that are no vectors were left out: {names}")
    if chosen.reserved:
        names = ", ".join(chosen.reserved)
        notes.append(f"{path.name}: left out, as the dataset has columns of these names: {names}")
    if n_again:
        again = counted(n_again, "row repeats an id", "rows repeat an id")
        notes.append(f"{path.name}: {again} that came before: the first row of each id counts")
    return notes
