"""The draw of negatives: what can be drawn, how often, and what is said of it."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.axes import END, PAD, START
from segue.negatives import uniform

pytestmark = pytest.mark.usefixtures("strict_types")

KEY = jax.random.key(0)


@given(
    shape=st.sampled_from([(50,), (3, 7)]),
    table_size=st.integers(END + 1, 100),
    seed=st.integers(0, 9),
)
def test_draws_rows_that_can_be_labels(shape, table_size, seed):
    drawn = uniform(jax.random.key(seed), shape, table_size)
    assert drawn.items.shape == drawn.log_expected.shape == shape
    assert drawn.items.dtype == np.int32
    assert (drawn.items >= END).all()
    assert (drawn.items < table_size).all()


def test_every_candidate_equally_often_and_pad_and_start_never():
    table_size, n = 12, 50_000
    counts = np.bincount(uniform(KEY, (n,), table_size).items, minlength=table_size)
    assert counts[PAD] == counts[START] == 0
    np.testing.assert_allclose(counts[END:], n / (table_size - END), rtol=0.06)


def test_log_expected_is_how_often_each_row_comes_in_one_draw():
    draws = uniform(KEY, (4_000, 30), 12)
    seen = (np.asarray(draws.items) == 7).sum(axis=1).mean()
    assert seen == pytest.approx(float(np.exp(draws.log_expected[0, 0])), rel=0.02)


def test_the_key_decides_alone():
    first, again = uniform(KEY, (20,), 1000), uniform(KEY, (20,), 1000)
    np.testing.assert_array_equal(first.items, again.items)
    other = uniform(jax.random.key(1), (20,), 1000)
    assert (np.asarray(first.items) != np.asarray(other.items)).any()


def test_under_jit():
    drawn = jax.jit(uniform, static_argnums=(1, 2))(KEY, (20,), 1000)
    np.testing.assert_array_equal(drawn.items, uniform(KEY, (20,), 1000).items)
