"""Numbers in half the bits: what rounding keeps, and what it may not do."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from segue.bits import halved, halved_at_random, widened

FLOATS = st.lists(st.floats(width=32, allow_subnormal=False), min_size=4, max_size=4)


@given(FLOATS)
def test_rounded_to_the_nearest_as_bfloat16_is(numbers: list[float]) -> None:
    x = jnp.array(numbers, jnp.float32)
    expected = x.astype(jnp.bfloat16).astype(jnp.float32)
    np.testing.assert_array_equal(widened(halved(x)), expected)


@given(FLOATS)
def test_what_half_the_bits_hold_stays_as_it_is(numbers: list[float]) -> None:
    x = widened(halved(jnp.array(numbers, jnp.float32)))
    np.testing.assert_array_equal(widened(halved_at_random(x, jax.random.key(1))), x)


def test_float32_is_wide_already() -> None:
    x = jnp.array([1.001, jnp.nan])
    np.testing.assert_array_equal(widened(x), x)


def test_rounding_at_random_keeps_the_mean_and_never_goes_past_a_neighbour() -> None:
    numbers = jnp.array([1.0, 1.001, -1.0039, 3e-30, 0.0, jnp.inf, -jnp.inf, jnp.nan])
    many = jnp.tile(numbers, (20_000, 1))
    rounded = np.asarray(widened(halved_at_random(many, jax.random.key(0))))
    np.testing.assert_array_equal(rounded[0, 4:], numbers[4:])
    finite = np.asarray(numbers[:4])
    gap = np.abs(finite) * 2**-7
    assert (np.abs(rounded[:, :4] - finite) <= gap).all()
    # A mean of so many draws of a spread of at most half a gap.
    np.testing.assert_array_less(
        np.abs(rounded[:, :4].mean(axis=0, dtype=np.float64) - finite), 0.02 * gap
    )
