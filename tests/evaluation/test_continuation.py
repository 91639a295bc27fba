"""The continuation task against a slow reference: given events, targets and their metrics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segue import baselines
from segue.baselines import ListRanker
from segue.config import EvaluationConfig, SplitConfig
from segue.dataset import Dataset
from segue.errors import DatasetError, RequestError
from segue.evaluation import evaluate
from segue.evaluation.continuation import GivenEvents
from segue.metrics import ListHits, continuation_metrics
from segue.ragged import Ragged
from segue.ranking import Query, Ranked, Ranker
from segue.tokens import N_SPECIALS
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


def held_out_rows(data: Dataset) -> list[int]:
    """Rows of the test part with at least two events, by the cuts of the split."""
    return np.flatnonzero((data.sequences.valid_end == 0) & (data.sequences.lengths > 1)).tolist()


def slow_hits(data: Dataset, items: list[int], targets: set[int]) -> tuple[list[bool], list[bool]]:
    """Mark a list item by item."""
    artists = [None] * N_SPECIALS + data.items.table.column("artist").to_pylist()
    target_artists = {artists[item] for item in targets} - {None}
    credited: set[str] = set()
    is_target, is_artist_match = [], []
    for item in items:
        is_target.append(item in targets)
        artist = artists[item]
        is_match = item not in targets and artist in target_artists and artist not in credited
        is_artist_match.append(is_match)
        if is_match and artist is not None:
            credited.add(artist)
    return is_target, is_artist_match


@pytest.mark.parametrize(
    "given",
    [GivenEvents(0, False), GivenEvents(1, False), GivenEvents(5, False), GivenEvents(3, True)],
)
def test_metrics_match_the_slow_reference(dataset: Dataset, given: GivenEvents) -> None:
    ranker = ArbitraryRanker(dataset, levels=1000)
    length = 25
    config = options(given=(0, 1, 5), list_length=length)
    results = evaluate(ranker, dataset, baselines=None, config=config).results
    result = next(result for result in results if result.given == given.label)
    values, rows = [], []
    for row in held_out_rows(dataset):
        events = dataset.sequences.row(row)
        if len(events) <= given.m:
            continue
        mask = given.mask(len(events), row, seed=0)
        history = events[mask]
        targets = set(events[~mask].tolist()) - set(history.tolist())
        if not targets:
            continue
        histories = Ragged.from_rows([history])
        query = Query(histories, histories, np.array([row]))
        items = ranker.top(query.with_k(length)).items[0].tolist()
        is_target, is_artist_match = slow_hits(dataset, items, targets)
        hits = ListHits(
            np.array([is_target]), np.array([is_artist_match]), np.array([len(targets)])
        )
        values.append({name: value[0] for name, value in continuation_metrics(hits).items()})
        rows.append(row)
    assert result.per_sequence.rows.tolist() == rows
    assert result.n == result.n_sequences == len(rows)
    assert list(result.metrics) == list(values[0])
    for name, estimate in result.metrics.items():
        assert estimate.mean == pytest.approx(np.mean([value[name] for value in values]))
        assert estimate.ci95 is None


@pytest.mark.parametrize("block_size", [1, 7, 64])
def test_continuation_results_do_not_depend_on_the_block_size(
    dataset: Dataset, block_size: int
) -> None:
    rankers = [ArbitraryRanker(dataset), baselines.fit("co-occurrence", dataset)]
    expected = evaluate(rankers, dataset, baselines=None, config=options(resamples=20))
    blocked = evaluate(
        rankers, dataset, baselines=None, config=options(resamples=20), block_size=block_size
    )
    assert blocked.to_dict() == expected.to_dict()


class OracleRanker(Ranker):
    """Ranks the items of the sequence first, and records its queries."""

    name = "oracle"

    def __init__(self, data: Dataset) -> None:
        self._data = data
        self.queries: list[Query] = []

    def ranks(self, query: Query, targets: np.ndarray) -> np.ndarray:
        return np.ones(len(query), np.int64)

    def top(self, query: Query) -> Ranked:
        self.queries.append(query)
        items = np.zeros((len(query), query.k), np.int32)
        for i, row in enumerate(query.rows.tolist()):
            events = np.unique(self._data.sequences.row(row))
            in_catalogue = events[events < self._data.vocabulary_size]
            best = np.setdiff1d(in_catalogue, query.seen.row(i))[: query.k]
            items[i, : len(best)] = best
        return Ranked(items, np.zeros(items.shape, np.float32))


def test_a_perfect_list_reaches_the_ceiling(dataset: Dataset) -> None:
    for result in evaluate(
        OracleRanker(dataset), dataset, baselines=None, config=options()
    ).results:
        ceiling = result.target_statistics.ceiling
        assert result.metrics["r_precision"].mean == pytest.approx(ceiling)
        assert 0 < ceiling <= 1


def test_given_events_are_excluded_and_in_order(dataset: Dataset) -> None:
    ranker = OracleRanker(dataset)
    evaluate(ranker, dataset, baselines=None, config=options(given=(), given_random=(3,)))
    for queries in ranker.queries:
        for i, row in enumerate(queries.rows.tolist()):
            history = queries.histories.row(i).tolist()
            assert len(history) == 3
            assert queries.seen.row(i).tolist() == history
            events = iter(dataset.sequences.row(row).tolist())
            assert all(item in events for item in history)


def test_random_positions_depend_on_the_sequence_and_the_seed() -> None:
    given = GivenEvents(5, True)
    masks = [given.mask(40, row, seed=1) for row in range(20)]
    assert all(mask.sum() == 5 for mask in masks)
    assert len({mask.tobytes() for mask in masks}) > 15
    np.testing.assert_array_equal(given.mask(40, 3, seed=1), masks[3])
    assert (given.mask(40, 3, seed=2) != masks[3]).any()


@pytest.fixture(scope="module")
def equal_sequences(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """All sequences are equal, so it does not matter which are held out."""
    log = {f"u{i}": ["a", "b", "c", "d", "e"] for i in range(4)}
    return dataset_of(tmp_path_factory.mktemp("equal"), log, HOLDOUT)


def test_repeats_and_unknown_items_are_counted(tmp_path: Path) -> None:
    # Each sequence has an item that no other sequence has.
    log = {f"u{i}": ["a", "b", "a", "c", "c", f"new{i}"] for i in range(5)}
    dataset = dataset_of(tmp_path, log, HOLDOUT)
    config = options(given=(2,), given_random=())
    (result,) = evaluate(
        baselines.fit("popularity", dataset), dataset, baselines=None, config=config
    ).results
    # Two are held out. Rest: a c c new; a was given, c repeats. Targets: c and the new item.
    assert result.n == 2
    assert result.target_statistics == (2, 4, 0.5)
    assert result.metrics["r_precision"].mean == 0.5
    config = options(given=(2,), given_random=(), unknown_targets="drop")
    (result,) = evaluate(
        baselines.fit("popularity", dataset), dataset, baselines=None, config=config
    ).results
    assert result.target_statistics == (2, 4, 1.0)
    assert result.metrics["r_precision"].mean == 1.0


def test_a_sequence_is_evaluated_for_each_m_that_it_is_longer_than(dataset: Dataset) -> None:
    config = options(given=(1, 10, 20, 1000), given_random=())
    results = evaluate(ArbitraryRanker(dataset), dataset, baselines=None, config=config).results
    lengths = dataset.sequences.lengths[held_out_rows(dataset)]
    assert [result.given for result in results] == ["first-1", "first-10", "first-20"]
    for result, m in zip(results, (1, 10, 20), strict=True):
        assert result.n <= np.count_nonzero(lengths > m)
        assert result.n >= np.count_nonzero(lengths > m) - 1


def test_with_no_given_events_the_history_is_empty(dataset: Dataset) -> None:
    ranker = OracleRanker(dataset)
    config = options(given=(0,), given_random=())
    (result,) = evaluate(ranker, dataset, baselines=None, config=config).results
    assert result.given == "first-0"
    assert result.n == len(held_out_rows(dataset))
    for queries in ranker.queries:
        assert not len(queries.histories.values)
        assert not len(queries.seen.values)
    assert result.metrics["r_precision"].mean == pytest.approx(result.target_statistics.ceiling)


def test_a_sequence_of_one_event_is_evaluated_with_an_empty_history(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path, {f"u{i}": ["a"] for i in range(4)} | {"v": ["a", "b"]}, HOLDOUT)
    single = np.count_nonzero((dataset.sequences.valid_end == 0) & (dataset.sequences.lengths == 1))
    assert single
    config = options(given=(0, 1), given_random=())
    results = evaluate(ArbitraryRanker(dataset), dataset, baselines=None, config=config).results
    n_by_given = {result.given: result.n for result in results}
    assert n_by_given["first-0"] == single + n_by_given.get("first-1", 0)


class HistoryOnlyRanker(ArbitraryRanker):
    """A ranker that needs a history."""

    supports_empty_history = False


def test_zero_given_events_are_a_default_if_every_ranker_supports_them(dataset: Dataset) -> None:
    config = EvaluationConfig(task="continuation", given_random=(), resamples=0)
    ranker, history_only = ArbitraryRanker(dataset), HistoryOnlyRanker(dataset, "history-only")
    settings = [
        list(
            dict.fromkeys(
                result.given
                for result in evaluate(rankers, dataset, baselines=None, config=config).results
            )
        )
        for rankers in ([ranker], [ranker, history_only])
    ]
    assert settings[0] == ["first-0", "first-1", "first-5", "first-10", "first-25"]
    assert settings[1] == settings[0][1:]


def test_zero_given_events_are_refused_for_a_ranker_that_needs_a_history(dataset: Dataset) -> None:
    rankers = [ArbitraryRanker(dataset), HistoryOnlyRanker(dataset, "history-only")]
    message = "history-only cannot rank for an empty history"
    with pytest.raises(RequestError, match=message) as caught:
        evaluate(rankers, dataset, baselines=None, config=options(given=(0, 5)))
    assert "model.start" in caught.value.hint


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"given": (1, 5, 1)}, "1, 5, 1 contain a number twice"),
        ({"given_random": (3, 3)}, "3, 3 contain a number twice"),
        ({"given": (), "given_random": ()}, "needs at least one number of given events, got none"),
    ],
)
def test_invalid_numbers_of_given_events_are_refused(
    dataset: Dataset, values, expected: str
) -> None:
    with pytest.raises(RequestError, match=expected):
        evaluate(ArbitraryRanker(dataset), dataset, baselines=None, config=options(**values))
    with pytest.raises(RequestError, match=expected):
        evaluate(
            ArbitraryRanker(dataset), dataset, baselines=None, config=options(task=None, **values)
        )


def test_the_same_number_can_be_given_first_and_at_random(dataset: Dataset) -> None:
    config = options(given=(3,), given_random=(3,))
    results = evaluate(ArbitraryRanker(dataset), dataset, baselines=None, config=config).results
    assert [result.given for result in results] == ["first-3", "random-3"]


def test_a_list_ranker_supports_one_setting_of_given_events(dataset: Dataset) -> None:
    n_lists = len(dataset.sequences)
    lists = ListRanker("lists", Ragged.from_rows([[N_SPECIALS, N_SPECIALS + 1]] * n_lists))
    (result,) = evaluate(
        lists, dataset, baselines=None, config=options(given=(0,), given_random=())
    ).results
    assert result.model == "lists"
    config = EvaluationConfig(task="continuation")
    message = "lists has one list per sequence, but the evaluation has 8 queries per sequence"
    with pytest.raises(RequestError, match=message):
        evaluate(lists, dataset, baselines=None, config=config)


def test_sequences_that_are_too_short_are_an_error(equal_sequences: Dataset) -> None:
    config = options(given=(5, 9), given_random=())
    with pytest.raises(DatasetError, match="can be continued") as caught:
        evaluate(ArbitraryRanker(equal_sequences), equal_sequences, baselines=None, config=config)
    assert "the longest has 5 events" in caught.value.hint


def test_the_list_length_is_limited_by_a_small_catalogue(equal_sequences: Dataset) -> None:
    ranker = ArbitraryRanker(equal_sequences)
    evaluation = evaluate(
        ranker, equal_sequences, baselines=None, config=options(given=(1,), given_random=())
    )
    assert evaluation.protocol["list_length"] == 5
    assert "ndcg@5" in evaluation.results[0].metrics
    assert "r_precision_artist" not in evaluation.results[0].metrics
    with pytest.raises(RequestError, match="K 500 exceeds the catalogue of 5 items"):
        evaluate(ranker, equal_sequences, baselines=None, config=options(list_length=500))


def test_continuation_needs_held_out_sequences(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path, random_log(9, 9, seed=0), SplitConfig(kind="leave-one-out"))
    with pytest.raises(RequestError, match="continuation needs whole held-out sequences"):
        evaluate(ArbitraryRanker(dataset), dataset, baselines=None, config=options())
