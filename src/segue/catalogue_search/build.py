"""Build the search index of a catalogue: an SQLite database with full-text tables (FTS5).

============  ====================================================================================
``meta``      format version, checksum of the items, names of the searched columns (JSON)
``items``     full-text: the words of each searched column, ``c0``, ``c1``, ...
``titles``    full-text: each title as one word
``ids``       each item id as one word, in the order of the ids
``words``     the distinct words of at least ``MIN_STORED`` characters, and their most popular item
``edits``     the first letters of these words, by their deletions; see ``edits``
============  ====================================================================================

Items are numbered by falling popularity from 1. A full-text table yields its matches in the order
of their numbers, so the most popular matches come first and no more than these are read, unless a
match is the beginning of a word. The beginnings of up to ``MAX_PREFIX`` letters are therefore
stored as words of their own; longer ones are looked up in ``words``. Of the texts nothing is stored
but the words (``content=''``).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from functools import lru_cache

import numpy as np
from jaxtyping import Int64

from segue.catalogue_search.columns import ITEM_ID, TITLE, searched_columns, texts_of
from segue.catalogue_search.edits import PREFIX, can_have_edit, deletions
from segue.catalogue_search.words import item_words, whole_text
from segue.dataset import Items
from segue.errors import RequestError
from segue.tokens import N_SPECIALS

FORMAT_VERSION = 1

BLOCK_ITEMS = 1 << 14
"""Items whose texts are in memory at a time."""

MAX_PREFIX = 3
"""Letters of a beginning of a word that is stored as a word."""

MIN_STORED = MAX_PREFIX + 1
"""Characters of the words that are stored; not more than ``can_have_edit`` needs."""

_HASH_BYTES = 1 << 26
"""Memory of a full-text table before its words are written: 64 MiB."""

cached_words = lru_cache(1 << 16)(lambda text: " ".join(item_words(text)))
"""The words of a text, separated by spaces; artists and genres occur many times."""


def popularity_rows(items: Items) -> Int64[np.ndarray, " items"]:
    """The rows of the items by falling training count; ties keep their order."""
    return np.argsort(-items.training_counts[N_SPECIALS:], kind="stable")


def build_index(connection: sqlite3.Connection, items: Items, checksum: str) -> None:
    """Write the index of some items into an empty database.

    Args:
        connection: the database.
        items: the items.
        checksum: that of the file of the items, by which the index is known to be theirs.

    Raises:
        RequestError: SQLite has no FTS5.
        sqlite3.Error: the database cannot be written.
    """
    columns = searched_columns(items.table)
    # A database that is not complete is thrown away, so it needs no journal.
    connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")
    connection.execute("CREATE TABLE meta (content TEXT)")
    best: dict[str, int] = {}
    if columns:
        prefixes = " ".join(map(str, range(1, MAX_PREFIX + 1)))
        options = f"detail=column, prefix='{prefixes}'"
        rows = _word_rows(items, columns, best)
        _write_full_text(connection, "items", len(columns), options, rows)
    if TITLE in items.table.column_names:
        _write_full_text(connection, "titles", 1, "detail=none", _wholes(items, TITLE))
    _write_words(connection, best)
    connection.execute(
        "CREATE TABLE ids (id TEXT, number INTEGER, PRIMARY KEY (id, number)) WITHOUT ROWID"
    )
    ids = sorted((text, number) for number, text in _wholes(items, ITEM_ID))
    connection.executemany("INSERT INTO ids VALUES (?, ?)", ids)
    content = {
        "format_version": FORMAT_VERSION,
        "items": checksum,
        "n_items": len(items),
        "columns": columns,
        "has_titles": TITLE in items.table.column_names,
    }
    connection.execute("INSERT INTO meta VALUES (?)", (json.dumps(content),))
    connection.commit()


def _write_full_text(
    connection: sqlite3.Connection, name: str, n_columns: int, options: str, rows: Iterable[tuple]
) -> None:
    """Create a full-text table of words that are separated by spaces.

    Args:
        connection: the database.
        name: name of the table.
        n_columns: number of its columns. They are numbered, because not all names of attributes
            can be names of columns.
        options: further options of FTS5.
        rows: the number of each item, and the words of each column.
    """
    columns = ", ".join(f"c{i}" for i in range(n_columns))
    try:
        connection.execute(
            f"CREATE VIRTUAL TABLE {name} USING fts5({columns}, content='', columnsize=0, "
            f"tokenize='ascii', {options})"
        )
    except sqlite3.OperationalError as error:
        if "no such module" not in str(error):
            raise
        message = "the SQLite of this Python has no full-text search (FTS5)"
        raise RequestError(message, "use a Python whose SQLite has FTS5") from None
    connection.execute(f"INSERT INTO {name} ({name}, rank) VALUES ('hashsize', {_HASH_BYTES})")
    marks = ", ".join("?" * (n_columns + 1))
    connection.executemany(f"INSERT INTO {name} (rowid, {columns}) VALUES ({marks})", rows)
    connection.execute(f"INSERT INTO {name} ({name}) VALUES ('optimize')")


def _word_rows(items: Items, columns: list[str], best: dict[str, int]) -> Iterator[tuple]:
    """The words of each item; the most popular item of each word is added to ``best``."""
    order = popularity_rows(items)
    for start in range(0, len(order), BLOCK_ITEMS):
        table = items.table.select(columns).take(order[start : start + BLOCK_ITEMS])
        texts = [map(cached_words, texts_of(column)) for column in table.columns]
        for number, row in enumerate(zip(*texts, strict=True), start=start + 1):
            for text in row:
                for word in text.split():
                    best.setdefault(word, number)
            yield number, *row


def _wholes(items: Items, column: str) -> Iterator[tuple[int, str]]:
    """The number of each item, and its value of a column as one word."""
    order = popularity_rows(items)
    for start in range(0, len(order), BLOCK_ITEMS):
        texts = texts_of(items.table.column(column).take(order[start : start + BLOCK_ITEMS]))
        yield from enumerate(map(whole_text, texts), start=start + 1)


def _write_words(connection: sqlite3.Connection, best: dict[str, int]) -> None:
    connection.execute(
        "CREATE TABLE words (word TEXT PRIMARY KEY, item INTEGER NOT NULL) WITHOUT ROWID"
    )
    connection.execute(
        "CREATE TABLE edits (deletion TEXT, prefix TEXT, PRIMARY KEY (deletion, prefix)) "
        "WITHOUT ROWID"
    )
    words = sorted(word for word in best if len(word) >= MIN_STORED)
    connection.executemany("INSERT INTO words VALUES (?, ?)", ((w, best[w]) for w in words))
    pairs = sorted(_deletion_pairs(words))
    connection.executemany("INSERT INTO edits VALUES (?, ?)", pairs)


def _deletion_pairs(words: Iterable[str]) -> set[tuple[str, str]]:
    prefixes = {word[:PREFIX] for word in words if can_have_edit(word)}
    return {(deletion, prefix) for prefix in prefixes for deletion in deletions(prefix)}
