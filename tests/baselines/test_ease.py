"""EASE: the closed form against ridge regressions, one per item."""

from __future__ import annotations

import numpy as np
import pytest

from segue import baselines
from segue.baselines import ease, head_ranker
from segue.baselines.ease import Ease, EaseParameters, count_cooccurrences, solve_ease
from segue.baselines.interaction_matrix import interaction_matrices
from segue.config import SplitConfig
from segue.dataset import Dataset
from segue.ragged import Ragged
from segue.ranking import Query, ScoringRanker
from segue.tokens import N_SPECIALS
from small_datasets import dataset_of, random_log

LEAVE_ONE_OUT = SplitConfig(kind="leave-one-out", catalogue="all")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return dataset_of(tmp_path_factory.mktemp("log"), random_log(60, 25, seed=5), LEAVE_ONE_OUT)


def slow_weights(interactions: np.ndarray, regularisation: float) -> np.ndarray:
    """The ridge regression of the column of each item on all other columns."""
    size = interactions.shape[1]
    weights = np.zeros((size, size))
    for j in range(size):
        other_items = np.delete(np.arange(size), j)
        inputs = interactions[:, other_items]
        gram = inputs.T @ inputs + regularisation * np.eye(size - 1)
        weights[other_items, j] = np.linalg.solve(gram, inputs.T @ interactions[:, j])
    return weights


@pytest.mark.parametrize("regularisation", [0.5, 20.0, 1e6])
@pytest.mark.parametrize("seed", range(3))
def test_weights_are_ridge_regressions(seed: int, regularisation: float) -> None:
    interactions = (np.random.default_rng(seed).random((30, 12)) < 0.3).astype(float)
    weights = solve_ease(interactions.T @ interactions, regularisation)
    expected = slow_weights(interactions, regularisation)
    np.testing.assert_allclose(weights, expected, rtol=1e-4, atol=1e-7)
    assert not np.diag(weights).any()


def test_weights_of_items_without_events_are_zero() -> None:
    counts = np.zeros((3, 3))
    counts[:2, :2] = [[4, 2], [2, 3]]
    weights = solve_ease(counts, 1.0)
    assert not weights[2].any()
    assert not weights[:, 2].any()
    assert weights[0, 1] > 0


@pytest.mark.parametrize("columns", [1, 7, 256])
def test_counts_in_blocks_agree_with_one_matrix_product(
    dataset: Dataset, columns, monkeypatch
) -> None:
    monkeypatch.setattr(ease, "COLUMNS_PER_BLOCK", columns)
    (interactions,) = interaction_matrices(dataset)
    head = interactions.toarray()[:, N_SPECIALS : N_SPECIALS + 15]
    items = np.arange(N_SPECIALS, N_SPECIALS + 15)
    np.testing.assert_array_equal(count_cooccurrences(dataset, items), head.T @ head)


def test_counts_in_blocks_of_sequences_add_up(dataset: Dataset, monkeypatch) -> None:
    items = np.arange(N_SPECIALS, N_SPECIALS + 25)
    counts = count_cooccurrences(dataset, items)
    monkeypatch.setattr("segue.ragged.BLOCK_EVENTS", 40)
    assert len(list(interaction_matrices(dataset))) > 5
    np.testing.assert_array_equal(count_cooccurrences(dataset, items), counts)


def scores_of(ranker, histories: list[list[int]]) -> np.ndarray:
    assert isinstance(ranker, ScoringRanker)
    nothing: list[list[int]] = [[] for _ in histories]
    rows = np.arange(len(histories))
    return ranker.scores(Query(Ragged.from_rows(histories), Ragged.from_rows(nothing), rows))


def test_scores_sum_the_weights_of_the_history(dataset: Dataset) -> None:
    (interactions,) = interaction_matrices(dataset)
    in_catalogue = interactions.toarray()[:, N_SPECIALS:].astype(float)
    weights = slow_weights(in_catalogue, EaseParameters().regularisation)
    history = [N_SPECIALS + n for n in (3, 8, 3, 11)]
    expected = weights[[3, 8, 11]].sum(axis=0)
    scores = scores_of(baselines.fit("ease", dataset), [history])[0]
    np.testing.assert_allclose(scores[N_SPECIALS:], expected, rtol=1e-3, atol=1e-8)


def test_items_outside_the_head_are_ranked_by_popularity(dataset: Dataset, monkeypatch) -> None:
    monkeypatch.setattr(head_ranker, "HEAD_ITEMS", 6)
    ranker = Ease.fit(dataset)
    tail = N_SPECIALS + 6
    without_history, of_head, of_tail = scores_of(ranker, [[], [N_SPECIALS + 1], [tail, tail + 3]])
    np.testing.assert_array_equal(without_history, of_tail)
    np.testing.assert_array_equal(without_history[tail:], of_head[tail:])
    assert (without_history[N_SPECIALS:tail] != of_head[N_SPECIALS:tail]).any()
    counts = dataset.items.training_counts[N_SPECIALS : dataset.vocabulary_size]
    np.testing.assert_array_equal(
        np.unique(without_history[N_SPECIALS:], return_inverse=True)[1],
        np.unique(counts, return_inverse=True)[1],
    )
