"""Popularity and co-occurrence: counts on small logs against counts by hand and slow loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segue import baselines
from segue.baselines import cooccurrence, popularity
from segue.baselines.cooccurrence import CoOccurrenceParameters, count_pairs
from segue.config import SplitConfig
from segue.dataset import TEST_TARGET, TRAIN_TARGET, VALID_TARGET, Dataset
from segue.dataset.training_events import count_training_events, readable_event_blocks
from segue.errors import DatasetError
from segue.ragged import Ragged
from segue.ranking import Query, ScoringRanker
from segue.tokens import N_SPECIALS
from small_datasets import dataset_of, random_log

DEFAULTS = CoOccurrenceParameters()
LEAVE_ONE_OUT = SplitConfig(kind="leave-one-out", catalogue="all")

LOG = {
    "u1": ["a", "b", "c", "b", "v1", "t1"],
    "u2": ["b", "a", "v2", "t2"],
    "short": ["c", "b"],
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    starts = {"u1": 0, "u2": 1000, "short": 2000}
    return dataset_of(tmp_path_factory.mktemp("hand"), LOG, LEAVE_ONE_OUT, starts=starts)


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return dataset_of(tmp_path_factory.mktemp("l"), random_log(50, 25, seed=2), LEAVE_ONE_OUT)


def index(dataset: Dataset, item_id: str) -> int:
    return int(dataset.items.find([item_id])[0])


def scores(ranker, dataset: Dataset, history: list[str]) -> dict[str, float]:
    """Scores for one history, by item id."""
    assert isinstance(ranker, ScoringRanker)
    rows = [dataset.items.find(history)]
    item_scores = ranker.scores(
        Query(Ragged.from_rows(rows), Ragged.from_rows([[]]), np.zeros(1, np.int64))
    )[0]
    ids = dataset.items.ids[: dataset.n_catalogue]
    return dict(zip(ids, item_scores[N_SPECIALS:].tolist(), strict=True))


def test_popularity_counts_training_events_only(small: Dataset) -> None:
    item_scores = scores(baselines.fit("popularity", small), small, ["a"])
    assert item_scores == {"b": 4, "a": 2, "c": 2, "v1": 0, "t1": 0, "v2": 0, "t2": 0}


def test_fitting_on_validation_adds_the_validation_events(small: Dataset) -> None:
    item_scores = scores(baselines.fit("popularity", small, fit_on_validation=True), small, [])
    assert [item_scores[item] for item in ("v1", "v2", "t1", "b")] == [1, 1, 0, 4]


def test_counts_agree_with_the_dataset(larger: Dataset) -> None:
    expected = larger.items.training_counts[: larger.vocabulary_size]
    np.testing.assert_array_equal(count_training_events(larger), expected)


def test_blocks_of_events_change_nothing(larger: Dataset, monkeypatch) -> None:
    in_one_block = list(readable_event_blocks(larger))
    blocks = list(readable_event_blocks(larger, block_events=40))
    assert len(in_one_block) == 1
    assert len(blocks) > 5
    for name in ("rows", "items", "is_training"):
        joined = np.concatenate([getattr(block, name) for block in blocks])
        np.testing.assert_array_equal(joined, getattr(in_one_block[0], name))
    pairs = count_pairs(larger, 5).weights.toarray()
    monkeypatch.setattr("segue.ragged.BLOCK_EVENTS", 40)
    assert len(list(readable_event_blocks(larger))) > 5
    np.testing.assert_allclose(count_pairs(larger, 5).weights.toarray(), pairs, rtol=1e-6)


def test_items_outside_the_catalogue_are_not_counted(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path, LOG, SplitConfig(kind="leave-one-out"))
    assert dataset.n_catalogue == 3
    events = next(readable_event_blocks(dataset, fit_on_validation=True))
    assert (events.items < dataset.vocabulary_size).all()


def test_recent_popularity_counts_the_latest_tenth(tmp_path: Path) -> None:
    # 100 training events: "old" in the early sequences u0 .. u8, "new" in the last one, u9.
    log = {f"u{i}": ["old"] * 10 + ["x", "y"] for i in range(9)} | {"u9": ["new"] * 10 + ["x", "y"]}
    starts = {f"u{i}": 100 * i for i in range(10)}
    dataset = dataset_of(tmp_path, log, LEAVE_ONE_OUT, starts=starts)
    item_scores = scores(baselines.fit("recent-popularity", dataset), dataset, [])
    assert item_scores["new"] == pytest.approx(10)
    assert 1e-30 > item_scores["old"] > item_scores["x"] == 0


def test_recent_popularity_needs_times(larger: Dataset) -> None:
    with pytest.raises(DatasetError, match="needs times"):
        baselines.fit("recent-popularity", larger)


def test_the_quantile_of_a_long_log_is_estimated_from_a_sample(small: Dataset, monkeypatch) -> None:
    monkeypatch.setattr(popularity, "_SAMPLED_TIMES", 4)
    assert scores(baselines.fit("recent-popularity", small), small, [])["b"] > 0


def test_last_item_scores_are_the_probabilities_of_direct_successors(small: Dataset) -> None:
    # Of the 4 occurrences of b, one is followed by c, one by a and two by nothing.
    item_scores = scores(baselines.fit("last-item", small), small, ["a", "b"])
    assert item_scores["c"] == pytest.approx(1 / 4)
    assert item_scores["a"] == pytest.approx(1 / 4)
    assert 1e-30 > item_scores["b"] > item_scores["v1"]


def test_without_a_pair_popularity_orders_the_items(small: Dataset) -> None:
    item_scores = scores(baselines.fit("last-item", small), small, ["t1"])
    assert item_scores["b"] > item_scores["a"] == item_scores["c"] > item_scores["t1"]


def slow_pairs(dataset: Dataset, window: int) -> np.ndarray:
    size = dataset.vocabulary_size
    total = np.zeros((size, size))
    for row in range(len(dataset.sequences)):
        items = dataset.sequences.row(row)[: dataset.sequences.train_end[row]]
        for i, before in enumerate(items):
            for distance, after in enumerate(items[i + 1 : i + 1 + window], start=1):
                total[before, after] += 1 / distance
    return total


@pytest.mark.parametrize("window", [1, 5])
def test_pair_weights_agree_with_a_slow_loop(larger: Dataset, window: int) -> None:
    expected = {1: 1, 5: 60}[window] * slow_pairs(larger, window)
    np.testing.assert_allclose(count_pairs(larger, window).weights.toarray(), expected, rtol=1e-5)


def test_co_occurrence_scores_agree_with_a_slow_loop(larger: Dataset) -> None:
    ranker = baselines.fit("co-occurrence", larger)
    history = [f"i{n}" for n in (3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9)]
    counts = count_training_events(larger)
    pairs = slow_pairs(larger, DEFAULTS.window)
    expected = np.zeros(larger.vocabulary_size)
    for age, item in enumerate(reversed(history[-10:]), start=1):
        source = index(larger, item)
        expected += pairs[source] / (counts[source] + DEFAULTS.shrinkage) / age
    item_scores = list(scores(ranker, larger, history).values())
    np.testing.assert_allclose(item_scores, expected[N_SPECIALS:], rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize("window", [1, 5])
@pytest.mark.parametrize("dropped", [1, 40, 200])
def test_above_the_limit_the_largest_pairs_are_kept(
    larger: Dataset, window: int, dropped: int
) -> None:
    weights = count_pairs(larger, window).weights.toarray()
    max_pairs = int(np.count_nonzero(weights)) - dropped
    largest = count_pairs(larger, window, max_pairs=max_pairs).weights.toarray()
    # A stable sort, so that of tied pairs the first by row and column are kept.
    expected = np.zeros_like(weights).ravel()
    order = np.argsort(-weights.ravel(), kind="stable")[:max_pairs]
    expected[order] = weights.ravel()[order]
    np.testing.assert_array_equal(largest, expected.reshape(weights.shape))


@pytest.mark.parametrize("name", ["last-item", "co-occurrence"])
def test_dropped_pairs_are_noted(larger: Dataset, monkeypatch, name: str) -> None:
    assert baselines.fit(name, larger).notes == ()
    monkeypatch.setattr(cooccurrence, "MAX_PAIRS", 50)
    notes = baselines.fit(name, larger).notes
    assert notes == ("only the 50 item pairs with the most weight were kept",)


def test_held_out_windows_are_context_but_not_training_targets(tmp_path: Path) -> None:
    split = SplitConfig(kind="windows", validation_share=0.2)
    dataset = dataset_of(tmp_path, random_log(30, 20, seed=4), split)
    parts = dataset.sequences.target_parts
    assert parts is not None
    is_training = parts <= TRAIN_TARGET
    assert 0 < np.count_nonzero(parts == VALID_TARGET) < np.count_nonzero(is_training)
    assert count_training_events(dataset).sum() == np.count_nonzero(is_training)
    assert count_training_events(dataset, fit_on_validation=True).sum() == np.count_nonzero(
        parts != TEST_TARGET
    )
    pairs = count_pairs(dataset, 1).weights
    followers = 0
    for row in range(len(dataset.sequences)):
        begin, end = dataset.sequences.offsets[row : row + 2]
        followers += np.count_nonzero(is_training[begin + 1 : end])
    assert pairs.sum() == followers
