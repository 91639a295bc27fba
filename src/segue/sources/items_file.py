"""Descriptions of items from a table of their own: ``--items-file``."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from segue.config import SourceConfig
from segue.errors import SourceError
from segue.sources.columns import candidates, find_column, matching
from segue.sources.events import connect
from segue.sources.layouts import join_tables, open_tables
from segue.sources.schema import ITEM_COLUMNS
from segue.sources.tables import Table, identifier, is_nested, reading, text_sql

SPELLINGS = {
    "title": "title itemtitle movietitle tracktitle songtitle booktitle "
    "name itemname moviename trackname songname productname",
    "artist": "artist artistname artists author authorname authors",
    "album": "album albumname albumtitle",
    "genres": "genres genre categories category",
    "year": "year releaseyear yearofrelease publicationyear releasedate",
}
"""For each attribute its usual spellings; the earliest that the file has is taken."""


def read_items_file(path: Path, config: SourceConfig) -> pa.RecordBatch:
    """Read a table of item attributes (CSV, TSV, JSONL or Parquet, compressed or not).

    The id column is the one that ``config.item_column`` names where the table has it, else
    it is guessed as in a log, a bare ``id`` included. Title, artist, album, genres (a list,
    or text separated by ``|`` or ``;``) and year (the first four digits) are taken by their
    usual names. Further columns are kept as they are, nested ones are not. Rows without
    an id are left out.

    Returns:
        One row a row of the table, in its order, with ``item_id`` and whichever columns of
        ``ITEM_COLUMNS`` it has, then the further ones.

    Raises:
        SourceError: the table cannot be read, is empty, or has no column of ids.
    """
    tables = open_tables(path, pairs=False)
    table = join_tables(tables, tables[0].columns)
    item_id = _id_column(list(table.columns), config, path)
    with reading(path), connect(config.memory_limit) as connection:
        query = f"""
            SELECT {", ".join(_terms(table, item_id))} FROM {table.sql(as_text=[item_id])}
            WHERE {text_sql(item_id)} IS NOT NULL
        """
        items = connection.sql(query).to_arrow_table().combine_chunks()
    if items.num_rows == 0:
        raise SourceError(f"{path} describes no item", "expected one item a row")
    return items.to_batches()[0]


def _id_column(names: list[str], config: SourceConfig, path: Path) -> str:
    if config.item_column in names:
        return find_column(config.item_column, names, str(path), "--item-column")
    found = candidates("item", names) or [name for name in names if name.casefold() == "id"]
    if len(found) == 1:
        return found[0]
    problem = "more than one column" if found else "no column"
    message = f"{path} has {problem} that could be the item's id; it has {', '.join(names)}"
    raise SourceError(message, "call it item_id, or as in the log")


def _terms(table: Table, item_id: str) -> list[str]:
    """The SELECT list: the id, the attributes with a fixed meaning, and the rest."""
    others = [name for name in table.columns if name != item_id]
    chosen = {key: matching(spellings, others) for key, spellings in SPELLINGS.items()}
    terms = [f"{text_sql(item_id)} AS item_id"]
    terms += [_attribute_sql(key, name, table) for key, name in chosen.items() if name]
    taken = {item_id, *chosen.values()}
    rest = [name for name in others if name not in taken and name not in ITEM_COLUMNS]
    return terms + [identifier(name) for name in rest if not is_nested(table.columns[name])]


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
