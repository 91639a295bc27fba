"""Sorting a flat log out of core, and cutting it into sequences, against plain dicts."""

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
from segue.sources import events
from segue.sources.events import (
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
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row[0]].append(row)
    return [(user, sorted(found[user], key=lambda row: row[2])) for user in sorted(found)]


def cut(rows: list[Row], rows_per_batch: int) -> list[dict[str, Any]]:
    batches = table_of(rows).to_batches(max_chunksize=rows_per_batch)
    reader = pa.RecordBatchReader.from_batches(table_of([]).schema, batches)
    return sequences_of(sequences_from_events(reader))


def test_a_log_becomes_sequences_in_order_of_time_with_ties_in_order_of_the_file() -> None:
    rows = [("u2", "late", 9, 1.0), ("u1", "x", 5, 2.0), ("u2", "first", 3, 3.0)]
    rows += [("u2", "second", 3, 4.0), ("u2", "third", 3, 5.0)]
    log = table_of(rows)
    with connect(MEMORY_LIMIT) as connection:
        connection.register("log", log)
        found = sequences_of(sequences_from_events(sorted_events(connection, "FROM log")))
    assert [(row["sequence_id"], row["items"]) for row in found] == [
        ("u1", ["x"]),
        ("u2", ["first", "second", "third", "late"]),
    ]
    assert found[1]["ratings"] == [3.0, 4.0, 5.0, 1.0]
    assert [time.microsecond for time in found[1]["times"]] == [3, 3, 3, 9]


@hypothesis.given(rows=ROWS)
def test_sorting_agrees_with_dicts(rows: list[Row]) -> None:
    with connect(MEMORY_LIMIT) as connection:
        connection.register("log", table_of(rows))
        found = sequences_of(sequences_from_events(sorted_events(connection, "FROM log")))
    expected = sorted_by_dicts(rows)
    assert [row["sequence_id"] for row in found] == [user for user, _ in expected]
    for row, (_, history) in zip(found, expected, strict=True):
        assert row["items"] == [item for _, item, _, _ in history]
        assert row["ratings"] == [rating for *_, rating in history]
        assert [round(time.timestamp() * 1e6) for time in row["times"]] == [h[2] for h in history]


def test_without_times_a_sequence_keeps_the_order_of_the_file() -> None:
    rows = [(f"u{i % 3}", f"i{(i * 7) % 100}", 0, 0.0) for i in range(100)]
    with connect(MEMORY_LIMIT) as connection:
        connection.register("log", table_of(rows).select(["sequence_id", "item_id"]))
        found = sequences_of(sequences_from_events(sorted_events(connection, "FROM log")))
    assert [set(row) for row in found] == [{"sequence_id", "items"}] * 3
    assert [row["items"] for row in found] == [
        [item for user, item, _, _ in rows if user == f"u{i}"] for i in range(3)
    ]


@pytest.mark.parametrize(
    ("kind", "expected"), [("BIGINT", ["-1", "2", "10"]), ("VARCHAR", ["-1", "10", "2"])]
)
def test_sequences_are_ordered_by_the_type_of_their_id(kind: str, expected: list[str]) -> None:
    log = f"SELECT id::{kind} AS sequence_id, 7 AS item_id FROM (VALUES (10), (-1), (2)) AS t(id)"
    with connect(MEMORY_LIMIT) as connection:
        found = sequences_of(sequences_from_events(sorted_events(connection, log)))
    assert [row["sequence_id"] for row in found] == expected
    assert found[0]["items"] == ["7"]


@hypothesis.given(rows=ROWS, rows_per_batch=st.integers(1, 12))
def test_the_cut_does_not_depend_on_the_batches(rows: list[Row], rows_per_batch: int) -> None:
    rows = [row for _, history in sorted_by_dicts(rows) for row in history]
    assert cut(rows, rows_per_batch) == cut(rows, 1_000)


