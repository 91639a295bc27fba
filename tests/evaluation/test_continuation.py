"""Continuation against a slow reference, and what is given and wanted in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segue import baselines
from segue.axes import N_SPECIALS, Ragged
from segue.baselines import ListRanker
from segue.config import EvaluationConfig, SplitConfig
from segue.dataset import Dataset
from segue.errors import DatasetError, RequestError
from segue.evaluation import evaluate
from segue.evaluation.continuation import Given
from segue.metrics import HitPlaces, continuation_metrics
from segue.ranking import Queries, Ranked, Ranker
from small_datasets import ArbitraryRanker, dataset_of, random_log

HOLDOUT = SplitConfig(kind="holdout", seed=2, test_share=0.4)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    log = random_log(40, 60, seed=8)
    artists = {f"i{n}": f"artist {n // 4}" for n in range(50)}  # the last ten have none
    return dataset_of(tmp_path_factory.mktemp("log"), log, HOLDOUT, artists=artists)


def options(**values) -> EvaluationConfig:
    defaults = {"task": "continuation", "given": (1, 5), "given_random": (3,), "resamples": 0}
    return EvaluationConfig(**defaults | values)


def held_out(data: Dataset) -> list[int]:
    """Rows of the test part, by the cuts: no event of them is before the part."""
    return np.flatnonzero((data.sequences.valid_end == 0) & (data.sequences.lengths > 1)).tolist()


def slow_hits(data: Dataset, items: list[int], wanted: set[int]) -> tuple[list[bool], list[bool]]:
    """Mark a list place by place."""
    artists = [None] * N_SPECIALS + data.items.table.column("artist").to_pylist()
    wanted_artists = {artists[item] for item in wanted} - {None}
    credited: set[str] = set()
    tracks, by_artist = [], []
    for item in items:
        tracks.append(item in wanted)
        artist = artists[item]
        fresh = item not in wanted and artist in wanted_artists and artist not in credited
        by_artist.append(fresh)
        if fresh and artist is not None:
            credited.add(artist)
    return tracks, by_artist


@pytest.mark.parametrize("way", [Given(0, False), Given(1, False), Given(5, False), Given(3, True)])
def test_metrics_agree_with_the_slow_reference(dataset: Dataset, way: Given) -> None:
    ranker = ArbitraryRanker(dataset, levels=1000)
    length = 25
    config = options(given=(0, 1, 5), list_length=length)
    found = evaluate(ranker, dataset, config=config).results
    result = next(each for each in found if each.given == way.label)
    values, rows = [], []
    for row in held_out(dataset):
        events = dataset.sequences.row(row)
        if len(events) <= way.m:
            continue
        mask = way.mask(len(events), row, seed=0)
        given = events[mask]
        wanted = set(events[~mask].tolist()) - set(given.tolist())
        if not wanted:
            continue
        query = Queries(Ragged.of([given]), Ragged.of([given]), np.array([row]))
        tracks, artists = slow_hits(dataset, ranker.top(query, length).items[0].tolist(), wanted)
        places = HitPlaces(np.array([tracks]), np.array([artists]), np.array([len(wanted)]))
        values.append({name: value[0] for name, value in continuation_metrics(places).items()})
        rows.append(row)
    assert result.scores.rows.tolist() == rows
    assert result.n == result.n_sequences == len(rows)
    assert list(result.metrics) == list(values[0])
    for name, estimate in result.metrics.items():
        assert estimate.mean == pytest.approx(np.mean([value[name] for value in values]))
        assert estimate.ci95 is None


@pytest.mark.parametrize("block_size", [1, 7, 64])
def test_results_do_not_depend_on_the_block_size(dataset: Dataset, block_size: int) -> None:
    rankers = [ArbitraryRanker(dataset), baselines.fit("co-occurrence", dataset)]
    whole = evaluate(rankers, dataset, config=options(resamples=20))
    blocked = evaluate(rankers, dataset, config=options(resamples=20), block_size=block_size)
    assert blocked.to_json() == whole.to_json()


class Clairvoyant(Ranker):
    """Lists what it was told first; remembers what it was given."""

    name = "clairvoyant"

    def __init__(self, data: Dataset) -> None:
        self._data = data
        self.queries: list[Queries] = []

    def ranks(self, queries: Queries, targets: np.ndarray) -> np.ndarray:
        return np.ones(len(queries), np.int64)

    def top(self, queries: Queries, k: int) -> Ranked:
        self.queries.append(queries)
        items = np.zeros((len(queries), k), np.int32)
        for i, row in enumerate(queries.rows.tolist()):
            events = np.unique(self._data.sequences.row(row))
            known = events[events < self._data.table_size]
            best = np.setdiff1d(known, queries.excluded.row(i))[:k]
            items[i, : len(best)] = best
        return Ranked(items, np.zeros(items.shape, np.float32))


def test_a_perfect_list_reaches_the_ceiling(dataset: Dataset) -> None:
    for result in evaluate(Clairvoyant(dataset), dataset, config=options()).results:
        assert result.metrics["r_precision"].mean == pytest.approx(result.tally.ceiling)
        assert 0 < result.tally.ceiling <= 1


def test_what_is_given_is_excluded_and_in_order(dataset: Dataset) -> None:
    ranker = Clairvoyant(dataset)
    evaluate(ranker, dataset, config=options(given=(), given_random=(3,)))
    for queries in ranker.queries:
        for i, row in enumerate(queries.rows.tolist()):
            given = queries.histories.row(i).tolist()
            assert len(given) == 3
            assert queries.excluded.row(i).tolist() == given
            events = iter(dataset.sequences.row(row).tolist())
            assert all(item in events for item in given)


def test_random_positions_are_seeded_by_sequence_and_not_by_order() -> None:
    way = Given(5, True)
    masks = [way.mask(40, row, seed=1) for row in range(20)]
    assert all(mask.sum() == 5 for mask in masks)
    assert len({mask.tobytes() for mask in masks}) > 15
    np.testing.assert_array_equal(way.mask(40, 3, seed=1), masks[3])
    assert (way.mask(40, 3, seed=2) != masks[3]).any()


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Held-out sequences are all alike, whichever are drawn."""
    log = {f"u{i}": ["a", "b", "c", "d", "e"] for i in range(4)}
    return dataset_of(tmp_path_factory.mktemp("hand"), log, HOLDOUT)


