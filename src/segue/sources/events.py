"""From a flat log of events to whole sequences, sorted out of core.

A log that names one event a row (user, item, time, rating) is sorted by DuckDB under a
memory limit, and the stream of sorted rows is cut into whole sequences:

    with connect(config.memory_limit) as connection:
        reader = sorted_events(connection, "SELECT ... FROM read_csv(...)")
        for sequences in sequences_from_events(reader):
            ...
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int64

from segue.errors import StorageError
from segue.sources.schema import TIMES, sequence_batch

EVENTS_PER_BATCH = 250_000
"""Rows of a sorted batch: large enough that numpy does the work, small beside any limit."""

SORTING_SHARE = 0.5
"""Part of the memory limit that DuckDB may hold; the rest is for its threads' buffers, which
it does not count, for the batches on their way out, and for the interpreter itself."""

BYTES_PER_THREAD = 300_000_000
"""Memory limit for each of DuckDB's threads: their buffers are beside what it counts. With 16
threads a log of 8 million rows does not fit in 600 MB; with 2 it does, in the same time,
because the numbering of the rows leaves most of the work to one."""


@contextmanager
def connect(memory_limit: int) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an in-memory database that sorts within a limit and spills to a temporary folder.

    The folder is removed at the end, whatever happens. Times are in UTC, no progress bar.

    Args:
        memory_limit: bytes that reading and sorting may hold at a time.

    Raises:
        StorageError: when the memory limit is too small, or the temporary folder is full.
    """
    with tempfile.TemporaryDirectory(prefix="segue-") as folder:
        limit = f"{int(memory_limit * SORTING_SHARE)}B"
        threads = threads_within(memory_limit, os.cpu_count() or 1)
        connection = duckdb.connect(
            config={"memory_limit": limit, "temp_directory": folder, "threads": threads}
        )
        connection.execute("SET enable_progress_bar = false; SET TimeZone = 'UTC'")
        try:
            yield connection
        except (duckdb.Error, OSError) as error:  # OSError: raised while a reader is read
            if "Out of Memory" in str(error):
                message = f"sorting the log does not fit in {memory_limit:,} bytes"
                raise StorageError(message, "raise --memory-limit") from None
            if folder in str(error):
                message = (
                    f"sorting the log needs more room than there is in {tempfile.gettempdir()}"
                )
                raise StorageError(message, "free some, or set TMPDIR to another disk") from None
            raise
        finally:
            connection.close()


def threads_within(memory_limit: int, cores: int) -> int:
    """How many threads have room in a limit (bytes), on a machine of so many cores."""
    return max(1, min(cores, memory_limit // BYTES_PER_THREAD))


def sorted_events(connection: duckdb.DuckDBPyConnection, events: str) -> pa.RecordBatchReader:
    """Sort a log by sequence and time; ties keep the order of the rows in the file.

    Args:
        connection: from ``connect``; stays open while the reader is read.
        events: a SELECT that yields the rows in file order, with the columns
            ``sequence_id`` and ``item_id`` (of any type, never null) and, where the log has
            them, ``time`` (TIMESTAMP in UTC, TIMESTAMPTZ, or BIGINT microseconds since 1970)
            and ``rating`` (FLOAT). Without ``time`` a sequence keeps the order of the file.

    Returns:
        A stream of batches of the same columns, the ids as text. Sequences are ordered by the
        type that ``sequence_id`` has in the SELECT: numbers as numbers, text as text.

    Raises:
        duckdb.Error: what cannot be read or converted; the caller knows the file's name and
            may parse the row out of the message ("CSV Error on Line: 7").
    """
    columns = connection.sql(events).columns
    extra = [column for column in ("time", "rating") if column in columns]
    chosen = ["log.sequence_id::VARCHAR AS sequence_id", "log.item_id::VARCHAR AS item_id", *extra]
    order = ["log.sequence_id", *(["log.time"] if "time" in extra else [])]
    # DuckDB's sort is not stable, so the row's number is the last key.
    query = f"""
        SELECT {", ".join(chosen)}
        FROM (SELECT *, row_number() OVER () AS row_number FROM ({events})) AS log
        ORDER BY {", ".join(order)}, log.row_number
    """
    return connection.sql(query).to_arrow_reader(EVENTS_PER_BATCH)


def sequences_from_events(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    """Cut a stream of sorted events into batches of whole sequences.

    Args:
        reader: batches with the columns of ``sorted_events``, in which the rows of one sequence
            lie together (they may span any number of batches).

    Yields:
        The ``sequences`` of a chunk: ``sequence_id``, ``items`` and, where the reader has
        them, ``times`` and ``ratings``. About a batch of events each, never an empty one;
        a sequence longer than a batch is held whole.
    """
    pending: list[pa.RecordBatch] = []  # rows of the one sequence that may still go on
    for batch in reader:
        if batch.num_rows == 0:
            continue
        last = int(_offsets(batch["sequence_id"])[-2])
        goes_on = pending and pending[0]["sequence_id"][0] == batch["sequence_id"][0]
        if last == 0 and goes_on:
            pending.append(batch)
            continue
        if pending or last > 0:
            yield _whole_sequences([*pending, batch.slice(0, last)])
        pending = [batch.slice(last)]
    if pending:
        yield _whole_sequences(pending)


def _offsets(ids: pa.Array) -> Int64[np.ndarray, " offsets"]:
    """Where each run of equal ids begins, and the number of rows at the end."""
    runs = pc.call_function("run_end_encode", [ids], pc.RunEndEncodeOptions(pa.int64()))
    return np.append(0, runs.run_ends.to_numpy())


def _whole_sequences(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    events = pa.concat_batches(batches)
    offsets = _offsets(events["sequence_id"])
    return sequence_batch(
        events["sequence_id"].take(pa.array(offsets[:-1])),
        pa.array(offsets),
        events["item_id"].dictionary_encode(),
        times=events["time"].cast(TIMES) if "time" in events.schema.names else None,
        ratings=events["rating"].cast(pa.float32()) if "rating" in events.schema.names else None,
    )
