"""Parameters of baselines: defaults, changes by name, and errors."""

from __future__ import annotations

import numpy as np
import pytest

from segue import baselines
from segue.baselines.cooccurrence import CoOccurrence, CoOccurrenceParameters, distance_weights
from segue.baselines.item_item import HistoryWeights
from segue.baselines.parameters import parameters_of
from segue.config import SplitConfig
from segue.dataset import Dataset
from segue.errors import ConfigError, RequestError
from segue.ragged import Ragged
from segue.ranking import Query
from segue.tokens import N_SPECIALS
from small_datasets import dataset_of, random_log

HISTORY = [N_SPECIALS + 1, N_SPECIALS + 4, N_SPECIALS + 2]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    split = SplitConfig(kind="leave-one-out", catalogue="all")
    return dataset_of(tmp_path_factory.mktemp("log"), random_log(40, 20, seed=7), split)


def scores(ranker) -> np.ndarray:
    return ranker.scores(Query(Ragged.from_rows([HISTORY]), Ragged.from_rows([[]]), np.arange(1)))


@pytest.mark.parametrize("name", ["popularity", "last-item", "co-occurrence", "item-knn", "ease"])
def test_the_defaults_can_be_given(name: str, dataset: Dataset) -> None:
    given = baselines.fit(name, dataset, params=baselines.default_params(name))
    np.testing.assert_array_equal(scores(given), scores(baselines.fit(name, dataset)))


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("last-item", {"shrinkage": 5.0}),
        ("co-occurrence", {"window": 1}),
        ("co-occurrence", {"distance_power": 0.5}),
        ("item-knn", {"shrinkage": 0.0, "neighbours": 3}),
        ("item-knn", {"source_power": 0.2}),
        ("ease", {"regularisation": 5.0}),
        ("ease", {"history.half_life": 1.0}),
    ],
)
def test_parameters_change_the_scores(name: str, params: dict, dataset: Dataset) -> None:
    changed = scores(baselines.fit(name, dataset, params=params))
    assert not np.allclose(changed, scores(baselines.fit(name, dataset)))


@pytest.mark.parametrize(
    "history", [{"power": 0.0, "half_life": 2}, HistoryWeights(10, half_life=2.0)]
)
def test_the_history_is_a_section(history) -> None:
    expected = CoOccurrenceParameters(history=HistoryWeights(10, half_life=2.0))
    assert parameters_of("co-occurrence", CoOccurrenceParameters, {"history": history}) == expected
    dotted = {"history.power": 0.0, "history.half_life": 2.0}
    assert parameters_of("co-occurrence", CoOccurrenceParameters, dotted) == expected


def test_weights_of_the_history_need_no_new_fit(dataset: Dataset) -> None:
    weights = HistoryWeights(2, half_life=1.0)
    ranker = baselines.fit("co-occurrence", dataset)
    assert isinstance(ranker, CoOccurrence)
    changed = ranker.with_history(weights)
    expected = baselines.fit("co-occurrence", dataset, params={"history": weights})
    np.testing.assert_array_equal(scores(changed), scores(expected))
    assert changed.pairs is ranker.pairs
    assert ranker.history_weights == HistoryWeights(10, power=1.0)
    assert changed.tie_order is ranker.tie_order


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"windw": 3}, "unknown co-occurrence parameter 'windw'.*did you mean 'window'"),
        ({"history.halflife": 3.0}, "unknown .* 'history.halflife'.*did you mean 'half_life'"),
        ({"window": 0}, "co-occurrence parameter window: .*greater than 0, got 0"),
        ({"window": "3"}, "co-occurrence parameter window: "),
        ({"history": {"half_life": -1.0}}, "parameter history.half_life: .*greater than 0"),
        ({"history": 3}, "co-occurrence parameter history: "),
        ({"shrinkage": float("nan")}, "co-occurrence parameter shrinkage: "),
        ({"window.size": 3}, "'window.size': 'window' is not a section"),
    ],
)
def test_errors_name_the_parameter(params: dict, message: str, dataset: Dataset) -> None:
    with pytest.raises(ConfigError, match=message):
        baselines.fit("co-occurrence", dataset, params=params)


def test_a_baseline_without_parameters_refuses_any(dataset: Dataset) -> None:
    with pytest.raises(ConfigError, match="unknown popularity parameter 'window'"):
        baselines.fit("popularity", dataset, params={"window": 3})
    with pytest.raises(RequestError, match="did you mean 'popularity'"):
        baselines.default_params("popularty")


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("window", [1, 5, 20])
def test_weights_fall_with_the_distance(window: int, power: float) -> None:
    weights = distance_weights(window, power)
    expected = np.arange(1.0, window + 1) ** -power
    np.testing.assert_allclose(np.array(weights) / weights[0], expected, atol=2e-4)
    assert all(isinstance(weight, int) for weight in weights)
