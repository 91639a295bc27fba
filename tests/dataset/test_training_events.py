"""Training events: the mask and the readable events of each sequence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from split_worlds import split_log

from segue.dataset import (
    Dataset,
    count_training_events,
    readable_event_blocks,
    readable_lengths,
    training_mask,
)
from segue.dataset.sequences import NO_TARGET, TEST_TARGET, TRAIN_TARGET, VALID_TARGET
from segue.dataset.splits import SPLIT_RULES
from segue.preparation.pipeline import prepare_source
from segue.tokens import N_SPECIALS
from small_logs import InMemorySource, prepare_config

lengths_lists = st.lists(st.integers(1, 12), min_size=1, max_size=30)


def mask_of(sequences, split_rule, *, fit_on_validation: bool = False) -> np.ndarray:
    return training_mask(
        split_rule,
        sequences.cuts,
        sequences.offsets,
        0,
        len(sequences),
        fit_on_validation=fit_on_validation,
    )


def test_training_mask_of_some_rows():
    sequences, leave_one_out = split_log("leave-one-out", [2, 3, 5])
    mask = training_mask(leave_one_out, sequences.cuts, sequences.offsets, 1, 3)
    assert mask.tolist() == [True, False, False, True, True, True, False, False]


@pytest.mark.parametrize("fit_on_validation", [False, True])
@pytest.mark.parametrize("kind", ["holdout", "leave-one-out", "global-time"])
@given(lengths=lengths_lists)
def test_events_before_the_cut_are_training_events(kind, fit_on_validation, lengths):
    sequences, split_rule = split_log(kind, lengths)
    ends = sequences.valid_end if fit_on_validation else sequences.train_end
    expected = [
        position < end
        for length, end in zip(lengths, ends.tolist(), strict=True)
        for position in range(length)
    ]
    mask = mask_of(sequences, split_rule, fit_on_validation=fit_on_validation)
    assert mask.tolist() == expected
    counts = readable_lengths(sequences, fit_on_validation=fit_on_validation)
    assert counts.tolist() == ends.tolist()


def test_under_windows_all_but_held_out_targets_are_training_events():
    sequences, windows = split_log("windows", [2, 40, 60])
    labels = sequences.target_parts
    assert {int(label) for label in labels} == {NO_TARGET, TRAIN_TARGET, TEST_TARGET, VALID_TARGET}
    mask = mask_of(sequences, windows)
    assert mask.tolist() == [label in (NO_TARGET, TRAIN_TARGET) for label in labels]
    mask = mask_of(sequences, windows, fit_on_validation=True)
    assert mask.tolist() == [label != TEST_TARGET for label in labels]
    assert readable_lengths(sequences).tolist() == [2, 40, 60]


@pytest.mark.parametrize("kind", SPLIT_RULES)
@given(lengths=lengths_lists, seed=st.integers(0, 5))
def test_validation_adds_events_but_never_test_events(kind, lengths, seed):
    sequences, split_rule = split_log(kind, lengths, seed)
    mask = mask_of(sequences, split_rule)
    with_validation = mask_of(sequences, split_rule, fit_on_validation=True)
    assert with_validation[mask].all()
    targets = split_rule.targets(sequences, "test", "every")
    assert not with_validation[sequences.offsets[targets.rows] + targets.positions].any()
    targets = split_rule.targets(sequences, "validation", "every")
    assert with_validation[sequences.offsets[targets.rows] + targets.positions].all()


@pytest.fixture(params=sorted(SPLIT_RULES))
def dataset(request, tmp_path) -> Dataset:
    random = np.random.default_rng(0)
    log = {
        f"u{user}": [(f"i{int(random.integers(0, 40))}", 7 * user + j, 3.0) for j in range(n)]
        for user, n in enumerate(random.integers(1, 25, 60).tolist())
    }
    chosen = prepare_config(kind=request.param, validation_share=0.2, test_share=0.2)
    return prepare_source(InMemorySource(log), tmp_path / "data", chosen)


@pytest.mark.parametrize("fit_on_validation", [False, True])
def test_blocks_have_the_readable_events_of_the_catalogue_in_order(
    dataset, fit_on_validation, event_block_size
):
    sequences = dataset.sequences
    mask = mask_of(sequences, dataset.split_rule, fit_on_validation=fit_on_validation)
    ends = readable_lengths(sequences, fit_on_validation=fit_on_validation)
    expected = []
    for row in range(len(sequences)):
        for event in range(sequences.offsets[row], sequences.offsets[row] + ends[row]):
            item = int(sequences.items[event])
            if N_SPECIALS <= item < dataset.vocabulary_size:
                time = int(sequences.times[event])
                expected.append((row, item, time, 3.0, bool(mask[event])))
    blocks = list(readable_event_blocks(dataset, fit_on_validation))
    columns = [np.concatenate(column).tolist() for column in zip(*blocks, strict=True)]
    assert list(zip(*columns, strict=True)) == expected


def test_training_counts_are_those_of_the_items_table(dataset, event_block_size):
    counts = count_training_events(dataset)
    expected = dataset.items.training_counts[: dataset.vocabulary_size]
    assert counts.tolist() == expected.tolist()
