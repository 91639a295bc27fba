"""The transformer: causality, dropout, initial parameters, and gradients of every option."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st

from segue.features import FeatureIds, FeatureSizes
from segue.model import Transformer
from segue.tokens import PAD
from slow_cases import some_fast
from small_models import (
    CONTEXT,
    FLATTEN,
    ITEM_FEATURES,
    KEY,
    SEQUENCE_FEATURES,
    SIZES,
    VOCABULARY_SIZE,
    hidden_states,
    last_states,
    random_feature_ids,
    random_item_features,
    random_tokens,
    replaced,
    small_model,
    small_model_config,
    states_of_buckets,
)

pytestmark = pytest.mark.usefixtures("strict_types")

EVERYTHING = {**ITEM_FEATURES, **SEQUENCE_FEATURES}


@pytest.fixture(scope="module", params=["pre", "post"])
def model(request) -> Transformer:
    return small_model(norm=request.param)


# --- causality and positions ---


@given(
    position=st.integers(0, CONTEXT - 1),
    token=st.integers(0, VOCABULARY_SIZE - 1),
    seed=st.integers(0, 9),
)
def test_a_token_changes_no_earlier_state(model, position, token, seed):
    tokens = random_tokens(seed=seed)
    before = hidden_states(model, tokens)
    after = hidden_states(model, replaced(tokens, np.s_[:, position], token))
    np.testing.assert_array_equal(before[:, :position], after[:, :position])
    if (tokens[:, position] != token).all():
        assert (before[:, position:] != after[:, position:]).any(axis=(0, 2)).all()


@pytest.mark.parametrize("real", [1, 3, CONTEXT - 1])
def test_padding_at_the_end_changes_no_state(model, real):
    tokens = random_tokens()
    padded = hidden_states(model, replaced(tokens, np.s_[:, real:], PAD))
    short = hidden_states(model, tokens[:, :real])
    np.testing.assert_allclose(padded[:, :real], short, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_states_at_equals_selecting_from_all_states(norm, layers):
    model = small_model(norm=norm, layers=layers)
    tokens = random_tokens()
    positions = np.arange(len(tokens), dtype=np.int32) % CONTEXT
    selected = last_states(model, tokens, positions)
    states = hidden_states(model, tokens)
    np.testing.assert_allclose(
        selected, states[np.arange(len(tokens)), positions], rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("norm", ["pre", pytest.param("post", marks=pytest.mark.slow)])
def test_states_of_buckets_equal_those_of_each_bucket(norm):
    """With item and sequence features; with all positions or one per row."""
    model = small_model(norm=norm, layers=2, **EVERYTHING)
    features = random_item_features()
    tokens = [random_tokens(3), random_tokens(1, 4), random_tokens(1, 2)]
    users = random_feature_ids(5, SIZES.n_sequence_feature_ids)
    positions = np.array([CONTEXT - 1, 0, 3, 2, 1], np.int32)  # over all buckets
    of_rows, of_positions = [], []
    for rows, array in zip(np.split(np.arange(5), [3, 4]), tokens, strict=True):
        inputs = (features, FeatureIds(*(part[rows] for part in users)))
        of_rows.append(hidden_states(model, array, None, *inputs).reshape(-1, 8))
        of_positions.append(last_states(model, array, positions[rows], *inputs))
    states, selected = states_of_buckets(model, tokens, positions, features, users)
    np.testing.assert_allclose(states, np.concatenate(of_rows), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(selected, np.concatenate(of_positions), rtol=1e-4, atol=1e-5)


def test_rows_of_a_batch_are_independent(model):
    tokens = random_tokens()
    before = hidden_states(model, tokens)
    after = hidden_states(model, replaced(tokens, 1, PAD))
    np.testing.assert_array_equal(before[0], after[0])
    assert (before[1] != after[1]).any()


def test_without_positions_one_layer_ignores_the_order_of_earlier_tokens():
    model = small_model(positions="none", layers=1)
    tokens = random_tokens()
    shuffled = replaced(tokens, np.s_[:, :-1], tokens[:, :-1][:, ::-1])
    states, reordered = hidden_states(model, tokens), hidden_states(model, shuffled)
    np.testing.assert_allclose(states[:, -1], reordered[:, -1], rtol=1e-4, atol=1e-5)


def test_learned_positions_distinguish_orders():
    model = small_model(positions="learned", layers=1)
    tokens = random_tokens()
    shuffled = replaced(tokens, np.s_[:, :-1], tokens[:, :-1][:, ::-1])
    states, reordered = hidden_states(model, tokens), hidden_states(model, shuffled)
    assert np.abs(states[:, -1] - reordered[:, -1]).max() > 1e-4


# --- dropout ---


def test_without_a_key_nothing_is_dropped():
    tokens = random_tokens()
    with_dropout, without = small_model(dropout=0.5), small_model(dropout=0.0)
    np.testing.assert_array_equal(
        hidden_states(with_dropout, tokens), hidden_states(without, tokens)
    )


def test_the_key_determines_dropout():
    model, tokens = small_model(dropout=0.5), random_tokens()
    first = hidden_states(model, tokens, KEY)
    np.testing.assert_array_equal(first, hidden_states(model, tokens, KEY))
    assert (first != hidden_states(model, tokens, jax.random.key(1))).any()
    assert (first != hidden_states(model, tokens)).any()


def test_at_rate_zero_the_key_changes_nothing():
    model, tokens = small_model(dropout=0.0), random_tokens()
    np.testing.assert_array_equal(hidden_states(model, tokens, KEY), hidden_states(model, tokens))


# --- parameters ---


def test_tied_output_embeddings_are_the_item_embeddings():
    model = small_model(tied_output=True)
    assert model.output_embeddings() is model.item_embeddings[...]
    assert (
        sum(leaf.shape == (VOCABULARY_SIZE, 8) for leaf in jax.tree.leaves(nnx.state(model))) == 1
    )


def test_untied_output_embeddings_are_a_separate_parameter():
    model = small_model(tied_output=False)
    assert model.output_embeddings().shape == (VOCABULARY_SIZE, 8)
    assert (model.output_embeddings() != model.item_embeddings[...]).any()


@pytest.fixture(scope="module", params=["normal", "uniform"])
def initial_tables(request) -> dict[str, np.ndarray]:
    """All embeddings of a model with 150 rows each, divided by the configured scale.

    With uniform initialisation, the kernel of the head is one of them.
    """
    sizes, scale = (
        FeatureSizes(n_item_feature_ids=150, item_vector_width=3, n_sequence_feature_ids=150),
        0.1,
    )
    changes = {"initialisation": request.param, "initial_scale": scale, "context": 150}
    config = small_model_config(**EVERYTHING, **FLATTEN, **changes)
    model = Transformer(config, 150, sizes, rngs=nnx.Rngs(0))
    named = {".".join(map(str, path)): leaf for path, leaf in nnx.to_flat_state(nnx.state(model))}
    tables = {name: np.asarray(leaf[...]) / scale for name, leaf in named.items()}
    suffixes = ("embeddings", "head.dense.kernel") if request.param == "uniform" else "embeddings"
    return {name: table for name, table in tables.items() if name.endswith(suffixes)}


def test_initial_embeddings_have_the_configured_scale(initial_tables):
    assert set(initial_tables) - {"head.dense.kernel"} == {
        *("item_embeddings", "position_embeddings", "untied_output_embeddings"),
        *("item_feature_embeddings.embeddings", "sequence_feature_embeddings.embeddings"),
    }
    is_uniform = "head.dense.kernel" in initial_tables
    for name, table in initial_tables.items():
        assert abs(table.mean()) < 0.1, name
        assert table.std() == pytest.approx(3**-0.5 if is_uniform else 1, rel=0.1), name
        assert (np.abs(table).max() > 1) != is_uniform, name
        if is_uniform:  # spread evenly from bound to bound
            counts, _ = np.histogram(table, bins=4, range=(-1, 1))
            np.testing.assert_allclose(counts / table.size, 0.25, atol=0.06, err_msg=name)


def test_input_embeddings_are_multiplied_by_the_root_of_the_width():
    scaled = small_model(layers=1, scale_embeddings=True)
    plain = small_model(layers=1, scale_embeddings=False)
    for table in (plain.item_embeddings, plain.position_embeddings):
        table[...] = table[...] * np.float32(8**0.5)
    np.testing.assert_allclose(
        hidden_states(scaled, random_tokens()),
        hidden_states(plain, random_tokens()),
        rtol=1e-5,
        atol=1e-6,
    )


def test_parameters_depend_on_the_seed():
    first, again, reseeded = (nnx.state(small_model(seed=seed)) for seed in (0, 0, 1))
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), first, again))
    assert (first["item_embeddings"][...] != reseeded["item_embeddings"][...]).any()


# Every value of every option, each norm with and without positions.
OPTIONS = [
    {**EVERYTHING, "norm": "pre", "positions": "learned", "activation": "relu", "dropout": 0.3},
    {"norm": "post", "positions": "none", "tied_output": False, "activation": "gelu", "heads": 4}
    | {**ITEM_FEATURES, "item_features_at": "output", "initialisation": "uniform"},
    {"norm": "pre", "positions": "none", "tied_output": False, "activation": "leaky_relu"}
    | {**ITEM_FEATURES, "item_features_at": "input", "scale_embeddings": False},
    {"norm": "post", "positions": "learned", "tied_output": True, "activation": "silu", "heads": 1},
    {**FLATTEN, **EVERYTHING, "sequence_width": 5},
]


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("options", some_fast(((o,) for o in OPTIONS), every=3), ids=str)
def test_with_every_option_every_parameter_gets_a_gradient(options):
    graph, params = nnx.split(small_model(layers=1, **options))

    @jax.jit
    @jax.grad
    def gradient_of(params):
        model = nnx.merge(graph, params)
        feature_ids = random_feature_ids(4, SIZES.n_sequence_feature_ids)
        hidden = model(
            jnp.asarray(random_tokens(batch=4)), random_item_features(), feature_ids, KEY
        )
        logits = hidden @ model.output_embeddings(random_item_features()).T
        return -jax.nn.log_softmax(logits)[:, :, 5:9].sum()

    gradient = gradient_of(params)
    for path, leaf in nnx.to_flat_state(gradient):
        assert np.isfinite(leaf[...]).all(), path
        assert leaf[...].any(), path


def test_one_shape_compiles_once():
    compiled = 0

    def count(tokens):
        nonlocal compiled
        compiled += 1
        return nnx.merge(graph, params)(tokens)

    graph, params = nnx.split(small_model(layers=1))
    jitted = jax.jit(count)
    for seed in range(3):
        jitted(random_tokens(seed=seed))
    assert compiled == 1
    assert jitted._cache_size() == 1
