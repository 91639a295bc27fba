"""The format ``movielens``: releases 100K, 1M and 10M, and those in CSV (20M, 25M, 32M, latest).

F. M. Harper, J. A. Konstan: "The MovieLens datasets: history and context", ACM Transactions
on Interactive Intelligent Systems 5(4), 2015. A sequence is the ratings of a user ordered by
time; ratings of the same second keep the order of the file.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from segue.config import SourceConfig
from segue.errors import SourceError
from segue.sources.byte_streams import compression_of, read_start
from segue.sources.column_roles import ColumnRoles
from segue.sources.events.log_opening import OpenedLog
from segue.sources.events.sorting import connect, sequences_from_events, sorted_events
from segue.sources.events.tabular import TabularSource
from segue.sources.movielens.checks import RatingChecks
from segue.sources.movielens.files import (
    FILE_LAYOUTS,
    RATINGS_HEADER,
    FileLayout,
    check_header,
    read_movies,
    read_users,
)
from segue.sources.schema import Chunk, Source
from segue.sources.tables.copies import can_be_copied
from segue.sources.tables.table import Table, path_literal, reading
from segue.sources.text.format import TextFormat, detect_encoding
from segue.sources.text.lines import encoding_of, lines, printable
from segue.storage.paths import check_regular

_RATING_TYPES = (
    "{'userId': 'VARCHAR', 'movieId': 'VARCHAR', 'rating': 'FLOAT', 'timestamp': 'BIGINT'}"
)


def recognises(path: Path) -> bool:
    """Whether a path is the folder of a MovieLens release, by the names of its files.

    A release without its ratings, or with ratings that cannot be read, is one too: otherwise its
    movies would be read as a log.
    """
    layout = _layout_of(path)
    if layout is None:
        return any(_is_in(path, lay.movies) for lay in FILE_LAYOUTS if not lay.has_header)
    return _is_in(path, layout.movies)


class MovielensSource(Source):
    """Users in the order of their numbers; every event has a rating and a time (UTC).

    Movies have ``title``, ``year`` and ``genres``. Users have the attributes of the release
    (``gender``, ``age``, ``occupation``, ``zip_code``), in its own codes.

    Files of other projects may have the same names: ids that are not plain integers (``0000008``)
    are kept as text, and users are then in the order of the text.
    """

    format = "movielens"
    sequences_are_users = True

    def __init__(self, path: Path, config: SourceConfig) -> None:
        """Identify the release by its files.

        Args:
            path: the folder of an unpacked release.
            config: only ``memory_limit`` (bytes) and ``bad_times`` are used.

        Raises:
            SourceError: the folder does not exist, or contains no ratings.
        """
        layout = _layout_of(path)
        if layout is None:
            names = ", ".join(layout.ratings for layout in FILE_LAYOUTS)
            problem = "has no ratings" if path.is_dir() else "is not a folder"
            hint = f"give the folder of an unpacked release, with one of {names}"
            raise SourceError(f"{path} {problem}", hint)
        self._folder = path
        self._layout = layout
        self._config = config
        self._warnings: list[str] = []

    def chunks(self) -> Iterator[Chunk]:
        limit = self._config.memory_limit
        items = read_movies(self._folder, self._layout, limit)
        users, self._warnings = read_users(self._folder, self._layout, limit)
        for sequences in self._sequences():
            yield Chunk(_with_attributes(sequences, users), items)
            items = items.slice(0, 0)  # only the first chunk describes the items

    def _sequences(self) -> Iterator[pa.RecordBatch]:
        ratings = self._folder / self._layout.ratings
        _check_ratings(ratings, self._layout)
        log = _log_in_text(ratings, self._layout)
        text = log.table.text
        if text.encoding == "utf-8" and text.compression == "none":
            is_read = yield from self._usual_sequences(ratings, log.table)
            if is_read:
                return
        source = TabularSource(ratings, self._config, log)
        for chunk in source.chunks():
            yield chunk.sequences
        self._warnings += source.report()["warnings"]

    def _usual_sequences(
        self, ratings: Path, table: Table
    ) -> Generator[pa.RecordBatch, None, bool]:
        """The sequences of ratings whose ids are plain integers.

        Returns:
            False, before any sequence, if some are not, if the text has another form, or if a line
            is invalid, which the other reader names.
        """
        with reading(ratings), connect(self._config.memory_limit) as connection:
            select = _select(ratings, self._layout)
            checks = RatingChecks(ratings, select, self._config.bad_times)
            try:
                events = sorted_events(connection, checks.events(connection))
                batches = sequences_from_events(checks.filtered(events))
                first = next(batches, None)
            except duckdb.Error as error:
                if not can_be_copied(table, error):
                    raise
                return False
            yield from () if first is None else (first,)
            yield from batches
            checks.finish(connection)
            self._warnings += checks.warnings()
            return True

    def fingerprint(self) -> dict[str, Any]:
        names = (self._layout.ratings, self._layout.movies, self._layout.users)
        paths = [self._folder / name for name in names if name]
        files = [
            {"name": file.name, "bytes": file.stat().st_size} for file in paths if file.exists()
        ]
        return {"format": self.format, "files": files}

    def report(self) -> dict[str, Any]:
        return {"warnings": list(self._warnings), "layout": self._layout.name}


def _layout_of(path: Path) -> FileLayout | None:
    return next((layout for layout in FILE_LAYOUTS if _is_in(path, layout.ratings)), None)


def _is_in(folder: Path, name: str) -> bool:
    """Whether a folder has a file of this name, even one that cannot be read."""
    return os.path.lexists(folder / name) and not (folder / name).is_dir()


def _check_ratings(path: Path, layout: FileLayout) -> None:
    check_regular(path)
    encoding = detect_encoding(path, SourceConfig())[1] if read_start(path).strip() else "utf-8"
    texts = filter(str.strip, lines(path, encoding))
    first = [printable(text).strip() for text in islice(texts, 2)]
    if layout.has_header and first:
        check_header(path, first[0][:1000].split(","), RATINGS_HEADER)
    if len(first) <= layout.has_header:
        raise SourceError(f"{path} has no ratings", "unpack the release again")


def _select(path: Path, layout: FileLayout) -> str:
    user, item = _integer_sql("userId"), _integer_sql("movieId")
    return f"""
        SELECT {user} AS sequence_id, {item} AS item_id, rating, timestamp * 1000000 AS time
        FROM {_ratings_sql(path, layout)}
    """


def _ratings_sql(path: Path, layout: FileLayout) -> str:
    # Only the word NULL is read as null, so that an empty field is an error with its line.
    header = str(layout.has_header).lower()
    return f"""
        read_csv({path_literal(path)}, columns = {_RATING_TYPES}, header = {header},
            delim = '{layout.ratings_delimiter}', quote = '', escape = '', nullstr = 'NULL',
            auto_detect = false)
    """


def _integer_sql(column: str) -> str:
    """SQL for an id as an integer, NULL if missing; an error if it is no plain integer."""
    number = f"TRY_CAST({column} AS BIGINT)"
    is_plain = f"CAST({number} AS VARCHAR) = {column}"
    return f"""
        CASE WHEN {is_plain} THEN {number} WHEN coalesce({column}, '') != ''
            THEN error('no plain integer') END
    """


def _log_in_text(path: Path, layout: FileLayout) -> OpenedLog:
    """The ratings as a log whose ids are text."""
    text = TextFormat(layout.ratings_delimiter, quote="", has_header=layout.has_header)
    start = read_start(path)
    text = replace(
        text, encoding=encoding_of(start) or text.encoding, compression=compression_of(path)
    )
    table = Table((path,), "text", dict.fromkeys(RATINGS_HEADER, "VARCHAR"), text)
    user, item, rating, time = RATINGS_HEADER
    return OpenedLog(path, table, ColumnRoles(user, item, time, rating, None))


def _with_attributes(sequences: pa.RecordBatch, users: pa.RecordBatch | None) -> pa.RecordBatch:
    """Append the attributes of the users; null for a user that the release does not describe."""
    if users is None:
        return sequences
    options = pc.SetLookupOptions(users["user_id"])
    rows = pc.call_function("index_in", [sequences["sequence_id"]], options)
    for name in users.schema.names[1:]:
        sequences = sequences.append_column(name, users[name].take(rows))
    return sequences
