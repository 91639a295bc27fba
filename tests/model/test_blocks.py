"""Transformer blocks: attention, and the statistics of dropout masks."""

from __future__ import annotations

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from segue.model.blocks import DropoutKeys, dropout, layer_norm
from small_models import KEY, small_model

pytestmark = pytest.mark.usefixtures("strict_types")


def test_attention_is_a_causal_mean_of_values():
    """With queries of zero all positions up to the current one have the same weight."""
    attention = small_model(layers=1).blocks[0].attention
    kernel = attention.project_in.kernel
    kernel[...] = kernel[...].at[:, :8].set(0)

    @nnx.jit
    def attention_and_mean(attention, x):
        values = x @ attention.project_in.kernel[...][:, 16:]
        means = jnp.cumsum(values, axis=1) / jnp.arange(1.0, 6.0).reshape(1, 5, 1)
        return attention(x, DropoutKeys(None)), attention.project_out(means)

    output, expected = attention_and_mean(attention, jax.random.normal(KEY, (1, 5, 8)))
    np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-5)


# --- dropout ---


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_zeroes_its_share_and_keeps_the_mean(rate):
    dropped = np.asarray(dropout(jnp.ones((200, 200)), rate, KEY))
    assert (dropped == 0).mean() == pytest.approx(rate, abs=0.01)
    assert dropped.mean() == pytest.approx(1, abs=0.03)
    assert len(np.unique(dropped)) == 2


def test_dropout_of_almost_everything_is_still_finite():
    assert np.isfinite(dropout(jnp.ones((50, 50)), 0.9999999, KEY)).all()


def test_dropout_keys_are_distinct():
    keys = DropoutKeys(KEY)
    drawn = [int(jax.random.bits(keys())) for _ in range(20)]
    assert len(set(drawn)) == 20
    assert DropoutKeys(None)() is None


def test_dropout_without_a_key_or_a_rate_is_the_identity():
    x = jnp.ones((3, 4))
    assert dropout(x, 0.5, None) is x
    assert dropout(x, 0.0, KEY) is x


def test_remaining_values_are_scaled_and_keep_their_sign():
    x = jax.random.normal(KEY, (50, 50))
    dropped = np.asarray(dropout(x, 0.2, KEY))
    is_kept = dropped != 0
    np.testing.assert_allclose(dropped[is_kept], np.asarray(x)[is_kept] / 0.8, rtol=1e-6)


SHAPE = (60, 70)


def masks(rate: float, n: int) -> np.ndarray:
    """Whether each value is kept, with each of ``n`` keys."""
    keys = jax.random.split(KEY, n)
    return np.asarray(jax.vmap(lambda key: dropout(jnp.ones(SHAPE), rate, key))(keys)) > 0


@pytest.mark.parametrize("rate", [0.05, 0.5, 0.95])
def test_every_position_is_dropped_equally_often(rate):
    """Over many keys, no row, column or single position differs from the others."""
    is_kept = masks(rate, 400)
    deviation = (rate * (1 - rate)) ** 0.5
    for axes in ((0, 1), (0, 2), (1, 2), (0,)):
        means = is_kept.mean(axis=axes)
        error = deviation / (is_kept.size / means.size) ** 0.5
        assert np.abs(means - (1 - rate)).max() < 5.5 * error, axes
        assert means.std() == pytest.approx(error, rel=0.35), axes


def correlations(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Circular cross-correlations of two flattened masks, one per shift."""
    a, b = ((mask.ravel() - mask.mean()) / mask.std() for mask in (first, second))
    products = np.fft.irfft(np.fft.rfft(a) * np.conj(np.fft.rfft(b)), n=first.size)
    return products / first.size


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_masks_correlate_neither_with_themselves_nor_with_the_next(rate):
    """At any shift, in the mean over many keys, where a pattern in the hash would add up."""
    is_kept = masks(rate, 200)
    with_itself = np.mean([correlations(mask, mask)[1:] for mask in is_kept], axis=0)
    with_next = np.mean([correlations(*pair) for pair in itertools.pairwise(is_kept)], axis=0)
    for means in (with_itself, with_next):
        in_errors = means * is_kept.size**0.5
        assert np.abs(in_errors).max() < 5.5
        assert in_errors.std() == pytest.approx(1, abs=0.1)


def test_neighbouring_values_are_dropped_independently():
    """All sixteen patterns of four neighbours are equally frequent."""
    is_kept = masks(0.5, 40).reshape(-1, 4)
    patterns = np.bincount(is_kept @ np.array([8, 4, 2, 1]), minlength=16)
    expected = patterns.sum() / 16
    assert ((patterns - expected) ** 2 / expected).sum() < 45  # chi-square, 15 degrees


# --- large activations ---


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e6, -1e6])
def test_layer_norm_keeps_its_precision_beside_a_large_mean(offset):
    x = offset + jnp.arange(8.0) * 4  # exact in float32
    normalised = np.asarray(jax.jit(layer_norm(8, nnx.Rngs(0)))(x))
    expected = (np.arange(8) - 3.5) / np.sqrt(5.25 + 1e-6 / 16)
    np.testing.assert_allclose(normalised, expected, rtol=1e-6)


def test_attention_with_very_large_scores_is_finite():
    """The compiler must not round the scores otherwise than their maximum."""
    model = small_model(layers=1, heads=1)  # the square root of its width, 8, is rounded
    attention = model.blocks[0].attention
    options = {"xla_backend_optimization_level": 3}  # the tests compile with less optimisation

    @partial(jax.jit, compiler_options=options)
    def output(x):
        return attention(x, DropoutKeys(None))

    for scale in (1e4, 1e8, 1e10):
        x = scale * jax.random.normal(KEY, (1, 8, 8))
        assert np.isfinite(np.asarray(output(x))).all()
