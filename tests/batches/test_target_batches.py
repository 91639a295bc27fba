"""Batches of single targets: which events they are, and what stands before them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from batch_worlds import (
    TABLE,
    epoch_of,
    padded,
    rows_of,
    sequences_of,
    training_of,
    windowed,
    worlds,
)
from hypothesis import given
from hypothesis import strategies as st

from segue.axes import N_SPECIALS, PAD, START, UNK
from segue.batches import Batch, Layout, TargetBatches, TrainingBatches
from segue.batches.targets import FIRST_TARGET
from segue.config import SplitConfig, SplitKind
from segue.dataset import NO_TARGET, TEST_TARGET, TRAIN_TARGET, Sequences
from segue.dataset.parts import training_mask
from segue.dataset.splits import MIN_LENGTHS, Split, cut

PLAIN = Layout(5, TABLE, start=True, end=False)


def test_a_row_has_one_label_and_sees_only_the_events_before_it():
    parts = [[NO_TARGET] * 3 + [TRAIN_TARGET, TEST_TARGET, TRAIN_TARGET]]
    sequences = windowed([[4, 5, 6, 7, 8, 9]], parts)
    batches = TargetBatches(sequences, PLAIN, training_of(epochs=1), window=4)
    assert len(batches) == 1
    assert sorted(rows_of(batches[0])) == [
        ([START, 4, 5, 6, PAD], [7]),
        ([START, 5, 6, 7, 8], [9]),
    ]


def test_arrays_are_ready_for_the_device():
    sequences = sequences_of([[4, 5, 6, 7, 8]], [5])
    batch = TargetBatches(sequences, PLAIN, training_of(batch_size=3), window=4)[0]
    assert batch.last is not None
    assert (batch.weights, batch.told) == (None, None)
    for array, shape in ((batch.tokens, (3, 5)), (batch.labels, (3, 1)), (batch.last, (3,))):
        assert array.dtype == np.int32
        assert array.shape == shape
        assert array.flags.c_contiguous


@given(world=worlds(), seed=st.integers(0, 5))
def test_windows_are_exactly_the_training_targets(world, seed):
    random = np.random.default_rng(seed)
    parts = [
        [
            int(random.choice([TRAIN_TARGET, TEST_TARGET])) if place >= 3 else NO_TARGET
            for place in range(len(row))
        ]
        for row in world.rows
    ]
    layout = replace(world.layout, end=False)
    config = training_of(epochs=2, seed=seed)
    batches = TargetBatches(windowed(world.rows, parts), layout, config, window=2)
    expected = []
    for row, row_parts in zip(world.rows, parts, strict=True):
        for place in np.flatnonzero(np.array(row_parts) == TRAIN_TARGET):
            known = [UNK if item >= TABLE else item for item in row[place - 2 : place + 1]]
            tokens = ([START] * layout.start + known[:-1])[-layout.context :]
            expected.append((padded(tokens, layout.context), known[-1:]))
    for epoch in range(2):
        rows = [row for batch in epoch_of(batches, epoch) for row in batch]
        assert sorted(row for row in rows if any(row[1])) == sorted(expected)


# --- under every split ---


@dataclass(frozen=True)
class Log:
    """Sequences of which every event is an item of its own, cut by some split.

    Attributes:
        is_trained: of each event, whether it may be trained on.
        window: events that a target is predicted from.
    """

    sequences: Sequences
    is_trained: np.ndarray
    layout: Layout
    window: int

    @property
    def targets(self) -> list[int]:
        """Places of the events that must be labels, the slow and obvious way."""
        lengths = self.sequences.lengths
        places = [place for length in lengths for place in range(length)]
        return [
            event
            for event, place in enumerate(places)
            if place >= FIRST_TARGET and self.is_trained[event]
        ]

    def event_of(self, item: int) -> int:
        return item - N_SPECIALS

    def tokens_before(self, event: int) -> list[int]:
        """What a row whose label is an event must show."""
        begin = int(self.sequences.offsets[self.sequences.offsets <= event][-1])
        known = [N_SPECIALS + i for i in range(max(begin, event - self.window), event)]
        shown = ([START] * self.layout.start + known)[-self.layout.context :]
        if self.layout.fills:
            return [START] * (self.layout.context - len(shown)) + shown
        return padded(shown, self.layout.context)


def log_of(
    lengths: list[int],
    kind: SplitKind,
    seed: int,
    start: bool,
    fills: bool,
    context: int,
    window: int,
) -> Log:
    random, n_events = np.random.default_rng(seed), sum(lengths)
    rows = np.split(np.arange(N_SPECIALS, N_SPECIALS + n_events), np.cumsum(lengths)[:-1])
    times = np.concatenate([np.sort(random.integers(0, 100, length)) for length in lengths])
    options = SplitConfig(kind=kind, validation_share=0.3, test_share=0.3, seed=seed)
    _, cuts = cut(Split.of(options, kind), np.array(lengths), times)
    sequences = replace(
        sequences_of([row.tolist() for row in rows], [0] * len(rows)),
        train_end=cuts.train_end,
        valid_end=cuts.valid_end,
        target_parts=cuts.target_parts,
    )
    is_trained = training_mask(cuts, sequences.offsets, 0, len(rows))
    layout = Layout(context, N_SPECIALS + n_events, start, end=False, fills=fills)
    return Log(sequences, is_trained, layout, window)


logs = st.fixed_dictionaries(
    {
        "lengths": st.lists(st.integers(1, 12), min_size=1, max_size=6),
        "kind": st.sampled_from(list(MIN_LENGTHS)),
        "seed": st.integers(0, 99),
        "start": st.booleans(),
        "fills": st.booleans(),
        "context": st.integers(1, 6),
        "window": st.integers(1, 6),
    }
)


def real_rows(batches: TrainingBatches) -> list[tuple[list[int], int, int]]:
    """Tokens, label and the place of the state, of every row of an epoch that is no padding."""
    shown = []
    for number in range(batches.batches_per_epoch):
        batch: Batch = batches[number]
        assert batch.last is not None
        rows = zip(batch.tokens, batch.labels, batch.last, strict=True)
        shown += [(row.tolist(), int(label[0]), int(at)) for row, label, at in rows if label[0]]
    return shown


@given(log=logs)
def test_labels_are_the_training_targets_and_no_other_event(log):
    log = log_of(**log)
    batches = TargetBatches(log.sequences, log.layout, training_of(), log.window)
    shown = real_rows(batches)
    found = [log.event_of(label) for _, label, _ in shown]
    assert sorted(found) == log.targets
    assert log.is_trained[found].all()
    for tokens, label, _ in shown:
        assert tokens == log.tokens_before(log.event_of(label))


@given(log=logs)
def test_the_state_is_that_of_the_event_before_the_label(log):
    log = log_of(**log)
    batches = TargetBatches(log.sequences, log.layout, training_of(), log.window)
    for tokens, label, last in real_rows(batches):
        assert tokens[last] == label - 1
        assert set(tokens[last + 1 :]) <= {PAD}


@given(log=logs, seed=st.integers(0, 9))
def test_only_the_targets_that_are_given_are_labels(log, seed):
    log = log_of(**log)
    random = np.random.default_rng(seed)
    events = np.flatnonzero(random.random(log.sequences.n_events) < 0.4)
    config = training_of(unknown_rate=0.0)
    batches = TargetBatches(log.sequences, log.layout, config, log.window, targets=events)
    shown = real_rows(batches)
    assert sorted(log.event_of(label) for _, label, _ in shown) == events.tolist()
    for tokens, label, _ in shown:
        assert tokens == log.tokens_before(log.event_of(label))


def test_unknown_items_are_injected_into_what_is_seen_never_into_labels():
    rows = [[4 + place % 8 for place in range(200)]]
    sequences = sequences_of(rows, [200])
    batch = TargetBatches(sequences, PLAIN, training_of(unknown_rate=0.3, batch_size=197), 5)[0]
    plain = TargetBatches(sequences, PLAIN, training_of(batch_size=197), 5)[0]
    items = plain.tokens >= N_SPECIALS
    assert (batch.tokens[items] == UNK).mean() == pytest.approx(0.3, abs=0.05)
    np.testing.assert_array_equal(batch.labels, plain.labels)
    np.testing.assert_array_equal(batch.tokens[~items], plain.tokens[~items])


def test_a_label_outside_the_catalogue_is_unknown():
    sequences = sequences_of([[4, 5, 6, TABLE + 2]], [4])
    (row, *_) = rows_of(TargetBatches(sequences, PLAIN, training_of(), window=3)[0])
    assert row == ([START, 4, 5, 6, PAD], [UNK])
