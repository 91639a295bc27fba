"""The highest mean rating among the most rated, counted by hand and slowly."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

import segue.dataset.sequences
from segue import baselines
from segue.axes import N_SPECIALS, Ragged
from segue.baselines.events import fitting_events
from segue.baselines.top_rated import TopRated, count_ratings
from segue.config import SplitConfig
from segue.dataset import TRAIN_TARGET, Dataset
from segue.errors import DatasetError
from segue.ranking import Queries
from small_datasets import dataset_of, random_log

LEAVE_ONE_OUT = SplitConfig(kind="leave-one-out", catalogue="all")

Ratings = dict[str, list[float | None]]


def rated_log(seed: int, low: float = 1) -> tuple[dict[str, list[str]], Ratings]:
    """A random log with ratings of five steps, a tenth of them missing."""
    log = random_log(60, 40, seed)
    rng = np.random.default_rng(seed)
    ratings: Ratings = {
        each: [None if rng.random() < 0.1 else float(low + rng.integers(5)) for _ in items]
        for each, items in log.items()
    }
    return log, ratings


def order(dataset: Dataset, refit: bool = False) -> list[str]:
    nothing = Ragged.of([[]])
    ranker = baselines.fit("top-rated", dataset, refit)
    found = ranker.top(Queries(nothing, nothing, np.zeros(1, int)), dataset.n_catalogue)
    return [dataset.items.ids[item - N_SPECIALS] for item in found.items[0]]


@pytest.mark.parametrize(("low", "refit"), [(1, False), (-3, False), (1, True)])
def test_the_order_agrees_with_the_slow_reference(tmp_path: Path, low: float, refit) -> None:
    log, ratings = rated_log(7, low)
    dataset = dataset_of(tmp_path, log, LEAVE_ONE_OUT, ratings=ratings)
    given, met = defaultdict(list), defaultdict(int)
    for each, items in log.items():
        fitted = len(items) - (1 if refit else 2)
        for item, rating in zip(items[:fitted], ratings[each][:fitted], strict=True):
            met[item] += 1
            if rating is not None:
                given[item].append(rating)
    least = np.quantile([len(values) for values in given.values()], 0.95)
    head = {item: np.mean(values) for item, values in given.items() if len(values) >= least}
    assert 1 < len(head) < 6
    found = order(dataset, refit)
    assert found[: len(head)] == sorted(head, key=lambda item: -head[item])
    rest = [met[item] for item in found[len(head) :]]
    assert rest == sorted(rest, reverse=True)


def test_by_hand(tmp_path: Path) -> None:
    # Among 21 items the .95 quantile is the second largest count: "often" and "liked".
    others = [f"o{n}" for n in range(19)]
    log = {"u": ["often"] * 9 + ["liked"] * 5 + others + ["often", "often"]}
    ratings: Ratings = {"u": [2.0] * 9 + [4.0] * 5 + [5.0] * 19 + [1.0, 1.0]}
    dataset = dataset_of(tmp_path, log, LEAVE_ONE_OUT, ratings=ratings)
    assert order(dataset)[:2] == ["liked", "often"]


def test_blocks_change_nothing_and_held_out_windows_are_not_read(
    tmp_path: Path, monkeypatch
) -> None:
    log, ratings = rated_log(3)
    dataset = dataset_of(tmp_path, log, SplitConfig(kind="windows"), ratings=ratings)
    sequences = dataset.sequences
    assert sequences.target_parts is not None
    assert sequences.ratings is not None
    learnt = (sequences.target_parts <= TRAIN_TARGET) & ~np.isnan(sequences.ratings)
    whole = count_ratings(dataset)
    assert whole.counts.sum() == np.count_nonzero(learnt)
    assert whole.sums.sum() == pytest.approx(sequences.ratings[learnt].sum())
    monkeypatch.setattr(segue.dataset.sequences, "BLOCK_EVENTS", 40)
    assert len(list(fitting_events(dataset))) > 5
    blocks = count_ratings(dataset)
    np.testing.assert_array_equal(blocks.counts, whole.counts)
    np.testing.assert_allclose(blocks.sums, whole.sums)


@pytest.mark.parametrize("is_rated", [False, True])
def test_a_log_without_ratings_is_refused(tmp_path: Path, is_rated: bool) -> None:
    log = random_log(9, 9, seed=0)
    # Rated at the last event alone, which is the test.
    last: Ratings = {each: [None] * (len(items) - 1) + [5.0] for each, items in log.items()}
    dataset = dataset_of(tmp_path, log, LEAVE_ONE_OUT, ratings=last if is_rated else None)
    with pytest.raises(DatasetError, match="no training event has one") as caught:
        TopRated.fit(dataset)
    assert "rating column" in caught.value.hint
