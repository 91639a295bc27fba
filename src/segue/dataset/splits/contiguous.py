"""Splits whose parts are contiguous: training, then validation, then test events."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from jaxtyping import Int8, Int64

from segue.config import TargetChoice
from segue.dataset.sequences import Cuts, Sequences
from segue.dataset.splits.rule import TEST, TRAIN, VALIDATION, SplitRule
from segue.dataset.targets import SplitPart, Targets, part_bounds
from segue.ragged import span_indices


class ContiguousSplit(SplitRule):
    """Two positions cut each sequence into training, validation and test events.

    Attributes:
        first_target: the first position of a sequence that can be a target.
    """

    first_target: ClassVar[int] = 0

    def event_parts(
        self, cuts: Cuts, offsets: Int64[np.ndarray, " bounds"], first: int, end: int
    ) -> Int8[np.ndarray, " events"]:
        train_end, valid_end = cuts.train_end[first:end], cuts.valid_end[first:end]
        lengths = np.diff(offsets[first : end + 1])
        counts = np.stack([train_end, valid_end - train_end, lengths - valid_end], axis=1)
        codes = np.tile(np.array([TRAIN, VALIDATION, TEST], np.int8), end - first)
        return np.repeat(codes, counts.ravel())

    def targets(
        self,
        sequences: Sequences,
        part: SplitPart,
        choice: TargetChoice = "last",
        *,
        rows: Int64[np.ndarray, " chosen"] | None = None,
        earliest: int = 0,
    ) -> Targets:
        start, end = self._choose(*self._target_bounds(sequences, part, earliest), choice)
        if rows is None:
            rows = np.arange(len(sequences))
        start, counts = start[rows], np.maximum(end - start, 0)[rows]
        return Targets(np.repeat(rows, counts), span_indices(start, counts))

    def target_rows(
        self, sequences: Sequences, part: SplitPart, *, earliest: int = 0
    ) -> Int64[np.ndarray, " rows"]:
        start, end = self._target_bounds(sequences, part, earliest)
        return np.flatnonzero(start < end)

    def n_validation_events(self, sequences: Sequences) -> int:
        return int((sequences.valid_end - sequences.train_end).sum())

    def _target_bounds(
        self, sequences: Sequences, part: SplitPart, earliest: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """The bounds of the positions that can be targets, per sequence; empty if they cross."""
        start, end = part_bounds(sequences, part)
        return np.maximum(start, max(earliest, self.first_target)), end

    def _choose(
        self, start: np.ndarray, end: np.ndarray, choice: TargetChoice
    ) -> tuple[np.ndarray, np.ndarray]:
        """Narrow the bounds of each sequence to the chosen targets. All of them by default."""
        return start, end
