"""What popularity and co-occurrence count, on logs small enough to count by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segue import baselines
from segue.axes import N_SPECIALS, Ragged
from segue.baselines import cooccurrence, popularity
from segue.baselines.cooccurrence import BACKOFF, HISTORY, SHRINKAGE, WINDOW, count_pairs
from segue.baselines.events import count_items, fitting_events
from segue.config import SplitConfig
from segue.dataset import TEST_TARGET, TRAIN_TARGET, VALID_TARGET, Dataset, sequences
from segue.errors import DatasetError
from segue.ranking import Queries, ScoringRanker
from small_datasets import dataset_of, random_log

LEAVE_ONE_OUT = SplitConfig(kind="leave-one-out", catalogue="all")

LOG = {
    "u1": ["a", "b", "c", "b", "v1", "t1"],
    "u2": ["b", "a", "v2", "t2"],
    "short": ["c", "b"],
}


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    starts = {"u1": 0, "u2": 1000, "short": 2000}
    return dataset_of(tmp_path_factory.mktemp("hand"), LOG, LEAVE_ONE_OUT, starts=starts)


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return dataset_of(tmp_path_factory.mktemp("l"), random_log(50, 25, seed=2), LEAVE_ONE_OUT)


def index(dataset: Dataset, item_id: str) -> int:
    return int(dataset.items.find([item_id])[0])


def scores(ranker, dataset: Dataset, history: list[str]) -> dict[str, float]:
    """Scores by item id of one history."""
    assert isinstance(ranker, ScoringRanker)
    rows = [dataset.items.find(history)]
    found = ranker.scores(Queries(Ragged.of(rows), Ragged.of([[]]), np.zeros(1, np.int64)))[0]
    ids = dataset.items.ids[: dataset.n_catalogue]
    return dict(zip(ids, found[N_SPECIALS:].tolist(), strict=True))


def test_popularity_counts_training_events_and_no_other(by_hand: Dataset) -> None:
    found = scores(baselines.fit("popularity", by_hand), by_hand, ["a"])
    assert found == {"b": 4, "a": 2, "c": 2, "v1": 0, "t1": 0, "v2": 0, "t2": 0}


def test_refitting_adds_the_validation_events(by_hand: Dataset) -> None:
    found = scores(baselines.fit("popularity", by_hand, refit=True), by_hand, [])
    assert (found["v1"], found["v2"], found["t1"], found["b"]) == (1, 1, 0, 4)


def test_counts_agree_with_the_dataset(larger: Dataset) -> None:
    expected = larger.items.training_counts[: larger.table_size]
    np.testing.assert_array_equal(count_items(larger), expected)


def test_blocks_of_events_change_nothing(larger: Dataset, monkeypatch) -> None:
    whole = list(fitting_events(larger))
    blocks = list(fitting_events(larger, block_events=40))
    assert len(whole) == 1
    assert len(blocks) > 5
    for name in ("rows", "items", "learnable"):
        joined = np.concatenate([getattr(block, name) for block in blocks])
        np.testing.assert_array_equal(joined, getattr(whole[0], name))
    pairs = count_pairs(larger, 5).weights.toarray()
    monkeypatch.setattr(sequences, "BLOCK_EVENTS", 40)
    assert len(list(fitting_events(larger))) > 5
    np.testing.assert_allclose(count_pairs(larger, 5).weights.toarray(), pairs, rtol=1e-6)


def test_items_outside_the_catalogue_are_not_counted(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path, LOG, SplitConfig(kind="leave-one-out"))
    assert dataset.n_catalogue == 3
    counted = next(fitting_events(dataset, refit=True))
    assert (counted.items < dataset.table_size).all()


def test_recent_popularity_counts_the_latest_tenth(tmp_path: Path) -> None:
    # 100 training events: u0 .. u8 met "old" early on, u9 meets "new" at the end.
    log = {f"u{i}": ["old"] * 10 + ["x", "y"] for i in range(9)} | {"u9": ["new"] * 10 + ["x", "y"]}
    starts = {f"u{i}": 100 * i for i in range(10)}
    dataset = dataset_of(tmp_path, log, LEAVE_ONE_OUT, starts=starts)
    found = scores(baselines.fit("recent-popularity", dataset), dataset, [])
    assert found["new"] == pytest.approx(10 + 10 / 91)
    assert found["old"] == pytest.approx(90 / 91)
    assert found["x"] == 0


def test_recent_popularity_needs_times(larger: Dataset) -> None:
    with pytest.raises(DatasetError, match="needs times"):
        baselines.fit("recent-popularity", larger)


def test_the_quantile_of_a_long_log_is_sampled(by_hand: Dataset, monkeypatch) -> None:
    monkeypatch.setattr(popularity, "_SAMPLED_TIMES", 4)
    assert scores(baselines.fit("recent-popularity", by_hand), by_hand, [])["b"] > 0


def test_last_item_is_the_chance_of_the_direct_successor(by_hand: Dataset) -> None:
    # b is followed by c, by nothing, by a and by nothing, of 4 times that it was met.
    found = scores(baselines.fit("last-item", by_hand), by_hand, ["a", "b"])
    assert found["c"] == pytest.approx(1 / 4, abs=2 * BACKOFF)
    assert found["a"] == pytest.approx(1 / 4, abs=2 * BACKOFF)
    assert found["b"] == pytest.approx(BACKOFF * 4 / 5)


def test_what_no_pair_tells_apart_popularity_does(by_hand: Dataset) -> None:
    found = scores(baselines.fit("last-item", by_hand), by_hand, ["t1"])
    assert found["b"] > found["a"] == found["c"] > found["t1"]


def slow_pairs(dataset: Dataset, window: int) -> np.ndarray:
    size = dataset.table_size
    total = np.zeros((size, size))
    for row in range(len(dataset.sequences)):
        items = dataset.sequences.row(row)[: dataset.sequences.train_end[row]]
        for i, before in enumerate(items):
            for distance, after in enumerate(items[i + 1 : i + 1 + window], start=1):
                total[before, after] += 1 / distance
    return total


@pytest.mark.parametrize("window", [1, 5])
def test_pairs_agree_with_the_slow_reference(larger: Dataset, window: int) -> None:
    expected = slow_pairs(larger, window)
    np.testing.assert_allclose(count_pairs(larger, window).weights.toarray(), expected, rtol=1e-5)


def test_co_occurrence_agrees_with_the_slow_reference(larger: Dataset) -> None:
    ranker = baselines.fit("co-occurrence", larger)
    history = [f"i{n}" for n in (3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9)]
    counts = count_items(larger)
    pairs = slow_pairs(larger, WINDOW)
    expected = BACKOFF * counts / (counts.max() + 1)
    for age, item in enumerate(reversed(history[-HISTORY:]), start=1):
        source = index(larger, item)
        expected += pairs[source] / (counts[source] + SHRINKAGE) / age
    found = list(scores(ranker, larger, history).values())
    np.testing.assert_allclose(found, expected[N_SPECIALS:], rtol=1e-4)


@pytest.mark.parametrize("window", [1, 5])
@pytest.mark.parametrize("dropped", [1, 40, 200])
def test_too_many_pairs_are_cut_to_the_heaviest(larger: Dataset, window: int, dropped: int) -> None:
    every = count_pairs(larger, window).weights.toarray()
    kept = int(np.count_nonzero(every)) - dropped
    cut = count_pairs(larger, window, max_pairs=kept).weights.toarray()
    # The slow reference: a stable sort, so that of pairs that tie the first in the table stay.
    expected = np.zeros_like(every).ravel()
    heaviest = np.argsort(-every.ravel(), kind="stable")[:kept]
    expected[heaviest] = every.ravel()[heaviest]
    np.testing.assert_array_equal(cut, expected.reshape(every.shape))


@pytest.mark.parametrize("name", ["last-item", "co-occurrence"])
def test_dropped_pairs_are_noted(larger: Dataset, monkeypatch, name: str) -> None:
    assert baselines.fit(name, larger).notes == ()
    monkeypatch.setattr(cooccurrence, "MAX_PAIRS", 50)
    notes = baselines.fit(name, larger).notes
    assert notes == ("of the pairs met, only the 50 heaviest were kept",)


def test_held_out_windows_are_context_but_never_learnt(tmp_path: Path) -> None:
    split = SplitConfig(kind="windows", validation_share=0.2)
    dataset = dataset_of(tmp_path, random_log(30, 20, seed=4), split)
    parts = dataset.sequences.target_parts
    assert parts is not None
    learnable = parts <= TRAIN_TARGET
    assert 0 < np.count_nonzero(parts == VALID_TARGET) < np.count_nonzero(learnable)
    assert count_items(dataset).sum() == np.count_nonzero(learnable)
    assert count_items(dataset, refit=True).sum() == np.count_nonzero(parts != TEST_TARGET)
    pairs = count_pairs(dataset, 1).weights
    followers = 0
    for row in range(len(dataset.sequences)):
        begin, end = dataset.sequences.offsets[row : row + 2]
        followers += np.count_nonzero(learnable[begin + 1 : end])
    assert pairs.sum() == followers


def test_popularity_weighs_less_than_one_pair_at_the_end_of_the_window() -> None:
    # ... of an item that was met 100,000 times.
    assert BACKOFF < 1 / WINDOW / 100_000
