"""The four splits against the obvious way of drawing them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.axes import offsets_of
from segue.config import SplitConfig
from segue.dataset.sequences import NO_TARGET, TEST_TARGET, TRAIN_TARGET, VALID_TARGET
from segue.dataset.splits import Split, cut, holdout, leave_one_out, quantile, windows
from segue.errors import DatasetError


def rule(kind: Any, **values: Any) -> Split:
    shares = {"seed": 0, "validation_share": 0.1, "test_share": 0.1, "window": 5}
    return Split(kind=kind, **(shares | values))


def parts_by_sequence(cuts, lengths):
    """'train', 'validation' or 'test' for each sequence that is whole in one part."""
    names = []
    for train_end, valid_end, length in zip(*map(list, cuts[:2]), lengths, strict=True):
        cut_positions = (int(train_end), int(valid_end))
        kinds = {(length, length): "train", (0, length): "validation", (0, 0): "test"}
        names.append(kinds[cut_positions])
    return names


class TestHoldout:
    def test_draws_whole_sequences_80_10_10(self):
        lengths = np.arange(1, 201)
        parts = parts_by_sequence(holdout(lengths, rule("holdout")), lengths)
        assert {part: parts.count(part) for part in set(parts)} == {
            "train": 160,
            "validation": 20,
            "test": 20,
        }

    def test_the_seed_decides_and_nothing_else(self):
        lengths = np.full(100, 3)
        first, again = holdout(lengths, rule("holdout")), holdout(lengths, rule("holdout"))
        other = holdout(lengths, rule("holdout", seed=1))
        assert np.array_equal(first.valid_end, again.valid_end)
        assert not np.array_equal(first.valid_end, other.valid_end)

    def test_a_small_log_still_gets_a_sequence_of_each_part(self):
        lengths = np.array([4, 4, 4])
        parts = parts_by_sequence(holdout(lengths, rule("holdout")), lengths)
        assert sorted(parts) == ["test", "train", "validation"]

    def test_a_share_of_zero_gets_none(self):
        lengths = np.full(50, 2)
        cuts = holdout(lengths, rule("holdout", validation_share=0.0))
        assert parts_by_sequence(cuts, lengths).count("validation") == 0

    @given(st.integers(0, 2), st.sampled_from([0.0, 0.1, 0.5]))
    def test_logs_smaller_than_the_parts_are_no_error_here(self, n, share):
        cuts = holdout(np.full(n, 3), rule("holdout", test_share=share))
        assert len(cuts.train_end) == n


def test_leave_one_out_takes_the_last_two_of_three_or_more():
    cuts = leave_one_out(np.array([1, 2, 3, 10]))
    assert cuts.train_end.tolist() == [1, 2, 1, 8]
    assert cuts.valid_end.tolist() == [1, 2, 2, 9]


class TestGlobalTime:
    lengths = np.array([4, 1, 5])
    times = np.array([0, 10, 20, 100, 95, 50, 60, 90, 91, 92])

    def test_cut_times(self):
        split, _ = cut(rule("global-time"), self.lengths, self.times)
        # 0.9 of ten events are not after the ninth, 95; the last tenth of 0..95 is from 86 on.
        assert split.valid_until == 95
        assert split.train_until == 95 - round(9.5)

    def test_an_event_at_the_cut_is_before_it(self, any_blocks):
        _, cuts = cut(rule("global-time"), self.lengths, self.times)
        assert cuts.train_end.tolist() == [3, 0, 2]
        assert cuts.valid_end.tolist() == [3, 1, 5]

    @given(st.data())
    def test_agrees_with_the_obvious_way(self, data):
        rows = data.draw(st.lists(st.lists(st.integers(0, 50), min_size=1), min_size=1))
        rows = [sorted(row) for row in rows]
        times = np.array([time for row in rows for time in row])
        split, cuts = cut(rule("global-time"), np.array([len(row) for row in rows]), times)
        ordered = sorted(times.tolist())
        valid_until = ordered[max(math.ceil(0.9 * len(ordered)) - 1, 0)]
        train_until = valid_until - round(0.1 * (valid_until - ordered[0]))
        assert (split.train_until, split.valid_until) == (train_until, valid_until)
        assert cuts.train_end.tolist() == [sum(t <= train_until for t in row) for row in rows]
        assert cuts.valid_end.tolist() == [sum(t <= valid_until for t in row) for row in rows]

    def test_needs_times(self):
        with pytest.raises(DatasetError, match="needs times") as caught:
            cut(rule("global-time"), self.lengths, None)
        assert "time column" in caught.value.hint


class TestWindows:
    def test_targets_begin_with_the_fourth_event(self, any_blocks):
        cuts = windows(np.array([3, 4, 6]), rule("windows", test_share=0.5))
        assert cuts.target_parts is not None
        no_target = cuts.target_parts == NO_TARGET
        assert no_target.tolist() == [True] * 3 + [True] * 3 + [False] + [True] * 3 + [False] * 3

    def test_a_tenth_is_test_and_a_share_of_the_rest_validation(self):
        rules = rule("windows", validation_share=0.2)
        parts = windows(np.full(1_000, 23), rules).target_parts
        assert parts is not None
        assert np.count_nonzero(parts == TEST_TARGET) == pytest.approx(2_000, abs=150)
        assert np.count_nonzero(parts == VALID_TARGET) == pytest.approx(3_600, abs=150)
        assert np.count_nonzero(parts == TRAIN_TARGET) == pytest.approx(14_400, abs=150)

    @pytest.mark.parametrize("validation_share", [0.0, 0.1, 0.5])
    def test_the_test_targets_do_not_depend_on_validation(self, validation_share, any_blocks):
        lengths = np.array([3, 40, 7, 1, 90])
        rules = rule("windows", seed=5, validation_share=validation_share)
        parts = windows(lengths, rules).target_parts
        # The obvious way: one draw an event, in order, and the first three are no targets.
        places = np.concatenate([np.arange(length) for length in lengths])
        drawn = np.random.default_rng(5).random(lengths.sum()) < 0.1
        assert np.array_equal(parts == TEST_TARGET, drawn & (places >= 3))
        assert (parts == VALID_TARGET).any() == (validation_share > 0)

    def test_validation_targets_are_nested_in_those_of_a_larger_share(self):
        small, large = (
            windows(np.full(50, 20), rule("windows", validation_share=share)).target_parts
            for share in (0.1, 0.4)
        )
        assert (large[small == VALID_TARGET] == VALID_TARGET).all()

    def test_cut_positions_leave_everything_to_training(self):
        cuts = windows(np.array([3, 8]), rule("windows"))
        assert cuts.train_end.tolist() == cuts.valid_end.tolist() == [3, 8]

    def test_the_draw_does_not_depend_on_blocks(self, monkeypatch):
        lengths = np.arange(1, 40)
        whole = windows(lengths, rule("windows", seed=3)).target_parts
        monkeypatch.setattr("segue.dataset.sequences.BLOCK_EVENTS", 7)
        assert np.array_equal(whole, windows(lengths, rule("windows", seed=3)).target_parts)


class TestRule:
    @pytest.mark.parametrize(
        ("kind", "share"), [("holdout", 0.1), ("global-time", 0.1), ("windows", 0.02)]
    )
    def test_the_share_of_validation_has_a_default(self, kind, share):
        assert Split.of(SplitConfig(kind=kind), default="holdout").validation_share == share
        asked = SplitConfig(kind=kind, validation_share=0.0)
        assert Split.of(asked, default="holdout").validation_share == 0

    def test_the_kind_has_one_too(self):
        rules = Split.of(SplitConfig(seed=7, test_share=0.3, window=9), default="windows")
        assert rules == rule("windows", seed=7, test_share=0.3, window=9, validation_share=0.02)


@pytest.mark.parametrize("kind", ["holdout", "leave-one-out", "global-time", "windows"])
@given(lengths=st.lists(st.integers(1, 12), min_size=1, max_size=40), seed=st.integers(0, 9))
def test_cuts_are_in_order_and_within_the_sequence(kind, lengths, seed):
    lengths = np.array(lengths)
    times = np.concatenate([np.arange(length) * 7 for length in lengths])
    _, cuts = cut(rule(kind, seed=seed), lengths, times)
    assert (cuts.train_end >= 0).all()
    assert (cuts.train_end <= cuts.valid_end).all()
    assert (cuts.valid_end <= lengths).all()
    assert cuts.train_end.dtype == cuts.valid_end.dtype == np.int32
    if cuts.target_parts is not None:
        assert len(cuts.target_parts) == offsets_of(lengths)[-1]


@given(
    st.lists(st.integers(-(2**60), 2**60), min_size=1, max_size=60),
    st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0]),
)
def test_quantile_is_exact(values, share):
    expected = sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]
    assert quantile(np.array(values), share) == expected


def test_quantile_of_many_close_values(any_blocks):
    values = np.random.default_rng(0).integers(10**15, 10**15 + 10**7, 500)
    expected = np.quantile(values, 0.9, method="inverted_cdf")
    assert quantile(values, 0.9) == expected
