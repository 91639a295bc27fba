"""Attributes of items through temporary files and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from segue.dataset.descriptions import NOWHERE, Descriptions


def rows(**columns: list) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(columns)


def taken(descriptions: Descriptions, name: str, *places: int) -> list:
    return descriptions.take(name, np.array(places, np.int32)).to_pylist()


@pytest.fixture
def descriptions(tmp_path: Path) -> Descriptions:
    found = Descriptions(tmp_path / "items")
    found.append(rows(title=["a", "b"], genres=[["x"], None]))
    found.append(rows(title=["c"], genres=[["x", "y"]]))
    found.append(rows(title=["d", None], year=[1999, 2001]))
    return found


def test_rows_come_back_in_the_order_asked_for(descriptions):
    assert taken(descriptions, "title", 3, 0, 2, 1, 4, 3) == ["d", "a", "c", "b", None, "d"]
    assert taken(descriptions, "genres", 2, 0) == [["x", "y"], ["x"]]
    assert taken(descriptions, "title") == []


def test_what_is_nowhere_is_null(descriptions):
    assert taken(descriptions, "title", NOWHERE, 2, NOWHERE) == [None, "c", None]
    assert taken(descriptions, "year", NOWHERE) == [None]


def test_rows_without_a_column_are_null_there(descriptions):
    assert descriptions.schema.names == ["title", "genres", "year"]
    assert taken(descriptions, "year", 0, 4, 2, 3) == [None, 2001, None, 1999]
    assert taken(descriptions, "genres", 0, 4) == [["x"], None]


def test_a_column_has_the_type_that_holds_all_of_its_values(tmp_path):
    found = Descriptions(tmp_path / "items")
    found.append(rows(label=pa.nulls(1), year=pa.array([1], pa.int32())))
    found.append(rows(label=pa.array(["l"]), year=pa.array([1 << 40], pa.int64())))
    assert found.schema == pa.schema({"label": pa.string(), "year": pa.int64()})
    assert taken(found, "year", 0, 1) == [1, 1 << 40]
    assert taken(found, "label", 0, 1) == [None, "l"]


def test_there_may_be_no_rows(tmp_path):
    assert Descriptions(tmp_path / "items").schema.names == []
