"""Batches of sequences: tokens, labels, order, windows, horizon and length buckets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_data import (
    VOCABULARY_SIZE,
    SmallData,
    batch_options,
    epoch_rows,
    random_data,
    sequence_batches,
    small_sequences,
    token_label_rows,
)

from segue.batches import PromptLayout, SequenceBatches
from segue.dataset import Spans
from segue.tokens import END, N_SPECIALS, PAD, START, UNK

# --- against a naive construction ---


@given(data=random_data(), batch_size=st.integers(1, 4), window=st.sampled_from(["last", "random"]))
def test_an_epoch_contains_every_trainable_sequence_once(data, batch_size, window):
    batches = data.batches(batch_size=batch_size, window=window, epochs=2)
    trainable = data.trainable()
    assert batches.batches_per_epoch == -(-len(trainable) // batch_size)
    assert len(batches) == 2 * batches.batches_per_epoch
    for epoch in range(2):
        numbers = range(epoch * batches.batches_per_epoch, (epoch + 1) * batches.batches_per_epoch)
        rows = [row for number in numbers for row in token_label_rows(batches[number])]
        assert len(rows) <= len(numbers) * batch_size
        empty = ([PAD] * data.context, [PAD] * data.context)
        remaining = [row for row in rows if row != empty]
        assert len(rows) - len(remaining) < max(len(numbers), 1), "equal rows, or one less"
        for row in trainable:
            choices = data.windows(row) if window == "random" else data.windows(row)[-1:]
            remaining.remove(next(pair for pair in remaining if pair in choices))
        assert not remaining


@given(data=random_data(), seed=st.integers(0, 99))
def test_held_out_events_never_appear(data, seed):
    """Held-out events are distinct items, from 8 on, which no batch may contain."""
    marked = [
        [4 + position % 4 if position < end else 8 + position % 4 for position in range(len(row))]
        for row, end in zip(data.rows, data.train_ends, strict=True)
    ]
    marked_data = SmallData(marked, data.train_ends, data.context, data.start, data.end)
    batches = marked_data.batches(seed=seed, window="random", unknown_rate=0.3)
    for number in range(len(batches)):
        (batch,) = batches[number]
        assert batch.tokens.max() < 8
        assert batch.labels.max() < 8


# --- tokens ---


@pytest.mark.parametrize(
    ("start", "end", "tokens", "labels"),
    [
        (False, False, [4, 5, UNK, 7, 0], [5, UNK, 7, 0, 0]),
        (True, False, [START, 4, 5, UNK, 7], [4, 5, UNK, 7, 0]),
        (False, True, [4, 5, UNK, 7, END], [5, UNK, 7, END, 0]),
        (True, True, [START, 4, 5, UNK, 7], [4, 5, UNK, 7, END]),
    ],
)
def test_start_end_and_unknown_tokens(start, end, tokens, labels):
    data = SmallData([[4, 5, VOCABULARY_SIZE, 7, 8]], [4], context=5, start=start, end=end)
    (row,) = token_label_rows(data.batches(batch_size=1)[0])
    assert row == (tokens, labels)


def test_long_sequences_lose_their_first_tokens_including_start():
    data = SmallData([[4, 5, 6, 7, 8, 9, 10]], [7], context=3)
    (row,) = token_label_rows(data.batches(batch_size=1)[0])
    assert row == ([7, 8, 9], [8, 9, 10])


def test_a_single_event_needs_start_or_end_to_be_an_example():
    for start, end, n in [(False, False, 0), (True, False, 1), (False, True, 1), (True, True, 1)]:
        assert len(SmallData([[4]], [1], start=start, end=end).batches(epochs=1)) == n


def test_a_sequence_without_training_events_is_no_example():
    assert len(SmallData([[4, 5, 6]], [0], end=True).batches()) == 0


def test_only_the_given_spans_are_read():
    """Spans may start and end anywhere, and a span without a label is no example."""
    sequences = small_sequences([[4, 5, 6, 7, 8], [9, 10, 11], [4, 5]], [0, 0, 0])
    spans = Spans(*(np.array(part) for part in ([0, 1, 2], [1, 5, 9], [3, 3, 1])))
    layout = PromptLayout(4, VOCABULARY_SIZE, start=False, end=False)
    batches = SequenceBatches(sequences, spans, layout, batch_options(epochs=1))
    assert len(batches) == 1
    assert sorted(token_label_rows(batches[0])) == [
        ([5, 6, 7, PAD], [6, 7, PAD, PAD]),
        ([9, 10, 11, PAD], [10, 11, PAD, PAD]),
    ]


def test_arrays_are_contiguous_int32():
    batch = SmallData([[4, 5, 6], [7, 8, 9]], [3, 3]).batches()[0][0]
    assert (batch.last_positions, batch.weights, batch.sequence_features) == (None, None, None)
    for array in (batch.tokens, batch.labels):
        assert array.dtype == np.int32
        assert array.shape == (2, 5)
        assert array.flags.c_contiguous


# --- order and randomness ---

MANY = SmallData([[4 + row % 8, 4 + row // 8] for row in range(40)], [2] * 40)
LONG = SmallData([[4 + position % 8 for position in range(30)]] * 8, [30] * 8)


def test_the_order_depends_on_seed_and_epoch():
    batches, again, reseeded = MANY.batches(), MANY.batches(), MANY.batches(seed=1)
    assert epoch_rows(batches, 0) == epoch_rows(again, 0)
    assert epoch_rows(batches, 0) != epoch_rows(batches, 1)
    assert epoch_rows(batches, 0) != epoch_rows(reseeded, 0)


@given(numbers=st.lists(st.integers(0, 11), min_size=1, max_size=8))
def test_a_batch_depends_only_on_its_number(numbers):
    """Not on the batches drawn before it, so that a run can be resumed."""
    options = {"window": "random", "unknown_rate": 0.2}
    used, fresh = LONG.batches(**options), LONG.batches(**options)
    drawn = [token_label_rows(used[number]) for number in numbers]
    assert drawn == [token_label_rows(fresh[number]) for number in numbers]
    assert token_label_rows(LONG.batches(**options)[numbers[-1]]) == drawn[-1]


def test_random_windows_cover_both_ends_and_differ_between_epochs():
    batches = LONG.batches(window="random", epochs=60, batch_size=8)
    firsts = {tuple(tokens) for epoch in range(60) for tokens in batches[epoch][0].tokens.tolist()}
    assert (START, 4, 5, 6, 7) in firsts
    assert any(labels[-1] == LONG.rows[0][-1] for labels in batches[0][0].labels.tolist())
    assert len(firsts) == 9, "the window with START, and the eight phases of the cycle"
    assert (batches[0][0].tokens != batches[1][0].tokens).any()


def test_last_windows_are_the_same_in_every_epoch():
    batches = LONG.batches(window="last", batch_size=8)
    np.testing.assert_array_equal(batches[0][0].tokens, batches[1][0].tokens)


def test_iteration_stops_after_the_last_batch():
    batches = MANY.batches(epochs=1)
    assert len(list(batches)) == len(batches) == 20
    for number in (-1, 20):
        with pytest.raises(IndexError):
            batches[number]


# --- unknown items ---


def test_items_but_no_special_tokens_become_unknown_at_the_rate():
    rows = [[4 + position % 8 for position in range(200)]] * 20
    data = SmallData(rows, [200] * 20, context=202, end=True)
    batch = data.batches(unknown_rate=0.25, batch_size=20)[0][0]
    plain = data.batches(batch_size=20)[0][0]
    items = plain.tokens >= N_SPECIALS
    assert (batch.tokens[items] == UNK).mean() == pytest.approx(0.25, abs=0.03)
    np.testing.assert_array_equal(batch.tokens[~items], plain.tokens[~items])
    unchanged = batch.tokens != UNK
    np.testing.assert_array_equal(batch.tokens[unchanged], plain.tokens[unchanged])
    np.testing.assert_array_equal(batch.tokens[:, 1:], batch.labels[:, :-1])


# --- horizon ---

FAR = 1000
"""A vocabulary size that allows every event to be a different item."""


def distinct(lengths: list[int]) -> list[list[int]]:
    """Rows without repeated items, so that a label identifies its position."""
    items = iter(range(N_SPECIALS, FAR))
    return [[next(items) for _ in range(length)] for length in lengths]


@given(
    lengths=st.lists(st.integers(0, 12), min_size=1, max_size=4),
    share=st.floats(0, 1),
    context=st.integers(1, 6),
    horizon=st.integers(1, 5),
    start=st.booleans(),
    end=st.booleans(),
    seed=st.integers(0, 99),
)
def test_labels_are_within_the_horizon_and_the_training_part(
    lengths, share, context, horizon, start, end, seed
):
    rows = distinct(lengths)
    ends = [round(share * length) for length in lengths]
    layout = PromptLayout(context, FAR, start, end)
    options = batch_options(horizon=horizon, window="random", seed=seed)
    batches = sequence_batches(small_sequences(rows, ends), layout, options)
    # Row and position of each item. START has position -1, END the one after the last event.
    at = {
        item: (row, position)
        for row, items in enumerate(rows)
        for position, item in enumerate(items)
    }
    for number in range(len(batches)):
        for tokens, labels in token_label_rows(batches[number]):
            row = next((at[item][0] for item in [*tokens, *labels] if item in at), None)
            for token, label in zip(tokens, labels, strict=True):
                if token in (PAD, END):
                    assert label == PAD
                    continue
                if row is None:  # the row shows no item: END was drawn as the label of START
                    assert (token, label) == (START, END)
                    continue
                position = -1 if token == START else at[token][1]
                last = ends[row] - 1 + end
                assert (label == PAD) == (position == last)
                if label != PAD:
                    ahead = (ends[row] if label == END else at[label][1]) - position
                    assert label == END or at[label][0] == row
                    assert 1 <= ahead <= min(horizon, last - position)


def test_labels_are_uniform_over_the_horizon():
    rows = distinct([40])
    options = batch_options(horizon=4, epochs=500, batch_size=1)
    batches = sequence_batches(
        small_sequences(rows, [40]), PromptLayout(40, FAR, True, False), options
    )
    ahead = (
        np.stack([batches[number][0].labels[0] for number in range(500)]) - batches[0][0].tokens[0]
    )
    inner = ahead[:, 1:37]  # the first token is START, and the last ones have fewer events ahead
    np.testing.assert_allclose(np.bincount(inner.ravel())[1:] / inner.size, 0.25, atol=0.02)
    assert np.abs((inner == 1).mean(axis=0) - 0.25).max() < 0.09
    assert set(ahead[:, 37].tolist()) == {1, 2, 3}
    assert set(ahead[:, 39].tolist()) == {1}


@given(data=random_data(), horizon=st.integers(2, 4))
def test_the_horizon_changes_only_the_labels(data, horizon):
    next_item, within_horizon = (data.batches(window="random", horizon=h) for h in (1, horizon))
    assert len(next_item) == len(within_horizon)
    for number in range(len(next_item)):
        np.testing.assert_array_equal(next_item[number][0].tokens, within_horizon[number][0].tokens)
        np.testing.assert_array_equal(
            next_item[number][0].labels == PAD, within_horizon[number][0].labels == PAD
        )


# --- length buckets ---


def labelled_tokens(batches) -> list[list[tuple[int, int]]]:
    """The rows of an epoch as pairs of a token and its label, without padding, sorted."""
    rows = [
        row
        for number in range(batches.batches_per_epoch)
        for row in token_label_rows(batches[number])
    ]
    pairs = [[pair for pair in zip(*row, strict=True) if pair[1] != PAD] for row in rows]
    return sorted(row for row in pairs if row)


@given(data=random_data(), batch_size=st.integers(1, 4), seed=st.integers(0, 9))
def test_buckets_contain_the_same_rows_in_another_order(data, batch_size, seed):
    options = {"batch_size": batch_size, "window": "last", "seed": seed, "unknown_rate": 0.0}
    assert labelled_tokens(data.batches(bucket_by_length=True, **options)) == labelled_tokens(
        data.batches(**options)
    )


def test_random_windows_are_drawn_in_buckets_too():
    batches = LONG.batches(window="random", epochs=60, batch_size=8, bucket_by_length=True)
    firsts = {
        tuple(tokens) for number in range(60) for tokens, _ in token_label_rows(batches[number])
    }
    assert len(firsts) == 9, "the window with START, and the eight phases of the cycle"


def test_all_batches_have_the_same_shapes_with_less_padding():
    random = np.random.default_rng(0)
    lengths = random.integers(2, 60, 401).tolist()
    rows = [random.integers(4, 10, length).tolist() for length in lengths]
    data = SmallData(rows, lengths, context=40)
    shares = []
    for bucket_by_length in (False, True):
        batches = data.batches(batch_size=16, bucket_by_length=bucket_by_length)
        drawn = [batches[number] for number in range(batches.batches_per_epoch)]
        assert len({tuple(bucket.tokens.shape for bucket in batch) for batch in drawn}) == 1
        assert max(bucket.tokens.shape[1] for bucket in drawn[0]) == 40
        tokens = np.concatenate([bucket.tokens.ravel() for batch in drawn for bucket in batch])
        shares.append((tokens == PAD).mean())
    assert shares[1] < 0.3 * shares[0]
