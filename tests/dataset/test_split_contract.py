"""What every split must satisfy, whatever its kind."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from split_worlds import pairs, rule, split_log

from segue.config import SplitKind
from segue.dataset import part_spans, rule_of, training_mask, training_spans, training_targets
from segue.dataset.splits import SPLIT_RULES, TEST, TRAIN, VALIDATION
from segue.dataset.targets import FIRST_TARGET, part_bounds
from segue.ragged import offsets_of, positions_in_rows, span_indices

pytestmark = pytest.mark.all_cases

CODES = {"validation": VALIDATION, "test": TEST}

every_kind = pytest.mark.parametrize("kind", SPLIT_RULES)
lengths_lists = st.lists(st.integers(1, 12), min_size=1, max_size=30)
seeds = st.integers(0, 9)


def all_parts(sequences, split_rule) -> np.ndarray:
    return split_rule.event_parts(sequences.cuts, sequences.offsets, 0, len(sequences))


def test_every_kind_of_the_options_has_a_rule():
    assert set(SPLIT_RULES) == set(get_args(SplitKind))
    for kind, rule_class in SPLIT_RULES.items():
        assert rule_class.kind == kind
        assert isinstance(rule(kind), rule_class)


@every_kind
@given(lengths=lengths_lists, seed=seeds)
def test_cuts_are_in_order_and_within_the_sequence(kind, lengths, seed):
    times = np.concatenate([np.arange(length) * 7 for length in lengths])
    _, cuts = rule(kind, seed).cut(np.array(lengths), times)
    assert (cuts.train_end >= 0).all()
    assert (cuts.train_end <= cuts.valid_end).all()
    assert (cuts.valid_end <= np.array(lengths)).all()
    assert cuts.train_end.dtype == cuts.valid_end.dtype == np.int32
    if cuts.target_parts is not None:
        assert len(cuts.target_parts) == offsets_of(np.array(lengths))[-1]


@every_kind
@given(lengths=lengths_lists, seed=seeds)
def test_the_same_parameters_give_the_same_cuts(kind, lengths, seed):
    sequences, split_rule = split_log(kind, lengths, seed)
    again, cuts = rule_of(split_rule.split).cut(sequences.lengths, sequences.times)
    assert again == split_rule.split
    for before, after in zip(sequences.cuts, cuts, strict=True):
        assert np.array_equal(before, after) or (before is None and after is None)


@every_kind
@given(lengths=lengths_lists, seed=seeds)
def test_every_event_has_one_part(kind, lengths, seed):
    sequences, split_rule = split_log(kind, lengths, seed)
    parts = all_parts(sequences, split_rule)
    assert parts.dtype == np.int8
    assert len(parts) == sequences.n_events
    assert set(parts.tolist()) <= {TRAIN, VALIDATION, TEST}


@every_kind
@given(lengths=lengths_lists, seed=seeds, first=st.integers(0, 5), n_rows=st.integers(0, 5))
def test_the_parts_of_some_rows_are_a_slice_of_all_parts(kind, lengths, seed, first, n_rows):
    sequences, split_rule = split_log(kind, lengths, seed)
    first = min(first, len(lengths))
    end = min(first + n_rows, len(lengths))
    offsets = sequences.offsets
    some = split_rule.event_parts(sequences.cuts, offsets, first, end)
    expected = all_parts(sequences, split_rule)[offsets[first] : offsets[end]]
    assert np.array_equal(some, expected)


@every_kind
@given(lengths=lengths_lists, seed=seeds)
def test_targets_belong_to_their_part_and_are_no_training_events(kind, lengths, seed):
    sequences, split_rule = split_log(kind, lengths, seed)
    parts = all_parts(sequences, split_rule)
    is_training = training_mask(split_rule, sequences.cuts, sequences.offsets, 0, len(sequences))
    for part, code in CODES.items():
        targets = split_rule.targets(sequences, part, "every")
        assert (targets.positions < sequences.lengths[targets.rows]).all()
        events = sequences.offsets[targets.rows] + targets.positions
        assert (parts[events] == code).all()
        assert not is_training[events].any()
        assert pairs(targets) == sorted(set(pairs(targets)))


@every_kind
@given(lengths=lengths_lists, seed=seeds)
def test_each_choice_of_targets_is_a_subset_of_all(kind, lengths, seed):
    sequences, split_rule = split_log(kind, lengths, seed)
    for part in CODES:
        all_targets = set(pairs(split_rule.targets(sequences, part, "every")))
        for choice in split_rule.target_choices:
            assert set(pairs(split_rule.targets(sequences, part, choice))) <= all_targets


@every_kind
@given(lengths=lengths_lists, seed=seeds)
def test_sequences_below_the_minimum_length_have_no_target(kind, lengths, seed):
    sequences, split_rule = split_log(kind, lengths, seed)
    for part in CODES:
        rows = split_rule.target_rows(sequences, part)
        assert (sequences.lengths[rows] >= split_rule.min_length).all()


@every_kind
@given(lengths=lengths_lists, seed=seeds)
def test_training_targets_are_training_events_from_a_position_on(kind, lengths, seed):
    sequences, split_rule = split_log(kind, lengths, seed)
    is_training = all_parts(sequences, split_rule) == TRAIN
    positions = positions_in_rows(sequences.offsets)
    for earliest in (0, 1, FIRST_TARGET):
        first = earliest if split_rule.window is None else FIRST_TARGET
        expected = np.flatnonzero(is_training & (positions >= first))
        targets = training_targets(sequences, split_rule, earliest=earliest)
        assert targets.tolist() == expected.tolist()


@pytest.mark.parametrize("kind", [kind for kind, r in SPLIT_RULES.items() if r.leak is None])
@given(lengths=lengths_lists, seed=seeds)
def test_training_events_of_a_sequence_precede_its_held_out_events(kind, lengths, seed):
    sequences, split_rule = split_log(kind, lengths, seed)
    parts = all_parts(sequences, split_rule)
    for row in range(len(sequences)):
        row_parts = parts[sequences.offsets[row] : sequences.offsets[row + 1]].tolist()
        assert row_parts == sorted(row_parts)
    for part, code in CODES.items():
        starts, ends = part_bounds(sequences, part)
        assert int((ends - starts).sum()) == np.count_nonzero(parts == code)


@pytest.mark.parametrize("kind", [kind for kind, r in SPLIT_RULES.items() if r.leak is None])
@given(lengths=lengths_lists, seed=seeds)
def test_spans_have_exactly_the_events_of_their_part(kind, lengths, seed):
    sequences, split_rule = split_log(kind, lengths, seed)
    parts = all_parts(sequences, split_rule)
    rows = np.arange(len(sequences))
    spans = {code: part_spans(sequences, part, rows) for part, code in CODES.items()}
    spans[TRAIN] = training_spans(sequences)
    assert spans[TRAIN].lengths.all()
    for code, (span_rows, starts, span_lengths) in spans.items():
        events = span_indices(starts, span_lengths)
        assert events.tolist() == np.flatnonzero(parts == code).tolist()
        row_of_event = np.searchsorted(sequences.offsets, events, side="right") - 1
        assert row_of_event.tolist() == np.repeat(span_rows, span_lengths).tolist()


def test_under_windows_the_training_events_are_not_spans():
    sequences, _ = split_log("windows", [9, 12])
    with pytest.raises(AssertionError, match="under windows"):
        training_spans(sequences)


@every_kind
@given(lengths=lengths_lists, seed=seeds)
def test_a_guarantee_is_kept(kind, lengths, seed):
    sequences, split_rule = split_log(kind, lengths, seed)
    parts = all_parts(sequences, split_rule)
    n_late_events = 0
    if (parts == TEST).any():
        first_test_time = sequences.times[parts == TEST].min()
        n_late_events = int((sequences.times[parts == TRAIN] > first_test_time).sum())
    violations = split_rule.violations(sequences, n_late_events)
    assert violations == (None if split_rule.guarantee is None else 0)


@every_kind
@given(lengths=lengths_lists)
def test_whole_sequences_lie_in_one_part(kind, lengths):
    sequences, split_rule = split_log(kind, lengths)
    if not split_rule.whole_sequences:
        return
    parts = all_parts(sequences, split_rule)
    for row in range(len(sequences)):
        assert len(set(parts[sequences.offsets[row] : sequences.offsets[row + 1]])) == 1


@every_kind
def test_a_split_has_a_guarantee_or_says_how_it_leaks(kind):
    assert (rule(kind).guarantee is None) == (rule(kind).leak is not None)
    assert rule(kind).window == (5 if rule(kind).needs_target_rows else None)


@every_kind
@given(lengths=lengths_lists, seed=seeds)
def test_number_of_validation_events(kind, lengths, seed):
    sequences, split_rule = split_log(kind, lengths, seed)
    expected = np.count_nonzero(all_parts(sequences, split_rule) == VALIDATION)
    if split_rule.needs_target_rows:  # drawn event by event: an estimate from the share
        expected = round(0.2 * sequences.n_events)
    assert split_rule.n_validation_events(sequences) == expected
