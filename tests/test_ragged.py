"""Ragged rows: offsets, positions, counts and blocks, compared with plain lists."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from segue.ragged import count_per_row, offsets_of, positions_in_rows, row_blocks, span_indices

lengths_lists = st.lists(st.integers(0, 9), max_size=30)


@given(lengths_lists)
def test_offsets_positions_and_counts_agree_with_lists(lengths):
    offsets = offsets_of(np.array(lengths, dtype=np.int64))
    assert np.diff(offsets).tolist() == lengths
    expected = [position for length in lengths for position in range(length)]
    assert positions_in_rows(offsets).tolist() == expected
    is_odd = np.array(expected, dtype=np.int64) % 2 == 1
    assert count_per_row(is_odd, offsets).tolist() == [length // 2 for length in lengths]


@given(lengths_lists, st.integers(1, 20))
def test_blocks_cover_all_rows_in_order_within_the_limit(lengths, limit):
    offsets = offsets_of(np.array(lengths, dtype=np.int64))
    blocks = list(row_blocks(offsets, limit))
    assert [row for first, end in blocks for row in range(first, end)] == list(range(len(lengths)))
    for first, end in blocks:
        assert end == first + 1 or offsets[end] - offsets[first] <= limit


def test_blocks_are_as_large_as_the_limit_allows():
    offsets = offsets_of(np.array([2, 2, 2, 2, 9, 1]))
    assert list(row_blocks(offsets, 4)) == [(0, 2), (2, 4), (4, 5), (5, 6)]


def test_a_row_longer_than_a_block_is_a_block_of_its_own():
    assert list(row_blocks(np.array([0, 100, 101]), 10)) == [(0, 1), (1, 2)]


def test_span_indices_are_those_of_all_spans_in_order():
    assert span_indices(np.array([5, 0, 9]), np.array([2, 0, 3])).tolist() == [5, 6, 9, 10, 11]
    assert span_indices(np.zeros(0, np.int64), np.zeros(0, np.int64)).tolist() == []
