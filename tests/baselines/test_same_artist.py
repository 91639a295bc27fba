"""The same-artist baseline against counts by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segue import baselines
from segue.config import SplitConfig
from segue.dataset import Dataset
from segue.errors import DatasetError
from segue.ragged import Ragged
from segue.ranking import Query
from small_datasets import dataset_of, random_log

ARTISTS = {"a1": "A", "a2": "A", "a3": "A", "b1": "B", "b2": "B", "c1": "C", "a-new": "A"}
LOG = {
    "u1": ["a1", "a2", "b1", "x", "a-new", "c1"],
    "u2": ["a1", "b1", "b2", "x", "b1", "c1"],
    "u3": ["a1", "a3", "x", "c1", "b1", "c1"],
}
"""Training counts: a1 3, x 3, b1 2, and a2, a3, b2, c1 1 each; a-new occurs in validation only."""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    split = SplitConfig(kind="leave-one-out")
    return dataset_of(tmp_path_factory.mktemp("log"), LOG, split, artists=ARTISTS)


def best(dataset: Dataset, history: list[str], k: int = 7) -> list[str]:
    ranker = baselines.fit("same-artist", dataset)
    histories = Ragged.from_rows([dataset.items.find(history)])
    items = ranker.top(Query(histories, histories, np.zeros(1, np.int64), k=k)).items[0]
    return [dataset.items.ids[item - 4] for item in items if item]


def test_items_of_the_artist_with_most_events_rank_first(dataset: Dataset) -> None:
    # Two events of B, one of A. Items of one artist, and all others, are in order of popularity.
    assert best(dataset, ["b1", "a2", "b1"])[:4] == ["b2", "a1", "a3", "x"]
    assert best(dataset, ["a3", "a2", "b2"])[:4] == ["a1", "b1", "x", "c1"]


def test_items_outside_the_catalogue_count_for_their_artist(dataset: Dataset) -> None:
    (index,) = dataset.items.find(["a-new"])
    assert index >= dataset.vocabulary_size
    assert best(dataset, ["a-new"])[0] == "a1"
    assert sorted(best(dataset, ["a-new"])[1:3]) == ["a2", "a3"]


@pytest.mark.parametrize("history", [[], ["x"], ["x", "c1"]])
def test_a_history_without_other_items_of_its_artists_gives_popularity(
    dataset: Dataset, history
) -> None:
    popular = [item for item in ("a1", "x", "b1") if item not in history]
    assert best(dataset, history)[: len(popular)] in (popular, sorted(popular, reverse=True))


def test_scores_are_artist_counts_then_popularity(dataset: Dataset) -> None:
    ranker = baselines.fit("same-artist", dataset)
    history = ["a1", "a1", "b2", "x"]
    queries = Query(
        Ragged.from_rows([dataset.items.find(history)]), Ragged.from_rows([[]]), np.zeros(1, int)
    )
    scores = ranker.scores(queries)[0]
    counts = dataset.items.training_counts
    artist_counts = {"A": 2, "B": 1}
    keys = [
        (artist_counts.get(ARTISTS.get(dataset.items.ids[index - 4], ""), 0), counts[index])
        for index in range(4, dataset.vocabulary_size)
    ]
    assert scores[4:].tolist() == pytest.approx([count for count, _ in keys])
    ranks = [sorted(set(keys)).index(key) for key in keys]
    np.testing.assert_array_equal(np.unique(scores[4:], return_inverse=True)[1], ranks)


def test_popularity_orders_items_after_large_counts(dataset: Dataset) -> None:
    ranker = baselines.fit("same-artist", dataset)
    a1, a2 = dataset.items.find(["a1", "a2"])
    history = np.full(1_000_000, a2, np.int32)
    scores = ranker.scores(
        Query(Ragged.from_rows([history]), Ragged.from_rows([[]]), np.zeros(1, int))
    )[0]
    assert scores[a1] > scores[a2] > 1_000_000


@pytest.mark.parametrize("artists", [None, {"i1": ""}])
def test_items_without_artists_are_refused(tmp_path: Path, artists) -> None:
    log = random_log(9, 9, seed=0)
    dataset = dataset_of(tmp_path, log, SplitConfig(kind="holdout"), artists=artists)
    with pytest.raises(DatasetError, match="no item of the dataset has one") as caught:
        baselines.fit("same-artist", dataset)
    assert "items file" in caught.value.hint
