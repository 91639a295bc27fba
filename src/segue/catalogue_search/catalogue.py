"""Search the catalogue of a run: its index is opened, or built where there is none that fits."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from jaxtyping import Int32, Int64

from segue.catalogue_search.build import build_index, popularity_rows
from segue.catalogue_search.columns import TITLE, searched_columns
from segue.catalogue_search.index import SearchIndex
from segue.catalogue_search.scan import scan
from segue.dataset import Items
from segue.errors import RequestError, SegueError, StorageError
from segue.storage.reading import Problems, regular_size
from segue.tokens import INDEX_DTYPE, N_SPECIALS

PROBLEMS = Problems(StorageError, "remove the file: it is built again")


class CatalogueSearch:
    """Finds items by their words; may be called from several threads at a time.

    Attributes:
        note: where the index is, if it could not be written to its file; else empty.
    """

    def __init__(self, items: Items, file: Path | None = None, checksum: str = "") -> None:
        """Nothing is read or built before the first search.

        Args:
            items: the items.
            file: the file of the index. Without one, or where it cannot be written, the index is
                in a temporary file of this process.
            checksum: that of the file of the items.
        """
        self.note = ""
        self._items = items
        self._file = file
        self._checksum = checksum
        self._lock = Lock()
        self._index: SearchIndex | None = None
        self._rows: Int64[np.ndarray, " items"] | None = None

    def search(
        self, text: Any, limit: Any = 10, column: Any = None
    ) -> Int32[np.ndarray, " matches"]:
        """Item indices of the matches, best first; see ``Recommender.search``.

        Raises:
            RequestError: an argument is not possible, or SQLite has no FTS5.
            StorageError: there is no space for the index.
        """
        check_arguments(self._items, text, limit, column)
        with self._lock:
            if self._index is None:
                self._index = self._open()
            try:
                numbers = self._numbers(self._index, text, limit, column)
            except sqlite3.Error:  # damaged beyond what opening it reads
                self._index = self._build()
                numbers = self._numbers(self._index, text, limit, column)
            if self._rows is None:
                self._rows = popularity_rows(self._items)
            return (N_SPECIALS + self._rows[numbers - 1]).astype(INDEX_DTYPE)

    def _numbers(
        self, index: SearchIndex, text: str, limit: int, column: str | None
    ) -> Int64[np.ndarray, " matches"]:
        numbers = np.array(index.search(text, limit, column), np.int64)
        if ((numbers < 1) | (numbers > len(self._items))).any():
            raise sqlite3.DatabaseError("the index has more items than the catalogue")
        return numbers

    def _open(self) -> SearchIndex:
        index = None if self._file is None else open_index(self._file, self._items, self._checksum)
        return index or self._build()

    def _build(self) -> SearchIndex:
        if self._file is not None:
            try:
                write_index(self._file, self._items, self._checksum)
                index = open_index(self._file, self._items, self._checksum)
            except StorageError as error:
                self.note = f"{error.message}: the search index is in a temporary file"
            else:
                if index is not None:
                    return index
        # An empty name is a temporary file, which SQLite deletes with the connection.
        with _storage_errors(Path(tempfile.gettempdir())):
            connection = sqlite3.connect("", check_same_thread=False)
            build_index(connection, self._items, self._checksum)
            return SearchIndex(connection)


def scan_items(
    items: Items, text: Any, limit: Any = 10, column: Any = None
) -> Int32[np.ndarray, " matches"]:
    """The same matches as of ``CatalogueSearch``, without an index.

    Raises:
        RequestError: an argument is not possible.
    """
    check_arguments(items, text, limit, column)
    return (N_SPECIALS + scan(items, text, limit, column)).astype(INDEX_DTYPE)


def open_index(file: Path, items: Items, checksum: str) -> SearchIndex | None:
    """Open the index of some items; None if there is none, or it is damaged or of other items."""
    try:
        regular_size(file, PROBLEMS)
        # Files are replaced and never changed, so SQLite need not lock them.
        connection = sqlite3.connect(
            f"{file.absolute().as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False
        )
        for setting in ("trusted_schema = OFF", "cell_size_check = ON", "cache_size = -65536"):
            connection.execute(f"PRAGMA {setting}")
        kinds = {kind for (kind,) in connection.execute("SELECT type FROM sqlite_master")}
        index = SearchIndex(connection)
    except (SegueError, sqlite3.Error, ValueError):
        return None
    expected = (
        checksum,
        len(items),
        searched_columns(items.table),
        TITLE in items.table.column_names,
    )
    # Views and triggers would be somebody else's.
    return index if index.content == expected and kinds <= {"table", "index"} else None


def write_index(file: Path, items: Items, checksum: str) -> None:
    """Build an index in a file, which appears when it is complete.

    Several processes may do so at a time: each writes a file of its own, and the last one stays.

    Raises:
        RequestError: SQLite has no FTS5.
        StorageError: the file cannot be written.
    """
    partial = file.with_name(f"{file.name}.{os.urandom(4).hex()}.partial")
    with _storage_errors(file), _removed(partial):
        with closing(sqlite3.connect(partial)) as connection:
            build_index(connection, items, checksum)
        partial.replace(file)


def check_arguments(items: Items, text: Any, limit: Any, column: Any) -> None:
    """Check the arguments of a search.

    Raises:
        RequestError: one is not possible.
    """
    if not isinstance(text, str):
        message = f"text is of type {type(text).__name__}, expected a string"
        raise RequestError(message, "give what was typed, such as 'beatles yest'")
    if not isinstance(limit, int | np.integer) or isinstance(limit, bool) or limit < 1:
        raise RequestError(f"limit is {limit!r}, expected an integer from 1", "10 is usual")
    columns = ["item_id", *searched_columns(items.table)]
    if column is not None and column not in columns:
        message = f"the items have no column {column!r} that can be searched"
        raise RequestError(message, f"columns: {', '.join(columns)}")


@contextmanager
def _storage_errors(file: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        reason = getattr(error, "strerror", None) or error
        hint = "free some space, or make the folder writable"
        raise StorageError(f"cannot write {file}: {reason}", hint) from None


@contextmanager
def _removed(partial: Path) -> Iterator[None]:
    try:
        yield
    finally:
        with suppress(OSError):
            partial.unlink()
