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
from segue.features import FeatureSizes
from segue.model import Transformer
from small_models import (
    CONTEXT,
    FEATURES_OF_ITEMS,
    FEATURES_OF_SEQUENCES,
    FLATTEN,
    KEY,
    SIZES,
    TABLE,
    bag_of,
    changed,
    config_of,
    features_of,
    hidden_states,
    last_states,
    model_of,
    tokens_of,
)

pytestmark = pytest.mark.usefixtures("strict_types")

EVERYTHING = {**FEATURES_OF_ITEMS, **FEATURES_OF_SEQUENCES}


@pytest.fixture(scope="module", params=["pre", "post"])
def model(request) -> Transformer:
    return model_of(norm=request.param)


# --- what a position sees ---


@given(place=st.integers(0, CONTEXT - 1), to=st.integers(0, TABLE - 1), seed=st.integers(0, 9))
def test_later_tokens_change_nothing_before_them(model, place, to, seed):
    tokens = tokens_of(seed=seed)
    before = hidden_states(model, tokens)
    after = hidden_states(model, changed(tokens, np.s_[:, place], to))
    np.testing.assert_array_equal(before[:, :place], after[:, :place])
    if (tokens[:, place] != to).all():
        assert (before[:, place:] != after[:, place:]).any(axis=(0, 2)).all()


@pytest.mark.parametrize("real", [1, 3, CONTEXT - 1])
def test_padding_at_the_end_does_not_matter(model, real):
    tokens = tokens_of()
    padded = hidden_states(model, changed(tokens, np.s_[:, real:], PAD))
    short = hidden_states(model, tokens[:, :real])
    np.testing.assert_allclose(padded[:, :real], short, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_one_position_alone_is_what_it_is_among_all(norm, layers):
    model = model_of(norm=norm, layers=layers)
    tokens = tokens_of()
    places = np.arange(len(tokens), dtype=np.int32) % CONTEXT
    alone = last_states(model, tokens, places)
    states = hidden_states(model, tokens)
    np.testing.assert_allclose(alone, states[np.arange(len(tokens)), places], rtol=1e-4, atol=1e-5)


def test_rows_of_a_batch_do_not_see_each_other(model):
    tokens = tokens_of()
    together = hidden_states(model, tokens)
    other = hidden_states(model, changed(tokens, 1, PAD))
    np.testing.assert_array_equal(together[0], other[0])
    assert (together[1] != other[1]).any()


def test_without_positions_one_layer_sees_earlier_tokens_as_a_set():
    model = model_of(positions="none", layers=1)
    tokens = tokens_of()
    shuffled = changed(tokens, np.s_[:, :-1], tokens[:, :-1][:, ::-1])
    states, other = hidden_states(model, tokens), hidden_states(model, shuffled)
    np.testing.assert_allclose(states[:, -1], other[:, -1], rtol=1e-4, atol=1e-5)


def test_learned_positions_tell_orders_apart():
    model = model_of(positions="learned", layers=1)
    tokens = tokens_of()
    shuffled = changed(tokens, np.s_[:, :-1], tokens[:, :-1][:, ::-1])
    states, other = hidden_states(model, tokens), hidden_states(model, shuffled)
    assert np.abs(states[:, -1] - other[:, -1]).max() > 1e-4


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


# --- parameters ---


def test_tied_output_is_the_item_table():
    model = model_of(tied_output=True)
    assert model.output_table() is model.item_table[...]
    assert sum(leaf.shape == (TABLE, 8) for leaf in jax.tree.leaves(nnx.state(model))) == 1


def test_free_output_is_a_table_of_its_own():
    model = model_of(tied_output=False)
    assert model.output_table().shape == (TABLE, 8)
    assert (model.output_table() != model.item_table[...]).any()


@pytest.fixture(scope="module", params=["normal", "uniform"])
def fresh_tables(request) -> dict[str, np.ndarray]:
    """All embeddings of a model with room for many, in units of the scale asked for."""
    sizes, scale = FeatureSizes(item_codes=150, item_numbers=3, sequence_codes=150), 0.1
    changes = {"initialisation": request.param, "initial_scale": scale, "context": 150}
    config = config_of(**EVERYTHING, **FLATTEN, **changes)
    model = Transformer(config, 150, sizes, rngs=nnx.Rngs(0))
    named = {".".join(map(str, path)): leaf for path, leaf in nnx.to_flat_state(nnx.state(model))}
    tables = {name: np.asarray(leaf[...]) / scale for name, leaf in named.items()}
    others = {"free_output"} | ({"head.dense.kernel"} if request.param == "uniform" else set())
    return {name: table for name, table in tables.items() if "table" in name or name in others}


def test_fresh_embeddings_are_of_the_scale_that_is_asked_for(fresh_tables):
    assert set(fresh_tables) - {"head.dense.kernel"} == {
        *("item_table", "position_table", "free_output"),
        *("item_codes.code_table", "sequence_codes.code_table"),
    }
    is_uniform = "head.dense.kernel" in fresh_tables
    for name, table in fresh_tables.items():
        assert abs(table.mean()) < 0.1, name
        assert table.std() == pytest.approx(3**-0.5 if is_uniform else 1, rel=0.1), name
        assert (np.abs(table).max() > 1) != is_uniform, name
        if is_uniform:  # spread evenly from bound to bound
            counts, _ = np.histogram(table, bins=4, range=(-1, 1))
            np.testing.assert_allclose(counts / table.size, 0.25, atol=0.06, err_msg=name)


def test_embeddings_are_scaled_where_they_enter():
    """Root of the width times what a model without the scaling would take in."""
    scaled = model_of(layers=1, scale_embeddings=True)
    plain = model_of(layers=1, scale_embeddings=False)
    for table in (plain.item_table, plain.position_table):
        table[...] = table[...] * np.float32(8**0.5)
    np.testing.assert_allclose(
        hidden_states(scaled, tokens_of()), hidden_states(plain, tokens_of()), rtol=1e-5, atol=1e-6
    )


def test_the_seed_decides_the_parameters():
    first, again, other = (nnx.state(model_of(seed=seed)) for seed in (0, 0, 1))
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), first, again))
    assert (first["item_table"][...] != other["item_table"][...]).any()


# Every value of every option, each norm with and without positions.
OPTIONS = [
    {**EVERYTHING, "norm": "pre", "positions": "learned", "activation": "relu", "dropout": 0.3},
    {"norm": "post", "positions": "none", "tied_output": False, "activation": "gelu", "heads": 4}
    | {**FEATURES_OF_ITEMS, "item_features_at": "output", "initialisation": "uniform"},
    {"norm": "pre", "positions": "none", "tied_output": False, "activation": "leaky_relu"}
    | {**FEATURES_OF_ITEMS, "item_features_at": "input", "scale_embeddings": False},
    {"norm": "post", "positions": "learned", "tied_output": True, "activation": "silu", "heads": 1},
    {**FLATTEN, **EVERYTHING, "sequence_width": 5},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_every_option_builds_and_every_parameter_learns(options):
    graph, params = nnx.split(model_of(layers=1, **options))

    @jax.jit
    @jax.grad
    def gradient_of(params):
        model = nnx.merge(graph, params)
        told = bag_of(4, SIZES.sequence_codes)
        hidden = model(jnp.asarray(tokens_of(batch=4)), features_of(), told, KEY)
        logits = hidden @ model.output_table(features_of()).T
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
