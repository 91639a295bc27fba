"""How each split is drawn, compared with slow reference computations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.config import SplitConfig
from segue.dataset import Cuts, Split, SplitRule, rule_of
from segue.dataset.sequences import NO_TARGET, TEST_TARGET, TRAIN_TARGET, VALID_TARGET
from segue.dataset.splits import resolve_split
from segue.dataset.splits.global_time import quantile
from segue.errors import DatasetError


def rule(kind: Any, **values: Any) -> SplitRule:
    shares = {"seed": 0, "validation_share": 0.1, "test_share": 0.1, "window": 5}
    return rule_of(Split(kind=kind, **(shares | values)))


def cuts_of(kind: Any, lengths: np.ndarray, **values: Any) -> Cuts:
    _, cuts = rule(kind, **values).cut(lengths, None)
    return cuts


def part_names(cuts: Cuts, lengths: np.ndarray) -> list[str]:
    """'train', 'validation' or 'test' for sequences that each lie in one part."""
    names = []
    for train_end, valid_end, length in zip(*map(list, cuts[:2]), lengths, strict=True):
        positions = (int(train_end), int(valid_end))
        names_by_cut = {(length, length): "train", (0, length): "validation", (0, 0): "test"}
        names.append(names_by_cut[positions])
    return names


class TestHoldout:
    def test_draws_sequences_80_10_10(self):
        lengths = np.arange(1, 201)
        names = part_names(cuts_of("holdout", lengths), lengths)
        assert {name: names.count(name) for name in set(names)} == {
            "train": 160,
            "validation": 20,
            "test": 20,
        }

    def test_the_seed_alone_decides(self):
        lengths = np.full(100, 3)
        first, again = cuts_of("holdout", lengths), cuts_of("holdout", lengths)
        another_seed = cuts_of("holdout", lengths, seed=1)
        assert np.array_equal(first.valid_end, again.valid_end)
        assert not np.array_equal(first.valid_end, another_seed.valid_end)

    def test_a_small_log_still_gets_a_sequence_of_each_part(self):
        lengths = np.array([4, 4, 4])
        names = part_names(cuts_of("holdout", lengths), lengths)
        assert sorted(names) == ["test", "train", "validation"]

    def test_a_share_of_zero_gets_none(self):
        lengths = np.full(50, 2)
        cuts = cuts_of("holdout", lengths, validation_share=0.0)
        assert part_names(cuts, lengths).count("validation") == 0

    @given(st.integers(0, 2), st.sampled_from([0.0, 0.1, 0.5]))
    def test_logs_smaller_than_the_parts_raise_no_error_here(self, n, share):
        cuts = cuts_of("holdout", np.full(n, 3), test_share=share)
        assert len(cuts.train_end) == n


def test_leave_one_out_takes_the_last_two_of_three_or_more():
    cuts = cuts_of("leave-one-out", np.array([1, 2, 3, 10]))
    assert cuts.train_end.tolist() == [1, 2, 1, 8]
    assert cuts.valid_end.tolist() == [1, 2, 2, 9]


class TestGlobalTime:
    lengths = np.array([4, 1, 5])
    times = np.array([0, 10, 20, 100, 95, 50, 60, 90, 91, 92])

    def test_cut_times(self):
        split, _ = rule("global-time").cut(self.lengths, self.times)
        # 0.9 of ten events are not after the ninth, 95; the last tenth of 0..95 is from 86 on.
        assert split.valid_until == 95
        assert split.train_until == 95 - round(9.5)

    def test_an_event_at_the_cut_is_before_it(self, event_block_size):
        _, cuts = rule("global-time").cut(self.lengths, self.times)
        assert cuts.train_end.tolist() == [3, 0, 2]
        assert cuts.valid_end.tolist() == [3, 1, 5]

    @given(st.data())
    def test_agrees_with_a_slow_reference(self, data):
        rows = data.draw(st.lists(st.lists(st.integers(0, 50), min_size=1), min_size=1))
        rows = [sorted(row) for row in rows]
        times = np.array([time for row in rows for time in row])
        split, cuts = rule("global-time").cut(np.array([len(row) for row in rows]), times)
        ordered = sorted(times.tolist())
        valid_until = ordered[max(math.ceil(0.9 * len(ordered)) - 1, 0)]
        if valid_until == ordered[-1] and 2 * ordered.count(ordered[-1]) <= len(ordered):
            valid_until = max(time for time in ordered if time < ordered[-1])
        train_until = valid_until - round(0.1 * (valid_until - ordered[0]))
        assert (split.train_until, split.valid_until) == (train_until, valid_until)
        assert cuts.train_end.tolist() == [sum(t <= train_until for t in row) for row in rows]
        assert cuts.valid_end.tolist() == [sum(t <= valid_until for t in row) for row in rows]

    def test_needs_times(self):
        with pytest.raises(DatasetError, match="needs times") as caught:
            rule("global-time").cut(self.lengths, None)
        assert "time column" in caught.value.hint


class TestWindows:
    def labels(self, lengths: np.ndarray, **values: Any) -> np.ndarray:
        labels = cuts_of("windows", lengths, **values).target_parts
        assert labels is not None
        return labels

    def test_targets_start_with_the_fourth_event(self, event_block_size):
        no_target = self.labels(np.array([3, 4, 6]), test_share=0.5) == NO_TARGET
        assert no_target.tolist() == [True] * 3 + [True] * 3 + [False] + [True] * 3 + [False] * 3

    def test_a_tenth_is_test_and_a_share_of_the_rest_validation(self):
        labels = self.labels(np.full(1_000, 23), validation_share=0.2)
        assert np.count_nonzero(labels == TEST_TARGET) == pytest.approx(2_000, abs=150)
        assert np.count_nonzero(labels == VALID_TARGET) == pytest.approx(3_600, abs=150)
        assert np.count_nonzero(labels == TRAIN_TARGET) == pytest.approx(14_400, abs=150)

    @pytest.mark.parametrize("validation_share", [0.0, 0.1, 0.5])
    def test_the_test_targets_do_not_depend_on_validation(self, validation_share, event_block_size):
        lengths = np.array([3, 40, 7, 1, 90])
        labels = self.labels(lengths, seed=5, validation_share=validation_share)
        # Slow reference: one draw per event, in order; the first three are no targets.
        positions = np.concatenate([np.arange(length) for length in lengths])
        drawn = np.random.default_rng(5).random(lengths.sum()) < 0.1
        assert np.array_equal(labels == TEST_TARGET, drawn & (positions >= 3))
        assert (labels == VALID_TARGET).any() == (validation_share > 0)

    def test_validation_targets_are_nested_in_those_of_a_larger_share(self):
        small, large = (
            self.labels(np.full(50, 20), validation_share=share) for share in (0.1, 0.4)
        )
        assert (large[small == VALID_TARGET] == VALID_TARGET).all()

    def test_cut_positions_leave_everything_to_training(self):
        cuts = cuts_of("windows", np.array([3, 8]))
        assert cuts.train_end.tolist() == cuts.valid_end.tolist() == [3, 8]

    def test_the_draw_does_not_depend_on_blocks(self, monkeypatch):
        lengths = np.arange(1, 40)
        in_one_block = self.labels(lengths, seed=3)
        monkeypatch.setattr("segue.ragged.BLOCK_EVENTS", 7)
        assert np.array_equal(in_one_block, self.labels(lengths, seed=3))


class TestDefaults:
    @pytest.mark.parametrize(
        ("kind", "share"), [("holdout", 0.1), ("global-time", 0.1), ("windows", 0.02)]
    )
    def test_validation_share(self, kind, share):
        assert resolve_split(SplitConfig(kind=kind), "holdout").validation_share == share
        without_validation = SplitConfig(kind=kind, validation_share=0.0)
        assert resolve_split(without_validation, "holdout").validation_share == 0

    def test_kind(self):
        split = resolve_split(SplitConfig(seed=7, test_share=0.3, window=9), "windows")
        expected = rule("windows", seed=7, test_share=0.3, window=9, validation_share=0.02)
        assert split == expected.split


@given(
    st.lists(st.integers(-(2**60), 2**60), min_size=1, max_size=60),
    st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0]),
)
def test_quantile_is_exact(values, share):
    expected = sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]
    assert quantile(np.array(values), share) == expected


def test_quantile_of_many_close_values(event_block_size):
    values = np.random.default_rng(0).integers(10**15, 10**15 + 10**7, 500)
    expected = np.quantile(values, 0.9, method="inverted_cdf")
    assert quantile(values, 0.9) == expected
