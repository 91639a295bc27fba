"""PureSVD and iALS: scores and least squares against dense references."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from segue import baselines
from segue.baselines import ials
from segue.baselines.ials import Ials, IalsParameters, LeastSquares
from segue.baselines.puresvd import PureSvd
from segue.config import SplitConfig
from segue.dataset import Dataset
from segue.ragged import Ragged
from segue.ranking import Query
from segue.tokens import N_SPECIALS
from small_datasets import dataset_of, random_log

HISTORY = [N_SPECIALS + n for n in (4, 1, 4, 7)]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    split = SplitConfig(kind="leave-one-out", catalogue="all")
    return dataset_of(tmp_path_factory.mktemp("log"), random_log(60, 25, seed=6), split)


def query(*histories: list[int]) -> Query:
    nothing: list[list[int]] = [[] for _ in histories]
    rows = np.arange(len(histories))
    return Query(Ragged.from_rows(list(histories)), Ragged.from_rows(nothing), rows)


def slow_solution(vectors: np.ndarray, weights: np.ndarray, parameters: IalsParameters):
    """The minimum of the loss of one row, from its normal equations entry by entry."""
    unobserved = parameters.unobserved_weight
    matrix = np.zeros((vectors.shape[1],) * 2)
    for vector, weight in zip(vectors, weights, strict=True):
        matrix += (unobserved + weight) * np.outer(vector, vector)
    penalty = parameters.regularisation * (weights.sum() + unobserved * len(vectors))
    return np.linalg.solve(matrix + penalty * np.eye(len(matrix)), weights @ vectors)


@pytest.mark.parametrize("rows_per_block", [1, 3, 100])
def test_least_squares_agree_with_the_normal_equations(rows_per_block: int, monkeypatch) -> None:
    monkeypatch.setattr(ials, "ROWS_PER_BLOCK", rows_per_block)
    random = np.random.default_rng(0)
    vectors = random.standard_normal((9, 3)).astype(np.float32)
    weights = random.random((7, 9)) * (random.random((7, 9)) < 0.4)
    weights[2] = 0
    parameters = IalsParameters(regularisation=0.1, unobserved_weight=0.3)
    solved = LeastSquares.of(vectors, parameters).solve(sparse.csr_matrix(weights))
    expected = [slow_solution(vectors, row, parameters) for row in weights]
    np.testing.assert_allclose(solved, expected, rtol=1e-4, atol=1e-6)
    assert not solved[2].any()


def test_a_request_is_solved_like_a_row_of_the_fit(dataset: Dataset) -> None:
    params = {"factors": 5, "history.half_life": 2.0}
    ranker = baselines.fit("ials", dataset, params=params)
    assert isinstance(ranker, Ials)
    weights = np.zeros(dataset.vocabulary_size)
    weights[[HISTORY[3], HISTORY[2], HISTORY[1]]] = [1, 2**-0.5, 2**-1.0]
    state = slow_solution(ranker.vectors, weights, IalsParameters())
    scores = ranker.scores(query(HISTORY))[0]
    np.testing.assert_allclose(scores, ranker.vectors @ state, rtol=1e-4, atol=1e-6)


def test_passes_lower_the_loss(dataset: Dataset) -> None:
    """The weighted squared error of the training matrix, with the penalties of both sides."""
    rows = [
        set(dataset.sequences.row(i)[:end].tolist())
        for i, end in enumerate(dataset.sequences.train_end)
    ]
    observed = np.array([[item in row for item in range(dataset.vocabulary_size)] for row in rows])
    losses = []
    for iterations in (1, 2, 4, 8):
        params = {"factors": 4, "iterations": iterations}
        ranker = baselines.fit("ials", dataset, params=params)
        assert isinstance(ranker, Ials)
        states = ranker.states(query(*[list(row) for row in rows]))
        scores = states @ ranker.vectors.T
        defaults = IalsParameters()
        loss = (observed * (1 - scores) ** 2).sum() + 0.1 * (scores**2).sum()
        for vectors, counts, size in (
            (states, observed.sum(axis=1), observed.shape[1]),
            (ranker.vectors, observed.sum(axis=0), observed.shape[0]),
        ):
            penalties = defaults.regularisation * (counts + 0.1 * size)
            loss += (penalties * np.square(vectors).sum(axis=1)).sum()
        losses.append(float(loss))
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.9 * losses[0]


def test_puresvd_scores_by_the_sum_of_vectors(dataset: Dataset) -> None:
    params = {"factors": 6, "history.power": 1.0}
    ranker = baselines.fit("puresvd", dataset, params=params)
    assert isinstance(ranker, PureSvd)
    state = np.array([1, 1 / 2, 1 / 3]) @ ranker.vectors[[HISTORY[3], HISTORY[2], HISTORY[1]]]
    scores = ranker.scores(query(HISTORY))[0]
    np.testing.assert_allclose(scores, ranker.vectors @ state, rtol=1e-5, atol=1e-6)
    assert not ranker.vectors[:N_SPECIALS].any()


def test_items_without_training_events_score_nothing(dataset: Dataset) -> None:
    unused = np.flatnonzero(dataset.items.training_counts[: dataset.vocabulary_size] == 0)
    for name in ("puresvd", "ials"):
        ranker = baselines.fit(name, dataset, params={"factors": 4})
        np.testing.assert_allclose(ranker.scores(query(HISTORY))[0, unused], 0, atol=1e-40)
