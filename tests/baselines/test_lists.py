"""External lists: reading them, ranking by them, and error messages for bad files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from segue.baselines import ListRanker
from segue.config import SplitConfig
from segue.dataset import Dataset
from segue.errors import SourceError
from segue.ragged import Ragged
from segue.ranking import Query
from segue.tokens import PAD
from small_datasets import dataset_of

LOG = {
    "007": ["a", "b", "c", "d"],
    "8": ["b", "a", "d", "c"],
    "9": ["a", "c", "b", "new"],
    "short": ["d", "a"],
}

LISTS = [
    ("007", "d", 3),
    ("007", "c", 1),
    ("007", "a", 2),
    ("8", "b", 10),
    ("8", "unknown item", 1),
    ("8", "c", 20),
    ("8", "new", 30),
]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return dataset_of(tmp_path_factory.mktemp("d"), LOG, SplitConfig(kind="leave-one-out"))


def write_csv(folder: Path, rows: list[tuple], header: str = "sequence_id,item_id,rank") -> Path:
    path = folder / "peer.csv"
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


def queries(dataset: Dataset, ids: list[str], excluded: list[list[str]]) -> Query:
    rows = [-1 if name == "?" else dataset.sequences.find(name) for name in ids]
    excluded_items = Ragged.from_rows([dataset.items.find(item_ids) for item_ids in excluded])
    return Query(Ragged.from_rows([[] for _ in ids]), excluded_items, np.array(rows, np.int64))


def ids_of(dataset: Dataset, items: np.ndarray) -> list[str]:
    return ["-" if item == PAD else dataset.items.titles([item])[0] for item in items.tolist()]


def test_csv_and_parquet_give_the_same_lists(dataset: Dataset, tmp_path: Path) -> None:
    csv = ListRanker.read(write_csv(tmp_path, LISTS), dataset)
    columns = dict(zip(("sequence_id", "item_id", "rank"), zip(*LISTS, strict=True), strict=True))
    table = pa.table({name: list(values) for name, values in columns.items()})
    pq.write_table(table, tmp_path / "peer.parquet")
    parquet = ListRanker.read(tmp_path / "peer.parquet", dataset)
    batch = queries(dataset, ["007", "8", "9", "?"], [[], [], [], []])
    for from_csv, from_parquet in zip(
        csv.top(batch.with_k(4)), parquet.top(batch.with_k(4)), strict=True
    ):
        np.testing.assert_array_equal(from_csv, from_parquet)
    assert csv.name == parquet.name == "peer"


def test_ranks_are_list_positions_without_excluded_items(dataset: Dataset, tmp_path: Path) -> None:
    ranker = ListRanker.read(write_csv(tmp_path, LISTS), dataset)
    batch = queries(dataset, ["007", "007", "8", "8", "9", "?"], [["c"], [], ["b"], [], [], []])
    targets = dataset.items.find(["d", "d", "c", "a", "a", "a"])
    assert ranker.ranks(batch, targets).tolist() == [2, 3, 1, 0, 0, 0]


def test_lists_omit_items_that_are_not_candidates(dataset: Dataset, tmp_path: Path) -> None:
    ranker = ListRanker.read(write_csv(tmp_path, LISTS), dataset, name="external")
    ranked = ranker.top(queries(dataset, ["007", "8", "9"], [["a"], [], []]).with_k(3))
    item_ids = [ids_of(dataset, row) for row in ranked.items]
    assert item_ids == [["c", "d", "-"], ["b", "c", "-"], ["-", "-", "-"]]
    assert ranked.scores[0].tolist() == [-1, -2, -np.inf]
    assert ranker.n_dropped == 2
    assert ranker.name == "external"


def test_quotes_in_csv(dataset: Dataset, tmp_path: Path) -> None:
    path = write_csv(tmp_path, [('"007"', '"b"', '"1"')], '"sequence_id","item_id","rank"')
    ranker = ListRanker.read(path, dataset)
    batch = queries(dataset, ["007"], [[]])
    assert ranker.ranks(batch, dataset.items.find(["b"])).tolist() == [1]


def test_covers_marks_sequences_with_a_list(dataset: Dataset, tmp_path: Path) -> None:
    ranker = ListRanker.read(write_csv(tmp_path, LISTS), dataset)
    assert ranker.covers(np.arange(3)).tolist() == [True, True, False]


def test_integer_ids_are_read_from_parquet(tmp_path: Path) -> None:
    log = {"1": ["10", "11", "12"], "2": ["11", "10", "12"]}
    dataset = dataset_of(tmp_path, log, SplitConfig(kind="leave-one-out", catalogue="all"))
    table = pa.table({"sequence_id": [1, 2], "item_id": [12, 11], "rank": [1, 1]})
    pq.write_table(table, tmp_path / "numbers.parquet")
    ranker = ListRanker.read(tmp_path / "numbers.parquet", dataset)
    batch = queries(dataset, ["1", "2"], [[], []])
    assert ranker.ranks(batch, dataset.items.find(["12", "12"])).tolist() == [1, 0]


def test_ids_of_lists_follow_the_rule_for_ids(tmp_path: Path) -> None:
    log = {"1": ["10", "11", "012"], "2": ["11", "10", "012"]}
    dataset = dataset_of(tmp_path, log, SplitConfig(kind="leave-one-out", catalogue="all"))
    table = pa.table({"sequence_id": [1.0, 2.0], "item_id": ["012", " 11.0"], "rank": [1, 1]})
    pq.write_table(table, tmp_path / "floats.parquet")
    rows = [(" 1.0", "012 ", 1), ("2", " 11", 1)]
    text = write_csv(tmp_path, rows, "sequence_id, item_id, rank")
    for path in (tmp_path / "floats.parquet", text):
        ranker = ListRanker.read(path, dataset)
        batch = queries(dataset, ["1", "2"], [[], []])
        assert ranker.ranks(batch, dataset.items.find(["012", "11"])).tolist() == [1, 1]


@pytest.mark.parametrize("bad", [1.5, float("inf"), 2.0**60])
def test_a_float_that_is_no_id_is_refused_in_lists(dataset, tmp_path: Path, bad: float) -> None:
    table = pa.table({"sequence_id": ["8"], "item_id": [bad], "rank": [1]})
    pq.write_table(table, tmp_path / "bad.parquet")
    with pytest.raises(SourceError, match="the column item_id has an invalid id: "):
        ListRanker.read(tmp_path / "bad.parquet", dataset)


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        ("sequence_id,item,rank", [("8", "a", 1)], "has no column item_id, got"),
        ("sequence_id;item_id;rank", [("8;a;1",)], "has no column sequence_id, got"),
        (None, [("8", "a", 1), ('"8', "b", 2)], "cannot read .*CSV parse error"),
        (
            None,
            [*(("8", f"x{n}", n) for n in range(90_000)), ("8", "a", "last")],
            "ranks of the wrong type",
        ),
        (None, [("8", "a", 1), ("x", "a", 1), ("y", "a", 2)], "has 2 sequences that are not in"),
        (None, [("8", "a", 1), ("8", "a", 2)], "repeats an item within a list, 1 times"),
        (None, [("8", "a", 1), ("8", "b", 1)], "repeats a rank within a list, 1 times"),
        (None, [("8", "a", "first")], "ranks of the wrong type"),
        (None, [("8", "a", 1.5)], "ranks of the wrong type"),
        (None, [("8", "a", "")], "empty values in the column rank in 1 row, first in data row 1"),
        (None, [("8", "a", 1), ("8", "NULL", 2)], "column item_id in 1 row, first in data row 2"),
        (None, [("8", "a", "true")], "ranks of the wrong type: true and false are no ranks"),
        (None, [], "has no row"),
        (
            "sequence_id,item_id,rank, rank",
            [("8", "a", 1, 2)],
            "more than one column called",
        ),
    ],
)
def test_bad_files_are_refused(dataset, tmp_path: Path, header, rows, message: str) -> None:
    path = write_csv(tmp_path, rows, header or "sequence_id,item_id,rank")
    with pytest.raises(SourceError, match=message) as caught:
        ListRanker.read(path, dataset)
    assert "\n" not in str(caught.value)
    assert caught.value.hint


def test_a_sparse_file_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    path = write_csv(tmp_path, LISTS)
    os.truncate(path, 1 << 36)
    with pytest.raises(SourceError, match=r"cannot read .*peer\.csv"):
        ListRanker.read(path, dataset)


def test_a_missing_or_unreadable_file_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there is no file"):
        ListRanker.read(tmp_path / "nowhere.csv", dataset)
    (tmp_path / "broken.parquet").write_bytes(b"no parquet at all")
    with pytest.raises(SourceError, match=r"cannot read .*broken\.parquet"):
        ListRanker.read(tmp_path / "broken.parquet", dataset)


def test_a_column_that_is_not_used_cannot_make_lists_unreadable(
    dataset: Dataset, tmp_path: Path
) -> None:
    path = tmp_path / "lists.csv"
    path.write_bytes("sequence_id,item_id,rank,note\n8,a,1,é\n".encode("latin-1"))
    assert ListRanker.read(path, dataset).covers(np.arange(len(dataset.sequences))).sum() == 1
