"""Item and sequence features in the model, against sums computed one item at a time."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from segue.features import FeatureIds, ItemFeatures
from segue.model import Transformer
from segue.model.embeddings import VECTOR_SCALE
from segue.tokens import N_SPECIALS
from small_models import (
    CONTEXT,
    ITEM_FEATURES,
    SEQUENCE_FEATURES,
    SIZES,
    VOCABULARY_SIZE,
    hidden_states,
    output_embeddings,
    output_embeddings_at,
    random_feature_ids,
    random_item_features,
    random_tokens,
    small_model,
)

pytestmark = pytest.mark.usefixtures("strict_types")

SIDES = ["input", "output", "both"]


@functools.cache
def item_feature_model(side: str) -> Transformer:
    """A model of one layer with item features; do not modify."""
    return small_model(layers=1, **ITEM_FEATURES, item_features_at=side)


@functools.cache
def sequence_feature_model() -> Transformer:
    """A model of one layer with sequence features; do not modify."""
    return small_model(layers=1, **SEQUENCE_FEATURES)


def naive_vectors(model: Transformer, table: nnx.Param, features: ItemFeatures) -> np.ndarray:
    """The vector of every item: its id embedding if it was trained, plus all of its features."""
    assert model.item_feature_embeddings is not None
    assert model.item_feature_embeddings.project is not None
    embeddings = np.asarray(model.item_feature_embeddings.embeddings[...], np.float64)
    kernel = np.asarray(model.item_feature_embeddings.project.kernel[...], np.float64)
    vectors = np.zeros(table.shape)
    for row in range(VOCABULARY_SIZE):
        if features.is_trained[row]:
            vectors[row] += np.asarray(table[row])
        for feature_id, weight in zip(
            features.feature_ids.ids[row], features.feature_ids.weights[row], strict=True
        ):
            vectors[row] += weight * embeddings[feature_id]
        vectors[row] += VECTOR_SCALE * (features.vectors[row] @ kernel)
    return vectors


def assert_close(actual, expected) -> None:
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


# --- items ---


@pytest.mark.parametrize("side", SIDES)
def test_output_embeddings_contain_the_item_features(side):
    model, features = item_feature_model(side), random_item_features()
    table = np.asarray(model.item_embeddings[...])
    expected = table if side == "input" else naive_vectors(model, model.item_embeddings, features)
    assert_close(output_embeddings(model, features), expected)
    assert (expected[N_SPECIALS:] != table[N_SPECIALS:]).any() == (side != "input")


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("shape", [(7,), (3, 5)])
def test_output_embeddings_at_some_rows_equal_those_of_all(side, shape):
    model, features = item_feature_model(side), random_item_features()
    rows = np.random.default_rng(1).integers(0, VOCABULARY_SIZE, shape).astype(np.int32)
    assert_close(
        output_embeddings_at(model, rows, features), output_embeddings(model, features)[rows]
    )


def test_untied_output_embeddings_contain_the_item_features():
    model = small_model(layers=1, **ITEM_FEATURES, tied_output=False)
    features, rows = random_item_features(), np.arange(VOCABULARY_SIZE, dtype=np.int32)
    assert model.untied_output_embeddings is not None
    expected = naive_vectors(model, model.untied_output_embeddings, features)
    assert_close(output_embeddings(model, features), expected)
    assert_close(output_embeddings_at(model, rows, features), expected)


@pytest.mark.parametrize("side", SIDES)
def test_states_equal_those_of_a_model_whose_embeddings_are_the_sums(side):
    model, features = item_feature_model(side), random_item_features()
    expected = hidden_states(model, random_tokens())
    if side != "output":
        plain = nnx.clone(model)
        plain.item_embeddings[...] = jnp.asarray(
            naive_vectors(model, model.item_embeddings, features), jnp.float32
        )
        expected = hidden_states(plain, random_tokens())
    assert_close(hidden_states(model, random_tokens(), features=features), expected)


def test_without_features_the_model_uses_ids_alone():
    model = item_feature_model("both")
    np.testing.assert_array_equal(model.output_embeddings(), model.item_embeddings[...])
    assert model.item_features_at == "both"
    plain = nnx.clone(model)
    plain.item_feature_embeddings = None
    np.testing.assert_array_equal(
        hidden_states(model, random_tokens()),
        hidden_states(plain, random_tokens(), features=random_item_features()),
    )


def test_id_embeddings_of_untrained_items_are_not_used():
    model, features = item_feature_model("both"), random_item_features()
    untrained = np.flatnonzero(features.is_trained == 0)
    assert len(untrained) > 3
    modified = nnx.clone(model)
    modified.item_embeddings[...] = modified.item_embeddings[...].at[untrained].add(5.0)
    models = (model, modified)
    np.testing.assert_array_equal(*(output_embeddings(net, features) for net in models))
    tokens = np.resize(untrained, (2, CONTEXT)).astype(np.int32)
    states = [hidden_states(net, tokens, features=features) for net in models]
    np.testing.assert_array_equal(*states)


def test_untrained_items_with_equal_features_have_equal_embeddings():
    features = random_item_features()
    features.is_trained[[6, 9]] = 0
    for array in (*features.feature_ids, features.vectors):
        array[9] = array[6]
    table = output_embeddings(item_feature_model("both"), features)
    np.testing.assert_array_equal(table[6], table[9])
    assert (table[6] != 0).any()


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("side", SIDES)
def test_gradients_reach_the_feature_embeddings_and_the_projection(side):
    """At the input through the states, at the output through the scores."""
    graph, params = nnx.split(item_feature_model(side))
    features = random_item_features()

    @functools.partial(jax.jit, static_argnums=1)
    @functools.partial(jax.grad, argnums=0)
    def gradient(params, through):
        model = nnx.merge(graph, params)
        if through == "input":
            return jnp.square(model(jnp.asarray(random_tokens()), features)[..., :4]).sum()
        return jnp.square(model.output_embeddings(features)).sum()

    for through in ("input", "output"):
        gradients = gradient(params, through)["item_feature_embeddings"]
        for leaf in map(np.asarray, jax.tree.leaves(gradients)):
            assert bool(leaf.any()) == (side in (through, "both"))


def test_unused_feature_ids_get_no_gradient():
    features = random_item_features()
    features.feature_ids.ids[features.feature_ids.ids == 3] = 4
    graph, params = nnx.split(item_feature_model("output"))

    @jax.jit
    @jax.grad
    def gradient(params):
        return jnp.square(nnx.merge(graph, params).output_embeddings(features)).sum()

    rows = np.asarray(gradient(params)["item_feature_embeddings"]["embeddings"][...]).any(axis=1)
    assert not rows[3]
    assert rows[[1, 2, 4, 5, 6]].all()


# --- sequences ---


def test_sequence_features_change_every_state_of_the_row():
    tokens, feature_ids = random_tokens(), random_feature_ids(2, SIZES.n_sequence_feature_ids)
    feature_ids.weights[0], feature_ids.weights[1] = 0, 1
    without, with_features = (
        hidden_states(sequence_feature_model(), tokens, sequence_features=given)
        for given in (None, feature_ids)
    )
    assert_close(with_features[0], without[0])
    assert (np.abs(with_features[1] - without[1]).max(axis=1) > 1e-3).all()


def test_feature_ids_of_weight_zero_change_nothing():
    empty = FeatureIds(np.zeros((2, 3), np.int32), np.zeros((2, 3), np.float32))
    states = hidden_states(sequence_feature_model(), random_tokens(), sequence_features=empty)
    assert_close(states, hidden_states(sequence_feature_model(), random_tokens()))


def test_sequence_features_are_added_to_the_input_of_every_position():
    model, feature_ids = (
        sequence_feature_model(),
        random_feature_ids(2, SIZES.n_sequence_feature_ids, seed=3),
    )
    feature_ids.weights[:] = [[0.25, 0.75], [0.5, 0.5]]
    assert model.sequence_feature_embeddings is not None
    assert model.position_embeddings is not None
    states = hidden_states(model, random_tokens(), sequence_features=feature_ids)
    for row in range(2):
        plain = nnx.clone(model)
        vectors = np.asarray(model.sequence_feature_embeddings.embeddings[...])[
            feature_ids.ids[row]
        ]
        total = (feature_ids.weights[row][:, None] * vectors).sum(axis=0)
        plain.position_embeddings[...] = plain.position_embeddings[...] + total.reshape(1, -1)
        assert_close(hidden_states(plain, random_tokens())[row], states[row])


def test_gradients_reach_only_the_given_sequence_features():
    graph, params = nnx.split(sequence_feature_model())
    feature_ids = FeatureIds(
        np.array([[1, 2], [1, 4]], np.int32), np.array([[0.5, 0.5], [1, 0]], np.float32)
    )

    @jax.jit
    @jax.grad
    def gradient(params):
        hidden = nnx.merge(graph, params)(jnp.asarray(random_tokens()), None, feature_ids)
        return jnp.square(hidden[..., :4]).sum()

    rows = np.asarray(gradient(params)["sequence_feature_embeddings"]["embeddings"][...]).any(
        axis=1
    )
    assert rows.tolist() == [False, True, True, False, False]
