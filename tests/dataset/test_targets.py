"""The held-out targets of each split."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from split_worlds import pairs, rule, split_log

from segue.dataset import Cuts
from segue.dataset.sequences import TEST_TARGET, VALID_TARGET
from segue.dataset.splits import SPLIT_RULES
from small_logs import sequences_of


def test_holdout_predicts_each_event_from_the_second_on():
    cuts = Cuts(np.array([3, 0, 0, 0], np.int32), np.array([3, 0, 2, 0], np.int32))
    sequences = sequences_of([[4, 5, 6], [4, 5, 6], [4, 5], [4]], cuts)
    assert pairs(rule("holdout").targets(sequences, "test")) == [(1, 1), (1, 2)]
    assert pairs(rule("holdout").targets(sequences, "validation")) == [(2, 1)]


def test_leave_one_out_predicts_the_one_event_of_the_part():
    sequences, leave_one_out = split_log("leave-one-out", [2, 3, 5])
    assert pairs(leave_one_out.targets(sequences, "test")) == [(1, 2), (2, 4)]
    assert pairs(leave_one_out.targets(sequences, "validation")) == [(1, 1), (2, 3)]


class TestGlobalTimeTargets:
    cuts = Cuts(np.array([2, 0, 4, 1], np.int32), np.array([3, 0, 4, 1], np.int32))
    sequences = sequences_of([[4] * 6, [4] * 2, [4] * 4, [4] * 2], cuts)

    @pytest.mark.parametrize(
        ("choice", "expected"),
        [
            ("last", [(0, 5), (1, 1), (3, 1)]),
            ("first", [(0, 3), (1, 0), (3, 1)]),
            ("every", [(0, 3), (0, 4), (0, 5), (1, 0), (1, 1), (3, 1)]),
        ],
    )
    def test_choice(self, choice, expected):
        assert pairs(rule("global-time").targets(self.sequences, "test", choice)) == expected

    def test_random_draws_one_event_per_sequence_by_the_seed(self):
        all_targets = set(pairs(rule("global-time").targets(self.sequences, "test", "every")))
        draws = [
            pairs(rule("global-time", seed).targets(self.sequences, "test", "random"))
            for seed in range(30)
        ]
        assert draws[0] == pairs(rule("global-time").targets(self.sequences, "test", "random"))
        assert all([row for row, _ in draw] == [0, 1, 3] for draw in draws)
        assert {pair for draw in draws for pair in draw} == all_targets

    def test_validation(self):
        targets = rule("global-time").targets(self.sequences, "validation", "every")
        assert pairs(targets) == [(0, 2)]

    def test_sequences_that_start_in_the_part_are_cold_starts(self):
        rows = np.array([0, 1, 1, 3])
        is_cold_start = rule("global-time").is_cold_start(self.sequences, "test", rows)
        assert is_cold_start.tolist() == [False, True, True, False]


@pytest.mark.parametrize(("part", "label"), [("test", TEST_TARGET), ("validation", VALID_TARGET)])
def test_windows_predicts_the_held_out_targets(part, label):
    sequences, windows = split_log("windows", [12, 2, 30])
    assert sequences.target_parts is not None
    targets = windows.targets(sequences, part)
    events = sequences.offsets[targets.rows] + targets.positions
    assert events.tolist() == np.flatnonzero(sequences.target_parts == label).tolist()
    assert (targets.positions >= 3).all()
    assert len(targets.rows) > 0


def test_windows_without_a_validation_share_have_no_validation_part():
    windows = rule("windows", validation_share=0.0)
    _, cuts = windows.cut(np.array([40]), None)
    assert pairs(windows.targets(sequences_of([[4] * 40], cuts), "validation")) == []


@pytest.mark.parametrize("choice", ["last", "random", "every"])
@pytest.mark.parametrize("kind", SPLIT_RULES)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=20),
    earliest=st.integers(0, 2),
    chosen_rows=st.sets(st.integers(0, 19)),
)
def test_targets_of_some_sequences_are_those_among_all_targets(
    kind, choice, lengths, earliest, chosen_rows
):
    sequences, split_rule = split_log(kind, lengths)
    rows = np.array(sorted(row for row in chosen_rows if row < len(lengths)), np.int64)
    for part in ("validation", "test"):
        all_targets = pairs(split_rule.targets(sequences, part, "every"))
        late_enough = [pair for pair in all_targets if pair[1] >= earliest]
        target_rows = split_rule.target_rows(sequences, part, earliest=earliest)
        assert target_rows.tolist() == sorted({row for row, _ in late_enough})
        some = split_rule.targets(sequences, part, "every", rows=rows, earliest=earliest)
        assert pairs(some) == [pair for pair in late_enough if pair[0] in rows]
        chosen = pairs(split_rule.targets(sequences, part, choice))
        expected = [pair for pair in chosen if pair[0] in rows]
        assert pairs(split_rule.targets(sequences, part, choice, rows=rows)) == expected


@pytest.mark.parametrize("kind", ["holdout", "windows"])
def test_targets_of_a_few_sequences_need_little_memory(kind, monkeypatch):
    monkeypatch.setattr("segue.ragged.BLOCK_EVENTS", 1 << 10)
    lengths = np.full(1000, 200)
    split_rule = rule(kind)
    _, cuts = split_rule.cut(lengths, None)
    sequences = sequences_of([[4] * 200] * 1000, cuts)
    all_bytes = sum(array.nbytes for array in split_rule.targets(sequences, "validation"))
    tracemalloc.start()
    try:
        rows = split_rule.target_rows(sequences, "validation")
        some = split_rule.targets(sequences, "validation", rows=rows[:5])
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert set(some.rows.tolist()) == set(rows[:5].tolist())
    assert peak_bytes < all_bytes / 3
