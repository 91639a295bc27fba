"""States, item vectors, similar items and scores; warm-up, and many threads at a time."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest

from segue.dataset import Dataset
from segue.errors import RequestError
from segue.recommender import Recommender
from small_ensembles import mixed_copy

pytestmark = pytest.mark.usefixtures("strict_types")

HISTORIES = [["i3", "i4"], [], ["i1", "unknown", "i7", "i8"]]


@pytest.fixture(scope="module")
def model(cycle_run: Path) -> Recommender:
    return Recommender.load(cycle_run)


def test_products_of_states_and_item_vectors_are_the_scores(model: Recommender) -> None:
    states, vectors = model.encode(HISTORIES), model.item_vectors()
    assert states.shape == (3, vectors.shape[1])
    assert len(model.item_ids) == len(vectors)
    for history, state in zip(HISTORIES, states, strict=True):
        np.testing.assert_allclose(model.encode(history), state, rtol=1e-5, atol=1e-6)
        answer = model.recommend(history, k=5, include_seen=True)
        products = dict(zip(model.item_ids, vectors @ state, strict=True))
        for item in answer:
            assert item.score == pytest.approx(products[item.item_id], rel=1e-4, abs=1e-5)


def test_scores_of_candidates_are_in_their_order(model: Recommender) -> None:
    candidates = ["i9", "never seen", "i3", "i5"]
    scores = model.score(["i3", "i4"], candidates)
    assert np.isnan(scores).tolist() == [False, True, False, False]
    recommended = model.recommend(["i3", "i4"], k=12, include_seen=True)
    by_id = {item.item_id: item.score for item in recommended}
    for item_id, score in zip(candidates, scores.tolist(), strict=True):
        if item_id != "never seen":
            assert score == pytest.approx(by_id[item_id], rel=1e-4, abs=1e-5)


def test_many_histories_have_candidates_of_their_own(model: Recommender) -> None:
    lists = [["i1", "i2"], [], ["i5"]]
    scores = model.score(HISTORIES, lists)
    assert [len(row) for row in scores] == [2, 0, 1]
    for history, candidates, row in zip(HISTORIES, lists, scores, strict=True):
        expected = model.score(history, candidates)
        np.testing.assert_allclose(row, expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(RequestError, match=r"candidates is .*expected a list with one value per"):
        model.score(HISTORIES, [["i1"]])


def test_similar_items_have_the_largest_cosine(model: Recommender) -> None:
    vectors = model.item_vectors()
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = unit @ unit[model.item_ids.index("i4")]
    order = [model.item_ids[i] for i in np.argsort(-cosines) if model.item_ids[i] != "i4"]
    answer = model.similar_items("i4", k=5)
    assert [item.item_id for item in answer] == order[:5]
    np.testing.assert_allclose(
        [item.score for item in answer], -np.sort(-cosines)[1:6], rtol=1e-4, atol=1e-5
    )


def test_filters_of_similar_items_apply_before_the_list_is_cut(model: Recommender) -> None:
    order = [item.item_id for item in model.similar_items("i4", k=11)]
    ids = [item.item_id for item in model.similar_items("i4", 4, exclude=order[:3])]
    assert ids == order[3:7]
    only = [order[8], order[2], order[5], "i4", "unknown"]
    answer = model.similar_items("i4", 4, only=only)
    assert [item.item_id for item in answer] == [order[2], order[5], order[8]]
    assert answer.notes[0] == "1 unknown id of only ignored: 'unknown'"
    assert "the list has 3 of the 4 items requested" in answer.notes[1]
    ids = [item.item_id for item in model.similar_items("i4", 2, where=f"item_id = {order[6]}")]
    assert ids == [order[6]]
    with pytest.raises(RequestError, match="the items have no attribute 'colour'"):
        model.similar_items("i4", where="colour = red")


@pytest.mark.parametrize(
    ("item", "k", "message"),
    [
        ("unknown", 5, "item 'unknown' is not in the catalogue"),
        ("i4", 0, "k is 0, expected 1 or more"),
        ("i4", 12, "k is 12, more than the 11 other items"),
        (1.5, 2, r"item 1\.5 is not a whole number"),
    ],
)
def test_impossible_requests_for_similar_items(
    model: Recommender, item, k: int, message: str
) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        model.similar_items(item, k)
    assert caught.value.hint


def test_many_sequences_are_generated_like_each_alone(model: Recommender) -> None:
    together = model.generate(HISTORIES, length=6, seed=5)
    for history, answer in zip(HISTORIES, together, strict=True):
        alone = model.generate(history, length=6, seed=5)
        assert [item.item_id for item in answer] == [item.item_id for item in alone]
        assert answer.unknown_items == alone.unknown_items


def compilations(caplog: pytest.LogCaptureFixture) -> list[str]:
    messages = [record.getMessage() for record in caplog.records]
    return [message for message in messages if "ompiling" in message]


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("has_ensemble", [False, True])
def test_after_warm_up_no_request_compiles(
    has_ensemble: bool,
    cycle_run: Path,
    cycles: Dataset,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    run = mixed_copy(cycle_run, cycles, tmp_path / "mixed") if has_ensemble else cycle_run
    model = Recommender.load(run)
    shapes = model.warm_up(max_rows=16, max_k=12)
    assert {shape["rows"] for shape in shapes} == {1, 2, 3, 4, 6, 8, 12, 16}
    assert {shape["length"] for shape in shapes} == {2, 8}
    random = np.random.default_rng(0)
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        jax.jit(lambda x: x + 1)(np.ones(3))
        assert compilations(caplog), "compilations are logged"
        caplog.clear()
        for _ in range(30):
            n, k = int(random.integers(1, 17)), int(random.integers(1, 13))
            lengths = random.integers(0, 30, n)
            model.recommend([[f"i{i % 14}" for i in range(length)] for length in lengths], k=k)
            history = [f"i{i}" for i in range(lengths[0])]
            model.recommend(history, k=k, include_seen=True)
            model.generate(history, length=2, top_k=k)
            model.generate([history, ["i1"]], length=4, top_k=k, include_seen=True)
            model.encode(history)
        model.generate(["i1"], length=3, locked={1: "i5"})
        session = model.session(["i1"])
        for i in range(12):
            session.append(f"i{i}")
            session.recommend(3, include_seen=True)
    assert not compilations(caplog)


@pytest.mark.slow
def test_many_threads_get_the_answers_of_one_after_another(
    model: Recommender, cycle_run: Path
) -> None:
    requests = [[f"i{(i + j) % 12}" for j in range(i % 9)] for i in range(64)]

    def answer(model: Recommender, history: list[str]) -> list[tuple[str, float]]:
        recommended = model.recommend(history, k=3)
        generated = model.generate(history, length=2, seed=1)
        return [(item.item_id, item.score) for item in [*recommended, *generated]]

    expected = [answer(model, history) for history in requests]
    new_model = Recommender.load(cycle_run)  # nothing is computed beforehand
    with ThreadPoolExecutor(32) as threads:
        assert list(threads.map(partial(answer, new_model), requests)) == expected
