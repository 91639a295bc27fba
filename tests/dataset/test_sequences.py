"""Rows laid end to end, and the sequences of a dataset."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_logs import sequences_of

from segue.axes import offsets_of
from segue.dataset.sequences import count_per_row, positions_in_rows, row_blocks
from segue.dataset.splits import leave_one_out

lengths_lists = st.lists(st.integers(0, 9), max_size=30)


def make_sequences():
    lengths = np.array([3, 1, 4])
    return sequences_of([[4, 5, 6], [7], [4, 4, 5, 8]], leave_one_out(lengths))


def test_sequences_are_rows_of_item_indices():
    sequences = make_sequences()
    assert len(sequences) == 3
    assert sequences.n_events == 8
    assert sequences.lengths.tolist() == [3, 1, 4]
    assert sequences.row(2).tolist() == [4, 4, 5, 8]


def test_row_is_a_view():
    sequences = make_sequences()
    assert np.shares_memory(sequences.row(0), sequences.items)


@pytest.mark.parametrize(("sequence_id", "row"), [("s0", 0), ("s2", 2), ("s3", None), ("", None)])
def test_find(sequence_id, row):
    assert make_sequences().find(sequence_id) == row


@given(lengths_lists)
def test_offsets_positions_and_counts_agree_with_lists(lengths):
    offsets = offsets_of(np.array(lengths, dtype=np.int64))
    assert np.diff(offsets).tolist() == lengths
    expected = [place for length in lengths for place in range(length)]
    assert positions_in_rows(offsets).tolist() == expected
    odd = np.array(expected, dtype=np.int64) % 2 == 1
    assert count_per_row(odd, offsets).tolist() == [length // 2 for length in lengths]


@given(lengths_lists, st.integers(1, 20))
def test_blocks_cover_all_rows_in_order_within_the_limit(lengths, limit):
    offsets = offsets_of(np.array(lengths, dtype=np.int64))
    blocks = list(row_blocks(offsets, limit))
    assert [row for first, end in blocks for row in range(first, end)] == list(range(len(lengths)))
    for first, end in blocks:
        assert end == first + 1 or offsets[end] - offsets[first] <= limit


def test_blocks_are_as_large_as_they_may_be():
    offsets = offsets_of(np.array([2, 2, 2, 2, 9, 1]))
    assert list(row_blocks(offsets, 4)) == [(0, 2), (2, 4), (4, 5), (5, 6)]


def test_a_row_longer_than_a_block_is_a_block_of_its_own():
    assert list(row_blocks(np.array([0, 100, 101]), 10)) == [(0, 1), (1, 2)]
