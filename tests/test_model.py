"""The transformer: what a position may see, and that every configuration trains."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st

from segue.axes import PAD
from segue.config import ModelConfig
from segue.model import EMBEDDING_STD, Keys, Transformer, dropout

pytestmark = pytest.mark.usefixtures("strict_types")

TABLE = 30
CONTEXT = 8
KEY = jax.random.key(0)


def config_of(**changes) -> ModelConfig:
    small = {"heads": 2, "width": 8, "feed_forward": 16, "context": CONTEXT, "dropout": 0.0}
    return ModelConfig(**{**small, **changes})


def model_of(seed: int = 0, **changes) -> Transformer:
    return Transformer(config_of(**changes), TABLE, rngs=nnx.Rngs(seed))


def tokens_of(batch: int = 2, length: int = CONTEXT, seed: int = 0) -> jax.Array:
    random = np.random.default_rng(seed)
    return jnp.asarray(random.integers(4, TABLE, (batch, length)), jnp.int32)


@nnx.jit
def hidden_states(model, tokens, key=None):
    return model(tokens, key)


@pytest.fixture(scope="module", params=["pre", "post"])
def model(request) -> Transformer:
    return model_of(norm=request.param)


# --- what a position sees ---


@given(changed=st.integers(0, CONTEXT - 1), to=st.integers(0, TABLE - 1), seed=st.integers(0, 9))
def test_later_tokens_change_nothing_before_them(model, changed, to, seed):
    tokens = tokens_of(seed=seed)
    before = hidden_states(model, tokens)
    after = hidden_states(model, tokens.at[:, changed].set(to))
    np.testing.assert_array_equal(before[:, :changed], after[:, :changed])
    if (tokens[:, changed] != to).all():
        assert (before[:, changed:] != after[:, changed:]).any(axis=(0, 2)).all()


@pytest.mark.parametrize("real", [1, 3, CONTEXT - 1])
def test_padding_at_the_end_does_not_matter(model, real):
    tokens = tokens_of()
    padded = hidden_states(model, tokens.at[:, real:].set(PAD))
    short = hidden_states(model, tokens[:, :real])
    np.testing.assert_allclose(padded[:, :real], short, rtol=1e-5, atol=1e-5)


def test_rows_of_a_batch_do_not_see_each_other(model):
    tokens = tokens_of()
    together = hidden_states(model, tokens)
    other = hidden_states(model, tokens.at[1].set(PAD))
    np.testing.assert_array_equal(together[0], other[0])
    assert (together[1] != other[1]).any()


def test_without_positions_one_layer_sees_earlier_tokens_as_a_set():
    model = model_of(positions="none", layers=1)
    tokens = tokens_of()
    shuffled = tokens.at[:, :-1].set(tokens[:, :-1][:, ::-1])
    states, other = hidden_states(model, tokens), hidden_states(model, shuffled)
    np.testing.assert_allclose(states[:, -1], other[:, -1], rtol=1e-4, atol=1e-5)


def test_learned_positions_tell_orders_apart():
    model = model_of(positions="learned", layers=1)
    tokens = tokens_of()
    shuffled = tokens.at[:, :-1].set(tokens[:, :-1][:, ::-1])
    states, other = hidden_states(model, tokens), hidden_states(model, shuffled)
    assert np.abs(states[:, -1] - other[:, -1]).max() > 1e-4


def test_attention_alone_mixes_positions_and_is_a_mean_of_values():
    """With queries of zero every visible position weighs the same."""
    attention = model_of(layers=1).blocks[0].attention
    kernel = attention.project_in.kernel
    kernel[...] = kernel[...].at[:, :8].set(0)
    x = jax.random.normal(KEY, (1, 5, 8))
    values = x @ kernel[...][:, 16:]
    means = jnp.cumsum(values, axis=1) / jnp.arange(1.0, 6.0).reshape(1, 5, 1)
    expected = attention.project_out(means)
    np.testing.assert_allclose(attention(x, Keys(None)), expected, rtol=1e-4, atol=1e-5)


# --- dropout ---


def test_without_a_key_nothing_is_dropped():
    tokens = tokens_of()
    wet, dry = model_of(dropout=0.5), model_of(dropout=0.0)
    np.testing.assert_array_equal(hidden_states(wet, tokens), hidden_states(dry, tokens))


def test_a_key_seeds_dropout():
    model, tokens = model_of(dropout=0.5), tokens_of()
    first = hidden_states(model, tokens, KEY)
    np.testing.assert_array_equal(first, hidden_states(model, tokens, KEY))
    assert (first != hidden_states(model, tokens, jax.random.key(1))).any()
    assert (first != hidden_states(model, tokens)).any()


def test_at_rate_zero_a_key_changes_nothing():
    model, tokens = model_of(dropout=0.0), tokens_of()
    np.testing.assert_array_equal(hidden_states(model, tokens, KEY), hidden_states(model, tokens))


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_zeroes_its_share_and_keeps_the_mean(rate):
    dropped = np.asarray(dropout(jnp.ones((200, 200)), rate, KEY))
    assert (dropped == 0).mean() == pytest.approx(rate, abs=0.01)
    assert dropped.mean() == pytest.approx(1, abs=0.03)
    assert len(np.unique(dropped)) == 2


def test_dropout_of_almost_everything_is_still_finite():
    assert np.isfinite(dropout(jnp.ones((50, 50)), 0.9999999, KEY)).all()


def test_keys_are_never_handed_out_twice():
    keys = Keys(KEY)
    drawn = [int(jax.random.bits(keys())) for _ in range(20)]
    assert len(set(drawn)) == 20
    assert Keys(None)() is None


# --- parameters ---


def test_tied_output_is_the_item_table():
    model = model_of(tied_output=True)
    assert model.output_table is model.item_table[...]
    assert sum(leaf.shape == (TABLE, 8) for leaf in jax.tree.leaves(nnx.state(model))) == 1


def test_free_output_is_a_table_of_its_own():
    model = model_of(tied_output=False)
    assert model.output_table.shape == (TABLE, 8)
    assert (model.output_table != model.item_table[...]).any()


def test_fresh_embeddings_are_small():
    assert float(model_of().item_table[...].std()) == pytest.approx(EMBEDDING_STD, rel=0.2)


def test_the_seed_decides_the_parameters():
    first, again, other = (nnx.state(model_of(seed=seed)) for seed in (0, 0, 1))
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), first, again))
    assert (first["item_table"][...] != other["item_table"][...]).any()


# Every value of every option, each norm with and without positions.
OPTIONS = [
    {"norm": "pre", "positions": "learned", "activation": "relu", "dropout": 0.3},
    {"norm": "post", "positions": "none", "tied_output": False, "activation": "gelu", "heads": 4},
    {"norm": "pre", "positions": "none", "tied_output": False, "activation": "leaky_relu"},
    {"norm": "post", "positions": "learned", "tied_output": True, "activation": "silu", "heads": 1},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_every_option_builds_and_every_parameter_learns(options):
    graph, params = nnx.split(model_of(layers=1, **options))

    @jax.jit
    @jax.grad
    def gradient_of(params):
        model = nnx.merge(graph, params)
        hidden = model(tokens_of(batch=4), KEY)
        logits = hidden @ model.output_table.T
        return -jax.nn.log_softmax(logits)[:, :, 5:9].sum()

    gradient = gradient_of(params)
    for path, leaf in nnx.to_flat_state(gradient):
        assert np.isfinite(leaf[...]).all(), path
        assert leaf[...].any(), path


def test_compiles_once_for_one_shape():
    compiled = 0

    def count(tokens):
        nonlocal compiled
        compiled += 1
        return nnx.merge(graph, params)(tokens)

    graph, params = nnx.split(model_of(layers=1))
    jitted = jax.jit(count)
    for seed in range(3):
        jitted(tokens_of(seed=seed))
    assert compiled == 1
    assert jitted._cache_size() == 1
