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
