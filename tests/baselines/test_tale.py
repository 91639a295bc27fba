"""TALE: its weights against ridge regressions on the rows of all prefixes, and its truncation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segue import baselines
from segue.baselines.tale import Tale
from segue.config import SplitConfig
from segue.dataset import Dataset
from segue.errors import DatasetError
from segue.ragged import Ragged
from segue.ranking import Query
from segue.tokens import N_SPECIALS
from small_datasets import dataset_of, random_log

LEAVE_ONE_OUT = SplitConfig(kind="leave-one-out", catalogue="all")
PARAMS = {
    "regularisation": 3.0,
    "decay": 2.5,
    "floor": 0.2,
    "length": 6,
    "history.length": 3,
    "history.power": 0.0,
    "history.half_life": 2.0,
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    log = random_log(60, 25, seed=5)
    starts = {name: 100 * i for i, name in enumerate(log)}
    return dataset_of(tmp_path_factory.mktemp("log"), log, LEAVE_ONE_OUT, starts=starts)


def slow_weights(dataset: Dataset, scale: float, powers: np.ndarray | None = None) -> np.ndarray:
    """The solution of the ridge regression with one row per prefix; ages are events."""
    sources, targets = [], []
    sequences = dataset.sequences
    for row in range(len(sequences)):
        events = sequences.row(row)[: sequences.train_end[row]]
        for target in range(1, len(events)):
            source, label = np.zeros((2, dataset.vocabulary_size))
            for event in range(max(0, target - 6), target):
                source[events[event]] += max(0.2, np.exp(-(target - event) / scale))
            label[events[target]] = 1
            sources.append(source)
            targets.append(label)
    inputs, labels = np.array(sources), np.array(targets)
    gram = inputs.T @ inputs + 3.0 * np.diag(np.ones(len(inputs[0])) if powers is None else powers)
    return np.linalg.solve(gram, inputs.T @ labels)


def scores_of(ranker, history: list[int]) -> np.ndarray:
    return ranker.scores(Query(Ragged.from_rows([history]), Ragged.from_rows([[]]), np.arange(1)))[
        0
    ]


def test_scores_are_those_of_the_ridge_regression(dataset: Dataset) -> None:
    history = [N_SPECIALS + n for n in (9, 3, 8, 3, 11)]
    weights = slow_weights(dataset, 2.5)
    expected = weights[history[-3:]].T @ [2**-1.0, 2**-0.5, 1]
    scores = scores_of(baselines.fit("tale", dataset, params=PARAMS), history)
    np.testing.assert_allclose(scores[N_SPECIALS:], expected[N_SPECIALS:], rtol=1e-4, atol=1e-7)


def test_sources_can_weigh_by_popularity(dataset: Dataset) -> None:
    counts = dataset.items.training_counts[: dataset.vocabulary_size].astype(float)
    shares = np.maximum(counts, 1) / counts[N_SPECIALS:].mean()
    # A weight of the source in the fit and in the history is a penalty divided by its square.
    item = N_SPECIALS + 4
    expected = slow_weights(dataset, 2.5, shares ** (-2 * 0.4))[item]
    ranker = baselines.fit("tale", dataset, params=PARAMS | {"popularity_power": 0.4})
    scores = scores_of(ranker, [item])
    np.testing.assert_allclose(scores[N_SPECIALS:], expected[N_SPECIALS:], rtol=1e-4, atol=1e-7)


def test_ages_in_seconds_are_those_of_the_log(dataset: Dataset) -> None:
    """The events of the log are one second apart, so seconds and events are the same."""
    by_time = baselines.fit("tale", dataset, params=PARAMS | {"decay": 99.0, "decay_s": 2.5})
    by_events = baselines.fit("tale", dataset, params=PARAMS)
    history = [N_SPECIALS + 1, N_SPECIALS + 7]
    np.testing.assert_allclose(
        scores_of(by_time, history), scores_of(by_events, history), rtol=1e-5, atol=1e-9
    )


def test_a_decay_in_seconds_needs_times(tmp_path: Path) -> None:
    untimed = dataset_of(tmp_path, random_log(9, 9, seed=0), LEAVE_ONE_OUT)
    with pytest.raises(DatasetError, match="the log has none"):
        baselines.fit("tale", untimed, params={"decay_s": 60.0})


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("neighbours", [1, 4, 100])
def test_truncation_keeps_the_strongest_weights(dataset: Dataset, neighbours, signed) -> None:
    dense = baselines.fit("tale", dataset, params=PARAMS)
    assert isinstance(dense, Tale)
    sparse = dense.truncated(neighbours, signed=signed)
    for item in range(N_SPECIALS, dataset.vocabulary_size):
        full = scores_of(dense, [item])
        size = np.abs(full) if signed else np.maximum(full, 0)
        kept = np.argsort(-size)[:neighbours]
        kept = kept[size[kept] > 1e-9]
        expected = np.zeros(len(full))
        expected[kept] = full[kept]
        np.testing.assert_allclose(scores_of(sparse, [item]), expected, rtol=1e-6, atol=1e-8)
    assert any("strongest" in note for note in sparse.notes)


def test_a_head_smaller_than_the_catalogue_is_in_the_notes(dataset: Dataset, monkeypatch) -> None:
    monkeypatch.setattr("segue.baselines.head_ranker.HEAD_ITEMS", 6)
    ranker = baselines.fit("tale", dataset)
    assert ranker.notes == (f"fitted on the 6 most frequent of {dataset.n_catalogue} items",)
