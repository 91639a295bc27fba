"""The split ``leave-one-out``: the last event of a sequence is test, the one before validation."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64

from segue.dataset.sequences import Cuts, Sequences
from segue.dataset.splits.contiguous import ContiguousSplit
from segue.dataset.splits.rule import Split
from segue.dataset.targets import SplitPart


class LeaveOneOutSplit(ContiguousSplit):
    """One test and one validation event per sequence; nothing is drawn.

    All events of a sequence with fewer than 3 events are training events.
    """

    kind = "leave-one-out"
    min_length = 3
    guarantee = "no training event of a sequence lies after its test event"
    warns_of_short_sequences = True

    def cut(
        self,
        lengths: Int64[np.ndarray, " sequences"],
        times: Int64[np.ndarray, " events"] | None,
    ) -> tuple[Split, Cuts]:
        """Cut before the last and before the second-to-last event."""
        is_long = (lengths >= self.min_length).astype(np.int32)
        ends = lengths.astype(np.int32)
        return self.split, Cuts(ends - 2 * is_long, ends - is_long)

    def has_part(self, part: SplitPart) -> bool:
        return True

    def why_empty(self, part: SplitPart) -> tuple[str, str]:
        return (
            f"no sequence has {self.min_length} events",
            "filter less, or choose another split, such as --split holdout",
        )

    def violations(self, sequences: Sequences, n_late_events: int | None) -> int:
        """The number of sequences with a training event later than their first test event."""
        if sequences.times is None:
            return 0  # without times the order of the log decides, and the cuts follow it
        has_both = (sequences.train_end > 0) & (sequences.valid_end < sequences.lengths)
        rows = np.flatnonzero(has_both)
        row_starts = sequences.offsets[rows]
        last_training = sequences.times[row_starts + sequences.train_end[rows] - 1]
        first_test = sequences.times[row_starts + sequences.valid_end[rows]]
        return int(np.count_nonzero(last_training > first_test))
