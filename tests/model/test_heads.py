"""Heads: the flatten head against its definition, and the layout that each head requires."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from segue.batches import PromptLayout
from segue.config import ModelConfig, load_config
from segue.features import FeatureSizes
from segue.model import HEADS, Transformer
from segue.model.blocks import DropoutKeys
from segue.model.heads import FlattenHead
from segue.recommender import prompt_layout
from segue.tokens import N_SPECIALS
from small_models import (
    CONTEXT,
    FLATTEN,
    KEY,
    SEQUENCE_FEATURES,
    SIZES,
    VOCABULARY_SIZE,
    hidden_states,
    last_states,
    random_feature_ids,
    random_tokens,
    replaced,
    small_model,
)

pytestmark = pytest.mark.usefixtures("strict_types")

MOVIES, USERS = 3885, 6040


def shapes_of(model: nnx.Module) -> dict[str, tuple[int, ...]]:
    leaves = nnx.to_flat_state(nnx.state(model))
    return {".".join(map(str, path)): leaf.shape for path, leaf in leaves}


def test_the_preset_has_the_parameter_shapes_of_next_movie():
    """As published for next-movie (Recformers), plus rows for special tokens and padding."""
    config = load_config(preset="next-movie").model
    sizes, vocabulary_size = FeatureSizes(n_sequence_feature_ids=1 + USERS), N_SPECIALS + MOVIES
    model = nnx.eval_shape(lambda: Transformer(config, vocabulary_size, sizes, rngs=nnx.Rngs(0)))
    shapes = shapes_of(model)
    blocks = {name: shapes.pop(name) for name in list(shapes) if name.startswith("blocks.")}
    assert shapes == {
        "item_embeddings": (vocabulary_size, 32),
        "position_embeddings": (5, 32),
        "sequence_feature_embeddings.embeddings": (1 + USERS, 32),
        "final_norm.scale": (32,),
        "final_norm.bias": (32,),
        "head.dense.kernel": (320, 16),
        "head.dense.bias": (16,),
        "untied_output_embeddings": (vocabulary_size, 16),
    }
    first_block = {
        name.removeprefix("blocks.0."): shape
        for name, shape in blocks.items()
        if name.startswith("blocks.0.")
    }
    assert first_block == {
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
    assert len(blocks) == 4 * len(first_block)


@functools.cache
def model() -> Transformer:
    """A model of one layer with the flatten head; do not modify."""
    return small_model(layers=1, **FLATTEN, **SEQUENCE_FEATURES, sequence_width=5)


@nnx.jit
def head_inputs(net: Transformer, tokens, feature_ids):
    """The normalised states of all positions, and the vectors of the sequence features."""
    assert net.position_embeddings is not None
    assert net.final_norm is not None
    assert net.sequence_feature_embeddings is not None
    x = (net.item_embeddings[...][tokens] + net.position_embeddings[...][None]) * 8**0.5
    return net.final_norm(net.blocks[0](x, DropoutKeys(None))), net.sequence_feature_embeddings(
        feature_ids
    )


def test_the_state_is_a_dense_layer_of_all_positions_and_sequence_features():
    tokens, feature_ids = random_tokens(3), random_feature_ids(3, SIZES.n_sequence_feature_ids)
    net = model()
    assert isinstance(net.head, FlattenHead)
    x, vectors = map(np.asarray, head_inputs(net, tokens, feature_ids))
    kernel, bias = net.head.dense.kernel[...], net.head.dense.bias
    assert bias is not None
    states = hidden_states(net, tokens, sequence_features=feature_ids)
    for row in range(3):
        joined = np.concatenate([part for state in x[row] for part in (state, vectors[row])])
        expected = np.maximum(joined @ np.asarray(kernel) + np.asarray(bias[...]), 0)
        np.testing.assert_allclose(states[row], expected[None], rtol=1e-4, atol=1e-6)


def test_states_at_ignores_the_position():
    tokens, feature_ids = random_tokens(), random_feature_ids(2, SIZES.n_sequence_feature_ids)
    states = hidden_states(model(), tokens, sequence_features=feature_ids)
    assert states.shape == (2, 1, 6)
    for position in (0, CONTEXT - 1):
        last = last_states(model(), tokens, [position, position], sequence_features=feature_ids)
        np.testing.assert_allclose(last, states[:, 0], rtol=1e-5, atol=1e-6)


def test_with_the_inner_product_head_states_at_selects_the_position():
    net, tokens = small_model(layers=1), random_tokens()
    states = hidden_states(net, tokens)
    last = last_states(net, tokens, [2, 7])
    np.testing.assert_allclose(last, [states[0, 2], states[1, 7]], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("position", range(CONTEXT))
def test_the_state_depends_on_every_position(position):
    feature_ids = random_feature_ids(2, SIZES.n_sequence_feature_ids)
    tokens = random_tokens()
    new_tokens = (tokens[:, position] + 1) % VOCABULARY_SIZE
    changed = replaced(tokens, np.s_[:, position], new_tokens)
    before, after = (
        hidden_states(model(), array, sequence_features=feature_ids) for array in (tokens, changed)
    )
    assert (before != after).any(axis=(1, 2)).all()


def test_two_users_with_one_history_get_different_states():
    tokens = np.tile(random_tokens(1), (2, 1))
    feature_ids = random_feature_ids(2, SIZES.n_sequence_feature_ids)
    feature_ids.ids[:], feature_ids.weights[:] = [[1, 1], [2, 2]], 0.5
    states = hidden_states(model(), tokens, sequence_features=feature_ids)
    assert (states[0] != states[1]).any()


def test_dropout_of_the_flatten_model_needs_a_key():
    net = small_model(layers=1, **FLATTEN, dropout=0.5)
    without_key = hidden_states(net, random_tokens())
    dropped = [hidden_states(net, random_tokens(), key) for key in (KEY, KEY, jax.random.key(1))]
    np.testing.assert_array_equal(dropped[0], dropped[1])
    assert (dropped[0] != dropped[2]).any()
    assert (dropped[0] != without_key).any()


# --- prompt layouts ---


def test_the_prompt_layout_follows_from_the_model():
    config = ModelConfig(context=7, start=False, end=True)
    expected = PromptLayout(7, VOCABULARY_SIZE, start=False, end=True)
    assert prompt_layout(config, VOCABULARY_SIZE) == expected


def test_only_the_flatten_head_pads_on_the_left():
    config = ModelConfig(context=5, start=False, head="flatten", tied_output=False)
    expected = PromptLayout(5, VOCABULARY_SIZE, start=False, end=False, left_padding=True)
    assert prompt_layout(config, VOCABULARY_SIZE) == expected
    assert not prompt_layout(ModelConfig(), VOCABULARY_SIZE).left_padding


@pytest.mark.parametrize("name", HEADS)
def test_every_head_of_the_configuration_has_a_class(name):
    config = ModelConfig(head=name, tied_output=False, width=8, head_width=6, context=4)
    head = HEADS[name](config, 0, rngs=nnx.Rngs(0))
    states = head(jnp.ones((2, 4, 8)), None)
    assert states.shape == ((2, 6) if head.one_state_per_sequence else (2, 4, 8))
    assert states.shape[-1] == head.output_width(config)
