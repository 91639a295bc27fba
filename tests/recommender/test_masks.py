"""Bit masks of the items that are left out of a search."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from segue.ragged import Ragged
from segue.recommender.masks import catalogue_mask, is_masked, request_masks
from segue.tokens import N_SPECIALS

rows_of_items = st.lists(st.lists(st.integers(0, 700), max_size=20), min_size=1, max_size=4)


@given(size=st.sampled_from([5, 8, 300, 512]), first=rows_of_items, seed=st.integers(0, 99))
def test_masks_equal_a_dense_array(size, first, seed):
    random = np.random.default_rng(seed)
    is_candidate = random.random(size) < 0.7
    second = [random.integers(0, size, 5).tolist() for _ in first]
    masks = request_masks(
        catalogue_mask(is_candidate), [Ragged.from_rows(first), Ragged.from_rows(second)], 4
    )
    expected = np.repeat(~is_candidate[:, None], 4, axis=1)
    expected[:N_SPECIALS] = True
    for column, items in enumerate([set(a) | set(b) for a, b in zip(first, second, strict=True)]):
        expected[[item for item in items if item < size], column] = True
    unpacked = np.unpackbits(masks, axis=0, bitorder="little").astype(bool)
    np.testing.assert_array_equal(unpacked[:size], expected)
    assert unpacked[size:].all(), "indices beyond the vocabulary are left out"
    rows, items = random.integers(0, 4, 50), random.integers(0, size, 50)
    np.testing.assert_array_equal(is_masked(masks, rows, items), expected[items, rows])
