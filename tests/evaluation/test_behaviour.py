"""The behaviour of lists that rankers are asked for, against slow references."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue import baselines
from segue.axes import N_SPECIALS, PAD, Ragged
from segue.baselines import ListRanker
from segue.config import EvaluationConfig, PrepareConfig, SourceConfig, SplitConfig
from segue.dataset import Dataset, prepare, targets
from segue.errors import RequestError
from segue.evaluation import Result, evaluate, read_per_sequence, write_per_sequence
from segue.evaluation.background import background
from segue.evaluation.behaviour import popular_places
from segue.evaluation.questions import QUESTIONS_PER_BLOCK
from segue.ranking import Queries, Ranked, Ranker
from small_datasets import ArbitraryRanker, dataset_of, random_log

SPLITS = {
    "holdout": SplitConfig(kind="holdout", seed=2, test_share=0.4),
    "leave-one-out": SplitConfig(kind="leave-one-out"),
    "windows": SplitConfig(kind="windows", test_share=0.2),
}


def options(**values) -> EvaluationConfig:
    defaults = {"behaviour": True, "resamples": 0}
    return EvaluationConfig(**defaults | values)


@pytest.fixture(scope="module", params=list(SPLITS))
def dataset(request, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    artists = {f"i{n}": f"artist {n // 4}" for n in range(30)}  # the last ten have none
    folder = tmp_path_factory.mktemp(request.param)
    return dataset_of(folder, random_log(30, 40, seed=5), SPLITS[request.param], artists=artists)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Nothing is known of the items."""
    folder = tmp_path_factory.mktemp("plain")
    return dataset_of(folder, random_log(30, 40, seed=5), SPLITS["leave-one-out"])


def slow_holders(data: Dataset) -> dict[int, set[int]]:
    """The training sequences of each item, event by event."""
    found: dict[int, set[int]] = {item: set() for item in range(N_SPECIALS, data.table_size)}
    sequences = data.sequences
    for row in range(len(sequences)):
        for position, item in enumerate(sequences.row(row).tolist()):
            held_out = position >= sequences.train_end[row]
            if sequences.target_parts is not None:
                held_out = sequences.target_parts[sequences.offsets[row] + position] > 0
            if not held_out:
                found[item].add(row)
    return found


def test_background_counts_training_sequences_once_an_item(dataset: Dataset) -> None:
    known, slow = background(dataset), slow_holders(dataset)
    assert known.holders[:N_SPECIALS].sum() == 0
    assert known.holders[N_SPECIALS:].tolist() == [len(rows) for rows in slow.values()]
    assert known.n_sequences == len(set().union(*slow.values()))


def cosine(first: set, second: set) -> float:
    return len(first & second) / math.sqrt(len(first) * len(second)) if first and second else 0.0


def test_artists_make_items_alike(dataset: Dataset) -> None:
    known = background(dataset)
    assert known.similarity == "artist"
    artists = [None] * N_SPECIALS + dataset.items.table.column("artist").to_pylist()
    alike = known.features.toarray() @ known.features.toarray().T
    for a, b in itertools.product(range(dataset.table_size), repeat=2):
        assert alike[a, b] == (artists[a] is not None and artists[a] == artists[b])


def test_without_attributes_items_are_alike_by_their_sequences(plain: Dataset) -> None:
    known, slow = background(plain), slow_holders(plain)
    assert known.similarity == "sequences"
    alike = known.features.toarray() @ known.features.toarray().T
    for a, b in itertools.product(slow, repeat=2):
        assert alike[a, b] == pytest.approx(cosine(slow[a], slow[b]))


def test_of_a_longer_log_every_so_manieth_sequence_counts(plain: Dataset) -> None:
    slow = slow_holders(plain)
    half = sum(map(len, slow.values())) // 2 + 1
    alike = background(plain, max_held=half).features.toarray()
    even = {item: {row for row in rows if row % 2 == 0} for item, rows in slow.items()}
    for a, b in itertools.product(even, repeat=2):
        assert float(alike[a] @ alike[b]) == pytest.approx(cosine(even[a], even[b]))