def test_a_sequence_may_span_many_batches_and_end_with_one() -> None:
    rows = [("a", "x", 0, 0.0)] * 2 + [("b", "y", 0, 0.0)] * 7 + [("c", "z", 0, 0.0)] * 3
    assert [(row["sequence_id"], len(row["items"])) for row in cut(rows, 3)] == [
        ("a", 2),
        ("b", 7),
        ("c", 3),
    ]


def test_empty_batches_and_an_empty_log_yield_nothing() -> None:
    some = table_of([("a", "x", 0, 0.0)])
    blank = pa.RecordBatch.from_pylist([], schema=some.schema)
    reader = pa.RecordBatchReader.from_batches(some.schema, [blank, *some.to_batches(), blank])
    assert [row["items"] for row in sequences_of(sequences_from_events(reader))] == [["x"]]
    assert cut([], 5) == []


def test_the_columns_are_those_of_the_schema() -> None:
    reader = pa.RecordBatchReader.from_batches(
        table_of([]).schema, table_of([("a", "x", 0, 1.0)]).to_batches()
    )
    [batch] = sequences_from_events(reader)
    assert dict(zip(batch.schema.names, batch.schema.types, strict=True)) == SEQUENCE_COLUMNS


def test_zones_are_taken_to_utc() -> None:
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


def test_what_does_not_fit_is_spilled_and_cleaned_up(spill_folder: Path) -> None:
    n_events = 0
    with connect(110_000_000) as connection:
        connection.execute("SET threads = 1")
        reader = sorted_events(connection, BIG_LOG)
        spilled = sum(file.stat().st_size for file in spill_folder.rglob("*.tmp"))
        for batch in sequences_from_events(reader):
            n_events += len(batch["items"].values)
    assert n_events == 1_500_000
    assert spilled > 0
    assert not list(spill_folder.iterdir())


def test_a_limit_that_is_too_small_is_said(spill_folder: Path) -> None:
    with pytest.raises(StorageError, match="does not fit in 10,000,000 bytes"):
        _sort_all(10_000_000)
    assert not list(spill_folder.iterdir())


def _sort_all(memory_limit: int) -> None:
    with connect(memory_limit) as connection:
        for _ in sequences_from_events(sorted_events(connection, BIG_LOG)):
            pass


def test_a_full_temporary_folder_is_said(spill_folder: Path) -> None:
    def fill_the_disk() -> None:
        [folder] = spill_folder.iterdir()
        message = f'Could not write file "{folder}/duckdb_temp": No space left on device'
        raise duckdb.IOException(message)

    with pytest.raises(StorageError, match="more room") as caught, connect(MEMORY_LIMIT):
        fill_the_disk()
    assert "TMPDIR" in caught.value.hint
    assert not list(spill_folder.iterdir())


def test_other_errors_pass_and_clean_up(spill_folder: Path) -> None:
    with pytest.raises(duckdb.ConversionException), connect(MEMORY_LIMIT) as connection:
        sorted_events(connection, "SELECT 'a' AS sequence_id, 'x'::INT AS item_id")
    assert not list(spill_folder.iterdir())


def test_a_batch_is_bounded() -> None:
    """A stream in batches, or nothing here would be out of core."""
    assert events.EVENTS_PER_BATCH <= 1_000_000
    log = "SELECT i % 1000 AS sequence_id, i AS item_id FROM range(600_000) AS r(i)"
    with connect(MEMORY_LIMIT) as connection:
        sizes = [batch.num_rows for batch in sorted_events(connection, log)]
    assert max(sizes) <= events.EVENTS_PER_BATCH
    assert sum(sizes) == 600_000


@pytest.mark.parametrize(("limit", "threads"), [(10**8, 1), (6 * 10**8, 2), (10**10, 16)])
def test_threads_have_room_in_the_limit(limit: int, threads: int) -> None:
    assert threads_within(limit, cores=16) == threads
