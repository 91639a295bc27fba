"""The PureSVD ensemble member: scores and weights."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from segue.baselines.cooccurrence import CoOccurrence
from segue.baselines.item_knn import ItemKNN
from segue.config import (
    Config,
    EnsembleConfig,
    ModelConfig,
    TrainingConfig,
)
from segue.dataset import Dataset
from segue.preparation import prepare
from segue.ragged import Ragged
from segue.ranking import Query, mask_items, ranks_from_scores
from segue.recommender import (
    Ensemble,
    ModelRanker,
    PureSVD,
    Recommender,
    SparseMember,
    load_members,
    write_members,
)
from segue.runs import RunFolder
from segue.tokens import N_SPECIALS, UNK
from segue.trainer import train
from segue.trainer.singular_vectors import fit_puresvd

CONFIG = Config(
    model=ModelConfig(layers=1, heads=1, width=8, feed_forward=16, context=8),
    ensemble=EnsembleConfig(puresvd_factors=6, puresvd_weight=40.0),
    training=TrainingConfig(batch_size=16, max_steps=2, log_every=1),
)


@pytest.fixture(scope="module")
def run(cycles: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(cycles, tmp_path_factory.mktemp("ensemble") / "run", config=CONFIG).path


def query_of(rows: list[list[int]]) -> Query:
    histories = Ragged.from_rows(rows)
    return Query(histories, histories, np.full(len(rows), -1))


def test_states_are_normalised_sums_of_item_vectors():
    vectors = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    vectors[UNK] = 0
    states = PureSVD(vectors, 2.0).states(query_of([[4, 5, 5], [], [UNK], [8, 100]]), 6)
    total = vectors[4] + 2 * vectors[5]
    np.testing.assert_allclose(states[0], 2 * total / np.linalg.norm(total), rtol=1e-5)
    np.testing.assert_array_equal(states[1:3], 0)
    np.testing.assert_allclose(states[3], 2 * vectors[8] / np.linalg.norm(vectors[8]), rtol=1e-5)
    np.testing.assert_array_equal(states[4:], 0)
    assert states.dtype == np.float32


def test_scores_are_the_sum_of_both_members(run: Path) -> None:
    ensemble = Recommender.load(run).ensemble
    query = query_of([[5, 6]])
    transformer = ensemble.encoder.states(query, 1) @ ensemble.encoder.vectors.T
    [puresvd] = load_members(RunFolder(run), transformer.shape[1]).dense
    assert isinstance(puresvd, PureSVD)
    assert (puresvd.weight, puresvd.parameters) == (40.0, {"factors": 6})
    expected = transformer + puresvd.states(query, 1) @ puresvd.vectors.T
    all_items = np.arange(transformer.shape[1])
    scores = ensemble.scores(query, Ragged.from_rows([all_items]))
    np.testing.assert_allclose(scores, expected[0], rtol=1e-3, atol=1e-4)
    in_one_product = ensemble.states(query) @ ensemble.item_vectors().T
    np.testing.assert_allclose(in_one_product, expected, rtol=1e-3, atol=1e-4)


def with_puresvd_weight(ensemble: Ensemble, weight: float) -> Ensemble:
    dense = [replace(member, weight=weight) for member in ensemble.further_dense if weight]
    return Ensemble(ensemble.encoder, dense, ensemble.sparse)


def test_the_state_of_puresvd_is_in_proportion_to_its_weight(run: Path) -> None:
    ensemble, query = Recommender.load(run).ensemble, query_of([[5, 6]])
    width, states = CONFIG.model.width, ensemble.states(query)
    half_weight, without = (with_puresvd_weight(ensemble, weight) for weight in (20.0, 0.0))
    np.testing.assert_array_equal(without.states(query), states[:, :width])
    expected = states * np.where(np.arange(states.shape[1]) < width, 1, 0.5)
    np.testing.assert_allclose(half_weight.states(query), expected, rtol=1e-6)


@pytest.fixture(scope="module")
def ensemble(run: Path, cycles: Dataset) -> Ensemble:
    """The transformer with PureSVD, co-occurrence and item-kNN."""
    loaded = Recommender.load(run).ensemble
    sparse_members = [
        SparseMember(CoOccurrence.fit(cycles), weight=1.0, scale=0.05),
        SparseMember(ItemKNN.fit(cycles), weight=0.5, scale=0.01),
    ]
    return Ensemble(loaded.encoder, loaded.dense[1:], sparse_members)


def reference_scores(ensemble: Ensemble, query: Query) -> np.ndarray:
    """Dense scores and bonuses in float64, -inf for seen items and special tokens."""
    scores = ensemble.states(query).astype(np.float64) @ ensemble.item_vectors().T
    for member in ensemble.sparse:
        votes = member.ranker.sparse_scores(query).toarray().astype(np.float64)
        mask_items(votes, query.seen)
        votes = np.where(votes > 0, votes, 0)
        shares = votes / np.maximum(votes.sum(axis=1, keepdims=True), 1e-300)
        scores += member.weight * np.log1p(shares / member.scale)
    mask_items(scores, query.seen)
    return scores


def test_lists_and_ranks_of_real_members_equal_a_dense_reference(ensemble: Ensemble) -> None:
    query = query_of([[4, 5, 6], [], [9, 9], [UNK, 4, 200]]).with_k(6)
    scores = reference_scores(ensemble, query)
    ranked = ensemble.top(query)
    np.testing.assert_allclose(
        ranked.scores, -np.sort(-scores, axis=1)[:, :6], rtol=1e-4, atol=1e-4
    )
    for position in range(6):
        targets = ranked.items[:, position]
        expected = ranks_from_scores(np.float32(scores), targets)
        np.testing.assert_array_equal(ensemble.ranks(query, targets), expected)


def test_another_dataset_only_leaves_items_out(
    ensemble: Ensemble, run: Path, tmp_path: Path
) -> None:
    """The scores of the candidates are those on the training dataset."""
    log = ["user_id,item_id,timestamp"]
    for user in range(9):
        items = ["unknown", *(f"i{(user + step) % 5}" for step in range(4))]
        log += [f"v{user},{item},{time}" for time, item in enumerate(items)]
    (tmp_path / "log.csv").write_text("\n".join(log) + "\n")
    joined = prepare(tmp_path / "log.csv", tmp_path / "other", split="leave-one-out")
    items = Recommender.load(run).items
    ranker = ModelRanker(ensemble, items, joined, name="ensemble", fingerprint="of the run")
    history = Ragged.from_rows([joined.items.find(["i1", "i2"])])
    ranked = ranker.top(Query(history, history, np.array([-1]), k=3))
    ids = [joined.items.ids[index - N_SPECIALS] for index in ranked.items[0]]
    assert set(ids) == {"i0", "i3", "i4"}
    scores = reference_scores(ensemble, query_of([items.find(["i1", "i2"]).tolist()]))[0]
    expected = [scores[index] for index in items.find(ids)]
    np.testing.assert_allclose(ranked.scores[0], expected, rtol=1e-4, atol=1e-4)
    query = Query(*(Ragged.from_rows([history.values] * 3),) * 2, np.full(3, -1))
    assert ranker.ranks(query, ranked.items[0]).tolist() == [1, 2, 3]


def test_an_empty_history_gets_recommendations(run: Path) -> None:
    assert len(Recommender.load(run).recommend([], k=5).items) == 5


def test_a_resumed_run_finds_its_puresvd_or_fits_it_again(
    run: Path, cycles: Dataset, tmp_path: Path
) -> None:
    """Beside members that were written at the end, or after a stop before the index."""
    folder = RunFolder(shutil.copytree(run, tmp_path / "copy"))
    file = folder.ensemble.path / "puresvd.safetensors"
    fitted = file.read_bytes()
    [puresvd] = load_members(folder, cycles.vocabulary_size).dense
    assert isinstance(puresvd, PureSVD)
    write_members(folder, [puresvd, SparseMember(CoOccurrence.fit(cycles), 1.0, 0.1)], 0.5)
    again = fit_puresvd(CONFIG, cycles, folder)
    assert again is not None
    np.testing.assert_array_equal(again.vectors, puresvd.vectors)
    assert len(load_members(folder, cycles.vocabulary_size).sparse) == 1
    folder.ensemble.index.unlink()
    file.write_bytes(b"half of")
    assert fit_puresvd(CONFIG, cycles, folder) is not None
    assert file.read_bytes() == fitted
