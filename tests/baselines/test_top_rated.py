"""The top-rated baseline against counts by hand and a slow loop."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from segue import baselines
from segue.baselines.top_rated import TopRated, count_ratings
from segue.config import SplitConfig
from segue.dataset import TRAIN_TARGET, Dataset
from segue.dataset.training_events import readable_event_blocks
from segue.errors import DatasetError
from segue.ragged import Ragged
from segue.ranking import Query
from segue.tokens import N_SPECIALS
from small_datasets import dataset_of, random_log

LEAVE_ONE_OUT = SplitConfig(kind="leave-one-out", catalogue="all")

Ratings = dict[str, list[float | None]]


def rated_log(seed: int, low: float = 1) -> tuple[dict[str, list[str]], Ratings]:
    """A random log with ratings on a scale of five values, a tenth of them missing."""
    log = random_log(60, 40, seed)
    rng = np.random.default_rng(seed)
    ratings: Ratings = {
        sequence_id: [None if rng.random() < 0.1 else float(low + rng.integers(5)) for _ in items]
        for sequence_id, items in log.items()
    }
    return log, ratings


def order(dataset: Dataset, fit_on_validation: bool = False) -> list[str]:
    empty = Ragged.from_rows([[]])
    ranker = baselines.fit("top-rated", dataset, fit_on_validation)
    ranked = ranker.top(Query(empty, empty, np.zeros(1, int), k=dataset.n_catalogue))
    return [dataset.items.ids[item - N_SPECIALS] for item in ranked.items[0]]


@pytest.mark.parametrize(("low", "fit_on_validation"), [(1, False), (-3, False), (1, True)])
def test_the_order_agrees_with_a_slow_loop(tmp_path: Path, low: float, fit_on_validation) -> None:
    log, ratings = rated_log(7, low)
    dataset = dataset_of(tmp_path, log, LEAVE_ONE_OUT, ratings=ratings)
    ratings_by_item, counts = defaultdict(list), defaultdict(int)
    for sequence_id, items in log.items():
        n_training = len(items) - (1 if fit_on_validation else 2)
        for item, rating in zip(items[:n_training], ratings[sequence_id][:n_training], strict=True):
            counts[item] += 1
            if rating is not None:
                ratings_by_item[item].append(rating)
    min_count = np.quantile([len(values) for values in ratings_by_item.values()], 0.95)
    head = {
        item: np.mean(values)
        for item, values in ratings_by_item.items()
        if len(values) >= min_count
    }
    assert 1 < len(head) < 6
    item_ids = order(dataset, fit_on_validation)
    assert item_ids[: len(head)] == sorted(head, key=lambda item: -head[item])
    remaining_counts = [counts[item] for item in item_ids[len(head) :]]
    assert remaining_counts == sorted(remaining_counts, reverse=True)


def test_a_log_counted_by_hand(tmp_path: Path) -> None:
    # Among 21 items the .95 quantile is the second largest count: "often" and "liked".
    other_items = [f"o{n}" for n in range(19)]
    log = {"u": ["often"] * 9 + ["liked"] * 5 + other_items + ["often", "often"]}
    ratings: Ratings = {"u": [2.0] * 9 + [4.0] * 5 + [5.0] * 19 + [1.0, 1.0]}
    dataset = dataset_of(tmp_path, log, LEAVE_ONE_OUT, ratings=ratings)
    assert order(dataset)[:2] == ["liked", "often"]


def test_blocks_change_nothing_and_held_out_windows_are_not_counted(
    tmp_path: Path, monkeypatch
) -> None:
    log, ratings = rated_log(3)
    dataset = dataset_of(tmp_path, log, SplitConfig(kind="windows"), ratings=ratings)
    sequences = dataset.sequences
    assert sequences.target_parts is not None
    assert sequences.ratings is not None
    is_training = (sequences.target_parts <= TRAIN_TARGET) & ~np.isnan(sequences.ratings)
    ratings_in_one_block = count_ratings(dataset)
    assert ratings_in_one_block.counts.sum() == np.count_nonzero(is_training)
    assert ratings_in_one_block.sums.sum() == pytest.approx(sequences.ratings[is_training].sum())
    monkeypatch.setattr("segue.ragged.BLOCK_EVENTS", 40)
    assert len(list(readable_event_blocks(dataset))) > 5
    blocks = count_ratings(dataset)
    np.testing.assert_array_equal(blocks.counts, ratings_in_one_block.counts)
    np.testing.assert_allclose(blocks.sums, ratings_in_one_block.sums)


@pytest.mark.parametrize("is_rated", [False, True])
def test_a_log_without_ratings_is_refused(tmp_path: Path, is_rated: bool) -> None:
    log = random_log(9, 9, seed=0)
    # The only rated event is the last one, which is the test target.
    test_ratings: Ratings = {
        sequence_id: [None] * (len(items) - 1) + [5.0] for sequence_id, items in log.items()
    }
    dataset = dataset_of(tmp_path, log, LEAVE_ONE_OUT, ratings=test_ratings if is_rated else None)
    with pytest.raises(DatasetError, match="no training event has one") as caught:
        TopRated.fit(dataset)
    assert "rating column" in caught.value.hint
