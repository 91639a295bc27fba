"""Item indices only say where a row is: renumbered catalogues, and catalogues of few candidates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from segue import baselines
from segue.baselines import ListRanker
from segue.catalogue_search import scan_items
from segue.config import (
    Config,
    DemoConfig,
    EvaluationConfig,
    LossConfig,
    ModelConfig,
    PrepareConfig,
    SourceConfig,
    SplitConfig,
    TrainingConfig,
)
from segue.dataset import Dataset, count_training_events
from segue.errors import RequestError
from segue.evaluation import evaluate
from segue.losses import NEGATIVE_SAMPLERS
from segue.preparation import prepare
from segue.ragged import Ragged
from segue.ranking import Query, Ranker, ScoringRanker
from segue.recommender import Recommender
from segue.tokens import END, N_SPECIALS, PAD
from segue.trainer import train
from segue.trainer.data import batch_options
from segue.trainer.inputs import log_shares
from small_datasets import dataset_of, random_log, rewritten

N_REQUESTS = 40
CLOSE = 1e-4
"""Scores that differ relatively by less than this may be tied but for rounding."""
STARTED_AT_RANDOM = ("puresvd", "ials")
"""Baselines whose result depends on random vectors, which follow the indices."""
DETERMINED = [name for name in baselines.NAMES if name not in STARTED_AT_RANDOM]
COUNTED = [name for name in DETERMINED if name not in ("ease", "tale", "oracle")]
"""Baselines whose scores are sums of a few numbers, so that hardly any two differ by rounding."""
LEFT_OUT = ("i2", "i5", "i6", "i11")
"""Ids of the items that are not candidates in ``with_few_candidates``."""
OPTIONS = EvaluationConfig(
    beyond_accuracy=True, resamples=0, ks=(1, 3, 8), given=(0, 2), given_random=(2,), list_length=9
)
CONFIG = Config(
    model=ModelConfig(layers=1, heads=1, width=8, feed_forward=16, context=8, start=True),
    training=TrainingConfig(batch_size=16, max_steps=3, log_every=1),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Items that all have different training counts, and one outside the catalogue."""
    log = random_log(120, 16, seed=13, longest=14) | {"last": ["i1", "rare", "i2"]}
    starts = {sequence_id: 40 * i for i, sequence_id in enumerate(log)}
    artists = {f"i{n}": f"artist {n % 5}" for n in range(14)}
    ratings: dict[str, list[float | None]] = {
        name: [1.0 + (len(item) + i) % 4 for i, item in enumerate(log[name])] for name in log
    }
    dataset = dataset_of(
        tmp_path_factory.mktemp("log"),
        log,
        SplitConfig(kind="holdout", seed=4, validation_share=0.2, test_share=0.3),
        starts=starts,
        artists=artists,
        ratings=ratings,
    )
    counts = dataset.items.training_counts[N_SPECIALS : dataset.vocabulary_size]
    assert len(np.unique(counts)) == dataset.n_catalogue == len(dataset.items) - 1
    return dataset


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    source = SourceConfig(format="demo", demo=DemoConfig(sequences=60, items=300))
    return prepare(None, tmp_path_factory.mktemp("demo") / "d", config=PrepareConfig(source=source))