def test_repeats_and_unknown_items_are_counted(tmp_path: Path) -> None:
    # Each sequence has an item of its own, which no training sequence holds.
    log = {f"u{i}": ["a", "b", "a", "c", "c", f"new{i}"] for i in range(5)}
    dataset = dataset_of(tmp_path, log, HOLDOUT)
    config = options(given=(2,), given_random=())
    (found,) = evaluate(baselines.fit("popularity", dataset), dataset, config=config).results
    # Two are held out. Rest: a c c new; a was given, c repeats. Targets: c and the new one.
    assert found.n == 2
    assert found.tally == (2, 4, 0.5)
    assert found.metrics["r_precision"].mean == 0.5
    config = options(given=(2,), given_random=(), unknown_targets="drop")
    (found,) = evaluate(baselines.fit("popularity", dataset), dataset, config=config).results
    assert found.tally == (2, 4, 1.0)
    assert found.metrics["r_precision"].mean == 1.0


def test_a_sequence_counts_for_each_m_that_it_is_longer_than(dataset: Dataset) -> None:
    config = options(given=(1, 10, 20, 1000), given_random=())
    results = evaluate(ArbitraryRanker(dataset), dataset, config=config).results
    lengths = dataset.sequences.lengths[held_out(dataset)]
    assert [each.given for each in results] == ["first-1", "first-10", "first-20"]
    for each, m in zip(results, (1, 10, 20), strict=True):
        assert each.n <= np.count_nonzero(lengths > m)
        assert each.n >= np.count_nonzero(lengths > m) - 1


def test_with_nothing_given_there_is_no_history(dataset: Dataset) -> None:
    ranker = Clairvoyant(dataset)
    config = options(given=(0,), given_random=())
    (found,) = evaluate(ranker, dataset, config=config).results
    assert found.given == "first-0"
    assert found.n == len(held_out(dataset))
    for queries in ranker.queries:
        assert not len(queries.histories.values)
        assert not len(queries.excluded.values)
    assert found.metrics["r_precision"].mean == pytest.approx(found.tally.ceiling)


