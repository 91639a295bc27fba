"""Beyond-accuracy evaluation: item statistics and the metrics of lists, against slow references."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue import baselines
from segue.baselines import ListRanker
from segue.config import EvaluationConfig, PrepareConfig, SourceConfig, SplitConfig
from segue.dataset import Dataset
from segue.errors import RequestError
from segue.evaluation import Result, evaluate, read_per_sequence, write_per_sequence
from segue.evaluation.beyond_accuracy import item_statistics, popularity_ranks
from segue.preparation import prepare
from segue.ragged import Ragged
from segue.ranking import Query, Ranked, Ranker
from segue.recommender.shapes import REQUESTS_PER_CALL
from segue.tokens import N_SPECIALS, PAD
from small_datasets import ArbitraryRanker, dataset_of, random_log

SPLITS = {
    "holdout": SplitConfig(kind="holdout", seed=2, test_share=0.4),
    "leave-one-out": SplitConfig(kind="leave-one-out"),
    "windows": SplitConfig(kind="windows", test_share=0.2),
}
METRICS = ("diversity", "novelty", "serendipity", "popularity", "coverage", "gini")


def options(**values) -> EvaluationConfig:
    defaults = {"beyond_accuracy": True, "resamples": 0}
    return EvaluationConfig(**defaults | values)


@pytest.fixture(scope="module", params=list(SPLITS))
def dataset(request, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    artists = {f"i{n}": f"artist {n // 4}" for n in range(30)}  # the last ten have none
    folder = tmp_path_factory.mktemp(request.param)
    return dataset_of(folder, random_log(30, 40, seed=5), SPLITS[request.param], artists=artists)


@pytest.fixture(scope="module")
def without_attributes(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("without-attributes")
    return dataset_of(folder, random_log(30, 40, seed=5), SPLITS["leave-one-out"])


def slow_sequences_of(data: Dataset) -> dict[int, set[int]]:
    """The training sequences that contain each item, event by event."""
    rows: dict[int, set[int]] = {item: set() for item in range(N_SPECIALS, data.vocabulary_size)}
    sequences = data.sequences
    for row in range(len(sequences)):
        for position, item in enumerate(sequences.row(row).tolist()):
            held_out = position >= sequences.train_end[row]
            if sequences.target_parts is not None:
                held_out = sequences.target_parts[sequences.offsets[row] + position] > 0
            if not held_out:
                rows[item].add(row)
    return rows


def test_user_counts_count_each_training_sequence_once_per_item(dataset: Dataset) -> None:
    statistics, sequences_of = item_statistics(dataset), slow_sequences_of(dataset)
    assert statistics.user_counts[:N_SPECIALS].sum() == 0
    expected = [len(rows) for rows in sequences_of.values()]
    assert statistics.user_counts[N_SPECIALS:].tolist() == expected
    assert statistics.n_sequences == len(set().union(*sequences_of.values()))


def cosine(first: set, second: set) -> float:
    return len(first & second) / math.sqrt(len(first) * len(second)) if first and second else 0.0


def test_items_of_the_same_artist_are_similar(dataset: Dataset) -> None:
    statistics = item_statistics(dataset)
    assert statistics.similarity == "artist"
    artists = [None] * N_SPECIALS + dataset.items.table.column("artist").to_pylist()
    similarity = statistics.features.toarray() @ statistics.features.toarray().T
    for a, b in itertools.product(range(dataset.vocabulary_size), repeat=2):
        assert similarity[a, b] == (artists[a] is not None and artists[a] == artists[b])


def test_items_without_attributes_are_similar_by_their_sequences(
    without_attributes: Dataset,
) -> None:
    statistics = item_statistics(without_attributes)
    sequences_of = slow_sequences_of(without_attributes)
    assert statistics.similarity == "sequences"
    similarity = statistics.features.toarray() @ statistics.features.toarray().T
    for a, b in itertools.product(sequences_of, repeat=2):
        assert similarity[a, b] == pytest.approx(cosine(sequences_of[a], sequences_of[b]))


def test_similarity_uses_every_second_sequence_of_a_longer_log(without_attributes: Dataset) -> None:
    sequences_of = slow_sequences_of(without_attributes)
    half = sum(map(len, sequences_of.values())) // 2 + 1
    features = item_statistics(without_attributes, max_pairs=half).features.toarray()
    even = {item: {row for row in rows if row % 2 == 0} for item, rows in sequences_of.items()}
    for a, b in itertools.product(even, repeat=2):
        assert float(features[a] @ features[b]) == pytest.approx(cosine(even[a], even[b]))


def test_similarity_uses_genres_before_artists(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(
        "user_id,item_id\n" + "".join(f"u{u},{i}\n" for u in range(4) for i in "abcd")
    )
    (tmp_path / "items.csv").write_text(
        "item_id,artist,genres\na,X,rock|pop\nb,X,pop|rock\nc,X,rock\nd,X,\n"
    )
    source = SourceConfig(format="tabular", items_file=str(tmp_path / "items.csv"))
    config = PrepareConfig(source=source, split=SplitConfig(catalogue="all"))
    data = prepare(tmp_path / "log.csv", tmp_path / "data", config=config)
    statistics = item_statistics(data)
    assert statistics.similarity == "genres"
    indices = data.items.find(["a", "b", "c", "d"])
    a, b, c, d = (statistics.features.toarray()[i] for i in indices)
    assert a @ b == pytest.approx(1)
    assert a @ c == pytest.approx(1 / math.sqrt(2))
    assert not d.any()


@given(
    st.lists(st.lists(st.integers(N_SPECIALS, 20), max_size=12), min_size=1, max_size=4),
    st.data(),
)
def test_popularity_ranks_are_positions_among_the_candidates_of_the_request(excluded, data) -> None:
    """The candidates are some items in order of popularity, without the excluded ones."""
    by_popularity = data.draw(st.permutations(range(N_SPECIALS, 17)))[:10]
    item_ranks = np.zeros(17, np.int64)
    item_ranks[by_popularity] = np.arange(1, 11)
    rows = []
    for excluded_items in excluded:
        candidates = [item for item in by_popularity if item not in excluded_items]
        rows.append(data.draw(st.permutations(candidates)) + [PAD] * (10 - len(candidates)))
    ranks = popularity_ranks(np.array(rows, np.int32), Ragged.from_rows(excluded), item_ranks)
    for row, excluded_items, row_ranks in zip(rows, excluded, ranks.tolist(), strict=True):
        candidates = [item for item in by_popularity if item not in excluded_items]
        for item, rank in zip(row, row_ranks, strict=True):
            assert item == PAD or candidates[rank - 1] == item


def slow_next_item(ranker: Ranker, data: Dataset, k: int) -> dict[str, float]:
    """Get one list at a time, and apply the definitions to it."""
    sequences_of = slow_sequences_of(data)
    n = len(set().union(*sequences_of.values()))
    popularity = baselines.fit("popularity", data)
    targets = data.targets("test")
    all_items, shares, bits, unexpected = [], [], [], []
    for row, position in zip(targets.rows.tolist(), targets.positions.tolist(), strict=True):
        events = data.sequences.row(row)
        before = events[:position]
        history = before[-5:] if data.manifest.split.kind == "windows" else before
        histories = Ragged.from_rows([history])
        query = Query(histories, histories, np.array([row]))
        items = [item for item in ranker.top(query.with_k(k)).items[0].tolist() if item != PAD]
        most_popular = popularity.top(query.with_k(k)).items[0].tolist()
        target = int(events[position])
        unexpected.append((target in items and target not in most_popular) / k)
        counts = [len(sequences_of[item]) for item in items]
        shares.append(np.mean([count / n for count in counts]))
        bits.append(np.mean([math.log2(n / max(count, 1)) for count in counts]))
        all_items += items
    return {
        "serendipity": float(np.mean(unexpected)),
        "popularity": float(np.mean(shares)),
        "novelty": float(np.mean(bits)),
        "coverage": len(set(all_items)) / data.n_catalogue,
    }


@pytest.mark.parametrize("k", [1, 4])
def test_next_item_lists_match_the_slow_reference(dataset: Dataset, k: int) -> None:
    ranker = ArbitraryRanker(dataset, levels=1000)
    config = options(task="next-item", ks=(1, 4), seen=dataset.split_rule.default_seen)
    (result,) = evaluate(ranker, dataset, baselines=None, config=config).results
    for name, value in slow_next_item(ranker, dataset, k).items():
        assert result.metrics[f"{name}@{k}"].mean == pytest.approx(value), name


def mean_of(result: Result, name: str) -> float:
    return result.metrics[name].mean


def test_the_popularity_baseline_has_no_serendipity_and_the_least_novelty(
    dataset: Dataset,
) -> None:
    config = options(ks=(2, 6))
    arbitrary = evaluate(ArbitraryRanker(dataset), dataset, baselines=None, config=config).results[
        0
    ]
    for result in evaluate("popularity", dataset, config=config).results:
        for k in (2, 6):
            assert mean_of(result, f"serendipity@{k}") == 0
            assert mean_of(result, f"novelty@{k}") < mean_of(arbitrary, f"novelty@{k}")


@pytest.mark.slow
@pytest.mark.parametrize("block_size", [1, 7, 64])
def test_beyond_accuracy_results_do_not_depend_on_the_block_size(
    dataset: Dataset, block_size: int
) -> None:
    rankers = [ArbitraryRanker(dataset), baselines.fit("co-occurrence", dataset)]
    config = options(resamples=20)
    expected = evaluate(rankers, dataset, baselines=None, config=config)
    blocked = evaluate(rankers, dataset, baselines=None, config=config, block_size=block_size)
    assert block_size < REQUESTS_PER_CALL
    assert blocked.to_dict() == expected.to_dict()


def test_beyond_accuracy_does_not_change_the_other_metrics(dataset: Dataset) -> None:
    ranker = ArbitraryRanker(dataset)
    config = options(resamples=20)
    accuracy_only = config.model_copy(update={"beyond_accuracy": False})
    without = evaluate(ranker, dataset, baselines=None, config=accuracy_only)
    extended = evaluate(ranker, dataset, baselines=None, config=config)
    assert "similarity" not in without.protocol
    assert extended.protocol == without.protocol | {"similarity": "artist"}
    for before, after in zip(without.results, extended.results, strict=True):
        assert {name: after.metrics[name] for name in before.metrics} == before.metrics
        added = set(after.metrics) - set(before.metrics)
        expected = {f"{name}@{k}" for name in METRICS for k in (1, 5, 10, 20)} - {"diversity@1"}
        assert added == expected


def test_coverage_and_gini_have_no_interval_and_no_value_per_sequence(
    dataset: Dataset, tmp_path: Path
) -> None:
    evaluation = evaluate(
        ArbitraryRanker(dataset), dataset, baselines=None, config=options(resamples=20, ks=(3,))
    )
    metrics = evaluation.to_dict()["results"][0]["metrics"]
    low, high = metrics["novelty@3"]["ci95"]
    assert low <= metrics["novelty@3"]["mean"] <= high
    assert metrics["coverage@3"]["ci95"] is None
    assert metrics["gini@3"]["ci95"] is None
    write_per_sequence(evaluation, tmp_path / "results.parquet")
    columns = read_per_sequence(tmp_path / "results.parquet").column_names
    assert "serendipity@3" in columns
    assert not {"coverage@3", "gini@3"} & set(columns)


def test_cutoffs_beyond_the_list_length_of_a_continuation_are_left_out(tmp_path: Path) -> None:
    data = dataset_of(tmp_path, random_log(40, 60, seed=8), SPLITS["holdout"])
    task = {"task": "continuation", "given": (2,), "given_random": (), "list_length": 6}
    config = options(ks=(2, 5, 20), **task)
    (result,) = evaluate(ArbitraryRanker(data), data, baselines=None, config=config).results
    assert {"gini@2", "gini@5", "ndcg@6"} <= set(result.metrics)
    assert "gini@20" not in result.metrics
    message = "at K = 7 and above, but a continuation has 6 items"
    with pytest.raises(RequestError, match=message):
        evaluate(ArbitraryRanker(data), data, baselines=None, config=options(ks=(7, 20), **task))


class SingleItemRanker(Ranker):
    """Recommends the same single item for every query."""

    name = "single-item"

    def ranks(self, query: Query, targets: np.ndarray) -> np.ndarray:
        return np.ones(len(query), np.int64)

    def top(self, query: Query) -> Ranked:
        items = np.zeros((len(query), query.k), np.int32)
        items[:, 0] = N_SPECIALS
        return Ranked(items, np.zeros(items.shape, np.float32))


def test_one_item_for_all_queries_has_the_largest_gini_index(without_attributes: Dataset) -> None:
    data = without_attributes
    (result,) = evaluate(
        SingleItemRanker(), data, baselines=None, config=options(ks=(1, 5))
    ).results
    for k in (1, 5):  # four of five positions are empty
        assert mean_of(result, f"gini@{k}") == 1
        assert mean_of(result, f"coverage@{k}") == pytest.approx(1 / data.n_catalogue)
        share = len(slow_sequences_of(data)[N_SPECIALS]) / item_statistics(data).n_sequences
        assert mean_of(result, f"popularity@{k}") == pytest.approx(share)
    assert mean_of(result, "diversity@5") == 0


def test_all_metrics_of_empty_lists_are_0(without_attributes: Dataset) -> None:
    data = without_attributes
    empty = ListRanker("empty", Ragged.from_rows([[] for _ in range(len(data.sequences))]))
    (result,) = evaluate(empty, data, baselines=None, config=options(ks=(5,))).results
    assert [mean_of(result, f"{name}@5") for name in METRICS] == [0] * 6


def test_dropped_and_new_sequences_are_left_out_as_in_the_headline(tmp_path: Path) -> None:
    log = {name: ["a", "b", "c", "d", "e", "f"] for name in ("x", "y", "z")}
    log |= {"new1": ["a", "b", "c"], "new2": ["b"]}
    starts = {"x": 0, "y": 1, "z": 2, "new1": 100, "new2": 101}
    split = SplitConfig(kind="global-time", test_share=0.3, validation_share=0.1, catalogue="all")
    data = dataset_of(tmp_path, log, split, starts=starts)
    (result,) = evaluate(
        ArbitraryRanker(data), data, baselines=None, config=options(ks=(2,))
    ).results
    assert len(result.per_sequence.sums["novelty@2"]) == result.n_sequences
    assert "novelty@2" not in result.slices["cold-start"].metrics
