"""Sort a log of events by sequence and time under a memory limit, and group it into sequences.

The log has one event per row (user, item, time, rating). DuckDB sorts it, out of core if
necessary, and the stream of sorted rows is cut into complete sequences:

    with connect(config.memory_limit) as connection:
        reader = sorted_events(connection, "SELECT ... FROM read_csv(...)")
        for sequences in sequences_from_events(reader):
            ...
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int64

from segue.errors import StorageError
from segue.sources.schema import TIMES, sequence_batch
from segue.storage.temporary import temporary_folder

EVENTS_PER_BATCH = 250_000
"""Rows of a sorted batch: large enough for vectorized work, small compared with any limit."""

DUCKDB_MEMORY_SHARE = 0.5
"""DuckDB's share of the memory limit. The rest is for the buffers of its threads, which DuckDB
does not count, for output batches, and for the interpreter itself."""

BYTES_PER_THREAD = 300_000_000
"""Memory limit per DuckDB thread, because DuckDB does not count the buffers of its threads. With
16 threads a log of 8 million rows does not fit in 600 MB; with 2 it does, in the same time,
because numbering the rows is mostly single-threaded."""


_INTERRUPTS = ("Query interrupted", "INTERRUPT Error")
"""What DuckDB makes of a KeyboardInterrupt."""


@contextmanager
def connect(memory_limit: int) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an in-memory database that sorts within a limit and spills to a temporary folder.

    The folder is always removed at the end. Times are in UTC; there is no progress bar.

    Args:
        memory_limit: most memory that reading and sorting may use, in bytes.

    Raises:
        StorageError: the memory limit is too small, or the temporary folder is full.
        KeyboardInterrupt: DuckDB was interrupted by one.
    """
    with temporary_folder() as path:
        folder = str(path)
        limit = f"{int(memory_limit * DUCKDB_MEMORY_SHARE)}B"
        threads = threads_within(memory_limit, os.cpu_count() or 1)
        connection = duckdb.connect(
            config={"memory_limit": limit, "temp_directory": folder, "threads": threads}
        )
        connection.execute("SET enable_progress_bar = false; SET TimeZone = 'UTC'")
        try:
            yield connection
        except (duckdb.Error, OSError, RuntimeError) as error:  # an Arrow reader raises OSError
            if str(error).startswith(_INTERRUPTS):
                raise KeyboardInterrupt from None
            if "Out of Memory" in str(error):
                message = f"sorting the log does not fit in {memory_limit:,} bytes of memory"
                raise StorageError(message, "raise --memory-limit") from None
            if folder in str(error):
                message = f"sorting the log needs more disk space than is free in {path.parent}"
                hint = "free some space, or set TMPDIR to a folder on another disk"
                raise StorageError(message, hint) from None
            raise
        finally:
            connection.close()


def threads_within(memory_limit: int, cores: int) -> int:
    """The number of threads that fit in a memory limit (bytes), at most one per core."""
    return max(1, min(cores, memory_limit // BYTES_PER_THREAD))


def sorted_events(connection: duckdb.DuckDBPyConnection, events: str) -> pa.RecordBatchReader:
    """Sort a log by sequence and time; ties keep the order of the rows in the file.

    Args:
        connection: from ``connect``; it has to stay open while the reader is used.
        events: a SELECT that yields the rows in file order, with the columns
            ``sequence_id`` and ``item_id`` (of any type, never null) and, if the log has
            them, ``time`` (TIMESTAMP in UTC, TIMESTAMPTZ, or BIGINT microseconds since 1970)
            and ``rating`` (FLOAT). Without ``time`` a sequence keeps the order of the file.

    Returns:
        A stream of batches of the same columns, the ids as text. Sequences are ordered by the
        type that ``sequence_id`` has in the SELECT: numbers as numbers, text as text.

    Raises:
        duckdb.Error: a value cannot be read or converted. The caller knows the file name and
            can extract the row from the message ("CSV Error on Line: 7").
    """
    columns = connection.sql(events).columns
    optional = [column for column in ("time", "rating") if column in columns]
    selected = [
        "log.sequence_id::VARCHAR AS sequence_id",
        "log.item_id::VARCHAR AS item_id",
        *optional,
    ]
    order = ["log.sequence_id", *(["log.time"] if "time" in optional else [])]
    # DuckDB's sort is not stable, so the row's number is the last key.
    query = f"""
        SELECT {", ".join(selected)}
        FROM (SELECT *, row_number() OVER () AS row_number FROM ({events})) AS log
        ORDER BY {", ".join(order)}, log.row_number
    """
    return connection.sql(query).to_arrow_reader(EVENTS_PER_BATCH)


def sequences_from_events(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    """Group a stream of sorted events into batches of complete sequences.

    Args:
        reader: batches with the columns of ``sorted_events``. The rows of a sequence are
            consecutive and may span any number of batches.

    Yields:
        The ``sequences`` of a chunk: ``sequence_id``, ``items`` and, if the reader has them,
        ``times`` and ``ratings``. Each has about as many events as one input batch and is
        never empty. A sequence longer than an input batch is kept in memory until its end.
    """
    pending: list[pa.RecordBatch] = []  # rows of the last sequence, which may continue
    for batch in reader:
        if batch.num_rows == 0:
            continue
        last_start = int(_run_offsets(batch["sequence_id"])[-2])
        continues = pending and pending[0]["sequence_id"][0] == batch["sequence_id"][0]
        if last_start == 0 and continues:
            pending.append(batch)
            continue
        if pending or last_start > 0:
            yield _group_by_sequence([*pending, batch.slice(0, last_start)])
        pending = [batch.slice(last_start)]
    if pending:
        yield _group_by_sequence(pending)


def _run_offsets(ids: pa.Array) -> Int64[np.ndarray, " offsets"]:
    """The start of each run of equal ids, then the number of rows."""
    runs = pc.call_function("run_end_encode", [ids], pc.RunEndEncodeOptions(pa.int64()))
    return np.append(0, runs.run_ends.to_numpy())


def _group_by_sequence(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    events = pa.concat_batches(batches)
    offsets = _run_offsets(events["sequence_id"])
    return sequence_batch(
        events["sequence_id"].take(pa.array(offsets[:-1])),
        pa.array(offsets),
        events["item_id"].dictionary_encode(),
        times=events["time"].cast(TIMES) if "time" in events.schema.names else None,
        ratings=events["rating"].cast(pa.float32()) if "rating" in events.schema.names else None,
    )
