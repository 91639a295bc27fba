"""Bodies have the keys and defaults of the methods of ``Recommender``, and no others."""

from __future__ import annotations

import inspect

import pytest

from segue.recommender import Recommender
from segue.recommender.control_options import NAMES
from segue.recommender.request_body import (
    ExplainBody,
    GenerateBody,
    RecommendBody,
    ScoreBody,
    SimilarBody,
)
from segue.server import bodies

METHODS = [
    (RecommendBody, Recommender.recommend, set(NAMES)),
    (GenerateBody, Recommender.generate, set(NAMES)),
    (ExplainBody, Recommender.explain, set(NAMES)),
    (ScoreBody, Recommender.score, set()),
    (SimilarBody, Recommender.similar_items, set()),
]


@pytest.mark.parametrize(
    ("body", "method", "further"), METHODS, ids=[body.__name__ for body, _, _ in METHODS]
)
def test_keys_are_parameters(body: type, method: object, further: set[str]) -> None:
    parameters = inspect.signature(method).parameters  # type: ignore[arg-type]
    names = parameters.keys() - {"self", "controls", "shared_controls"}
    assert set(body.model_fields) == names | further
    for name in names:
        field, default = body.model_fields[name], parameters[name].default
        if default is inspect.Parameter.empty:
            continue
        value = field.get_default(call_default_factory=True)
        assert value == default or (not value and not default), name


@pytest.mark.parametrize(
    ("one", "body"),
    [
        (bodies.RecommendOne, RecommendBody),
        (bodies.ExplainOne, ExplainBody),
        (bodies.GenerateOne, GenerateBody),
        (bodies.ScoreOne, ScoreBody),
        (bodies.SimilarOne, SimilarBody),
    ],
)
def test_a_call_adds_the_model_only(one: type, body: type) -> None:
    assert set(one.model_fields) == {*body.model_fields, "model"}
