"""The contract of all baselines: scores, exclusion, ranks, names, empty histories."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segue import baselines
from segue.baselines import ListRanker
from segue.config import DemoConfig, PrepareConfig, SourceConfig, SplitConfig
from segue.dataset import Dataset
from segue.errors import DatasetError, RequestError
from segue.preparation import prepare
from segue.ragged import Ragged
from segue.ranking import Query, Ranker, ScoringRanker
from segue.tokens import N_SPECIALS, PAD
from small_datasets import dataset_of, random_log

pytestmark = pytest.mark.all_cases

UNUSED_ITEM = "unused-item"
"""An item of the items file that is in no sequence."""

HISTORY = [N_SPECIALS, N_SPECIALS + 5, N_SPECIALS + 2]
"""Some items of the catalogue."""

HISTORY_BASED = (
    "last-item",
    "co-occurrence",
    "item-knn",
    "ease",
    "tale",
    "puresvd",
    "ials",
    "same-artist",
)
"""Baselines that rank by popularity if the history is empty."""


@pytest.fixture(scope="module")
def log_dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    log = random_log(40, 30, seed=1)
    starts = {sequence_id: 40 * i for i, sequence_id in enumerate(log)}
    artists = {f"i{n}": f"artist {n % 7}" for n in range(25)} | {UNUSED_ITEM: ""}
    ratings = {sequence_id: [1 + len(item) for item in items] for sequence_id, items in log.items()}
    return dataset_of(
        tmp_path_factory.mktemp("log"),
        log,
        SplitConfig(kind="holdout", seed=3),
        starts=starts,
        artists=artists,
        ratings=ratings,
    )


@pytest.fixture(scope="module")
def demo_dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    source = SourceConfig(format="demo", demo=DemoConfig(sequences=60, items=300))
    return prepare(None, tmp_path_factory.mktemp("demo") / "d", config=PrepareConfig(source=source))


@pytest.fixture(params=baselines.NAMES)
def fitted(request, log_dataset: Dataset) -> tuple[Ranker, Dataset]:
    if request.param == "oracle":
        demo = request.getfixturevalue("demo_dataset")
        return baselines.fit("oracle", demo), demo
    return baselines.fit(request.param, log_dataset, params=params_of(request.param)), log_dataset


def params_of(name: str) -> dict[str, int]:
    """Fewer factors than items, without which all scores of PureSVD tie but for rounding."""
    return {"factors": 8} if name == "puresvd" else {}


def queries_of(dataset: Dataset, histories: list[list[int]], excluded: list[list[int]]) -> Query:
    return Query(Ragged.from_rows(histories), Ragged.from_rows(excluded), np.arange(len(histories)))


def test_scores_cover_the_table(fitted) -> None:
    ranker, dataset = fitted
    assert isinstance(ranker, ScoringRanker)
    scores = ranker.scores(queries_of(dataset, [HISTORY, HISTORY[:1]], [[], []]))
    assert scores.shape == (2, dataset.vocabulary_size)
    assert np.isfinite(scores).all()


def test_excluded_items_and_special_tokens_are_never_recommended(fitted) -> None:
    ranker, dataset = fitted
    items = ranker.top(
        queries_of(dataset, [HISTORY], [HISTORY]).with_k(dataset.vocabulary_size)
    ).items[0]
    recommended = items[items != PAD]
    assert (recommended >= N_SPECIALS).all()
    assert not np.isin(recommended, HISTORY).any()
    assert len(np.unique(recommended)) == len(recommended) == dataset.n_catalogue - len(HISTORY)


def test_top_agrees_with_ranks(fitted) -> None:
    ranker, dataset = fitted
    queries = queries_of(dataset, [HISTORY] * dataset.n_catalogue, [[]] * dataset.n_catalogue)
    targets = np.arange(N_SPECIALS, dataset.vocabulary_size, dtype=np.int32)
    ranks = ranker.ranks(queries, targets)
    top = ranker.top(queries.slice(0, 1).with_k(dataset.n_catalogue))
    position = {item: i + 1 for i, item in enumerate(top.items[0].tolist())}
    scores = dict(zip(top.items[0].tolist(), top.scores[0].tolist(), strict=True))
    is_untied = [list(scores.values()).count(scores[target]) == 1 for target in targets.tolist()]
    for target, rank, untied in zip(targets.tolist(), ranks, is_untied, strict=True):
        if untied:
            assert rank == position[target]


def test_fitting_twice_gives_the_same(fitted) -> None:
    ranker, dataset = fitted
    again = baselines.fit(ranker.name, dataset, params=params_of(ranker.name))
    queries = queries_of(dataset, [HISTORY], [HISTORY])
    for first, second in zip(
        ranker.top(queries.with_k(20)), again.top(queries.with_k(20)), strict=True
    ):
        np.testing.assert_array_equal(first, second)


def test_unknown_items_in_a_history_are_ignored(fitted) -> None:
    ranker, dataset = fitted
    assert isinstance(ranker, ScoringRanker)
    if ranker.name == "oracle":
        pytest.skip("the oracle uses every item of the built-in world")
    unknown = int(dataset.items.find([UNUSED_ITEM])[0])
    assert unknown >= dataset.vocabulary_size
    without_unknown = ranker.scores(queries_of(dataset, [HISTORY], [[]]))
    with_unknown = ranker.scores(
        queries_of(dataset, [[unknown, *HISTORY[:2], unknown, HISTORY[2], unknown]], [[]])
    )
    np.testing.assert_array_equal(without_unknown, with_unknown)


def test_an_empty_history_is_ranked(fitted) -> None:
    ranker, dataset = fitted
    ranked = ranker.top(queries_of(dataset, [[], []], [[], []]).with_k(5))
    assert (ranked.items >= N_SPECIALS).all()
    assert ranker.supports_empty_history


@pytest.mark.parametrize("name", HISTORY_BASED)
def test_an_empty_history_is_ranked_by_popularity(name: str, log_dataset: Dataset) -> None:
    items = (
        baselines.fit(name, log_dataset)
        .top(queries_of(log_dataset, [[]], [[]]).with_k(20))
        .items[0]
    )
    counts = log_dataset.items.training_counts[items]
    assert counts.tolist() == sorted(counts, reverse=True)
    with_history = baselines.fit(name, log_dataset).top(
        queries_of(log_dataset, [[HISTORY[1]]], [[]]).with_k(20)
    )
    assert with_history.items[0].tolist() != items.tolist()


def test_scores_do_not_depend_on_the_other_queries_of_the_batch(fitted) -> None:
    ranker, dataset = fitted
    assert isinstance(ranker, ScoringRanker)
    together = ranker.scores(queries_of(dataset, [HISTORY[:1], [], HISTORY], [[], [], []]))
    alone = ranker.scores(queries_of(dataset, [HISTORY], [[]]))
    # Counts are exact. The rounding of dense matrix products depends on the shape.
    tolerance = {"oracle": 1e-9, "puresvd": 1e-6, "ials": 1e-6}.get(ranker.name, 0)
    np.testing.assert_allclose(together[2], alone[0], rtol=tolerance, atol=tolerance)


def test_name_and_fingerprint_are_set(fitted) -> None:
    ranker, dataset = fitted
    assert ranker.name in baselines.NAMES
    assert ranker.data_fingerprint == dataset.fingerprint
    assert ranker.fit_on_validation is False


def test_fit_on_validation_is_recorded(log_dataset: Dataset) -> None:
    names = set(baselines.NAMES) - {"oracle"}
    assert all(baselines.fit(name, log_dataset, True).fit_on_validation for name in names)


def test_an_unknown_name_is_refused_with_the_nearest_one(log_dataset: Dataset) -> None:
    with pytest.raises(RequestError, match="did you mean 'popularity'"):
        baselines.fit("popularty", log_dataset)


def test_the_oracle_refuses_other_datasets(log_dataset: Dataset) -> None:
    with pytest.raises(DatasetError):
        baselines.fit("oracle", log_dataset)


def test_default_baselines_depend_on_the_dataset(
    log_dataset: Dataset, demo_dataset: Dataset, tmp_path: Path
) -> None:
    assert baselines.defaults_for(log_dataset) == list(baselines.DEFAULTS)
    assert baselines.defaults_for(demo_dataset)[-1] == "oracle"
    no_times = dataset_of(tmp_path, random_log(9, 9, seed=0), SplitConfig(kind="holdout"))
    assert "recent-popularity" not in baselines.defaults_for(no_times)


def test_a_list_ranker_is_a_ranker_without_scores() -> None:
    assert issubclass(ListRanker, Ranker)
    assert not issubclass(ListRanker, ScoringRanker)
