"""Requests that are looked up before they are computed together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segue.errors import RequestError
from segue.recommender import Recommender


@pytest.fixture(scope="module")
def model(cycle_run: Path) -> Recommender:
    return Recommender.load(cycle_run)


def test_looked_up_requests_stand_for_histories(model: Recommender) -> None:
    histories = [["i1"], ["i2", "nowhere"], [], ["i3", "i4", 5]]
    requests = [model.look_up(items) for items in histories]
    plain, looked_up = model.recommend(histories, 4), model.recommend(requests, 4)
    for answer, expected in zip(looked_up, plain, strict=True):
        assert answer.to_dict() | {"took_ms": 0} == expected.to_dict() | {"took_ms": 0}
    generated = model.generate(requests, 3, seed=2)
    assert [g.items for g in generated] == [g.items for g in model.generate(histories, 3, seed=2)]
    candidates = [["i1"], ["i2", "i3"], [], ["i4"]]
    for row, expected in zip(
        model.score(requests, candidates), model.score(histories, candidates), strict=True
    ):
        np.testing.assert_array_equal(row, expected)


def test_users_and_controls_are_looked_up(model: Recommender) -> None:
    request = model.look_up(user="u1", controls={"exclude": ["i3"]})
    expected = model.recommend(user="u1", exclude=["i3"])
    assert model.recommend([request])[0].items == expected.items


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"user": "nobody"}, "user 'nobody' is not in"),
        ({"controls": {"where": "colour = red"}}, "colour"),
        ({"sequence_features": {"mood": "x"}}, "no sequence feature 'mood'"),
        ({"items": [["i1"], ["i2"]]}, "items is a list of histories"),
        ({"items": [""]}, "missing id"),
    ],
)
def test_wrong_requests_are_noticed(model: Recommender, arguments: dict, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        model.look_up(**arguments)


@pytest.mark.parametrize(
    "beside",
    [
        {"user": ["u1"]},
        {"sequence_features": [{"mood": "x"}]},
        {"controls": [{"exclude": ["i3"]}]},
        {"exclude": ["i3"]},
    ],
    ids=lambda beside: next(iter(beside)),
)
def test_what_belongs_into_a_request_is_not_ignored_beside_it(
    model: Recommender, beside: dict
) -> None:
    request = model.look_up(["i1"])
    with pytest.raises(RequestError, match="beside requests from look_up"):
        model.recommend([request], 2, **beside)


def test_requests_and_histories_are_not_mixed(model: Recommender) -> None:
    request = model.look_up(["i1"])
    with pytest.raises(RequestError, match="requests from look_up and other values"):
        model.recommend([request, ["i2"]], 2)
    with pytest.raises(RequestError, match=r"items\[1\] is of type Request"):
        model.recommend([["i2"], request], 2)


def test_no_histories_have_no_answers(model: Recommender) -> None:
    nothing = np.zeros((0, 3), int)
    assert model.recommend(nothing, 2) == []
    assert model.generate(nothing, 2) == []
    assert model.score(nothing, []) == []
    assert model.explain(nothing, 2) == []


@pytest.mark.parametrize("k", [True, 0, 10**9])
@pytest.mark.parametrize("candidates", [None, ["i3"]])
def test_explanations_check_their_number_of_items(
    model: Recommender, k: int, candidates: list[str] | None
) -> None:
    with pytest.raises(RequestError, match="k is"):
        model.explain(["i1"], k, candidates=candidates)
