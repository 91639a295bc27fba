"""Growing sessions and generation with a trained model: cached equals computed again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segue.dataset import Dataset
from segue.errors import RequestError
from segue.recommender import Recommender
from segue.recommender.generation import EnsembleDecoder, generate, generate_sequences
from segue.recommender.requests import query_of
from segue.recommender.sampling import Sampling
from small_ensembles import mixed_copy

pytestmark = pytest.mark.usefixtures("strict_types")

IDS = [f"i{i}" for i in range(12)]


@pytest.fixture(scope="module")
def model(cycle_run: Path, cycles: Dataset, tmp_path_factory: pytest.TempPathFactory):
    """A transformer of context 8 with count-based members."""
    folder = tmp_path_factory.mktemp("mixed") / "run"
    return Recommender.load(mixed_copy(cycle_run, cycles, folder))


def scores_by_id(answer) -> dict[str, float]:
    return {item.item_id: item.score for item in answer}


def assert_same_lists(answer, expected) -> None:
    assert [item.item_id for item in answer] == [item.item_id for item in expected]
    for item, expected_item in zip(answer, expected, strict=True):
        assert item.score == pytest.approx(expected_item.score, rel=1e-4, abs=1e-4)


# --- sessions ---


def test_up_to_the_context_a_session_recommends_what_recommend_does(model: Recommender) -> None:
    session, history = model.session(), []
    context = model.encoder.layout.context
    for item in ["i3", "unknown", "i4", "i9", "i5", "i6", "i7"][: context - 1]:
        session.append(item)
        history.append(item)
        answer, expected = session.recommend(5), model.recommend(history, 5)
        assert_same_lists(answer, expected)
        assert answer.unknown_items == expected.unknown_items
        assert answer.truncated == expected.truncated
    assert session.items == history
    assert len(session) == len(history)


def test_beyond_the_context_lists_agree_whenever_the_window_is_full(model: Recommender) -> None:
    """The window moves by a quarter of the context, and fills up again."""
    context, session, history, n_equal = model.encoder.layout.context, model.session(), [], 0
    for number in range(2 * context):
        history.append(IDS[(5 * number) % 12])
        session.append(history[-1])
        its_scores = scores_by_id(session.recommend(12, include_seen=True))
        expected = scores_by_id(model.recommend(history, 12, include_seen=True))
        is_equal = its_scores == pytest.approx(expected, rel=1e-4, abs=1e-4)
        n_tokens = len(history) + 1
        if n_tokens <= context or n_tokens % (context // 4) == 0:
            assert is_equal
        n_equal += is_equal
    assert n_equal < 2 * context, "in between it reads fewer events"


def test_a_session_may_start_beyond_the_context(model: Recommender) -> None:
    history = [IDS[i % 12] for i in range(30)]
    session = model.session(history)
    assert_same_lists(
        session.recommend(5, include_seen=True), model.recommend(history, 5, include_seen=True)
    )


def test_sessions_and_the_model_do_not_disturb_each_other(model: Recommender) -> None:
    first, second = model.session(["i1", "i2"]), model.session(["i7"])
    first.recommend(3)
    second.append("i8")
    second.recommend(3)
    model.recommend(["i4"], 3)
    first.append("i3")
    assert_same_lists(first.recommend(3), model.recommend(["i1", "i2", "i3"], 3))
    assert_same_lists(second.recommend(3), model.recommend(["i7", "i8"], 3))


def test_a_session_refuses_what_recommend_refuses(model: Recommender) -> None:
    with pytest.raises(RequestError, match="has no sequence feature 'mood'"):
        model.session(["i1"], sequence_features={"mood": "calm"})
    with pytest.raises(RequestError, match=r"item 7\.5 is not a whole number"):
        model.session().append(7.5)
    with pytest.raises(RequestError, match="k is 0"):
        model.session(["i1"]).recommend(0)


# --- generation ---


def test_generation_equals_encoding_every_sequence_again(model: Recommender) -> None:
    histories = [["i3", "i4"], [], ["i1", "unknown", "i7"], ["i5"]]
    query = query_of(model._read(histories, None, None)[0], 4, include_seen=False)
    sampling = Sampling(top_k=4, seed=3)
    cached = generate(model.ensemble, query, 4, sampling)
    again = generate_sequences(EnsembleDecoder(model.ensemble), query, 4, sampling)
    np.testing.assert_array_equal(cached.items, again.items)
    np.testing.assert_allclose(cached.scores, again.scores, rtol=1e-4, atol=1e-4)


def test_blocks_of_rows_do_not_change_a_list(
    model: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    histories = [["i3", "i4"], ["i2"], ["i1", "i7"]]
    options = {"length": 5, "seed": 2, "locked": [None, {2: "i9"}, {0: "i5"}]}
    together = model.generate(histories, **options)
    monkeypatch.setattr(type(model.ensemble), "rows_per_caching_block", lambda *_: 2)
    for answer, expected in zip(model.generate(histories, **options), together, strict=True):
        assert_same_lists(answer, expected)


def test_locked_items_are_given_by_id(model: Recommender) -> None:
    answer = model.generate(["i1"], 5, locked={1: "i7", 4: "i0"}, temperature=0.0)
    ids = [item.item_id for item in answer]
    assert (ids[1], ids[4]) == ("i7", "i0")
    assert len(set(ids)) == 5


@pytest.mark.parametrize(
    ("locked", "message"),
    [
        ({5: "i2"}, "position 5 is locked, but a list of 5 has the positions 0 to 4"),
        ({-1: "i2"}, "position -1 is locked"),
        ({"1": "i2"}, "position '1' of locked is not an integer"),
        ({1: "nothing"}, "the locked item 'nothing' is not in the catalogue"),
        ({1: "i2", 3: "i2"}, "item 'i2' is locked at two positions"),
        (["i2"], "expected a mapping of positions to item ids"),
    ],
)
def test_impossible_locks_are_refused(model: Recommender, locked, message: str) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        model.generate(["i1"], 5, locked=locked)
    assert caught.value.hint
