"""Batches of single targets: which events are targets, and the input before them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_data import (
    VOCABULARY_SIZE,
    batch_options,
    epoch_rows,
    pad,
    random_data,
    small_sequences,
    target_batches,
    token_label_rows,
    with_target_parts,
)

from segue.batches import Batches, PromptLayout, TargetBatches
from segue.config import SplitConfig, SplitKind
from segue.dataset import NO_TARGET, TEST_TARGET, TRAIN_TARGET, Sequences, rule_of, training_mask
from segue.dataset.splits import SPLIT_RULES, resolve_split
from segue.dataset.targets import FIRST_TARGET
from segue.tokens import N_SPECIALS, PAD, START, UNK

PLAIN = PromptLayout(5, VOCABULARY_SIZE, start=True, end=False)


def test_a_row_has_one_label_and_only_the_events_before_it():
    parts = [[NO_TARGET] * 3 + [TRAIN_TARGET, TEST_TARGET, TRAIN_TARGET]]
    sequences = with_target_parts([[4, 5, 6, 7, 8, 9]], parts)
    batches = target_batches(sequences, PLAIN, batch_options(epochs=1), history_length=4)
    assert len(batches) == 1
    assert sorted(token_label_rows(batches[0])) == [
        ([START, 4, 5, 6, PAD], [7]),
        ([START, 5, 6, 7, 8], [9]),
    ]


def test_target_arrays_are_contiguous_int32():
    sequences = small_sequences([[4, 5, 6, 7, 8]], [5])
    batch = target_batches(sequences, PLAIN, batch_options(batch_size=3), history_length=4)[0][0]
    assert batch.last_positions is not None
    assert (batch.weights, batch.sequence_features) == (None, None)
    for array, shape in (
        (batch.tokens, (2, 5)),  # four targets in two equal batches
        (batch.labels, (2, 1)),
        (batch.last_positions, (2,)),
    ):
        assert array.dtype == np.int32
        assert array.shape == shape
        assert array.flags.c_contiguous


@given(data=random_data(), seed=st.integers(0, 5))
def test_windows_contain_exactly_the_training_targets(data, seed):
    random = np.random.default_rng(seed)
    parts = [
        [
            int(random.choice([TRAIN_TARGET, TEST_TARGET])) if position >= 3 else NO_TARGET
            for position in range(len(row))
        ]
        for row in data.rows
    ]
    layout = replace(data.layout, end=False)
    options, sequences = batch_options(epochs=2, seed=seed), with_target_parts(data.rows, parts)
    batches = target_batches(sequences, layout, options, history_length=2)
    expected = []
    for row, row_parts in zip(data.rows, parts, strict=True):
        for position in np.flatnonzero(np.array(row_parts) == TRAIN_TARGET):
            items = [
                UNK if item >= VOCABULARY_SIZE else item
                for item in row[position - 2 : position + 1]
            ]
            tokens = ([START] * layout.start + items[:-1])[-layout.context :]
            expected.append((pad(tokens, layout.context), items[-1:]))
    for epoch in range(2):
        rows = [row for batch in epoch_rows(batches, epoch) for row in batch]
        assert sorted(row for row in rows if any(row[1])) == sorted(expected)


# --- with every split ---


@dataclass(frozen=True)
class SplitLog:
    """Sequences in which every event is a different item, cut by a split.

    Attributes:
        is_trained: whether each event may be trained on.
        window: largest number of events that a target is predicted from.
    """

    sequences: Sequences
    is_trained: np.ndarray
    layout: PromptLayout
    window: int

    @property
    def earliest(self) -> int:
        """The position of the first event that can be a label."""
        if self.sequences.target_parts is not None:
            return FIRST_TARGET
        return 0 if self.layout.start else 1

    @property
    def targets(self) -> list[int]:
        """Indices of the events that must be labels."""
        lengths = self.sequences.lengths
        positions = [position for length in lengths for position in range(length)]
        return [
            event
            for event, position in enumerate(positions)
            if position >= self.earliest and self.is_trained[event]
        ]

    def event_of(self, item: int) -> int:
        return item - N_SPECIALS

    def tokens_before(self, event: int) -> list[int]:
        """The expected input of the row whose label is the event."""
        begin = int(self.sequences.offsets[self.sequences.offsets <= event][-1])
        items = [N_SPECIALS + i for i in range(max(begin, event - self.window), event)]
        tokens = ([START] * self.layout.start + items)[-self.layout.context :]
        if self.layout.left_padding:
            return [START] * (self.layout.context - len(tokens)) + tokens
        return pad(tokens, self.layout.context)


def log_of(
    lengths: list[int],
    kind: SplitKind,
    seed: int,
    start: bool,
    left_padding: bool,
    context: int,
    window: int,
) -> SplitLog:
    random, n_events = np.random.default_rng(seed), sum(lengths)
    rows = np.split(np.arange(N_SPECIALS, N_SPECIALS + n_events), np.cumsum(lengths)[:-1])
    times = np.concatenate([np.sort(random.integers(0, 100, length)) for length in lengths])
    options = SplitConfig(kind=kind, validation_share=0.3, test_share=0.3, seed=seed)
    rule = rule_of(resolve_split(options, kind))
    _, cuts = rule.cut(np.array(lengths), times)
    sequences = replace(
        small_sequences([row.tolist() for row in rows], [0] * len(rows)),
        train_end=cuts.train_end,
        valid_end=cuts.valid_end,
        target_parts=cuts.target_parts,
    )
    is_trained = training_mask(rule, cuts, sequences.offsets, 0, len(rows))
    layout = PromptLayout(
        context, N_SPECIALS + n_events, start, end=False, left_padding=left_padding
    )
    return SplitLog(sequences, is_trained, layout, window)


logs = st.fixed_dictionaries(
    {
        "lengths": st.lists(st.integers(1, 12), min_size=1, max_size=6),
        "kind": st.sampled_from(list(SPLIT_RULES)),
        "seed": st.integers(0, 99),
        "start": st.booleans(),
        "left_padding": st.booleans(),
        "context": st.integers(1, 6),
        "window": st.integers(1, 6),
    }
)


def real_rows(batches: Batches) -> list[tuple[list[int], int, int]]:
    """Tokens, label and last position of every row of an epoch, without padding rows."""
    unpadded = []
    for number in range(batches.batches_per_epoch):
        (batch,) = batches[number]
        assert batch.last_positions is not None
        rows = zip(batch.tokens, batch.labels, batch.last_positions, strict=True)
        unpadded += [
            (row.tolist(), int(label[0]), int(last)) for row, label, last in rows if label[0]
        ]
    return unpadded


@given(log=logs)
def test_labels_are_exactly_the_training_targets(log):
    log = log_of(**log)
    batches = target_batches(
        log.sequences, log.layout, batch_options(), log.window, earliest=log.earliest
    )
    rows = real_rows(batches)
    events = [log.event_of(label) for _, label, _ in rows]
    assert sorted(events) == log.targets
    assert log.is_trained[events].all()
    for tokens, label, _ in rows:
        assert tokens == log.tokens_before(log.event_of(label))


@given(log=logs)
def test_the_last_position_is_that_of_the_event_before_the_label(log):
    log = log_of(**log)
    batches = target_batches(log.sequences, log.layout, batch_options(), log.window)
    for tokens, label, last in real_rows(batches):
        assert tokens[last] == label - 1
        assert set(tokens[last + 1 :]) <= {PAD}


@given(log=logs, seed=st.integers(0, 9))
def test_only_given_targets_are_labels(log, seed):
    log = log_of(**log)
    random = np.random.default_rng(seed)
    events = np.flatnonzero(random.random(log.sequences.n_events) < 0.4)
    batches = TargetBatches(log.sequences, events, log.layout, batch_options(), log.window)
    rows = real_rows(batches)
    assert sorted(log.event_of(label) for _, label, _ in rows) == events.tolist()
    for tokens, label, _ in rows:
        assert tokens == log.tokens_before(log.event_of(label))


def test_unknown_items_are_injected_into_the_input_only():
    rows = [[4 + position % 8 for position in range(200)]]
    sequences = small_sequences(rows, [200])
    options = batch_options(batch_size=197)
    plain = target_batches(sequences, PLAIN, options, 5)[0][0]
    batch = target_batches(sequences, PLAIN, replace(options, unknown_rate=0.3), 5)[0][0]
    items = plain.tokens >= N_SPECIALS
    assert (batch.tokens[items] == UNK).mean() == pytest.approx(0.3, abs=0.05)
    np.testing.assert_array_equal(batch.labels, plain.labels)
    np.testing.assert_array_equal(batch.tokens[~items], plain.tokens[~items])


def test_a_label_outside_the_catalogue_is_unknown():
    sequences = small_sequences([[4, 5, 6, VOCABULARY_SIZE + 2]], [4])
    (row, *_) = token_label_rows(target_batches(sequences, PLAIN, batch_options(), 3)[0])
    assert row == ([START, 4, 5, 6, PAD], [UNK])
