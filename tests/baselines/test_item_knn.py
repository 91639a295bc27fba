"""Nearest neighbours against a slow obvious reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from segue import baselines
from segue.axes import N_SPECIALS, Ragged
from segue.baselines import item_knn
from segue.baselines.events import count_items, fitting_events
from segue.baselines.item_knn import BACKOFF, SHRINKAGE, ItemKNN, nearest_neighbours
from segue.baselines.sets import item_sets
from segue.config import SplitConfig
from segue.dataset import TRAIN_TARGET, Dataset
from segue.ranking import Queries
from small_datasets import dataset_of, random_log

LEAVE_ONE_OUT = SplitConfig(kind="leave-one-out", catalogue="all")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return dataset_of(tmp_path_factory.mktemp("log"), random_log(50, 40, seed=2), LEAVE_ONE_OUT)


def sets_of(dataset: Dataset) -> np.ndarray:
    """(sequences, table): whether a sequence's training events hold an item."""
    held = np.zeros((len(dataset.sequences), dataset.table_size))
    for row in range(len(held)):
        held[row, dataset.sequences.row(row)[: dataset.sequences.train_end[row]]] = 1
    return held


def slow_neighbours(sets: np.ndarray, n: int, shrinkage: float) -> np.ndarray:
    size = sets.shape[1]
    found = np.zeros((size, size))
    for i in range(size):
        similarity = np.zeros(size)
        for j in range(size):
            norms = np.sqrt(sets[:, i].sum()) * np.sqrt(sets[:, j].sum())
            shared = np.count_nonzero(sets[:, i] * sets[:, j])
            if shared and i != j:
                similarity[j] = shared / (norms + shrinkage)
        for j in sorted(range(size), key=lambda j: (-round(similarity[j], 6), j))[:n]:
            found[i, j] = similarity[j]
    return found


SETS = st.lists(st.lists(st.integers(0, 9), max_size=8), min_size=1, max_size=12)


@given(SETS, st.integers(1, 12), st.sampled_from([0.0, 2.0]), st.integers(1, 60))
def test_neighbours_agree_with_the_slow_reference(rows, n, shrinkage, block) -> None:
    sets = np.zeros((len(rows), 10), np.float32)
    for row, items in zip(sets, rows, strict=True):
        row[items] = 1
    found = nearest_neighbours(sparse.csr_matrix(sets), n, shrinkage, pairs_per_block=block)
    np.testing.assert_allclose(found.toarray(), slow_neighbours(sets, n, shrinkage), rtol=1e-5)
    assert np.diff(found.indptr).max() <= n


def test_scores_sum_over_the_histories_items_once_each(dataset: Dataset) -> None:
    ranker = baselines.fit("item-knn", dataset)
    assert isinstance(ranker, ItemKNN)
    history = [f"i{n}" for n in (3, 1, 4, 1, 5, 9, 2, 6, 5)]
    similar = slow_neighbours(sets_of(dataset), dataset.n_catalogue, SHRINKAGE)
    counts = count_items(dataset)
    expected = BACKOFF * counts / (counts.max() + 1)
    for item in set(history):
        expected += similar[int(dataset.items.find([item])[0])]
    queries = Queries(Ragged.of([dataset.items.find(history)]), Ragged.of([[]]), np.zeros(1, int))
    found = ranker.scores(queries)[0]
    np.testing.assert_allclose(found[N_SPECIALS:], expected[N_SPECIALS:], rtol=1e-4)


def test_sets_are_those_of_the_training_events(dataset: Dataset) -> None:
    expected = sets_of(dataset)
    found = sparse.vstack(list(item_sets(dataset))).toarray()
    np.testing.assert_array_equal(found, expected)
    blocks = list(item_sets(dataset, block_events=40))
    assert len(blocks) > 5
    np.testing.assert_array_equal(sparse.vstack(blocks).toarray(), expected)


def test_a_large_catalogue_has_fewer_neighbours_an_item(dataset: Dataset, monkeypatch) -> None:
    monkeypatch.setattr(item_knn, "MAX_PAIRS", 3 * dataset.table_size)
    histories = [[item] for item in range(N_SPECIALS, dataset.table_size)]
    queries = Queries(Ragged.of(histories), Ragged.of([[] for _ in histories]), np.arange(40))
    scores = ItemKNN.fit(dataset).scores(queries)
    kept = slow_neighbours(sets_of(dataset), 3, SHRINKAGE)
    np.testing.assert_allclose(scores, kept.T[N_SPECIALS:], atol=2 * BACKOFF)
    assert (np.count_nonzero(scores > 2 * BACKOFF, axis=0) <= 3).all()


def test_held_out_windows_are_not_learnt(tmp_path: Path) -> None:
    split = SplitConfig(kind="windows", test_share=0.5)
    dataset = dataset_of(tmp_path, random_log(10, 20, seed=4), split)
    assert dataset.sequences.target_parts is not None
    (events,) = fitting_events(dataset)
    (sets,) = item_sets(dataset)
    learnt = dataset.sequences.target_parts <= TRAIN_TARGET
    for row, items in enumerate(sets.toarray()):
        mine = slice(*dataset.sequences.offsets[row : row + 2])
        expected = np.unique(dataset.sequences.items[mine][learnt[mine]])
        assert np.flatnonzero(items).tolist() == expected[expected < dataset.table_size].tolist()
    assert sets.sum() < len(events.items)
