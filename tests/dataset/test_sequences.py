"""The sequences of a dataset as views of flat arrays."""

from __future__ import annotations

import numpy as np
import pytest

from segue.dataset import Cuts, Sequences
from small_logs import sequences_of


def make_sequences() -> Sequences:
    cuts = Cuts(np.array([1, 1, 2], np.int32), np.array([2, 1, 3], np.int32))
    return sequences_of([[4, 5, 6], [7], [4, 4, 5, 8]], cuts)


def test_sequences_are_rows_of_item_indices():
    sequences = make_sequences()
    assert len(sequences) == 3
    assert sequences.n_events == 8
    assert sequences.lengths.tolist() == [3, 1, 4]
    assert sequences.row(2).tolist() == [4, 4, 5, 8]


def test_row_is_a_view():
    sequences = make_sequences()
    assert np.shares_memory(sequences.row(0), sequences.items)


def test_cuts_are_the_stored_columns():
    sequences = make_sequences()
    assert sequences.cuts.train_end is sequences.train_end
    assert sequences.cuts.valid_end is sequences.valid_end
    assert sequences.cuts.target_parts is None


@pytest.mark.parametrize(("sequence_id", "row"), [("s0", 0), ("s2", 2), ("s3", None), ("", None)])
def test_find(sequence_id, row):
    assert make_sequences().find(sequence_id) == row
