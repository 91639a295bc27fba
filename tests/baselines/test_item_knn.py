"""Item-kNN: neighbours and scores against slow loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from segue import baselines
from segue.baselines import item_knn
from segue.baselines.interaction_matrix import interaction_matrices
from segue.baselines.item_knn import ItemKNN, ItemKnnParameters, nearest_neighbours
from segue.config import SplitConfig
from segue.dataset import TRAIN_TARGET, Dataset
from segue.dataset.training_events import readable_event_blocks
from segue.ragged import Ragged
from segue.ranking import Query
from segue.tokens import N_SPECIALS
from small_datasets import dataset_of, random_log

SHRINKAGE = ItemKnnParameters().shrinkage
LEAVE_ONE_OUT = SplitConfig(kind="leave-one-out", catalogue="all")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return dataset_of(tmp_path_factory.mktemp("log"), random_log(50, 40, seed=2), LEAVE_ONE_OUT)


def interactions_of(dataset: Dataset) -> np.ndarray:
    """(sequences, vocabulary): 1 for each item in the training events of a sequence."""
    interactions = np.zeros((len(dataset.sequences), dataset.vocabulary_size))
    for row in range(len(interactions)):
        interactions[row, dataset.sequences.row(row)[: dataset.sequences.train_end[row]]] = 1
    return interactions


def slow_neighbours(interactions: np.ndarray, n_neighbours: int, shrinkage: float) -> np.ndarray:
    size = interactions.shape[1]
    neighbours = np.zeros((size, size))
    for i in range(size):
        similarity = np.zeros(size)
        for j in range(size):
            norms = np.sqrt(interactions[:, i].sum()) * np.sqrt(interactions[:, j].sum())
            shared = np.count_nonzero(interactions[:, i] * interactions[:, j])
            if shared and i != j:
                similarity[j] = shared / (norms + shrinkage)
        for j in sorted(range(size), key=lambda j: (-round(similarity[j], 6), j))[:n_neighbours]:
            neighbours[i, j] = similarity[j]
    return neighbours


ITEM_LISTS = st.lists(st.lists(st.integers(0, 9), max_size=8), min_size=1, max_size=12)


@given(ITEM_LISTS, st.integers(1, 12), st.sampled_from([0.0, 2.0]), st.integers(1, 60))
def test_neighbours_agree_with_a_slow_loop(rows, n_neighbours, shrinkage, pairs_per_block) -> None:
    interactions = np.zeros((len(rows), 10), np.float32)
    for row, items in zip(interactions, rows, strict=True):
        row[items] = 1
    neighbours = nearest_neighbours(
        sparse.csr_matrix(interactions), n_neighbours, shrinkage, pairs_per_block
    )
    np.testing.assert_allclose(
        neighbours.toarray(), slow_neighbours(interactions, n_neighbours, shrinkage), rtol=1e-5
    )
    assert np.diff(neighbours.indptr).max() <= n_neighbours


def test_scores_sum_similarities_over_distinct_history_items(dataset: Dataset) -> None:
    ranker = baselines.fit("item-knn", dataset)
    assert isinstance(ranker, ItemKNN)
    history = [f"i{n}" for n in (3, 1, 4, 1, 5, 9, 2, 6, 5)]
    similarities = slow_neighbours(interactions_of(dataset), dataset.n_catalogue, SHRINKAGE)
    expected = np.zeros(dataset.vocabulary_size)
    for item in set(history):
        expected += similarities[int(dataset.items.find([item])[0])]
    queries = Query(
        Ragged.from_rows([dataset.items.find(history)]), Ragged.from_rows([[]]), np.zeros(1, int)
    )
    scores = ranker.scores(queries)[0]
    np.testing.assert_allclose(scores[N_SPECIALS:], expected[N_SPECIALS:], rtol=1e-4)


def test_interaction_matrices_contain_the_training_events(dataset: Dataset) -> None:
    expected = interactions_of(dataset)
    interactions = sparse.vstack(list(interaction_matrices(dataset))).toarray()
    np.testing.assert_array_equal(interactions, expected)
    blocks = list(interaction_matrices(dataset, block_events=40))
    assert len(blocks) > 5
    np.testing.assert_array_equal(sparse.vstack(blocks).toarray(), expected)


def test_a_large_catalogue_has_fewer_neighbours_per_item(dataset: Dataset, monkeypatch) -> None:
    monkeypatch.setattr(item_knn, "MAX_PAIRS", 3 * dataset.vocabulary_size)
    histories = [[item] for item in range(N_SPECIALS, dataset.vocabulary_size)]
    queries = Query(
        Ragged.from_rows(histories), Ragged.from_rows([[] for _ in histories]), np.arange(40)
    )
    scores = ItemKNN.fit(dataset).scores(queries)
    similarities = slow_neighbours(interactions_of(dataset), 3, SHRINKAGE)
    np.testing.assert_allclose(scores, similarities.T[N_SPECIALS:], rtol=1e-6, atol=1e-30)
    assert (np.count_nonzero(scores > 1e-30, axis=0) <= 3).all()


def test_held_out_windows_are_not_counted(tmp_path: Path) -> None:
    split = SplitConfig(kind="windows", test_share=0.5)
    dataset = dataset_of(tmp_path, random_log(10, 20, seed=4), split)
    assert dataset.sequences.target_parts is not None
    (events,) = readable_event_blocks(dataset)
    (sets,) = interaction_matrices(dataset)
    learnt = dataset.sequences.target_parts <= TRAIN_TARGET
    for row, items in enumerate(sets.toarray()):
        mine = slice(*dataset.sequences.offsets[row : row + 2])
        expected = np.unique(dataset.sequences.items[mine][learnt[mine]])
        assert (
            np.flatnonzero(items).tolist() == expected[expected < dataset.vocabulary_size].tolist()
        )
    assert sets.sum() < len(events.items)
