"""A second transformer that reads the user: its states, with and without users that it knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flax import nnx

from segue.batches import PromptLayout
from segue.config import ModelConfig
from segue.features import Features, SequenceVocabulary
from segue.model import Transformer
from segue.ragged import Ragged
from segue.ranking import Query
from segue.recommender import Recommender
from segue.recommender.encoder import Encoder, prompt_layout
from segue.recommender.second_transformer import SecondTransformer
from segue.recommender.warm_up import known_features

pytestmark = pytest.mark.usefixtures("strict_types")

WEIGHT = 3.0


@pytest.fixture(scope="module")
def model(cycle_run: Path) -> Recommender:
    return Recommender.load(cycle_run)


@pytest.fixture(scope="module")
def encoder(model: Recommender) -> Encoder:
    size = model.ensemble.vocabulary_size
    config = ModelConfig(
        layers=1, heads=1, width=8, feed_forward=8, context=3, sequence_features=("user",)
    )
    features = Features.of(model.items, size, config, SequenceVocabulary({"user": ["ann", "bo"]}))
    transformer = Transformer(config, size, features.sizes, rngs=nnx.Rngs(1))
    layout: PromptLayout = prompt_layout(config, size)
    return Encoder(*nnx.split(transformer), layout, features)


def query_of(*users: str | None) -> Query:
    histories = Ragged.from_rows([[4, 5, 6]] * len(users))
    features: list[dict[str, Any]] = [{} if user is None else {"user": user} for user in users]
    return Query(histories, histories, np.full(len(users), -1), sequence_features=features)


def test_only_known_users_have_states(encoder: Encoder) -> None:
    query = query_of("ann", None, "nobody")
    states = np.asarray(SecondTransformer(encoder, WEIGHT).states(query, 4))
    expected = np.asarray(encoder.states(query, 4))
    np.testing.assert_allclose(states[0], WEIGHT * expected[0], rtol=1e-6)
    assert np.abs(states[0]).max() > 0
    assert not states[1:].any()


def test_nothing_is_computed_without_a_known_user(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = SecondTransformer(encoder, WEIGHT)
    shape = second.states(query_of("ann", "bo"), 2).shape
    monkeypatch.setattr(Encoder, "states", None)
    states = second.states(query_of(None, "nobody"), 2)
    assert states.shape == shape
    assert not np.asarray(states).any()


def test_warm_up_knows_the_user(encoder: Encoder, model: Recommender) -> None:
    ensemble = type(model.ensemble)(model.encoder, [SecondTransformer(encoder, WEIGHT)])
    assert known_features(ensemble)["user"] == "ann"