def test_a_sequence_of_one_event_can_begin_from_nothing(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path, {f"u{i}": ["a"] for i in range(4)} | {"v": ["a", "b"]}, HOLDOUT)
    single = np.count_nonzero((dataset.sequences.valid_end == 0) & (dataset.sequences.lengths == 1))
    assert single
    config = options(given=(0, 1), given_random=())
    results = evaluate(ArbitraryRanker(dataset), dataset, config=config).results
    asked = {found.given: found.n for found in results}
    assert asked["first-0"] == single + asked.get("first-1", 0)


class Stuck(ArbitraryRanker):
    """Cannot begin."""

    begins = False


def test_nothing_is_given_too_where_every_ranker_can_begin(dataset: Dataset) -> None:
    config = EvaluationConfig(task="continuation", given_random=(), resamples=0)
    free, stuck = ArbitraryRanker(dataset), Stuck(dataset, "stuck")
    ways = [
        list(
            dict.fromkeys(each.given for each in evaluate(rankers, dataset, config=config).results)
        )
        for rankers in ([free], [free, stuck])
    ]
    assert ways[0] == ["first-0", "first-1", "first-5", "first-10", "first-25"]
    assert ways[1] == ways[0][1:]


def test_a_ranker_that_cannot_begin_is_not_asked_to(dataset: Dataset) -> None:
    rankers = [ArbitraryRanker(dataset), Stuck(dataset, "stuck")]
    with pytest.raises(RequestError, match="stuck cannot begin from nothing") as caught:
        evaluate(rankers, dataset, config=options(given=(0, 5)))
    assert "model.start" in caught.value.hint


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"given": (1, 5, 1)}, "1, 5, 1 hold a number twice"),
        ({"given_random": (3, 3)}, "3, 3 hold a number twice"),
        ({"given": (), "given_random": ()}, "asks nothing"),
    ],
)
def test_ways_of_giving_that_make_no_sense(dataset: Dataset, values, expected: str) -> None:
    with pytest.raises(RequestError, match=expected):
        evaluate(ArbitraryRanker(dataset), dataset, config=options(**values))
    with pytest.raises(RequestError, match=expected):
        evaluate(ArbitraryRanker(dataset), dataset, config=options(task=None, **values))


def test_the_same_number_may_be_first_and_at_random(dataset: Dataset) -> None:
    config = options(given=(3,), given_random=(3,))
    results = evaluate(ArbitraryRanker(dataset), dataset, config=config).results
    assert [each.given for each in results] == ["first-3", "random-3"]


def test_lists_answer_one_way_of_giving(dataset: Dataset) -> None:
    n_lists = len(dataset.sequences)
    lists = ListRanker("theirs", Ragged.of([[N_SPECIALS, N_SPECIALS + 1]] * n_lists))
    (found,) = evaluate(lists, dataset, config=options(given=(0,), given_random=())).results
    assert found.model == "theirs"
    config = EvaluationConfig(task="continuation")
    with pytest.raises(RequestError, match="one list a sequence, but 8 questions are asked"):
        evaluate(lists, dataset, config=config)


def test_nothing_long_enough_is_an_error(by_hand: Dataset) -> None:
    config = options(given=(5, 9), given_random=())
    with pytest.raises(DatasetError, match="can be continued") as caught:
        evaluate(ArbitraryRanker(by_hand), by_hand, config=config)
    assert "the longest has 5 events" in caught.value.hint


def test_lists_are_as_long_as_a_small_catalogue_and_say_so(by_hand: Dataset) -> None:
    config = options(given=(1,), given_random=())
    found = evaluate(ArbitraryRanker(by_hand), by_hand, config=config)
    assert found.protocol["list_length"] == 5
    assert "ndcg@5" in found.results[0].metrics
    assert "r_precision_artist" not in found.results[0].metrics
    with pytest.raises(RequestError, match="K 500 exceeds the catalogue of 5 items"):
        evaluate(ArbitraryRanker(by_hand), by_hand, config=options(list_length=500))


def test_continuation_needs_whole_sequences(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path, random_log(9, 9, seed=0), SplitConfig(kind="leave-one-out"))
    with pytest.raises(RequestError, match="continuation needs whole held-out sequences"):
        evaluate(ArbitraryRanker(dataset), dataset, config=options())
