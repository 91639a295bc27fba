"""Sorting a log out of core and grouping it into sequences, compared with plain dicts."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import hypothesis
import pyarrow as pa
import pytest
from hypothesis import strategies as st

from segue.errors import StorageError
from segue.sources.events.sorting import (
    EVENTS_PER_BATCH,
    connect,
    sequences_from_events,
    sorted_events,
    threads_within,
)
from segue.sources.schema import SEQUENCE_COLUMNS

Row = tuple[str, str, int, float]
MEMORY_LIMIT = 1_000_000_000

ROWS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "ab", "é", "10", "9"]),
        st.sampled_from(["x", "y", "", "a long item id, longer than 12 bytes"]),
        st.integers(-3, 3),
        st.sampled_from([0.5, 3.0, 5.0]),
    ),
    max_size=60,
)


def table_of(rows: list[Row]) -> pa.Table:
    schema = pa.schema(
        {
            "sequence_id": pa.string(),
            "item_id": pa.string(),
            "time": pa.int64(),
            "rating": pa.float32(),
        }
    )
    columns = [pa.array([row[i] for row in rows], schema.types[i]) for i in range(4)]
    return pa.Table.from_arrays(columns, schema=schema)


def sequences_of(batches: Iterator[pa.RecordBatch]) -> list[dict[str, Any]]:
    return [row for batch in batches for row in batch.to_pylist()]


def sorted_by_dicts(rows: list[Row]) -> list[tuple[str, list[Row]]]:
    """The slow reference: Python's sort is stable."""
    histories: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        histories[row[0]].append(row)
    return [(user, sorted(histories[user], key=lambda row: row[2])) for user in sorted(histories)]


def group(rows: list[Row], rows_per_batch: int) -> list[dict[str, Any]]:
    batches = table_of(rows).to_batches(max_chunksize=rows_per_batch)
    reader = pa.RecordBatchReader.from_batches(table_of([]).schema, batches)
    return sequences_of(sequences_from_events(reader))


def test_events_are_sorted_by_time_with_ties_in_file_order() -> None:
    rows = [("u2", "late", 9, 1.0), ("u1", "x", 5, 2.0), ("u2", "first", 3, 3.0)]
    rows += [("u2", "second", 3, 4.0), ("u2", "third", 3, 5.0)]
    log = table_of(rows)
    with connect(MEMORY_LIMIT) as connection:
        connection.register("log", log)
        sequences = sequences_of(sequences_from_events(sorted_events(connection, "FROM log")))
    assert [(row["sequence_id"], row["items"]) for row in sequences] == [
        ("u1", ["x"]),
        ("u2", ["first", "second", "third", "late"]),
    ]
    assert sequences[1]["ratings"] == [3.0, 4.0, 5.0, 1.0]
    assert [time.microsecond for time in sequences[1]["times"]] == [3, 3, 3, 9]


@hypothesis.given(rows=ROWS)
def test_sorting_agrees_with_dicts(rows: list[Row]) -> None:
    with connect(MEMORY_LIMIT) as connection:
        connection.register("log", table_of(rows))
        sequences = sequences_of(sequences_from_events(sorted_events(connection, "FROM log")))
    expected = sorted_by_dicts(rows)
    assert [row["sequence_id"] for row in sequences] == [user for user, _ in expected]
    for row, (_, history) in zip(sequences, expected, strict=True):
        assert row["items"] == [item for _, item, _, _ in history]
        assert row["ratings"] == [rating for *_, rating in history]
        assert [round(time.timestamp() * 1e6) for time in row["times"]] == [h[2] for h in history]


def test_without_times_a_sequence_keeps_the_order_of_the_file() -> None:
    rows = [(f"u{i % 3}", f"i{(i * 7) % 100}", 0, 0.0) for i in range(100)]
    with connect(MEMORY_LIMIT) as connection:
        connection.register("log", table_of(rows).select(["sequence_id", "item_id"]))
        sequences = sequences_of(sequences_from_events(sorted_events(connection, "FROM log")))
    assert [set(row) for row in sequences] == [{"sequence_id", "items"}] * 3
    assert [row["items"] for row in sequences] == [
        [item for user, item, _, _ in rows if user == f"u{i}"] for i in range(3)
    ]


@pytest.mark.parametrize(
    ("kind", "expected"), [("BIGINT", ["-1", "2", "10"]), ("VARCHAR", ["-1", "10", "2"])]
)
def test_sequences_are_ordered_by_the_type_of_their_id(kind: str, expected: list[str]) -> None:
    log = f"SELECT id::{kind} AS sequence_id, 7 AS item_id FROM (VALUES (10), (-1), (2)) AS t(id)"
    with connect(MEMORY_LIMIT) as connection:
        sequences = sequences_of(sequences_from_events(sorted_events(connection, log)))
    assert [row["sequence_id"] for row in sequences] == expected
    assert sequences[0]["items"] == ["7"]