@pytest.fixture(scope="module")
def renumbered(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The same dataset with the catalogue in another order."""
    return renumber(data, tmp_path_factory.mktemp("renumbered"))


@pytest.fixture(scope="module")
def with_few_candidates(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The same dataset, of which some items may not be recommended."""
    return rewritten(data, tmp_path_factory.mktemp("candidates") / "few", left_out=LEFT_OUT)


def renumber(data: Dataset, folder: Path) -> Dataset:
    catalogue = np.arange(N_SPECIALS, data.vocabulary_size)
    return rewritten(data, folder / "data", order=np.random.default_rng(3).permutation(catalogue))


def ids_of(data: Dataset, indices: np.ndarray) -> list[str]:
    return [data.items.ids[index - N_SPECIALS] for index in indices[indices != PAD].tolist()]


def requests(data: Dataset) -> Query:
    """The beginnings of some sequences, with their items as seen items."""
    rng = np.random.default_rng(0)
    rows = rng.choice(len(data.sequences), N_REQUESTS, replace=False)
    histories = Ragged.from_rows(
        [data.sequences.row(row)[: rng.integers(0, 6)] for row in rows.tolist()]
    )
    return Query(histories, histories, rows, k=data.n_catalogue)


def pair(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Dataset, Dataset]:
    if name == "oracle":
        demo = request.getfixturevalue("demo")
        return demo, renumber(demo, tmp_path)
    return request.getfixturevalue("data"), request.getfixturevalue("renumbered")


@pytest.mark.parametrize("fit_on_validation", [False, True])
@pytest.mark.parametrize("name", DETERMINED)
def test_baselines_score_and_list_items_by_id(
    name: str, fit_on_validation: bool, request, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr("segue.baselines.head_ranker.HEAD_ITEMS", 7)
    params = {"neighbours": 4} if name == "item-knn" else None
    monkeypatch.setattr("segue.baselines.cooccurrence.MAX_PAIRS", 60)
    first, second = pair(name, request, tmp_path)
    new_index = second.items.find(first.items.ids[: first.n_catalogue])
    rankers = [
        baselines.fit(name, dataset, fit_on_validation, params) for dataset in (first, second)
    ]
    scores = []
    for ranker, dataset in zip(rankers, (first, second), strict=True):
        assert isinstance(ranker, ScoringRanker)
        scores.append(ranker.scores(requests(dataset)))
    np.testing.assert_allclose(scores[1][:, new_index], scores[0][:, N_SPECIALS:], rtol=CLOSE)
    lists = [
        ranker.top(requests(d)).items for ranker, d in zip(rankers, (first, second), strict=True)
    ]
    for dataset, items, values in zip((first, second), lists, scores, strict=True):
        counts = dataset.items.training_counts
        for row, listed in enumerate(items):
            keys = [(values[row, item], counts[item]) for item in listed[listed != PAD]]
            assert keys == sorted(keys, reverse=True), "ties go by count"
    if name in COUNTED:
        assert ids_of(first, lists[0].ravel()) == ids_of(second, lists[1].ravel())
        for item in first.items.ids[: first.n_catalogue : 3]:
            before, after = (
                ranker.ranks(requests(d), np.repeat(d.items.find([item]), N_REQUESTS))
                for ranker, d in zip(rankers, (first, second), strict=True)
            )
            np.testing.assert_array_equal(before, after)


def check_same_results(
    first: Sequence[Ranker | str],
    data: Dataset,
    second: Sequence[Ranker | str],
    renumbered: Dataset,
) -> None:
    before, after = (
        evaluate(rankers, dataset, config=OPTIONS).results
        for rankers, dataset in ((first, data), (second, renumbered))
    )
    assert {result.task for result in before} == {"next-item", "continuation"}
    for old, new in zip(before, after, strict=True):
        assert (old.model, old.task, old.given) == (new.model, new.task, new.given)
        old_means, new_means = (
            {name: estimate.mean for name, estimate in result.metrics.items()}
            for result in (old, new)
        )
        assert new_means == pytest.approx(old_means, rel=1e-6)
        assert new.target_statistics == pytest.approx(old.target_statistics)


def test_evaluation_measures_the_same(data: Dataset, renumbered: Dataset, tmp_path: Path) -> None:
    lines = [f"{s},i{n},{n}" for s in data.sequences.ids.to_pylist() for n in (3, 1, 99, 7)]
    (tmp_path / "lists.csv").write_text("\n".join(["sequence_id,item_id,rank", *lines]) + "\n")
    lists = [ListRanker.read(tmp_path / "lists.csv", dataset) for dataset in (data, renumbered)]
    assert lists[0].n_dropped == lists[1].n_dropped == len(data.sequences)
    query, target = requests(data), data.items.find(["i7"])
    moved, moved_target = requests(renumbered), renumbered.items.find(["i7"])
    np.testing.assert_array_equal(
        lists[0].ranks(query, np.repeat(target, N_REQUESTS)),
        lists[1].ranks(moved, np.repeat(moved_target, N_REQUESTS)),
    )
    check_same_results(COUNTED, data, COUNTED, renumbered)


@pytest.mark.slow
def test_a_model_is_joined_by_id(data: Dataset, renumbered: Dataset, tmp_path: Path) -> None:
    model = Recommender.load(train(data, tmp_path / "run", config=CONFIG))
    check_same_results([model.ranker(data)], data, [model.ranker(renumbered)], renumbered)


@pytest.mark.parametrize("name", NEGATIVE_SAMPLERS)
def test_negative_samplers_draw_each_item_as_often(
    name: str, data: Dataset, renumbered: Dataset
) -> None:
    new_index = np.r_[:N_SPECIALS, renumbered.items.find(data.items.ids)][: data.vocabulary_size]
    first, second = (
        NEGATIVE_SAMPLERS[name](dataset.vocabulary_size, dataset.popularity_order)
        for dataset in (data, renumbered)
    )
    labels = jnp.arange(END, data.vocabulary_size, dtype=jnp.int32)
    renumbered_labels = jnp.asarray(new_index[END:], jnp.int32)
    np.testing.assert_array_equal(
        first.log_probability(labels), second.log_probability(renumbered_labels)
    )
    if name == "log-uniform":
        drawn = [np.asarray(sampler.draw(jax.random.key(0), (99,))) for sampler in (first, second)]
        np.testing.assert_array_equal(new_index[drawn[0]], drawn[1])


def test_training_reads_the_same_counts(data: Dataset, renumbered: Dataset) -> None:
    new_index = np.r_[:N_SPECIALS, renumbered.items.find(data.items.ids)][: data.vocabulary_size]
    loss = LossConfig(kind="sampled-softmax", in_batch=True)
    config = Config(model=ModelConfig(start=True, end=True), loss=loss)
    rate = batch_options(config.training, data).unknown_rate
    assert rate == batch_options(config.training, renumbered).unknown_rate > 0
    before, after = (log_shares(dataset, config, rate) for dataset in (data, renumbered))
    np.testing.assert_allclose(after[new_index], before, rtol=1e-6)
    before, after = (count_training_events(dataset) for dataset in (data, renumbered))
    np.testing.assert_array_equal(after[new_index], before)


def test_search_lists_the_same_items(data: Dataset, renumbered: Dataset) -> None:
    for text in ("i", "1", "artist 3", "rare"):
        matches = scan_items(data.items, text, 12)
        assert ids_of(data, matches) == ids_of(renumbered, scan_items(renumbered.items, text, 12))


# --- candidates ---


@pytest.fixture(scope="module")
def model(with_few_candidates: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Recommender:
    """A model trained on the dataset with few candidates."""
    folder = tmp_path_factory.mktemp("few") / "run"
    return Recommender.load(train(with_few_candidates, folder, config=CONFIG))


@pytest.mark.parametrize("name", COUNTED)
def test_baselines_rank_among_the_candidates(
    name: str, data: Dataset, with_few_candidates: Dataset
) -> None:
    everything, few = (baselines.fit(name, dataset) for dataset in (data, with_few_candidates))
    left_out = data.items.find(LEFT_OUT)
    assert with_few_candidates.n_candidates == data.n_candidates - len(LEFT_OUT)
    query = requests(data)
    for before, after in zip(everything.top(query).items, few.top(query).items, strict=True):
        kept = before[~np.isin(before, left_out) & (before != PAD)]
        assert after[after != PAD].tolist() == kept.tolist()
    target = data.items.find(["i3"])
    excluding = Query(
        query.histories,
        query.seen,
        query.rows,
        excluded=Ragged.from_rows([left_out] * N_REQUESTS),
    )
    np.testing.assert_array_equal(
        few.ranks(query, np.repeat(target, N_REQUESTS)),
        everything.ranks(excluding, np.repeat(target, N_REQUESTS)),
    )


def test_targets_that_are_not_candidates_are_unknown(
    data: Dataset, with_few_candidates: Dataset
) -> None:
    rows, positions = data.targets("test", "every")
    items = data.sequences.items[data.sequences.offsets[rows] + positions]
    unknown = [
        np.count_nonzero(~dataset.is_candidate[items]) for dataset in (data, with_few_candidates)
    ]
    assert unknown[1] > unknown[0]
    for dataset, n_unknown in zip((data, with_few_candidates), unknown, strict=True):
        evaluation = evaluate("popularity", dataset, config=OPTIONS)
        assert evaluation.protocol["candidates"] == dataset.n_candidates
        assert evaluation.results[0].target_statistics.unknown_targets == n_unknown
        drop = OPTIONS.model_copy(update={"unknown_targets": "drop"})
        assert evaluate("popularity", dataset, config=drop).results[0].n == len(items) - n_unknown


def test_coverage_and_inequality_are_those_of_the_candidates(with_few_candidates: Dataset) -> None:
    n = with_few_candidates.n_candidates
    options = EvaluationConfig(task="next-item", seen="include", ks=(n,), beyond_accuracy=True)
    (result,) = evaluate("popularity", with_few_candidates, config=options).results
    assert result.metrics[f"coverage@{n}"].mean == 1
    assert result.metrics[f"gini@{n}"].mean == 0


def test_a_run_recommends_its_candidates(model: Recommender, with_few_candidates: Dataset) -> None:
    n_candidates = with_few_candidates.n_candidates
    listed = {item.item_id for item in model.recommend([], n_candidates)}
    assert len(listed) == n_candidates
    assert not listed & set(LEFT_OUT)
    generated = model.generate(LEFT_OUT[:1], n_candidates, top_k=99)
    assert generated.unknown_items == []
    assert {item.item_id for item in generated} == listed
    with pytest.raises(RequestError, match=f"k is {n_candidates + 1}"):
        model.recommend([], n_candidates + 1)
    ranker = model.ranker(with_few_candidates)
    query = requests(with_few_candidates)
    assert with_few_candidates.is_candidate[np.setdiff1d(ranker.top(query).items, PAD)].all()
    target = with_few_candidates.items.find(LEFT_OUT[:1])
    assert not ranker.ranks(query, np.repeat(target, N_REQUESTS)).any()


def test_a_model_ranks_the_candidates_of_the_dataset_and_of_its_run(
    model: Recommender, data: Dataset, with_few_candidates: Dataset
) -> None:
    query = requests(data)
    items = model.ranker(data).top(query).items
    assert with_few_candidates.is_candidate[np.setdiff1d(items, PAD)].all()
    assert "12 of the 16 candidates are in the model's catalogue" in model.ranker(data).notes
