"""Edited and damaged files of results per sequence, which ``compare`` reads."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from edited_folders import error_of
from mutations import FILE_EDITS, NESTED
from segue.config import SplitConfig
from segue.evaluation import compare, evaluate, write_per_sequence
from segue.evaluation.results import METADATA_KEY
from small_datasets import dataset_of, random_log


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    folder = tmp_path_factory.mktemp("results")
    data = dataset_of(folder, random_log(20, 15, seed=1), SplitConfig(kind="leave-one-out"))
    models = ["popularity", "co-occurrence"]
    evaluation = evaluate(models, data, baselines=None, resamples=0)
    write_per_sequence(evaluation, folder / "results.parquet")
    return pq.read_table(folder / "results.parquet")


def outcome(table: pa.Table, file: Path):
    pq.write_table(table, file)
    return error_of(partial(compare, file, permutations=10, resamples=10))


def test_unedited_results_are_compared(results: pa.Table, tmp_path: Path) -> None:
    assert outcome(results, tmp_path / "a.parquet") is None


@pytest.mark.parametrize("name", [*FILE_EDITS])
def test_a_file_that_is_none_is_refused(results: pa.Table, name: str, tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    pq.write_table(results, file)
    FILE_EDITS[name](file)
    error = error_of(partial(compare, file))
    assert error is not None
    assert "a.parquet" in error.message


@pytest.mark.parametrize("text", ["", "[]", "{}", "3", "\udcff", '{"dataset": {}}', "[" * NESTED])
def test_a_damaged_header_is_refused(results: pa.Table, text: str, tmp_path: Path) -> None:
    metadata = {METADATA_KEY: text.encode("utf-8", "surrogateescape")}
    error = outcome(results.replace_schema_metadata(metadata), tmp_path / "a.parquet")
    assert error is not None
    assert "a.parquet is damaged" in error.message


@pytest.mark.parametrize("protocol", [None, [], "x", 3])
def test_a_protocol_of_another_type_is_refused(results: pa.Table, protocol, tmp_path: Path) -> None:
    header = json.loads(results.schema.metadata[METADATA_KEY]) | {"protocol": protocol}
    table = results.replace_schema_metadata({METADATA_KEY: json.dumps(header).encode()})
    assert outcome(table, tmp_path / "a.parquet") is not None


@pytest.mark.parametrize("name", ["model", "task", "sequence_id", "n", "ndcg@10"])
@pytest.mark.parametrize("edit", ["missing", "null", "lists"])
def test_columns_of_another_shape_are_refused(
    results: pa.Table, name: str, edit: str, tmp_path: Path
) -> None:
    position, column = results.column_names.index(name), results.column(name)
    if edit == "missing":
        table = results.drop_columns([name])
    elif edit == "null":
        table = results.set_column(position, name, pa.nulls(len(results), column.type))
    else:
        table = results.set_column(position, name, pa.array([[1]] * len(results)))
    assert outcome(table, tmp_path / "a.parquet") is not None


@pytest.mark.parametrize("value", [0, -3, 2**62])
def test_impossible_counts_are_refused(results: pa.Table, value: int, tmp_path: Path) -> None:
    counts = pa.array(np.full(len(results), value))
    table = results.set_column(results.column_names.index("n"), "n", counts)
    error = outcome(table, tmp_path / "a.parquet")
    assert error is not None
    assert "the column n has values below 1 or too large" in error.message


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(
    results: pa.Table, value: float, tmp_path: Path
) -> None:
    values = pa.array(np.full(len(results), value), from_pandas=False)
    position = results.column_names.index("ndcg@10")
    error = outcome(results.set_column(position, "ndcg@10", values), tmp_path / "a.parquet")
    assert error is not None
    assert "not finite" in error.message
