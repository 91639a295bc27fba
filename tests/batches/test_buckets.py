"""Length buckets: little padding, every example once, and the gradient of batches without them."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_data import SmallData, batch_options, small_sequences, target_batches, token_label_rows

from segue.batches import PromptLayout
from segue.batches.buckets import BUCKET_COST, MAX_BUCKETS, MAX_CUTS, StratifiedOrder, bucket_shapes
from segue.tokens import N_SPECIALS, PAD

lengths_of_examples = st.lists(st.integers(1, 30), min_size=1, max_size=60)


# --- the shapes of the buckets ---


@given(st.lists(st.integers(1, 90), min_size=1, max_size=9), st.integers(1, 4))
def test_no_other_choice_of_buckets_costs_less(lengths, max_buckets):
    longest = np.sort(np.array(lengths))[::-1]

    def cost(firsts: tuple[int, ...]) -> float:
        ends = [*firsts[1:], len(longest)]
        computed = sum(longest[a] * (b - a) for a, b in zip(firsts, ends, strict=True))
        return computed + len(firsts) * BUCKET_COST * longest.sum()

    shapes = bucket_shapes(longest, max_buckets)
    firsts = np.cumsum([0, *(shape.rows for shape in shapes)])
    assert firsts[-1] == len(longest)
    assert [shape.length for shape in shapes] == longest[firsts[:-1]].tolist()
    inner = range(1, len(longest))
    choices = [(0, *more) for n in range(max_buckets) for more in combinations(inner, n)]
    assert cost(tuple(firsts[:-1].tolist())) == pytest.approx(min(map(cost, choices)))


def test_geometric_lengths_have_little_padding():
    longest = np.sort(np.random.default_rng(0).geometric(0.15, 128).clip(1, 200))[::-1]
    shapes = bucket_shapes(longest)
    assert len(shapes) <= MAX_BUCKETS
    assert sum(rows * length for rows, length in shapes) < 1.2 * longest.sum()


def test_rows_of_equal_length_are_one_bucket():
    assert bucket_shapes(np.full(500, 7)) == [(500, 7)]


def test_large_batches_are_cut_at_few_rows():
    shapes = bucket_shapes(np.arange(10 * MAX_CUTS, 0, -1), max_buckets=4)
    assert [shape.rows % 10 for shape in shapes] == [0, 0, 0, 0]


def test_without_rows_there_is_no_bucket():
    assert bucket_shapes(np.zeros(0, np.int64)) == []


# --- which examples are in a batch ---


@given(lengths=lengths_of_examples, batch_size=st.integers(1, 20), seed=st.integers(0, 9))
def test_every_example_is_in_one_batch_per_epoch_in_a_bucket_that_holds_it(
    lengths, batch_size, seed
):
    n_positions = np.array(lengths)
    order = StratifiedOrder(n_positions, batch_size, seed)
    n_rows = sum(shape.rows for shape in order.shapes)
    assert order.n_batches == -(-len(lengths) // batch_size)
    assert n_rows == -(-len(lengths) // order.n_batches) <= batch_size
    for epoch in range(2):
        drawn = []
        for number in range(order.n_batches):
            batch = order.examples(epoch, number)
            assert n_rows - 1 <= sum(map(len, batch)) <= n_rows
            for examples, shape in zip(batch, order.shapes, strict=True):
                assert len(examples) <= shape.rows
                assert n_positions[examples].max(initial=0) <= shape.length
                drawn += examples.tolist()
        assert sorted(drawn) == list(range(len(lengths)))


def test_batches_differ_between_epochs_and_seeds_and_depend_only_on_their_number():
    n_positions = np.random.default_rng(0).integers(1, 20, 100)
    order, again = (StratifiedOrder(n_positions, 10, seed=0) for _ in range(2))
    drawn = [np.concatenate(order.examples(epoch, 3)).tolist() for epoch in (0, 1, 0)]
    assert drawn[0] == drawn[2] != drawn[1]
    assert np.concatenate(again.examples(1, 3)).tolist() == drawn[1]
    assert np.concatenate(StratifiedOrder(n_positions, 10, seed=1).examples(0, 3)).tolist() not in (
        drawn
    )


# --- the expected gradient ---


def expected_weights(data: SmallData, *, bucket_by_length: bool, epochs: int) -> np.ndarray:
    """The mean weight of each sequence's labels in an epoch, in units of the mean over all labels.

    The loss of a batch is the mean over its labels, so each label has the weight 1 / labels. The
    gradient of an epoch is the sum over all labels of this weight times the label's gradient.
    """
    weights, n_drawn = np.zeros(len(data.rows)), 0
    batches = data.batches(batch_size=20, bucket_by_length=bucket_by_length, epochs=epochs)
    for number in range(len(batches)):
        rows = [labels for _, labels in token_label_rows(batches[number])]
        n_labels = sum(label != PAD for labels in rows for label in labels)
        n_drawn += n_labels
        for labels in rows:
            if labels[0] != PAD:  # every sequence repeats an item of its own
                weights[labels[0] - N_SPECIALS] += 1 / n_labels
    return weights / len(batches) * (n_drawn / epochs)


def test_the_expected_gradient_is_the_mean_over_all_labels(monkeypatch):
    """A label weighs as much in a short sequence as in a long one.

    Without buckets, labels of long sequences weigh less, since their own batch has more labels.
    """
    monkeypatch.setattr("small_data.VOCABULARY_SIZE", 1000)
    lengths = np.random.default_rng(0).geometric(0.1, 200).clip(1, 40).tolist()
    data = SmallData([[N_SPECIALS + i] * n for i, n in enumerate(lengths)], lengths, context=40)
    plain, bucketed = (
        expected_weights(data, bucket_by_length=by_length, epochs=20) for by_length in (False, True)
    )
    by_length = np.array_split(np.argsort(lengths), 4)
    bias_without = max(abs(plain[part].mean() - 1) for part in by_length)
    bias_with = max(abs(bucketed[part].mean() - 1) for part in by_length)
    assert bias_with < 0.02
    assert bias_with < bias_without < 0.1, "the same gradient, but for the bias of small batches"


@given(lengths=lengths_of_examples, batch_size=st.integers(1, 8), seed=st.integers(0, 5))
def test_rows_that_are_targets_are_the_same_in_buckets(lengths, batch_size, seed):
    """Tokens, label and last position of every target, whatever the length of its bucket."""
    rows = [[N_SPECIALS + position % 8 for position in range(length)] for length in lengths]
    sequences = small_sequences(rows, lengths)
    layout = PromptLayout(6, 12, start=True, end=False)

    def targets(bucket_by_length: bool) -> list:
        options = batch_options(
            batch_size=batch_size, seed=seed, epochs=1, bucket_by_length=bucket_by_length
        )
        batches = target_batches(sequences, layout, options, 9)
        drawn = []
        for number in range(len(batches)):
            for bucket in batches[number]:
                assert bucket.last_positions is not None
                for tokens, (label,), last in zip(
                    bucket.tokens.tolist(),
                    bucket.labels.tolist(),
                    bucket.last_positions.tolist(),
                    strict=True,
                ):
                    assert set(tokens[last + 1 :]) <= {PAD}
                    drawn.append((tokens[: last + 1], label))
        return sorted(row for row in drawn if row[1] != PAD)

    assert targets(bucket_by_length=True) == targets(bucket_by_length=False)


def test_layouts_padded_on_the_left_have_one_bucket():
    lengths = [2, 3, 5, 9, 20]
    sequences = small_sequences([[N_SPECIALS] * length for length in lengths], lengths)
    layout = PromptLayout(4, 12, start=False, end=False, left_padding=True)
    batches = target_batches(sequences, layout, batch_options(bucket_by_length=True), 4)
    assert [bucket.tokens.shape for bucket in batches[0]] == [(2, 4)]