def test_genres_come_before_artists(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(
        "user_id,item_id\n" + "".join(f"u{u},{i}\n" for u in range(4) for i in "abcd")
    )
    (tmp_path / "items.csv").write_text(
        "item_id,artist,genres\na,X,rock|pop\nb,X,pop|rock\nc,X,rock\nd,X,\n"
    )
    source = SourceConfig(format="tabular", items_file=str(tmp_path / "items.csv"))
    config = PrepareConfig(source=source, split=SplitConfig(catalogue="all"))
    data = prepare(tmp_path / "log.csv", tmp_path / "data", config)
    known = background(data)
    assert known.similarity == "genres"
    a, b, c, d = (known.features.toarray()[i] for i in data.items.find(["a", "b", "c", "d"]))
    assert a @ b == pytest.approx(1)
    assert a @ c == pytest.approx(1 / math.sqrt(2))
    assert not d.any()


@given(
    st.lists(st.lists(st.integers(N_SPECIALS, 20), max_size=12), min_size=1, max_size=4),
    st.data(),
)
def test_popular_places_are_those_of_the_popular_list(excluded, data) -> None:
    """Candidates by index, that is by falling count, without what is excluded."""
    rows = []
    for out in excluded:
        candidates = [item for item in range(N_SPECIALS, 17) if item not in out]
        rows.append(data.draw(st.permutations(candidates)) + [PAD] * (13 - len(candidates)))
    found = popular_places(np.array(rows, np.int32), Ragged.of(excluded))
    for row, out, places in zip(rows, excluded, found.tolist(), strict=True):
        candidates = [item for item in range(N_SPECIALS, 17) if item not in out]
        for item, place in zip(row, places, strict=True):
            assert item == PAD or candidates[place - 1] == item


def slow_next_item(ranker: Ranker, data: Dataset, k: int) -> dict[str, float]:
    """Ask for one list at a time, and apply the definitions to it."""
    holders = slow_holders(data)
    n = len(set().union(*holders.values()))
    popular = baselines.fit("popularity", data)
    asked = targets(data.sequences, data.manifest.split, "test")
    shown, shares, bits, lucky = [], [], [], []
    for row, position in zip(asked.rows.tolist(), asked.positions.tolist(), strict=True):
        events = data.sequences.row(row)
        before = events[:position]
        given = before[-5:] if data.manifest.split.kind == "windows" else before
        out = given if data.manifest.split.kind == "windows" else before
        query = Queries(Ragged.of([given]), Ragged.of([out]), np.array([row]))
        items = [item for item in ranker.top(query, k).items[0].tolist() if item != PAD]
        primitive = popular.top(query, k).items[0].tolist()
        target = int(events[position])
        lucky.append((target in items and target not in primitive) / k)
        counts = [len(holders[item]) for item in items]
        shares.append(np.mean([count / n for count in counts]))
        bits.append(np.mean([math.log2(n / max(count, 1)) for count in counts]))
        shown += items
    return {
        "serendipity": float(np.mean(lucky)),
        "popularity": float(np.mean(shares)),
        "novelty": float(np.mean(bits)),
        "coverage": len(set(shown)) / data.n_catalogue,
    }


@pytest.mark.parametrize("k", [1, 4])
def test_next_items_agree_with_the_slow_reference(dataset: Dataset, k: int) -> None:
    ranker = ArbitraryRanker(dataset, levels=1000)
    config = options(task="next-item", ks=(1, 4))
    (found,) = evaluate(ranker, dataset, config=config).results
    for name, value in slow_next_item(ranker, dataset, k).items():
        assert found.metrics[f"{name}@{k}"].mean == pytest.approx(value), name


def behaviour_of(found: Result, name: str) -> float:
    return found.metrics[name].mean


def test_what_popularity_shows_is_never_a_surprise(dataset: Dataset) -> None:
    config = options(ks=(2, 6))
    for found in evaluate("popularity", dataset, config=config).results:
        for k in (2, 6):
            assert behaviour_of(found, f"serendipity@{k}") == 0
            assert behaviour_of(found, f"novelty@{k}") < behaviour_of(
                evaluate(ArbitraryRanker(dataset), dataset, config=config).results[0],
                f"novelty@{k}",
            )


@pytest.mark.parametrize("block_size", [1, 7, 64])
def test_results_do_not_depend_on_the_block_size(dataset: Dataset, block_size: int) -> None:
    rankers = [ArbitraryRanker(dataset), baselines.fit("co-occurrence", dataset)]
    config = options(resamples=20)
    whole = evaluate(rankers, dataset, config=config)
    blocked = evaluate(rankers, dataset, config=config, block_size=block_size)
    assert block_size < QUESTIONS_PER_BLOCK
    assert blocked.to_json() == whole.to_json()


def test_it_changes_no_other_figure(dataset: Dataset) -> None:
    ranker = ArbitraryRanker(dataset)
    config = options(resamples=20)
    plain = evaluate(ranker, dataset, config=config.model_copy(update={"behaviour": False}))
    more = evaluate(ranker, dataset, config=config)
    assert "similarity" not in plain.protocol
    assert more.protocol == plain.protocol | {"similarity": "artist"}
    for before, after in zip(plain.results, more.results, strict=True):
        assert {name: after.metrics[name] for name in before.metrics} == before.metrics
        added = set(after.metrics) - set(before.metrics)
        names = ("diversity", "novelty", "serendipity", "popularity", "coverage", "gini")
        asked = {f"{name}@{k}" for name in names for k in (1, 5, 10, 20)} - {"diversity@1"}
        assert added == asked


def test_properties_of_all_lists_have_no_interval_and_no_value_by_sequence(
    dataset: Dataset, tmp_path: Path
) -> None:
    found = evaluate(ArbitraryRanker(dataset), dataset, config=options(resamples=20, ks=(3,)))
    shown = found.to_json()["results"][0]["metrics"]
    low, high = shown["novelty@3"]["ci95"]
    assert low <= shown["novelty@3"]["mean"] <= high
    assert shown["coverage@3"]["ci95"] is None
    assert shown["gini@3"]["ci95"] is None
    write_per_sequence(found, tmp_path / "scores.parquet")
    columns = read_per_sequence(tmp_path / "scores.parquet").column_names
    assert "serendipity@3" in columns
    assert not {"coverage@3", "gini@3"} & set(columns)


def test_continuations_are_measured_as_far_as_their_lists_go(tmp_path: Path) -> None:
    data = dataset_of(tmp_path, random_log(40, 60, seed=8), SPLITS["holdout"])
    asked = {"task": "continuation", "given": (2,), "given_random": (), "list_length": 6}
    config = options(ks=(2, 5, 20), **asked)
    (found,) = evaluate(ArbitraryRanker(data), data, config=config).results
    assert {"gini@2", "gini@5", "ndcg@6"} <= set(found.metrics)
    assert "gini@20" not in found.metrics
    with pytest.raises(RequestError, match="at K 7 and up, but a continuation lists 6 items"):
        evaluate(ArbitraryRanker(data), data, config=options(ks=(7, 20), **asked))


class OneList(Ranker):
    """Shows the same item to everyone."""

    name = "one-list"

    def ranks(self, queries: Queries, targets: np.ndarray) -> np.ndarray:
        return np.ones(len(queries), np.int64)

    def top(self, queries: Queries, k: int) -> Ranked:
        items = np.zeros((len(queries), k), np.int32)
        items[:, 0] = N_SPECIALS
        return Ranked(items, np.zeros(items.shape, np.float32))


def test_one_item_for_all_is_the_greatest_inequality(plain: Dataset) -> None:
    (found,) = evaluate(OneList(), plain, config=options(ks=(1, 5))).results
    for k in (1, 5):  # four places of five are empty
        assert behaviour_of(found, f"gini@{k}") == 1
        assert behaviour_of(found, f"coverage@{k}") == pytest.approx(1 / plain.n_catalogue)
        share = len(slow_holders(plain)[N_SPECIALS]) / background(plain).n_sequences
        assert behaviour_of(found, f"popularity@{k}") == pytest.approx(share)
    assert behaviour_of(found, "diversity@5") == 0


def test_a_sequence_without_a_list_has_no_behaviour(plain: Dataset) -> None:
    nothing = Ragged.of([[] for _ in range(len(plain.sequences))])
    (found,) = evaluate(ListRanker("empty", nothing), plain, config=options(ks=(5,))).results
    names = ("diversity", "novelty", "serendipity", "popularity", "coverage", "gini")
    assert [behaviour_of(found, f"{name}@5") for name in names] == [0] * 6


def test_dropped_and_new_sequences_are_left_out_as_in_the_headline(tmp_path: Path) -> None:
    log = {name: ["a", "b", "c", "d", "e", "f"] for name in ("x", "y", "z")}
    log |= {"new1": ["a", "b", "c"], "new2": ["b"]}
    starts = {"x": 0, "y": 1, "z": 2, "new1": 100, "new2": 101}
    split = SplitConfig(kind="global-time", test_share=0.3, validation_share=0.1, catalogue="all")
    data = dataset_of(tmp_path, log, split, starts=starts)
    (found,) = evaluate(ArbitraryRanker(data), data, config=options(ks=(2,))).results
    assert len(found.scores.sums["novelty@2"]) == found.n_sequences
    assert "novelty@2" not in found.slices["cold-start"].metrics
