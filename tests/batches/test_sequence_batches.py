"""Batches of sequences against a slow reference that builds one after another."""

from __future__ import annotations

import numpy as np
import pytest
from batch_worlds import TABLE, World, epoch_of, rows_of, sequences_of, training_of, worlds
from hypothesis import given
from hypothesis import strategies as st

from segue.axes import END, N_SPECIALS, PAD, START, UNK
from segue.batches import Layout, SequenceBatches

# --- against the slow reference ---


@given(world=worlds(), batch_size=st.integers(1, 4), window=st.sampled_from(["last", "random"]))
def test_an_epoch_shows_every_trainable_sequence_once(world, batch_size, window):
    batches = world.batches(batch_size=batch_size, window=window, epochs=2)
    trainable = world.trainable()
    assert batches.batches_per_epoch == -(-len(trainable) // batch_size)
    assert len(batches) == 2 * batches.batches_per_epoch
    for epoch in range(2):
        numbers = range(epoch * batches.batches_per_epoch, (epoch + 1) * batches.batches_per_epoch)
        shown = [row for number in numbers for row in rows_of(batches[number])]
        n_filled = len(numbers) * batch_size - len(trainable)
        empty = ([PAD] * world.context, [PAD] * world.context)
        assert shown[len(shown) - n_filled :] == [empty] * n_filled
        left = shown[: len(shown) - n_filled]
        for row in trainable:
            choices = world.windows(row) if window == "random" else world.windows(row)[-1:]
            found = next(one for one in left if one in choices)
            left.remove(found)
        assert not left


@given(world=worlds(), seed=st.integers(0, 99))
def test_nothing_beyond_the_training_part_ever_appears(world, seed):
    """Held-out events are marked by items of their own, which no batch may show."""
    marked = [
        [4 + place % 4 if place < end else 8 + place % 4 for place in range(len(row))]
        for row, end in zip(world.rows, world.train_ends, strict=True)
    ]
    marked_world = World(marked, world.train_ends, world.context, world.start, world.end)
    batches = marked_world.batches(seed=seed, window="random", unknown_rate=0.3)
    for number in range(len(batches)):
        batch = batches[number]
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
def test_start_end_and_unknown_have_their_places(start, end, tokens, labels):
    world = World([[4, 5, TABLE, 7, 8]], [4], context=5, start=start, end=end)
    (shown,) = rows_of(world.batches(batch_size=1)[0])
    assert shown == (tokens, labels)


def test_long_sequences_lose_their_beginning_start_too():
    world = World([[4, 5, 6, 7, 8, 9, 10]], [7], context=3)
    (shown,) = rows_of(world.batches(batch_size=1)[0])
    assert shown == ([7, 8, 9], [8, 9, 10])


def test_one_event_teaches_only_where_start_or_end_stands_beside_it():
    for start, end, n in [(False, False, 0), (True, False, 1), (False, True, 1), (True, True, 1)]:
        assert len(World([[4]], [1], start=start, end=end).batches(epochs=1)) == n


def test_a_sequence_without_training_events_is_never_shown():
    assert len(World([[4, 5, 6]], [0], end=True).batches()) == 0


def test_arrays_are_ready_for_the_device():
    batch = World([[4, 5, 6], [7, 8, 9]], [3, 3]).batches()[0]
    assert (batch.last, batch.weights, batch.told) == (None, None, None)
    for array in (batch.tokens, batch.labels):
        assert array.dtype == np.int32
        assert array.shape == (2, 5)
        assert array.flags.c_contiguous


# --- order and chance ---

MANY = World([[4 + row % 8, 4 + row // 8] for row in range(40)], [2] * 40)
LONG = World([[4 + place % 8 for place in range(30)]] * 8, [30] * 8)


def test_the_order_is_drawn_from_seed_and_epoch():
    batches, again, other = MANY.batches(), MANY.batches(), MANY.batches(seed=1)
    assert epoch_of(batches, 0) == epoch_of(again, 0)
    assert epoch_of(batches, 0) != epoch_of(batches, 1)
    assert epoch_of(batches, 0) != epoch_of(other, 0)


@given(numbers=st.lists(st.integers(0, 11), min_size=1, max_size=8))
def test_a_batch_is_a_function_of_its_number(numbers):
    """In whatever order batches are asked for, as a resumed run does."""
    options = {"window": "random", "unknown_rate": 0.2}
    used, fresh = LONG.batches(**options), LONG.batches(**options)
    asked = [rows_of(used[number]) for number in numbers]
    assert asked == [rows_of(fresh[number]) for number in numbers]
    assert rows_of(LONG.batches(**options)[numbers[-1]]) == asked[-1]


def test_random_windows_reach_both_ends_and_differ_between_epochs():
    batches = LONG.batches(window="random", epochs=60, batch_size=8)
    firsts = {tuple(tokens) for epoch in range(60) for tokens in batches[epoch].tokens.tolist()}
    assert (START, 4, 5, 6, 7) in firsts
    assert any(labels[-1] == LONG.rows[0][-1] for labels in batches[0].labels.tolist())
    assert len(firsts) == 9, "START's window, and the eight phases of the cycle"
    assert (batches[0].tokens != batches[1].tokens).any()


def test_last_windows_are_the_same_in_every_epoch():
    batches = LONG.batches(window="last", batch_size=8)
    np.testing.assert_array_equal(batches[0].tokens, batches[1].tokens)


def test_iterating_ends():
    batches = MANY.batches(epochs=1)
    assert len(list(batches)) == len(batches) == 20
    for number in (-1, 20):
        with pytest.raises(IndexError):
            batches[number]


# --- unknown ---


def test_unknown_is_injected_at_its_rate_and_specials_are_spared():
    rows = [[4 + place % 8 for place in range(200)]] * 20
    world = World(rows, [200] * 20, context=202, end=True)
    batch = world.batches(unknown_rate=0.25, batch_size=20)[0]
    plain = world.batches(batch_size=20)[0]
    items = plain.tokens >= N_SPECIALS
    assert (batch.tokens[items] == UNK).mean() == pytest.approx(0.25, abs=0.03)
    np.testing.assert_array_equal(batch.tokens[~items], plain.tokens[~items])
    kept = batch.tokens != UNK
    np.testing.assert_array_equal(batch.tokens[kept], plain.tokens[kept])
    np.testing.assert_array_equal(batch.tokens[:, 1:], batch.labels[:, :-1])


# --- horizon ---

FAR = 1000
"""A table so large that every event can be an item of its own."""


def distinct(lengths: list[int]) -> list[list[int]]:
    """Rows in which no item comes twice, so that a label tells where it lies."""
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
def test_a_label_lies_within_the_next_events_of_the_same_training_part(
    lengths, share, context, horizon, start, end, seed
):
    rows = distinct(lengths)
    ends = [round(share * length) for length in lengths]
    layout = Layout(context, FAR, start, end)
    config = training_of(horizon=horizon, window="random", seed=seed)
    batches = SequenceBatches(sequences_of(rows, ends), layout, config)
    # Where each token of the training parts stands; START before the first, END after the last.
    at = {item: (row, place) for row, items in enumerate(rows) for place, item in enumerate(items)}
    for number in range(len(batches)):
        for tokens, labels in rows_of(batches[number]):
            row = next((at[item][0] for item in [*tokens, *labels] if item in at), None)
            for token, label in zip(tokens, labels, strict=True):
                if row is None or token in (PAD, END):
                    assert label == PAD
                    continue
                place = -1 if token == START else at[token][1]
                last = ends[row] - 1 + end
                assert (label == PAD) == (place == last)
                if label != PAD:
                    ahead = (ends[row] if label == END else at[label][1]) - place
                    assert label == END or at[label][0] == row
                    assert 1 <= ahead <= min(horizon, last - place)


def test_every_event_ahead_is_drawn_as_often():
    rows = distinct([40])
    config = training_of(horizon=4, epochs=500, batch_size=1)
    batches = SequenceBatches(sequences_of(rows, [40]), Layout(40, FAR, True, False), config)
    ahead = np.stack([batches[number].labels[0] for number in range(500)]) - batches[0].tokens[0]
    inner = ahead[:, 1:37]  # the first token is START, and the last see fewer events ahead
    np.testing.assert_allclose(np.bincount(inner.ravel())[1:] / inner.size, 0.25, atol=0.02)
    assert np.abs((inner == 1).mean(axis=0) - 0.25).max() < 0.09
    assert set(ahead[:, 37].tolist()) == {1, 2, 3}
    assert set(ahead[:, 39].tolist()) == {1}


@given(world=worlds(), horizon=st.integers(2, 4))
def test_the_horizon_moves_labels_and_nothing_else(world, horizon):
    near, far = (world.batches(window="random", horizon=h) for h in (1, horizon))
    assert len(near) == len(far)
    for number in range(len(near)):
        np.testing.assert_array_equal(near[number].tokens, far[number].tokens)
        np.testing.assert_array_equal(near[number].labels == PAD, far[number].labels == PAD)


# --- like lengths together ---


def taught(batches) -> list[list[tuple[int, int]]]:
    """Every row of an epoch as its tokens with their labels, where there is one, sorted."""
    rows = [row for number in range(batches.batches_per_epoch) for row in rows_of(batches[number])]
    return sorted([pair for pair in zip(*row, strict=True) if pair[1] != PAD] for row in rows)


@given(world=worlds(), batch_size=st.integers(1, 4), seed=st.integers(0, 9))
def test_buckets_show_the_same_rows_in_another_order(world, batch_size, seed):
    options = {"batch_size": batch_size, "window": "last", "seed": seed, "unknown_rate": 0.0}
    assert taught(world.batches(bucket=True, **options)) == taught(world.batches(**options))


def test_buckets_cut_what_all_rows_of_a_batch_leave_empty():
    random = np.random.default_rng(0)
    lengths = random.integers(2, 60, 400).tolist()
    rows = [random.integers(4, 10, length).tolist() for length in lengths]
    world = World(rows, lengths, context=40)
    plain, bucketed = (world.batches(batch_size=8, bucket=bucket) for bucket in (False, True))
    shares = []
    for batches in (plain, bucketed):
        tokens = [batches[number].tokens for number in range(batches.batches_per_epoch)]
        shares.append(sum((t == PAD).sum() for t in tokens) / sum(t.size for t in tokens))
        assert {t.shape[1] for t in tokens} <= {10, 20, 30, 40}
    assert shares[1] < 0.5 * shares[0]
    widths = [bucketed[number].tokens.shape[1] for number in range(bucketed.batches_per_epoch)]
    assert widths != sorted(widths), "batches of one length do not come one after another"


def test_buckets_differ_between_epochs_and_follow_from_the_number():
    rows = [[4 + (i + j) % 5 for j in range(2 + i % 7)] for i in range(30)]
    world = World(rows, [len(row) for row in rows], context=6)
    batches = world.batches(batch_size=4, bucket=True, epochs=2)
    n = batches.batches_per_epoch
    again = world.batches(batch_size=4, bucket=True, epochs=2)
    for number in (0, n, 2 * n - 1):
        assert rows_of(batches[number]) == rows_of(again[number])
    assert [rows_of(batches[i]) for i in range(n)] != [rows_of(batches[n + i]) for i in range(n)]
