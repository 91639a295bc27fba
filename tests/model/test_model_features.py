"""What a model reads beside ids, against vectors that are added up one item at a time."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from segue.axes import N_SPECIALS
from segue.features import Bag, ItemFeatures
from segue.model import Transformer
from segue.model.embeddings import VECTOR_SCALE
from small_models import (
    CONTEXT,
    FEATURES_OF_ITEMS,
    FEATURES_OF_SEQUENCES,
    SIZES,
    TABLE,
    bag_of,
    features_of,
    hidden_states,
    model_of,
    output_rows,
    output_table,
    tokens_of,
)

pytestmark = pytest.mark.usefixtures("strict_types")

PLACES = ["input", "output", "both"]


@functools.cache
def reader(where: str) -> Transformer:
    """A model of one layer that reads items' features; not to be changed."""
    return model_of(layers=1, **FEATURES_OF_ITEMS, item_features_at=where)


@functools.cache
def listener() -> Transformer:
    """A model of one layer that is told of sequences; not to be changed."""
    return model_of(layers=1, **FEATURES_OF_SEQUENCES)


def slow_vectors(model: Transformer, table: nnx.Param, features: ItemFeatures) -> np.ndarray:
    """The vector of every item: its id's where it was trained, and all that is known of it."""
    assert model.item_codes is not None
    assert model.item_codes.project is not None
    code_table = np.asarray(model.item_codes.code_table[...], np.float64)
    kernel = np.asarray(model.item_codes.project.kernel[...], np.float64)
    found = np.zeros(table.shape)
    for row in range(TABLE):
        if features.is_trained[row]:
            found[row] += np.asarray(table[row])
        for code, weight in zip(features.bag.codes[row], features.bag.weights[row], strict=True):
            found[row] += weight * code_table[code]
        found[row] += VECTOR_SCALE * (features.vectors[row] @ kernel)
    return found


def close(found, expected) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


# --- items ---


@pytest.mark.parametrize("where", PLACES)
def test_the_output_table_holds_what_is_known_of_the_items(where):
    model, features = reader(where), features_of()
    table = np.asarray(model.item_table[...])
    expected = table if where == "input" else slow_vectors(model, model.item_table, features)
    close(output_table(model, features), expected)
    assert (expected[N_SPECIALS:] != table[N_SPECIALS:]).any() == (where != "input")


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("shape", [(7,), (3, 5)])
def test_rows_of_the_output_are_those_of_the_whole_table(where, shape):
    model, features = reader(where), features_of()
    rows = np.random.default_rng(1).integers(0, TABLE, shape).astype(np.int32)
    close(output_rows(model, rows, features), output_table(model, features)[rows])


def test_rows_of_a_free_output_are_those_of_the_whole_table():
    model = model_of(layers=1, **FEATURES_OF_ITEMS, tied_output=False)
    features, rows = features_of(), np.arange(TABLE, dtype=np.int32)
    assert model.free_output is not None
    expected = slow_vectors(model, model.free_output, features)
    close(output_table(model, features), expected)
    close(output_rows(model, rows, features), expected)


@pytest.mark.parametrize("where", PLACES)
def test_states_are_those_of_a_plain_model_with_the_vectors_for_a_table(where):
    model, features = reader(where), features_of()
    expected = hidden_states(model, tokens_of())
    if where != "output":
        plain = nnx.clone(model)
        plain.item_table[...] = jnp.asarray(
            slow_vectors(model, model.item_table, features), jnp.float32
        )
        expected = hidden_states(plain, tokens_of())
    close(hidden_states(model, tokens_of(), features=features), expected)


def test_without_features_at_hand_a_reader_goes_by_ids_alone():
    model = reader("both")
    np.testing.assert_array_equal(model.output_table(), model.item_table[...])
    assert model.features_at == "both"
    plain = nnx.clone(model)
    plain.item_codes = None
    np.testing.assert_array_equal(
        hidden_states(model, tokens_of()), hidden_states(plain, tokens_of(), features=features_of())
    )


