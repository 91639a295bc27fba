"""Checks of MovieLens ratings while they stream by: missing ids, infinite ratings, times."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from segue.config.preparation import BadTimes
from segue.errors import SourceError, quantity
from segue.sources.events import times
from segue.sources.events.times import Window


class RatingChecks:
    """Counts over the sorted ratings of a release, so that no second pass is needed.

    Args:
        path: the file of the ratings, for messages.
        ratings: a SELECT of the ratings in file order with ``sequence_id``, ``item_id`` and
            ``time`` (microseconds since 1970), NULL where missing, and ``rating``.
        bad_times: ``refuse`` or ``drop``.
    """

    def __init__(self, path: Path, ratings: str, bad_times: BadTimes) -> None:
        self._path = path
        self._ratings = ratings
        self._bad_times = bad_times
        self._window = Window.today()
        self._is_good = f"time BETWEEN {self._window.first} AND {self._window.last}"
        self._n_dropped = self._n_without_id = self._n_events = self._n_bad = 0
        self._has_infinite_rating = False
        self._first_us, self._last_us = 2**62, -(2**62)

    def events(self, connection: duckdb.DuckDBPyConnection) -> str:
        """The SELECT of the events. With ``drop`` the file is read once to find the bad times.

        Raises:
            SourceError: most times are bad, but not all.
        """
        if self._bad_times == "refuse":
            return self._ratings
        query = f"SELECT count(*), count(*) FILTER ({self._is_good}) FROM ({self._ratings})"
        n_rows, n_good = connection.sql(query).fetchall()[0]
        if n_good in {0, n_rows}:
            return self._ratings
        if 2 * n_good < n_rows:
            raise self._bad_time_error(connection, "most times are bad: leave missing ones empty")
        self._n_dropped = n_rows - n_good
        return f"SELECT * FROM ({self._ratings}) WHERE {self._is_good}"

    def filtered(self, reader: pa.RecordBatchReader) -> pa.RecordBatchReader:
        """The batches of ``sorted_events`` without rows that lack an id, counted on the way."""
        return pa.RecordBatchReader.from_batches(reader.schema, self._batches(reader))

    def finish(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Refuse the ratings if one is infinite, or if some times are bad, but not all.

        Raises:
            SourceError: the message names the first row with a bad value.
        """
        if self._has_infinite_rating:
            row, rating = self._first_row(connection, "rating", "isinf(rating)")
            message = f"{self._path}: data row {row}: invalid rating '{rating}'"
            raise SourceError(message, "expected a finite number")
        if 0 < self._n_bad < self._n_events:
            raise self._bad_time_error(connection, times.DROP)

    def warnings(self) -> list[str]:
        """What was left out or is unusual; complete once all batches were read."""
        warnings = []
        if self._n_events and self._n_bad == self._n_events:
            first, last = times.iso_date(self._first_us), times.iso_date(self._last_us)
            warnings.append(
                f"all times lie before 1980 or more than a year ahead, from {first} to {last}"
            )
        if self._n_dropped:
            rows = quantity(self._n_dropped, "row")
            warnings.append(f"left out {rows} with a bad or missing time (bad_times = drop)")
        if self._n_without_id:
            rows = quantity(self._n_without_id, "row")
            warnings.append(f"left out {rows} without a user id or an item id")
        return warnings

    def _batches(self, reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        for batch in reader:
            ids = (batch["sequence_id"], batch["item_id"])
            has_ids = np.logical_and(*(column.is_valid().to_numpy(False) for column in ids))
            events = batch if has_ids.all() else batch.filter(pa.array(has_ids))
            self._n_without_id += batch.num_rows - events.num_rows
            self._n_events += events.num_rows
            if np.isinf(events["rating"].to_numpy(zero_copy_only=False)).any():
                self._has_infinite_rating = True
            instants = events["time"].drop_null().to_numpy()
            self._n_bad += events["time"].null_count
            if len(instants):
                is_bad = (instants < self._window.first) | (instants > self._window.last)
                self._n_bad += int(np.count_nonzero(is_bad))
                self._first_us = min(self._first_us, int(instants.min()))
                self._last_us = max(self._last_us, int(instants.max()))
            yield events

    def _bad_time_error(self, connection: duckdb.DuckDBPyConnection, hint: str) -> SourceError:
        row, time = self._first_row(connection, "time", f"NOT coalesce({self._is_good}, false)")
        value = "" if time is None else f"{time / times.US_PER_SECOND:.0f}"
        message = f"{self._path}: data row {row}: invalid time {value!r}, expected seconds since "
        return SourceError(f"{message}1970, between 1980 and a year from today", hint)

    def _first_row(
        self, connection: duckdb.DuckDBPyConnection, column: str, condition: str
    ) -> tuple[int, Any]:
        """The number, from 1, of the first row that meets a condition, and its value."""
        return connection.sql(f"""
            SELECT row, {column}
            FROM (SELECT *, row_number() OVER () AS row FROM ({self._ratings}))
            WHERE {condition} ORDER BY row LIMIT 1
        """).fetchall()[0]
