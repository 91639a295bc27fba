"""Growing sessions and generation with a trained model: cached equals computed again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.dataset import Dataset
from segue.errors import RequestError
from segue.recommender import Recommender
from segue.recommender.generation import EnsembleDecoder, generate, generate_sequences
from segue.recommender.members import check_window
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


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("window", ["last", "moving"])
@settings(max_examples=8)
@given(
    given_ids=st.lists(st.sampled_from([*IDS, "unknown"]), max_size=20),
    appended=st.lists(st.sampled_from([*IDS, "unknown"]), min_size=1, max_size=10),
)
def test_at_every_length_a_session_recommends_what_recommend_does(
    model: Recommender, window, given_ids: list[str], appended: list[str]
) -> None:
    """The context is 8: lengths below, at and beyond it, with members that read all events."""
    model = model.with_window(window)
    session, history = model.session(given_ids), list(given_ids)
    for item in appended:
        session.append(item)
        history.append(item)
        answer = session.recommend(12, include_seen=True)
        expected = model.recommend(history, 12, include_seen=True)
        assert scores_by_id(answer) == pytest.approx(scores_by_id(expected), rel=1e-4, abs=1e-4)
        assert answer.unknown_items == expected.unknown_items
        assert answer.truncated == expected.truncated
    assert session.items == history
    assert len(session) == len(history)


@pytest.mark.parametrize("window", ["last", "moving"])
def test_greedy_generation_is_recommend_after_recommend(model: Recommender, window) -> None:
    model = model.with_window(window)
    history = [IDS[(5 * i) % 12] for i in range(5)]
    generated = [item.item_id for item in model.generate(history, 7, temperature=0.0)]
    for item_id in generated:
        assert model.recommend(history, 1).items[0].item_id == item_id
        history.append(item_id)


def test_windows_differ_beyond_the_context(model: Recommender) -> None:
    moving = model.with_window("moving")
    assert moving.name == f"{model.name} (moving window)"
    assert moving.with_window("last").name == model.name
    history = [IDS[i % 12] for i in range(10)]
    last, moved = (m.recommend(history, 12, include_seen=True) for m in (model, moving))
    assert (last.truncated, moved.truncated) == (2, 3)
    assert scores_by_id(last) != pytest.approx(scores_by_id(moved), rel=1e-4, abs=1e-4)


def test_a_session_names_its_last_events(model: Recommender) -> None:
    assert repr(model.session(["i1"])) == "Session with 1 event: 'i1'"
    session = model.session(IDS[:7])
    assert repr(session) == "Session with 7 events: ..., 'i2', 'i3', 'i4', 'i5', 'i6'"


def test_an_unknown_window_is_refused() -> None:
    with pytest.raises(RequestError, match="window is 'first', expected 'last' or 'moving'"):
        check_window("first")


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
    query = query_of(model._requests.read_all(histories, None, None)[0], 4, include_seen=False)
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
