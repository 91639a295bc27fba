"""Search an index: the best matches first, each kind of match by falling popularity."""

from __future__ import annotations

import heapq
import json
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from segue.catalogue_search.build import FORMAT_VERSION, MAX_PREFIX
from segue.catalogue_search.columns import ITEM_ID, TITLE
from segue.catalogue_search.edits import (
    begins_within_one_edit,
    can_have_edit,
    deletions,
    is_within_one_edit,
)
from segue.catalogue_search.words import SearchText

MIN_CORRECTIONS = 64
"""Words that a word of a query may stand for, at least; the most popular ones."""

MAX_WORDS = 512
"""Words that begin as the last word of a query, if these are searched one by one."""

IDS_READ = 1_000
"""Ids that begin with a query and are compared by popularity: the first ones in their order."""

_LAST = "\U0010ffff"
"""A text after all words that begin with a prefix, if it is appended to the prefix."""


class IndexContent(NamedTuple):
    """What an index contains: checksum and number of its items, and its columns."""

    items: str
    n_items: int
    columns: list[str]
    has_titles: bool


class SearchIndex:
    """An open index; see ``segue.catalogue_search.build``.

    Attributes:
        content: what it contains.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Read what a database contains.

        Raises:
            sqlite3.Error: it is not a database, or not an index.
            ValueError: the index is damaged or of another version.
        """
        self._connection = connection
        [(text,)] = connection.execute("SELECT content FROM meta").fetchall()
        self.content = _read_content(text)

    def search(self, text: str, limit: int, column: str | None) -> list[int]:
        """The numbers of matching items, best first.

        Args:
            text: the query.
            limit: largest number of items.
            column: the column to search; all if None.

        Raises:
            sqlite3.Error: the database is damaged.
        """
        query = SearchText.of(text)
        numbers: dict[int, None] = {}
        for match in self._matches(query, limit, column) if query.words else ():
            for number in match:
                numbers[number] = None
                if len(numbers) == limit:
                    return list(numbers)
        return list(numbers)

    def _matches(
        self, query: SearchText, limit: int, column: str | None
    ) -> Iterator[Iterable[int]]:
        """The numbers of the items of each kind of match, best first."""
        first_words, last = query.words[:-1], query.words[-1]
        searches_ids = column in (None, ITEM_ID)
        whole = self._ids(query.whole) if searches_ids else []
        if column in (None, TITLE) and self.content.has_titles:
            whole = heapq.merge(whole, self._full_text("titles", _quoted(query.whole)))
        yield whole
        within = self._filter(column)
        beginning = self._beginning(last)
        if within is not None:
            exact = [_quoted(word) for word in first_words]
            yield self._full_text("items", within + _all_of([*exact, _quoted(last)]))
            yield self._full_text("items", within + _all_of([*exact, beginning]))
        if searches_ids:
            yield self._ids(query.whole, _LAST)
        if within is not None and any(map(can_have_edit, query.words)):
            corrected = [
                " OR ".join([_quoted(word), *self._corrections(word, limit)])
                for word in first_words
            ]
            ending = " OR ".join([beginning, *self._corrections(last, limit, is_last=True)])
            yield self._full_text("items", within + _all_of([*corrected, ending]))

    def _full_text(self, table: str, expression: str) -> Iterator[int]:
        """The numbers of the items that match an expression, ascending."""
        sql = f"SELECT rowid FROM {table} WHERE {table} MATCH ? ORDER BY rowid"
        return (number for (number,) in self._rows(sql, (expression,), int))

    def _ids(self, whole: str, more: str = "") -> list[int]:
        """The numbers of the items with an id, or with one of the first ids from it to ``more``."""
        sql = "SELECT number FROM ids WHERE id >= ? AND id <= ? LIMIT ?"
        return sorted(number for (number,) in self._rows(sql, (whole, whole + more, IDS_READ), int))

    def _filter(self, column: str | None) -> str | None:
        """The beginning of an expression that searches a column; None if it is not there."""
        columns = self.content.columns
        if column is None:
            return "" if columns else None
        return f"{{c{columns.index(column)}}} : " if column in columns else None

    def _beginning(self, last: str) -> str:
        """An expression for the words that begin with the last word of a query.

        An alternative of few words is read in the order of the items. Of a beginning that is not
        stored, the items of all words would be collected first.
        """
        if len(last) > MAX_PREFIX:
            sql = "SELECT word FROM words WHERE word >= ? AND word <= ? LIMIT ?"
            rows = list(self._rows(sql, (last, last + _LAST, MAX_WORDS + 1), str))
            if 0 < len(rows) <= MAX_WORDS:
                return " OR ".join(_quoted(word) for (word,) in rows)
        return f"{_quoted(last)} *"

    def _corrections(self, word: str, limit: int, *, is_last: bool = False) -> list[str]:
        """Expressions for the words that a word of a query was meant to be, with one edit.

        Args:
            word: the word.
            limit: number of items requested. Of many words, the most popular ones are taken.
            is_last: whether more letters may follow.
        """
        if not can_have_edit(word):
            return []
        is_match, is_own = (
            (begins_within_one_edit, str.startswith)
            if is_last
            else (is_within_one_edit, str.__eq__)
        )
        keys = sorted(deletions(word))
        rows = self._rows(
            "SELECT DISTINCT word, item FROM edits JOIN words "
            f"ON word >= prefix AND word <= prefix || '{_LAST}' "
            f"WHERE deletion IN ({', '.join('?' * len(keys))}) "
            "AND length(word) BETWEEN ? AND ?",
            (*keys, len(word) - 1, 1_000 if is_last else len(word) + 1),
            str,
            int,
        )
        corrections = sorted(
            (item, candidate)
            for candidate, item in rows
            if can_have_edit(candidate)
            and is_match(word, candidate)
            and not is_own(candidate, word)
        )
        n_taken = max(MIN_CORRECTIONS, 4 * limit)
        return [_quoted(candidate) for _, candidate in corrections[:n_taken]]

    def _rows(self, sql: str, parameters: tuple[Any, ...], *kinds: type) -> Iterator[tuple]:
        """The rows of a query with values of the given types, which SQLite does not ensure.

        Raises:
            sqlite3.Error: the database is damaged.
        """
        for row in self._connection.execute(sql, parameters):
            if not all(map(isinstance, row, kinds)):
                raise sqlite3.DatabaseError("a value is of another type")
            yield row


def _quoted(word: str) -> str:
    """A word in the syntax of FTS5. Words contain no quotes."""
    return f'"{word}"'


def _all_of(parts: list[str]) -> str:
    return f"({' AND '.join(f'({part})' for part in parts)})"


def _read_content(text: Any) -> IndexContent:
    """Convert the content of ``meta``; raises ``ValueError`` if it is not that of an index."""
    content = json.loads(text) if isinstance(text, str) else None
    if not isinstance(content, dict) or content.pop("format_version", None) != FORMAT_VERSION:
        raise ValueError("it is of another version")
    try:
        return IndexContent(**content)
    except TypeError as error:
        raise ValueError(str(error)) from None
