"""Item attributes in temporary files: written, and read back by row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from segue.preparation.attribute_spill import NO_ROW, AttributeSpill


def rows(**columns: list) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(columns)


def values_at(spill: AttributeSpill, name: str, *row_numbers: int) -> list:
    return spill.take(name, np.array(row_numbers, np.int32)).to_pylist()


@pytest.fixture
def spill(tmp_path: Path) -> AttributeSpill:
    spill = AttributeSpill(tmp_path / "items")
    spill.append(rows(title=["a", "b"], genres=[["x"], None]))
    spill.append(rows(title=["c"], genres=[["x", "y"]]))
    spill.append(rows(title=["d", None], year=[1999, 2001]))
    return spill


def test_rows_are_read_in_the_requested_order(spill):
    assert values_at(spill, "title", 3, 0, 2, 1, 4, 3) == ["d", "a", "c", "b", None, "d"]
    assert values_at(spill, "genres", 2, 0) == [["x", "y"], ["x"]]
    assert values_at(spill, "title") == []


def test_values_without_a_row_are_null(spill):
    assert values_at(spill, "title", NO_ROW, 2, NO_ROW) == [None, "c", None]
    assert values_at(spill, "year", NO_ROW) == [None]


def test_rows_without_a_column_are_null_there(spill):
    assert spill.schema.names == ["title", "genres", "year"]
    assert values_at(spill, "year", 0, 4, 2, 3) == [None, 2001, None, 1999]
    assert values_at(spill, "genres", 0, 4) == [["x"], None]


def test_a_column_has_the_type_that_fits_all_of_its_values(tmp_path):
    spill = AttributeSpill(tmp_path / "items")
    spill.append(rows(label=pa.nulls(1), year=pa.array([1], pa.int32())))
    spill.append(rows(label=pa.array(["l"]), year=pa.array([1 << 40], pa.int64())))
    assert spill.schema == pa.schema({"label": pa.string(), "year": pa.int64()})
    assert values_at(spill, "year", 0, 1) == [1, 1 << 40]
    assert values_at(spill, "label", 0, 1) == [None, "l"]


def test_a_spill_without_rows_has_no_columns(tmp_path):
    assert AttributeSpill(tmp_path / "items").schema.names == []