def test_the_id_of_an_item_that_was_never_trained_on_says_nothing():
    model, features = reader("both"), features_of()
    untrained = np.flatnonzero(features.is_trained == 0)
    assert len(untrained) > 3
    other = nnx.clone(model)
    other.item_table[...] = other.item_table[...].at[untrained].add(5.0)
    np.testing.assert_array_equal(*(output_table(each, features) for each in (other, model)))
    tokens = np.resize(untrained, (2, CONTEXT)).astype(np.int32)
    states = [hidden_states(each, tokens, features=features) for each in (model, other)]
    np.testing.assert_array_equal(*states)


def test_two_items_of_which_the_same_is_known_and_nothing_learned_are_one():
    features = features_of()
    features.is_trained[[6, 9]] = 0
    for part in (*features.bag, features.vectors):
        part[9] = part[6]
    table = output_table(reader("both"), features)
    np.testing.assert_array_equal(table[6], table[9])
    assert (table[6] != 0).any()


@pytest.mark.parametrize("where", PLACES)
def test_gradients_reach_the_codes_and_the_projection(where):
    """Through the states at the input, through the scores at the output."""
    graph, params = nnx.split(reader(where))
    features = features_of()

    @functools.partial(jax.jit, static_argnums=1)
    @functools.partial(jax.grad, argnums=0)
    def gradient(params, through):
        model = nnx.merge(graph, params)
        if through == "input":
            return jnp.square(model(jnp.asarray(tokens_of()), features)[..., :4]).sum()
        return jnp.square(model.output_table(features)).sum()

    for through in ("input", "output"):
        codes = gradient(params, through)["item_codes"]
        for leaf in map(np.asarray, jax.tree.leaves(codes)):
            assert bool(leaf.any()) == (where in (through, "both"))


def test_codes_that_nothing_has_get_no_gradient():
    features = features_of()
    features.bag.codes[features.bag.codes == 3] = 4
    graph, params = nnx.split(reader("output"))

    @jax.jit
    @jax.grad
    def gradient(params):
        return jnp.square(nnx.merge(graph, params).output_table(features)).sum()

    rows = np.asarray(gradient(params)["item_codes"]["code_table"][...]).any(axis=1)
    assert not rows[3]
    assert rows[[1, 2, 4, 5, 6]].all()


# --- sequences ---


def test_what_is_told_changes_every_state_of_its_row():
    tokens, told = tokens_of(), bag_of(2, SIZES.sequence_codes)
    told.weights[0], told.weights[1] = 0, 1
    silent, heard = (hidden_states(listener(), tokens, told=bag) for bag in (None, told))
    close(heard[0], silent[0])
    assert (np.abs(heard[1] - silent[1]).max(axis=1) > 1e-3).all()


def test_an_empty_bag_changes_nothing():
    nothing = Bag(np.zeros((2, 3), np.int32), np.zeros((2, 3), np.float32))
    heard = hidden_states(listener(), tokens_of(), told=nothing)
    close(heard, hidden_states(listener(), tokens_of()))


def test_what_is_told_is_added_to_the_input_of_every_position():
    model, told = listener(), bag_of(2, SIZES.sequence_codes, seed=3)
    told.weights[:] = [[0.25, 0.75], [0.5, 0.5]]
    assert model.sequence_codes is not None
    assert model.position_table is not None
    heard = hidden_states(model, tokens_of(), told=told)
    for row in range(2):
        plain = nnx.clone(model)
        vectors = np.asarray(model.sequence_codes.code_table[...])[told.codes[row]]
        known = (told.weights[row][:, None] * vectors).sum(axis=0)
        plain.position_table[...] = plain.position_table[...] + known.reshape(1, -1)
        close(hidden_states(plain, tokens_of())[row], heard[row])


def test_gradients_reach_what_is_told_and_no_more():
    graph, params = nnx.split(listener())
    told = Bag(np.array([[1, 2], [1, 4]], np.int32), np.array([[0.5, 0.5], [1, 0]], np.float32))

    @jax.jit
    @jax.grad
    def gradient(params):
        hidden = nnx.merge(graph, params)(jnp.asarray(tokens_of()), None, told)
        return jnp.square(hidden[..., :4]).sum()

    rows = np.asarray(gradient(params)["sequence_codes"]["code_table"][...]).any(axis=1)
    assert rows.tolist() == [False, True, True, False, False]
