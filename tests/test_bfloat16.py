"""bfloat16 storage: rounding to nearest against JAX, and properties of stochastic rounding."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from segue.bfloat16 import stochastic_round, to_bfloat16, to_float32

FLOATS = st.lists(st.floats(width=32, allow_subnormal=False), min_size=4, max_size=4)


@given(FLOATS)
def test_rounds_to_nearest_as_jax_does(numbers: list[float]) -> None:
    x = jnp.array(numbers, jnp.float32)
    expected = x.astype(jnp.bfloat16).astype(jnp.float32)
    np.testing.assert_array_equal(to_float32(to_bfloat16(x)), expected)


@given(FLOATS)
def test_stochastic_rounding_leaves_bfloat16_values_unchanged(numbers: list[float]) -> None:
    x = to_float32(to_bfloat16(jnp.array(numbers, jnp.float32)))
    np.testing.assert_array_equal(to_float32(stochastic_round(x, jax.random.key(1))), x)


def test_float32_is_returned_unchanged() -> None:
    x = jnp.array([1.001, jnp.nan])
    np.testing.assert_array_equal(to_float32(x), x)


def test_stochastic_rounding_is_unbiased_and_yields_neighbours_only() -> None:
    numbers = jnp.array([1.0, 1.001, -1.0039, 3e-30, 0.0, jnp.inf, -jnp.inf, jnp.nan])
    repeated = jnp.tile(numbers, (20_000, 1))
    rounded = np.asarray(to_float32(stochastic_round(repeated, jax.random.key(0))))
    np.testing.assert_array_equal(rounded[0, 4:], numbers[4:])
    finite = np.asarray(numbers[:4])
    spacing = np.abs(finite) * 2**-7
    assert (np.abs(rounded[:, :4] - finite) <= spacing).all()
    # The standard error of a mean of 20,000 draws is below half the spacing / sqrt(20,000).
    np.testing.assert_array_less(
        np.abs(rounded[:, :4].mean(axis=0, dtype=np.float64) - finite), 0.02 * spacing
    )