@hypothesis.given(rows=ROWS, rows_per_batch=st.integers(1, 12))
def test_grouping_does_not_depend_on_the_batches(rows: list[Row], rows_per_batch: int) -> None:
    rows = [row for _, history in sorted_by_dicts(rows) for row in history]
    assert group(rows, rows_per_batch) == group(rows, 1_000)


def test_a_sequence_may_span_many_batches_and_end_with_one() -> None:
    rows = [("a", "x", 0, 0.0)] * 2 + [("b", "y", 0, 0.0)] * 7 + [("c", "z", 0, 0.0)] * 3
    assert [(row["sequence_id"], len(row["items"])) for row in group(rows, 3)] == [
        ("a", 2),
        ("b", 7),
        ("c", 3),
    ]


def test_empty_batches_and_an_empty_log_yield_nothing() -> None:
    table = table_of([("a", "x", 0, 0.0)])
    empty = pa.RecordBatch.from_pylist([], schema=table.schema)
    batches = [empty, *table.to_batches(), empty]
    reader = pa.RecordBatchReader.from_batches(table.schema, batches)
    assert [row["items"] for row in sequences_of(sequences_from_events(reader))] == [["x"]]
    assert group([], 5) == []


def test_the_columns_are_those_of_the_schema() -> None:
    reader = pa.RecordBatchReader.from_batches(
        table_of([]).schema, table_of([("a", "x", 0, 1.0)]).to_batches()
    )
    [batch] = sequences_from_events(reader)
    assert dict(zip(batch.schema.names, batch.schema.types, strict=True)) == SEQUENCE_COLUMNS


def test_time_zones_are_converted_to_utc() -> None:
    log = """SELECT 'a' AS sequence_id, 'x' AS item_id,
        TIMESTAMPTZ '2020-01-01 00:30:00+01:00' AS time"""
    with connect(MEMORY_LIMIT) as connection:
        [row] = sequences_of(sequences_from_events(sorted_events(connection, log)))
    assert row["times"][0].isoformat() == "2019-12-31T23:30:00+00:00"


BIG_LOG = """SELECT (i * 7919) % 100003 AS sequence_id, 'an item with quite a long id ' || i % 977
    AS item_id, (i * 104729) % 1000 AS time FROM range(1_500_000) AS r(i)"""


@pytest.fixture
def spill_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.slow
def test_a_large_log_is_spilled_to_disk_and_cleaned_up(spill_folder: Path) -> None:
    n_events = 0
    with connect(110_000_000) as connection:
        connection.execute("SET threads = 1")
        reader = sorted_events(connection, BIG_LOG)
        spilled_bytes = sum(file.stat().st_size for file in spill_folder.rglob("*.tmp"))
        for batch in sequences_from_events(reader):
            n_events += len(batch["items"].values)
    assert n_events == 1_500_000
    assert spilled_bytes > 0
    assert not list(spill_folder.iterdir())


def test_a_memory_limit_that_is_too_small_is_an_error(spill_folder: Path) -> None:
    with pytest.raises(StorageError, match="does not fit in 10,000,000 bytes of memory"):
        _sort_all(10_000_000)
    assert not list(spill_folder.iterdir())


def _sort_all(memory_limit: int) -> None:
    with connect(memory_limit) as connection:
        for _ in sequences_from_events(sorted_events(connection, BIG_LOG)):
            pass


def test_a_full_temporary_folder_is_an_error(spill_folder: Path) -> None:
    def fill_the_disk() -> None:
        [folder] = spill_folder.iterdir()
        message = f'Could not write file "{folder}/duckdb_temp": No space left on device'
        raise duckdb.IOException(message)

    with (
        pytest.raises(StorageError, match="needs more disk space than is free in") as error,
        connect(MEMORY_LIMIT),
    ):
        fill_the_disk()
    assert "TMPDIR" in error.value.hint
    assert not list(spill_folder.iterdir())


def test_unrelated_errors_are_not_converted(spill_folder: Path) -> None:
    with pytest.raises(duckdb.ConversionException), connect(MEMORY_LIMIT) as connection:
        sorted_events(connection, "SELECT 'a' AS sequence_id, 'x'::INT AS item_id")
    assert not list(spill_folder.iterdir())


def test_a_batch_is_bounded() -> None:
    """Without small batches the log would have to fit in memory."""
    assert EVENTS_PER_BATCH <= 1_000_000
    log = "SELECT i % 1000 AS sequence_id, i AS item_id FROM range(600_000) AS r(i)"
    with connect(MEMORY_LIMIT) as connection:
        sizes = [batch.num_rows for batch in sorted_events(connection, log)]
    assert max(sizes) <= EVENTS_PER_BATCH
    assert sum(sizes) == 600_000


@pytest.mark.parametrize(("limit", "threads"), [(10**8, 1), (6 * 10**8, 2), (10**10, 16)])
def test_the_number_of_threads_fits_the_memory_limit(limit: int, threads: int) -> None:
    assert threads_within(limit, cores=16) == threads
