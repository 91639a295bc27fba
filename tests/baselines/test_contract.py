"""What every baseline must do, whatever it counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segue import baselines
from segue.axes import N_SPECIALS, PAD, Ragged
from segue.baselines import ListRanker
from segue.config import DemoConfig, PrepareConfig, SourceConfig, SplitConfig
from segue.dataset import Dataset, prepare
from segue.errors import DatasetError, RequestError
from segue.ranking import Queries, Ranker, ScoringRanker
from small_datasets import dataset_of, random_log

NEVER_MET = "never-met"
"""An item that is described, but in no sequence."""

KNOWN = [N_SPECIALS, N_SPECIALS + 5, N_SPECIALS + 2]
"""Some items of the catalogue."""

BY_HISTORY = ("last-item", "co-occurrence", "item-knn", "ease", "same-artist")
"""What has nothing but popularity to go by where there is no history."""


@pytest.fixture(scope="module")
def log_dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    log = random_log(40, 30, seed=1)
    starts = {sequence_id: 40 * i for i, sequence_id in enumerate(log)}
    artists = {f"i{n}": f"artist {n % 7}" for n in range(25)} | {NEVER_MET: ""}
    ratings = {each: [1 + len(item) for item in items] for each, items in log.items()}
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
    return prepare(None, tmp_path_factory.mktemp("demo") / "d", PrepareConfig(source=source))


@pytest.fixture(params=baselines.NAMES)
def fitted(request, log_dataset: Dataset) -> tuple[Ranker, Dataset]:
    if request.param == "oracle":
        demo = request.getfixturevalue("demo_dataset")
        return baselines.fit("oracle", demo), demo
    return baselines.fit(request.param, log_dataset), log_dataset


def ask(dataset: Dataset, histories: list[list[int]], excluded: list[list[int]]) -> Queries:
    return Queries(Ragged.of(histories), Ragged.of(excluded), np.arange(len(histories)))


def test_scores_cover_the_table(fitted) -> None:
    ranker, dataset = fitted
    assert isinstance(ranker, ScoringRanker)
    scores = ranker.scores(ask(dataset, [KNOWN, KNOWN[:1]], [[], []]))
    assert scores.shape == (2, dataset.table_size)
    assert np.isfinite(scores).all()


def test_the_excluded_and_the_special_are_never_recommended(fitted) -> None:
    ranker, dataset = fitted
    items = ranker.top(ask(dataset, [KNOWN], [KNOWN]), dataset.table_size).items[0]
    found = items[items != PAD]
    assert (found >= N_SPECIALS).all()
    assert not np.isin(found, KNOWN).any()
    assert len(np.unique(found)) == len(found) == dataset.n_catalogue - len(KNOWN)


def test_top_agrees_with_ranks(fitted) -> None:
    ranker, dataset = fitted
    queries = ask(dataset, [KNOWN] * dataset.n_catalogue, [[]] * dataset.n_catalogue)
    targets = np.arange(N_SPECIALS, dataset.table_size, dtype=np.int32)
    ranks = ranker.ranks(queries, targets)
    top = ranker.top(queries.slice(0, 1), dataset.n_catalogue)
    place = {item: i + 1 for i, item in enumerate(top.items[0].tolist())}
    scores = dict(zip(top.items[0].tolist(), top.scores[0].tolist(), strict=True))
    alone = [list(scores.values()).count(scores[target]) == 1 for target in targets.tolist()]
    for target, rank, is_alone in zip(targets.tolist(), ranks, alone, strict=True):
        if is_alone:
            assert rank == place[target]


def test_fitting_twice_gives_the_same(fitted) -> None:
    ranker, dataset = fitted
    again = baselines.fit(ranker.name, dataset)
    queries = ask(dataset, [KNOWN], [KNOWN])
    for one, other in zip(ranker.top(queries, 20), again.top(queries, 20), strict=True):
        np.testing.assert_array_equal(one, other)


def test_unknown_items_in_a_history_do_no_harm(fitted) -> None:
    ranker, dataset = fitted
    assert isinstance(ranker, ScoringRanker)
    if ranker.name == "oracle":
        pytest.skip("every item of the built-in world is known to its oracle")
    unknown = int(dataset.items.find([NEVER_MET])[0])
    assert unknown >= dataset.table_size
    plain = ranker.scores(ask(dataset, [KNOWN], [[]]))
    mixed = ranker.scores(ask(dataset, [[unknown, *KNOWN[:2], unknown, KNOWN[2], unknown]], [[]]))
    np.testing.assert_array_equal(plain, mixed)


def test_an_empty_history_still_ranks(fitted) -> None:
    ranker, dataset = fitted
    found = ranker.top(ask(dataset, [[], []], [[], []]), 5)
    assert (found.items >= N_SPECIALS).all()
    assert ranker.begins


@pytest.mark.parametrize("name", BY_HISTORY)
def test_without_a_history_popularity_decides(name: str, log_dataset: Dataset) -> None:
    found = baselines.fit(name, log_dataset).top(ask(log_dataset, [[]], [[]]), 20).items[0]
    counts = log_dataset.items.training_counts[found]
    assert counts.tolist() == sorted(counts, reverse=True)
    with_one = baselines.fit(name, log_dataset).top(ask(log_dataset, [[KNOWN[1]]], [[]]), 20)
    assert with_one.items[0].tolist() != found.tolist()


def test_a_query_does_not_depend_on_its_neighbours(fitted) -> None:
    ranker, dataset = fitted
    assert isinstance(ranker, ScoringRanker)
    together = ranker.scores(ask(dataset, [KNOWN[:1], [], KNOWN], [[], [], []]))
    alone = ranker.scores(ask(dataset, [KNOWN], [[]]))
    # Counts are exact. The oracle multiplies matrices, whose last bits depend on their shape.
    tolerance = 1e-9 if ranker.name == "oracle" else 0
    np.testing.assert_allclose(together[2], alone[0], rtol=tolerance)


def test_names_and_fingerprint_are_told(fitted) -> None:
    ranker, dataset = fitted
    assert ranker.name in baselines.NAMES
    assert ranker.data_fingerprint == dataset.fingerprint
    assert ranker.refit is False


def test_refit_is_remembered(log_dataset: Dataset) -> None:
    names = set(baselines.NAMES) - {"oracle"}
    assert all(baselines.fit(name, log_dataset, True).refit for name in names)


def test_an_unknown_name_is_answered_with_the_nearest(log_dataset: Dataset) -> None:
    with pytest.raises(RequestError, match="did you mean 'popularity'"):
        baselines.fit("popularty", log_dataset)


def test_the_oracle_knows_the_built_in_world_only(log_dataset: Dataset) -> None:
    with pytest.raises(DatasetError):
        baselines.fit("oracle", log_dataset)


def test_defaults_are_what_the_dataset_allows(
    log_dataset: Dataset, demo_dataset: Dataset, tmp_path: Path
) -> None:
    assert baselines.defaults_for(log_dataset) == list(baselines.DEFAULTS)
    assert baselines.defaults_for(demo_dataset)[-1] == "oracle"
    no_times = dataset_of(tmp_path, random_log(9, 9, seed=0), SplitConfig(kind="holdout"))
    assert "recent-popularity" not in baselines.defaults_for(no_times)


def test_a_list_is_a_ranker_but_no_baseline_to_fit() -> None:
    assert issubclass(ListRanker, Ranker)
    assert not issubclass(ListRanker, ScoringRanker)
