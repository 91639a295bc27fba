"""EASE's closed form against the regressions that it stands for."""

from __future__ import annotations

import numpy as np
import pytest

from segue import baselines
from segue.axes import N_SPECIALS, Ragged
from segue.baselines import ease
from segue.baselines.ease import BACKOFF, Ease, count_shared, solve
from segue.baselines.events import count_items
from segue.baselines.sets import item_sets
from segue.config import SplitConfig
from segue.dataset import Dataset, sequences
from segue.ranking import Queries, ScoringRanker
from small_datasets import dataset_of, random_log

LEAVE_ONE_OUT = SplitConfig(kind="leave-one-out", catalogue="all")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return dataset_of(tmp_path_factory.mktemp("log"), random_log(60, 25, seed=5), LEAVE_ONE_OUT)


def slow_weights(sets: np.ndarray, regularisation: float) -> np.ndarray:
    """For each item, the ridge regression of its column on all the others."""
    size = sets.shape[1]
    weights = np.zeros((size, size))
    for j in range(size):
        others = np.delete(np.arange(size), j)
        inputs = sets[:, others]
        gram = inputs.T @ inputs + regularisation * np.eye(size - 1)
        weights[others, j] = np.linalg.solve(gram, inputs.T @ sets[:, j])
    return weights


@pytest.mark.parametrize("regularisation", [0.5, 20.0, 1e6])
@pytest.mark.parametrize("seed", range(3))
def test_weights_are_ridge_regressions(seed: int, regularisation: float) -> None:
    sets = (np.random.default_rng(seed).random((30, 12)) < 0.3).astype(float)
    found = solve(sets.T @ sets, regularisation)
    expected = slow_weights(sets, regularisation)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)
    assert not np.diag(found).any()


def test_items_that_nobody_met_weigh_nothing() -> None:
    shared = np.zeros((3, 3))
    shared[:2, :2] = [[4, 2], [2, 3]]
    weights = solve(shared, 1.0)
    assert not weights[2].any()
    assert not weights[:, 2].any()
    assert weights[0, 1] > 0


@pytest.mark.parametrize("columns", [1, 7, 256])
def test_shared_counts_agree_with_whole_matrices(dataset: Dataset, columns, monkeypatch) -> None:
    monkeypatch.setattr(ease, "COLUMNS_PER_BLOCK", columns)
    (sets,) = item_sets(dataset)
    held = sets.toarray()[:, N_SPECIALS : N_SPECIALS + 15]
    np.testing.assert_array_equal(count_shared(dataset, 15), held.T @ held)


def test_blocks_of_sequences_add_up(dataset: Dataset, monkeypatch) -> None:
    whole = count_shared(dataset, 25)
    monkeypatch.setattr(sequences, "BLOCK_EVENTS", 40)
    assert len(list(item_sets(dataset))) > 5
    np.testing.assert_array_equal(count_shared(dataset, 25), whole)


def ask(ranker, histories: list[list[int]]) -> np.ndarray:
    assert isinstance(ranker, ScoringRanker)
    nothing: list[list[int]] = [[] for _ in histories]
    rows = np.arange(len(histories))
    return ranker.scores(Queries(Ragged.of(histories), Ragged.of(nothing), rows))


def test_scores_sum_the_weights_of_the_history(dataset: Dataset) -> None:
    (sets,) = item_sets(dataset)
    held = sets.toarray()[:, N_SPECIALS:].astype(float)
    weights = slow_weights(held, ease.REGULARISATION)
    history = [N_SPECIALS + n for n in (3, 8, 3, 11)]
    counts = count_items(dataset)[N_SPECIALS:]
    expected = weights[[3, 8, 11]].sum(axis=0) + BACKOFF * counts / (counts.max() + 1)
    found = ask(baselines.fit("ease", dataset), [history])[0]
    np.testing.assert_allclose(found[N_SPECIALS:], expected, rtol=1e-3, atol=1e-8)


def test_beyond_the_head_popularity_alone_decides(dataset: Dataset, monkeypatch) -> None:
    monkeypatch.setattr(ease, "HEAD", 6)
    ranker = Ease.fit(dataset)
    tail = N_SPECIALS + 6
    nothing, of_head, of_tail = ask(ranker, [[], [N_SPECIALS + 1], [tail, tail + 3]])
    np.testing.assert_array_equal(nothing, of_tail)
    np.testing.assert_array_equal(nothing[tail:], of_head[tail:])
    assert (nothing[N_SPECIALS:tail] != of_head[N_SPECIALS:tail]).any()
    counts = dataset.items.training_counts[N_SPECIALS : dataset.table_size]
    np.testing.assert_allclose(nothing[N_SPECIALS:], BACKOFF * counts / (counts.max() + 1))
