"""Targets and training events of each split."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_logs import sequences_of

from segue.dataset.parts import part_bounds, target_rows, targets, training_mask
from segue.dataset.sequences import TEST_TARGET, VALID_TARGET, Sequences
from segue.dataset.splits import Cuts, Split, cut


def rule(kind: Any, seed: int = 0) -> Split:
    return Split(kind=kind, seed=seed, validation_share=0.2, test_share=0.2, window=5)


def split_world(kind: str, lengths: list[int], seed: int = 0) -> tuple[Sequences, Split]:
    """Sequences that begin at different times, one event a second."""
    rows = [[4 + i % 3 for i in range(length)] for length in lengths]
    times = [[5 * row + i for i in range(length)] for row, length in enumerate(lengths)]
    flat = np.array([time for row in times for time in row], dtype=np.int64)
    split, cuts = cut(rule(kind, seed), np.array(lengths, dtype=np.int64), flat)
    return sequences_of(rows, cuts, times), split


def pairs(found) -> list[tuple[int, int]]:
    return list(zip(found.rows.tolist(), found.positions.tolist(), strict=True))


def test_holdout_predicts_each_event_from_the_second_on():
    cuts = Cuts(np.array([3, 0, 0, 0], np.int32), np.array([3, 0, 2, 0], np.int32))
    sequences = sequences_of([[4, 5, 6], [4, 5, 6], [4, 5], [4]], cuts)
    assert pairs(targets(sequences, rule("holdout"), "test")) == [(1, 1), (1, 2)]
    assert pairs(targets(sequences, rule("holdout"), "validation")) == [(2, 1)]


def test_leave_one_out_predicts_the_parts_one_event():
    sequences, split = split_world("leave-one-out", [2, 3, 5])
    assert pairs(targets(sequences, split, "test")) == [(1, 2), (2, 4)]
    assert pairs(targets(sequences, split, "validation")) == [(1, 1), (2, 3)]


class TestGlobalTime:
    cuts = Cuts(np.array([2, 0, 4, 1], np.int32), np.array([3, 0, 4, 1], np.int32))
    sequences = sequences_of([[4] * 6, [4] * 2, [4] * 4, [4] * 2], cuts)

    @pytest.mark.parametrize(
        ("which", "expected"),
        [
            ("last", [(0, 5), (1, 1), (3, 1)]),
            ("first", [(0, 3), (1, 0), (3, 1)]),
            ("every", [(0, 3), (0, 4), (0, 5), (1, 0), (1, 1), (3, 1)]),
        ],
    )
    def test_which(self, which, expected):
        assert pairs(targets(self.sequences, rule("global-time"), "test", which)) == expected

    def test_random_is_one_of_every_sequences_events_by_the_seed(self):
        every = set(pairs(targets(self.sequences, rule("global-time"), "test", "every")))
        drawn = [
            pairs(targets(self.sequences, rule("global-time", seed), "test", "random"))
            for seed in range(30)
        ]
        assert drawn[0] == pairs(targets(self.sequences, rule("global-time"), "test", "random"))
        assert all([row for row, _ in one] == [0, 1, 3] for one in drawn)
        assert {pair for one in drawn for pair in one} == every

    def test_validation(self):
        found = targets(self.sequences, rule("global-time"), "validation", "every")
        assert pairs(found) == [(0, 2)]


@pytest.mark.parametrize(("part", "label"), [("test", TEST_TARGET), ("validation", VALID_TARGET)])
def test_windows_predicts_the_held_out_targets(part, label):
    sequences, split = split_world("windows", [12, 2, 30])
    assert sequences.target_parts is not None
    found = targets(sequences, split, part)
    flat = sequences.offsets[found.rows] + found.positions
    assert flat.tolist() == np.flatnonzero(sequences.target_parts == label).tolist()
    assert (found.positions >= 3).all()
    assert len(found.rows) > 0


def test_windows_without_a_validation_share_have_no_validation_part():
    split = Split(kind="windows", seed=0, validation_share=0.0, test_share=0.2, window=5)
    split, cuts = cut(split, np.array([40]), None)
    assert pairs(targets(sequences_of([[4] * 40], cuts), split, "validation")) == []


@pytest.mark.parametrize("kind", ["holdout", "leave-one-out", "global-time", "windows"])
@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=20), seed=st.integers(0, 5))
def test_no_target_is_a_training_event(kind, lengths, seed):
    sequences, split = split_world(kind, lengths, seed)
    cuts = Cuts(sequences.train_end, sequences.valid_end, sequences.target_parts)
    training = training_mask(cuts, sequences.offsets, 0, len(sequences))
    for part in ("validation", "test"):
        found = targets(sequences, split, part, "every")
        assert (found.positions < sequences.lengths[found.rows]).all()
        assert not training[sequences.offsets[found.rows] + found.positions].any()


@pytest.mark.parametrize("which", ["last", "random", "every"])
@pytest.mark.parametrize("kind", ["holdout", "leave-one-out", "global-time", "windows"])
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=20),
    earliest=st.integers(0, 2),
    choice=st.sets(st.integers(0, 19)),
)
def test_targets_of_some_sequences_are_those_among_all_targets(
    kind, which, lengths, earliest, choice
):
    sequences, split = split_world(kind, lengths)
    rows = np.array(sorted(row for row in choice if row < len(lengths)), np.int64)
    for part in ("validation", "test"):
        every = pairs(targets(sequences, split, part, "every"))
        counted = [pair for pair in every if pair[1] >= earliest]
        found = target_rows(sequences, split, part, earliest=earliest)
        assert found.tolist() == sorted({row for row, _ in counted})
        some = targets(sequences, split, part, "every", rows=rows, earliest=earliest)
        assert pairs(some) == [pair for pair in counted if pair[0] in rows]
        drawn = [pair for pair in pairs(targets(sequences, split, part, which)) if pair[0] in rows]
        assert pairs(targets(sequences, split, part, which, rows=rows)) == drawn


@pytest.mark.parametrize("kind", ["holdout", "windows"])
def test_some_sequences_of_many_cost_little_memory(kind, monkeypatch):
    monkeypatch.setattr("segue.dataset.sequences.BLOCK_EVENTS", 1 << 10)
    lengths = np.full(1000, 200)
    split, cuts = cut(rule(kind), lengths, None)
    sequences = sequences_of([[4] * 200] * 1000, cuts)
    every = sum(part.nbytes for part in targets(sequences, split, "validation"))
    tracemalloc.start()
    try:
        rows = target_rows(sequences, split, "validation")
        some = targets(sequences, split, "validation", rows=rows[:5])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert set(some.rows.tolist()) == set(rows[:5].tolist())
    assert peak < every / 3


@pytest.mark.parametrize("kind", ["holdout", "leave-one-out", "global-time"])
@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=20))
def test_every_event_has_one_part(kind, lengths):
    sequences, _ = split_world(kind, lengths)
    cuts = Cuts(sequences.train_end, sequences.valid_end)
    n = int(training_mask(cuts, sequences.offsets, 0, len(sequences)).sum())
    for part in ("validation", "test"):
        begin, end = part_bounds(sequences, part)
        n += int((end - begin).sum())
    assert n == sequences.n_events


def test_training_mask_of_some_rows():
    sequences, _ = split_world("leave-one-out", [2, 3, 5])
    cuts = Cuts(sequences.train_end, sequences.valid_end)
    mask = training_mask(cuts, sequences.offsets, 1, 3)
    assert mask.tolist() == [True, False, False, True, True, True, False, False]
