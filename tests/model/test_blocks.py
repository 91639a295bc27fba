"""The blocks: attention that weighs alike, and dropout from a hashed counter."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from segue.model.blocks import Keys, dropout
from small_models import KEY, model_of

pytestmark = pytest.mark.usefixtures("strict_types")


def test_attention_alone_mixes_positions_and_is_a_mean_of_values():
    """With queries of zero every visible position weighs the same."""
    attention = model_of(layers=1).blocks[0].attention
    kernel = attention.project_in.kernel
    kernel[...] = kernel[...].at[:, :8].set(0)

    @nnx.jit
    def both_ways(attention, x):
        values = x @ attention.project_in.kernel[...][:, 16:]
        means = jnp.cumsum(values, axis=1) / jnp.arange(1.0, 6.0).reshape(1, 5, 1)
        return attention(x, Keys(None)), attention.project_out(means)

    found, expected = both_ways(attention, jax.random.normal(KEY, (1, 5, 8)))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


# --- dropout ---


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


def test_dropout_without_a_key_or_a_rate_is_nothing():
    x = jnp.ones((3, 4))
    assert dropout(x, 0.5, None) is x
    assert dropout(x, 0.0, KEY) is x


def test_what_is_kept_is_scaled_and_keeps_its_sign():
    x = jax.random.normal(KEY, (50, 50))
    dropped = np.asarray(dropout(x, 0.2, KEY))
    kept = dropped != 0
    np.testing.assert_allclose(dropped[kept], np.asarray(x)[kept] / 0.8, rtol=1e-6)


SHAPE = (60, 70)


def masks(rate: float, n: int) -> np.ndarray:
    """Which values each of several keys keeps."""
    keys = jax.random.split(KEY, n)
    return np.asarray(jax.vmap(lambda key: dropout(jnp.ones(SHAPE), rate, key))(keys)) > 0


@pytest.mark.parametrize("rate", [0.05, 0.5, 0.95])
def test_every_place_is_dropped_as_often_as_any_other(rate):
    """Over many keys, no row, column or single place stands out."""
    kept = masks(rate, 400)
    deviation = (rate * (1 - rate)) ** 0.5
    for axes in ((0, 1), (0, 2), (1, 2), (0,)):
        means = kept.mean(axis=axes)
        error = deviation / (kept.size / means.size) ** 0.5
        assert np.abs(means - (1 - rate)).max() < 5.5 * error, axes
        assert means.std() == pytest.approx(error, rel=0.35), axes


def correlations(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Of two masks laid end to end, at every shift."""
    a, b = ((mask.ravel() - mask.mean()) / mask.std() for mask in (one, other))
    products = np.fft.irfft(np.fft.rfft(a) * np.conj(np.fft.rfft(b)), n=one.size)
    return products / one.size


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_no_mask_resembles_itself_or_the_next_at_any_shift(rate):
    """Correlations, the mean over many keys: a pattern in the hash would add up."""
    kept = masks(rate, 200)
    own = np.mean([correlations(mask, mask)[1:] for mask in kept], axis=0)
    with_next = np.mean([correlations(*pair) for pair in itertools.pairwise(kept)], axis=0)
    for found in (own, with_next):
        in_errors = found * kept.size**0.5
        assert np.abs(in_errors).max() < 5.5
        assert in_errors.std() == pytest.approx(1, abs=0.1)


def test_neighbouring_values_are_dropped_independently():
    """All sixteen patterns of four neighbours come as often as chance has them."""
    kept = masks(0.5, 40).reshape(-1, 4)
    patterns = np.bincount(kept @ np.array([8, 4, 2, 1]), minlength=16)
    expected = patterns.sum() / 16
    assert ((patterns - expected) ** 2 / expected).sum() < 45  # chi-square, 15 degrees
