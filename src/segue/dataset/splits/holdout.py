"""The split ``holdout``: entire sequences are drawn for training, validation and test."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64

from segue.dataset.sequences import Cuts, Sequences
from segue.dataset.splits.contiguous import ContiguousSplit
from segue.dataset.splits.rule import Split
from segue.dataset.targets import SplitPart


class HoldoutSplit(ContiguousSplit):
    """Each sequence lies in one part, drawn by the seed. Its targets start at the second event.

    The first event is no target: its history is empty, so the query would be the same for
    every sequence.
    """

    kind = "holdout"
    min_length = 2
    guarantee = "every sequence is in one part alone"
    whole_sequences = True
    first_target = 1

    def cut(
        self,
        lengths: Int64[np.ndarray, " sequences"],
        times: Int64[np.ndarray, " events"] | None,
    ) -> tuple[Split, Cuts]:
        """Draw the parts in the given shares; a share above 0 gets at least one sequence."""
        n = len(lengths)
        n_test = _at_least_one(self.split.test_share, n)
        n_valid = _at_least_one(self.split.validation_share, n)
        order = np.random.default_rng(self.split.seed).permutation(n)
        train_end, valid_end = lengths.astype(np.int32), lengths.astype(np.int32)
        train_end[order[: n_test + n_valid]] = 0
        valid_end[order[:n_test]] = 0
        return self.split, Cuts(train_end, valid_end)

    def why_empty(self, part: SplitPart) -> tuple[str, str]:
        return (
            f"every sequence drawn for it has fewer than {self.min_length} events",
            f"drop short sequences with --min-sequence-events {self.min_length}, or choose a "
            f"larger --{part}-share or another --seed",
        )

    def violations(self, sequences: Sequences, n_late_events: int | None) -> int:
        """The number of sequences with events in more than one part."""
        lengths = sequences.lengths
        train_end, valid_end = sequences.train_end, sequences.valid_end
        is_held_out = (train_end == 0) & ((valid_end == 0) | (valid_end == lengths))
        return int(np.count_nonzero(~(is_held_out | (train_end == lengths))))


def _at_least_one(share: float, n: int) -> int:
    return max(1, round(share * n)) if share > 0 else 0
