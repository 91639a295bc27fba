"""The split ``windows``: single events are drawn as held-out targets. Leaky by design."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int8, Int64

from segue.config import TargetChoice
from segue.dataset.sequences import (
    NO_TARGET,
    TEST_TARGET,
    TRAIN_TARGET,
    VALID_TARGET,
    Cuts,
    Sequences,
)
from segue.dataset.splits.rule import TEST, TRAIN, VALIDATION, Split, SplitRule
from segue.dataset.targets import FIRST_TARGET, SplitPart, Targets
from segue.ragged import offsets_of, positions_in_rows, row_blocks

_PART_OF_LABEL = np.array([TRAIN, TEST, VALIDATION, TRAIN], np.int8)
"""Indexed by the label in ``target_parts``; the last entry is that of ``NO_TARGET``, -1."""


class WindowsSplit(SplitRule):
    """Each event from the 4th of a sequence on is a target, predicted from the events before it.

    It reproduces a published protocol in which a held-out target is an ordinary event in the
    windows of its neighbours. That protocol has no validation part. The small default share
    leaves the training targets nearly complete and does not change the test targets.
    """

    kind = "windows"
    min_length = FIRST_TARGET + 1
    guarantee = None
    leak = "training windows overlap the held-out targets"
    default_validation_share = 0.02
    default_seen = "exclude-context"
    needs_target_rows = True

    @property
    def window(self) -> int:
        return self.split.window

    def cut(
        self,
        lengths: Int64[np.ndarray, " sequences"],
        times: Int64[np.ndarray, " events"] | None,
    ) -> tuple[Split, Cuts]:
        """Draw each target as a test target with probability ``test_share``.

        Each of the others is a validation target with probability ``validation_share``. The two
        draws have generators of their own, so that the test targets do not depend on
        ``validation_share``.
        """
        split, offsets = self.split, offsets_of(lengths)
        labels = np.empty(offsets[-1], np.int8)
        test_draw = np.random.default_rng(split.seed)
        validation_draw = np.random.default_rng([split.seed, VALID_TARGET])
        for first, end in row_blocks(offsets):
            block = labels[offsets[first] : offsets[end]]
            block_offsets = offsets[first : end + 1] - offsets[first]
            block[:] = TRAIN_TARGET
            block[validation_draw.random(len(block)) < split.validation_share] = VALID_TARGET
            block[test_draw.random(len(block)) < split.test_share] = TEST_TARGET
            block[positions_in_rows(block_offsets) < FIRST_TARGET] = NO_TARGET
        ends = lengths.astype(np.int32)
        return split, Cuts(ends, ends, labels)

    def event_parts(
        self, cuts: Cuts, offsets: Int64[np.ndarray, " bounds"], first: int, end: int
    ) -> Int8[np.ndarray, " events"]:
        return _PART_OF_LABEL[_labels(cuts)[offsets[first] : offsets[end]]]

    def targets(
        self,
        sequences: Sequences,
        part: SplitPart,
        choice: TargetChoice = "last",
        *,
        rows: Int64[np.ndarray, " chosen"] | None = None,
        earliest: int = 0,
    ) -> Targets:
        blocks = _target_blocks(sequences, part, rows, earliest)
        return Targets(*(np.concatenate(columns) for columns in zip(*blocks, strict=True)))

    def target_rows(
        self, sequences: Sequences, part: SplitPart, *, earliest: int = 0
    ) -> Int64[np.ndarray, " rows"]:
        blocks = _target_blocks(sequences, part, None, earliest)
        return np.concatenate([np.unique(block.rows) for block in blocks])

    def why_empty(self, part: SplitPart) -> tuple[str, str]:
        return (
            f"none of the events from the {self.min_length}th of a sequence on was drawn for it",
            f"choose a larger --{part}-share, or another --seed",
        )

    def violations(self, sequences: Sequences, n_late_events: int | None) -> None:
        """None: nothing is guaranteed."""

    def n_validation_events(self, sequences: Sequences) -> int:
        return round(self.split.validation_share * len(sequences.items))


def _labels(cuts: Cuts) -> Int8[np.ndarray, " events"]:
    assert cuts.target_parts is not None
    return cuts.target_parts


def _target_blocks(
    sequences: Sequences, part: SplitPart, rows: np.ndarray | None, earliest: int
) -> Iterator[Targets]:
    """The targets in blocks of complete sequences; at least one block."""
    labels, offsets = _labels(sequences.cuts), sequences.offsets
    part_label = VALID_TARGET if part == "validation" else TEST_TARGET
    is_chosen = np.full(len(sequences), rows is None)
    if rows is not None:
        is_chosen[rows] = True
    for first, end in row_blocks(offsets):
        block = labels[offsets[first] : offsets[end]]
        events = np.flatnonzero(block == part_label) + offsets[first]
        event_rows = np.searchsorted(offsets, events, side="right") - 1
        positions = events - offsets[event_rows]
        mask = is_chosen[event_rows] & (positions >= earliest)
        yield Targets(event_rows[mask], positions[mask])
