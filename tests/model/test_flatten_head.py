"""The head that reads the states of all positions at once, as reference B has it."""

from __future__ import annotations

import functools

import jax
import numpy as np
import pytest
from flax import nnx

from segue.axes import N_SPECIALS
from segue.config import load_config
from segue.features import FeatureSizes
from segue.model import Transformer
from segue.model.blocks import Keys
from small_models import (
    CONTEXT,
    FEATURES_OF_SEQUENCES,
    FLATTEN,
    KEY,
    SIZES,
    TABLE,
    bag_of,
    changed,
    hidden_states,
    last_states,
    model_of,
    tokens_of,
)

pytestmark = pytest.mark.usefixtures("strict_types")

MOVIES, USERS = 3885, 6040


def shapes_of(model: nnx.Module) -> dict[str, tuple[int, ...]]:
    leaves = nnx.to_flat_state(nnx.state(model))
    return {".".join(map(str, path)): leaf.shape for path, leaf in leaves}


def test_the_preset_has_the_shapes_of_reference_b():
    """As its post prints them, with special tokens and an empty code as rows of our own."""
    config = load_config(preset="next-movie").model
    sizes, table_size = FeatureSizes(sequence_codes=1 + USERS), N_SPECIALS + MOVIES
    model = nnx.eval_shape(lambda: Transformer(config, table_size, sizes, rngs=nnx.Rngs(0)))
    shapes = shapes_of(model)
    blocks = {name: shapes.pop(name) for name in list(shapes) if name.startswith("blocks.")}
    assert shapes == {
        "item_table": (table_size, 32),
        "position_table": (5, 32),
        "sequence_codes.code_table": (1 + USERS, 32),
        "final_norm.scale": (32,),
        "final_norm.bias": (32,),
        "head.dense.kernel": (320, 16),
        "head.dense.bias": (16,),
        "free_output": (table_size, 16),
    }
    of_first = {
        name.removeprefix("blocks.0."): shape
        for name, shape in blocks.items()
        if name.startswith("blocks.0.")
    }
    assert of_first == {
        "attention_norm.scale": (32,),
        "attention_norm.bias": (32,),
        "attention.project_in.kernel": (32, 96),
        "attention.project_in.bias": (96,),
        "attention.project_out.kernel": (32, 32),
        "attention.project_out.bias": (32,),
        "feed_forward_norm.scale": (32,),
        "feed_forward_norm.bias": (32,),
        "feed_forward.up.kernel": (32, 128),
        "feed_forward.up.bias": (128,),
        "feed_forward.down.kernel": (128, 32),
        "feed_forward.down.bias": (32,),
    }
    assert len(blocks) == 4 * len(of_first)


@functools.cache
def model() -> Transformer:
    """A model of one layer; not to be changed."""
    return model_of(layers=1, **FLATTEN, **FEATURES_OF_SEQUENCES, sequence_width=5)


@nnx.jit
def parts(net: Transformer, tokens, told):
    """The normed states of all positions, and the vectors of what is told."""
    assert net.position_table is not None
    assert net.final_norm is not None
    assert net.sequence_codes is not None
    x = (net.item_table[...][tokens] + net.position_table[...][None]) * 8**0.5
    return net.final_norm(net.blocks[0](x, Keys(None))), net.sequence_codes(told)


def test_one_state_is_made_of_all_positions_and_of_what_is_told():
    tokens, told = tokens_of(3), bag_of(3, SIZES.sequence_codes)
    net = model()
    assert net.head is not None
    x, known = map(np.asarray, parts(net, tokens, told))
    kernel, bias = net.head.dense.kernel[...], net.head.dense.bias
    assert bias is not None
    found = hidden_states(net, tokens, told=told)
    for row in range(3):
        joined = np.concatenate([part for state in x[row] for part in (state, known[row])])
        expected = np.maximum(joined @ np.asarray(kernel) + np.asarray(bias[...]), 0)
        np.testing.assert_allclose(found[row], expected[None], rtol=1e-4, atol=1e-6)


def test_the_last_state_is_that_one_whatever_the_position():
    tokens, told = tokens_of(), bag_of(2, SIZES.sequence_codes)
    every = hidden_states(model(), tokens, told=told)
    assert every.shape == (2, 1, 6)
    for position in (0, CONTEXT - 1):
        last = last_states(model(), tokens, [position, position], told=told)
        np.testing.assert_allclose(last, every[:, 0], rtol=1e-5, atol=1e-6)


def test_elsewhere_the_last_state_is_that_at_the_position():
    net, tokens = model_of(layers=1), tokens_of()
    every = hidden_states(net, tokens)
    last = last_states(net, tokens, [2, 7])
    np.testing.assert_allclose(last, [every[0, 2], every[1, 7]], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("place", range(CONTEXT))
def test_every_position_counts(place):
    told = bag_of(2, SIZES.sequence_codes)
    tokens = tokens_of()
    other = changed(tokens, np.s_[:, place], (tokens[:, place] + 1) % TABLE)
    before, after = (hidden_states(model(), each, told=told) for each in (tokens, other))
    assert (before != after).any(axis=(1, 2)).all()


def test_two_users_with_one_history_get_other_states():
    tokens = np.tile(tokens_of(1), (2, 1))
    told = bag_of(2, SIZES.sequence_codes)
    told.codes[:], told.weights[:] = [[1, 1], [2, 2]], 0.5
    states = hidden_states(model(), tokens, told=told)
    assert (states[0] != states[1]).any()


def test_dropout_needs_its_key_here_too():
    net = model_of(layers=1, **FLATTEN, dropout=0.5)
    dry = hidden_states(net, tokens_of())
    wet = [hidden_states(net, tokens_of(), key) for key in (KEY, KEY, jax.random.key(1))]
    np.testing.assert_array_equal(wet[0], wet[1])
    assert (wet[0] != wet[2]).any()
    assert (wet[0] != dry).any()
