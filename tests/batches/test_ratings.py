"""Label weights from ratings, and ratings outside the scale."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_data import (
    VOCABULARY_SIZE,
    batch_options,
    sequence_batches,
    small_sequences,
    target_batches,
    with_ratings,
)

from segue.batches import PromptLayout, check_ratings
from segue.errors import DatasetError
from segue.tokens import END, N_SPECIALS, PAD

NAN = float("nan")
BOTH_ENDS = PromptLayout(6, VOCABULARY_SIZE, start=True, end=True)


def test_weights_are_linear_from_a_fifth_to_one():
    sequences = with_ratings(small_sequences([[4, 5, 6, 7]], [4]), [[1, 5, 3, NAN]])
    options = batch_options(rating_scale=(1.0, 5.0), batch_size=1)
    batch = sequence_batches(sequences, BOTH_ENDS, options)[0][0]
    assert batch.labels.tolist() == [[4, 5, 6, 7, END, PAD]]
    assert batch.weights is not None
    assert batch.weights.dtype == np.float32
    # An event without a rating has weight 1, and so has END.
    np.testing.assert_allclose(batch.weights[0, :5], [0.2, 1, 0.6, 1, 1], rtol=1e-6)


def test_a_single_target_is_weighted_by_its_rating():
    sequences = with_ratings(small_sequences([[4, 5, 6, 7, 8]], [5]), [[1, 1, 1, 2.5, 4]])
    options = batch_options(rating_scale=(1.0, 5.0))
    batch = target_batches(sequences, BOTH_ENDS, options, history_length=4)[0][0]
    assert batch.weights is not None
    weights = dict(zip(batch.labels[:, 0].tolist(), batch.weights[:, 0].tolist(), strict=True))
    assert weights == pytest.approx({7: 0.5, 8: 0.8})


def test_without_a_scale_there_are_no_weights():
    sequences = with_ratings(small_sequences([[4, 5, 6, 7]], [4]), [[1, 5, 3, 2]])
    for batches in (
        sequence_batches(sequences, BOTH_ENDS, batch_options()),
        target_batches(sequences, BOTH_ENDS, batch_options(), history_length=4),
    ):
        assert batches[0][0].weights is None


def test_padding_rows_have_weight_zero():
    sequences = with_ratings(small_sequences([[4, 5, 6, 7]], [4]), [[1, 5, 3, 2]])
    options = batch_options(rating_scale=(1.0, 5.0), batch_size=3)
    batch = sequence_batches(sequences, BOTH_ENDS, options)[0][0]
    assert batch.weights is not None
    assert not batch.weights[1:].any()


@given(horizon=st.integers(1, 4), seed=st.integers(0, 20))
def test_weights_belong_to_the_sampled_labels(horizon, seed):
    """Every event has a different rating, so the weight identifies the label."""
    lengths = [9, 4, 7]
    flat = np.arange(sum(lengths))
    rows = np.split(N_SPECIALS + flat, np.cumsum(lengths)[:-1])
    sequences = with_ratings(
        small_sequences([row.tolist() for row in rows], lengths),
        np.split(flat / 10, np.cumsum(lengths)[:-1]),
    )
    layout = PromptLayout(5, N_SPECIALS + len(flat), start=True, end=True)
    options = {"rating_scale": (0.0, 2.0), "horizon": horizon, "window": "random", "seed": seed}
    batches = sequence_batches(sequences, layout, batch_options(**options))
    for number in range(len(batches)):
        (batch,) = batches[number]
        assert batch.weights is not None
        expected = 0.2 + 0.8 * (batch.labels - N_SPECIALS) / 20
        expected[batch.labels == END] = 1
        counts = batch.labels != PAD
        np.testing.assert_allclose(batch.weights[counts], expected[counts], rtol=1e-5)


# --- ratings that are refused ---


def test_a_log_without_ratings_is_refused():
    with pytest.raises(DatasetError, match="but the log has no ratings") as caught:
        check_ratings(small_sequences([[4, 5]], [2]), (1.0, 5.0))
    assert "rating column" in caught.value.hint


@pytest.mark.parametrize(
    ("ratings", "message"),
    [
        (
            [[1, 5], [3, 6]],
            "1 rating is outside the scale 1 to 5: the first is 6, of sequence '1'",
        ),
        ([[0.5, 5], [3, 0]], "2 ratings are outside .* the first is 0.5, of sequence '0'"),
        ([[NAN, 5], [NAN, -1]], "1 rating is outside .* the first is -1, of sequence '1'"),
    ],
)
def test_a_rating_outside_the_scale_is_refused_with_its_sequence(ratings, message):
    sequences = with_ratings(small_sequences([[4, 5], [6, 7]], [2, 2]), ratings)
    with pytest.raises(DatasetError, match=message) as caught:
        check_ratings(sequences, (1.0, 5.0))
    assert "lowest and highest" in caught.value.hint


def test_ratings_within_the_scale_and_missing_ratings_are_accepted():
    sequences = with_ratings(
        small_sequences([[4, 5], [], [6, 7]], [2, 0, 2]), [[1, 5], [], [NAN, 3]]
    )
    check_ratings(sequences, (1.0, 5.0))
