"""Vector columns of items files: read as 32-bit lists, or refused with a one-line error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings

from examples import examples
from segue.config import SourceConfig
from segue.errors import SourceError
from segue.sources.items.items_file import read_items_file
from segue.sources.items.vectors import is_vector
from segue.sources.schema import VECTOR, ItemsFile


def read(path: Path) -> ItemsFile:
    return read_items_file(path, SourceConfig())


def parquet_of(folder: Path, vectors: pa.Array | list[Any]) -> Path:
    ids = [f"i{n}" for n in range(len(vectors))]
    pq.write_table(pa.table({"item_id": ids, "sound": vectors}), folder / "items.parquet")
    return folder / "items.parquet"


def jsonl_of(folder: Path, vectors: list[Any]) -> Path:
    lines = [json.dumps({"item_id": f"i{n}", "sound": v}) for n, v in enumerate(vectors)]
    (folder / "items.jsonl").write_text("\n".join(lines))
    return folder / "items.jsonl"


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.float32()),
        pa.list_(pa.float64()),
        pa.list_(pa.float16()),
        pa.list_(pa.float32(), 2),
        pa.large_list(pa.float64()),
        pa.list_(pa.int8()),
        pa.list_(pa.uint64()),
        pa.list_(pa.decimal128(5, 2)),
    ],
    ids=str,
)
def test_every_number_type_of_parquet_lists(tmp_path: Path, kind: pa.DataType) -> None:
    items_file = read(parquet_of(tmp_path, pa.array([[1, 2], None, [3, 4]], kind)))
    assert items_file.items.schema.field("sound").type == VECTOR
    assert items_file.items.column("sound").to_pylist() == [[1, 2], None, [3, 4]]
    assert items_file.report["vectors"] == {"sound": 2}


def test_jsonl_arrays(tmp_path: Path) -> None:
    items_file = read(jsonl_of(tmp_path, [[1, 0.5], None, [-2, 3]]))
    assert items_file.items.column("sound").to_pylist() == [[1, 0.5], None, [-2, 3]]
    assert items_file.report["vectors"] == {"sound": 2}
    assert items_file.report["further"] == []


def test_jsonl_that_begins_with_integers(tmp_path: Path) -> None:
    # DuckDB infers types from the first 20,480 rows, and would round later numbers.
    items_file = read(jsonl_of(tmp_path, [[1, 2]] * 21_000 + [[0.25, 0.75]]))
    assert items_file.items.column("sound")[-1].as_py() == [0.25, 0.75]


def test_an_empty_list_means_no_vector(tmp_path: Path) -> None:
    items_file = read(jsonl_of(tmp_path, [[], [1.5], []]))
    assert items_file.items.column("sound").to_pylist() == [None, [1.5], None]


def test_a_column_without_any_vector_has_no_width(tmp_path: Path) -> None:
    items_file = read(parquet_of(tmp_path, pa.array([[], None], VECTOR)))
    assert items_file.report["vectors"] == {}


@settings(
    max_examples=examples(10),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    width=st.integers(1, 6),
    has_vector=st.lists(st.booleans(), min_size=1, max_size=9),
    seed=st.integers(0, 99),
)
def test_vectors_are_read_unchanged(
    tmp_path: Path, width: int, has_vector: list[bool], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    vectors = [
        rng.normal(size=width).astype(np.float32).tolist() if has else None for has in has_vector
    ]
    items_file = read(parquet_of(tmp_path, pa.array(vectors, VECTOR)))
    assert items_file.items.column("sound").to_pylist() == vectors
    assert items_file.report["vectors"] == ({"sound": width} if any(has_vector) else {})


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        ([None, [1.0, 2.0], [3.0], [4.0]], "vectors of 2 numbers, but one of 1 for the item 'i2'"),
        ([[1, 2], [1, 2, 3]], "vectors of 2 numbers, but one of 3 for the item 'i1'"),
        (
            [[1.0, 2.0], None, [3.0, None]],
            "missing or not finite in 32 bits, .* item 'i2'",
        ),
        (
            [[1.0, 2.0], [0.0, 1e300]],
            "missing or not finite in 32 bits, .* item 'i1'",
        ),
    ],
)
@pytest.mark.parametrize("write", [parquet_of, jsonl_of])
def test_an_invalid_vector_is_refused_with_its_item(
    tmp_path: Path, write: Any, vectors: list[Any], message: str
) -> None:
    path = write(tmp_path, vectors)
    with pytest.raises(SourceError, match=message) as error:
        read(path)
    assert error.value.message.startswith(f"{path}: the column 'sound' has ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    path = parquet_of(tmp_path, [[0.0, 1.0], [value, 2.0], [value, value]])
    with pytest.raises(
        SourceError, match=r"missing or not finite in 32 bits, in the vector of the item 'i1'"
    ):
        read(path)


def test_vectors_of_rows_without_an_id_are_ignored(tmp_path: Path) -> None:
    table = pa.table({"item_id": [None, "a"], "sound": [[1.0], [1.0, 2.0]]})
    pq.write_table(table, tmp_path / "items.parquet")
    assert read(tmp_path / "items.parquet").report["vectors"] == {"sound": 2}


@pytest.mark.parametrize(
    ("sql_type", "expected"),
    [
        ("FLOAT[]", True),
        ("DOUBLE[512]", True),
        ("BIGINT[]", True),
        ("UTINYINT[]", True),
        ("INTEGER[]", True),
        ("DECIMAL(5,2)[]", True),
        ("FLOAT", False),
        ("FLOAT[][]", False),
        ("VARCHAR[]", False),
        ("BOOLEAN[]", False),
        ("JSON[]", False),
        ("INTERVAL[]", False),
        ("STRUCT(a FLOAT[])", False),
        ("STRUCT(a DECIMAL(5,2))[]", False),
        ("MAP(INTEGER, FLOAT[])", False),
    ],
)
def test_vector_types(sql_type: str, expected: bool) -> None:
    assert is_vector(sql_type) is expected
