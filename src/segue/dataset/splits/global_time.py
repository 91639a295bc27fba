"""The split ``global-time``: two moments cut all sequences of the log."""

from __future__ import annotations

import math

import msgspec
import numpy as np
from jaxtyping import Bool, Int64

from segue import ragged
from segue.config import TargetChoice
from segue.dataset.sequences import Cuts, Sequences
from segue.dataset.splits.contiguous import ContiguousSplit
from segue.dataset.splits.rule import Split
from segue.dataset.targets import SplitPart, part_bounds
from segue.errors import DatasetError
from segue.ragged import count_per_row, offsets_of, row_blocks

_QUANTILE_BINS = 1 << 16


class GlobalTimeSplit(ContiguousSplit):
    """Events up to one moment are for training, those up to a second one for validation.

    The test part consists of whole instants: as many of the last ones as have at most the share
    ``test_share`` of the events, but at least the last one, unless that has most events.

    Evaluation predicts the ``last`` or ``first`` event of a sequence in the part, one at
    ``random`` (drawn by the seed), or ``every`` one. Targets of a sequence that starts in the
    part are included, but reported separately.
    """

    kind = "global-time"
    min_length = 1
    guarantee = "no training event of the log lies after any test event"
    target_choices = ("last", "first", "random", "every")

    def cut(
        self,
        lengths: Int64[np.ndarray, " sequences"],
        times: Int64[np.ndarray, " events"] | None,
    ) -> tuple[Split, Cuts]:
        """Find the two moments and cut each sequence there; an event at a cut lies before it."""
        if times is None:
            raise DatasetError(
                "the split 'global-time' needs times, but the log has none",
                "name the time column, or choose another split",
            )
        split = with_cut_times(self.split, times)
        offsets = offsets_of(lengths)
        train_end = np.empty(len(lengths), np.int32)
        valid_end = np.empty_like(train_end)
        for first, end in row_blocks(offsets):
            block_times = times[offsets[first] : offsets[end]]
            block_offsets = offsets[first : end + 1] - offsets[first]
            train_end[first:end] = count_per_row(block_times <= split.train_until, block_offsets)
            valid_end[first:end] = count_per_row(block_times <= split.valid_until, block_offsets)
        return split, Cuts(train_end, valid_end)

    def why_empty(self, part: SplitPart) -> tuple[str, str]:
        reason = {
            "validation": "all events before the test part have the same time",
            "test": "more than half of the events have the last time of the log",
        }[part]
        return reason, "name a column with finer times, or choose another split"

    def is_cold_start(
        self, sequences: Sequences, part: SplitPart, rows: Int64[np.ndarray, " targets"]
    ) -> Bool[np.ndarray, " targets"]:
        starts, _ = part_bounds(sequences, part)
        return starts[rows] == 0

    def violations(self, sequences: Sequences, n_late_events: int | None) -> int | None:
        """The number of training events later than the first test event of the log."""
        return n_late_events

    def _choose(
        self, start: np.ndarray, end: np.ndarray, choice: TargetChoice
    ) -> tuple[np.ndarray, np.ndarray]:
        if choice == "every":
            return start, end
        if choice == "last":
            start = np.maximum(start, end - 1)
        elif choice == "random":
            shift = np.random.default_rng(self.split.seed).random(len(start)) * (end - start)
            start = start + shift.astype(np.int64)
        return start, np.minimum(end, start + 1)


def with_cut_times(split: Split, times: Int64[np.ndarray, " events"]) -> Split:
    """The parameters with the cut times of the given events.

    The test part starts after the ``1 - test_share`` quantile of all event times. If that is the
    last time, because many events have it, it consists of the events with the last time, unless
    these are more than half of all: then it is empty. Validation covers the last
    ``validation_share`` of the time from the first event up to there.
    """
    valid_until = quantile(times, 1 - split.test_share)
    start, last = quantile(times, 0.0), quantile(times, 1.0)
    if split.test_share and valid_until == last:
        valid_until = _latest_before(times, last)
    train_until = valid_until - round(split.validation_share * (valid_until - start))
    return msgspec.structs.replace(split, train_until=train_until, valid_until=valid_until)


def _latest_before(times: Int64[np.ndarray, " events"], last: int) -> int:
    """The latest time before the last one; the last one if more than half of the events have it."""
    starts = range(0, len(times), ragged.BLOCK_EVENTS)
    blocks = [times[start : start + ragged.BLOCK_EVENTS] for start in starts]
    n_last = sum(int(np.count_nonzero(block == last)) for block in blocks)
    if 2 * n_last > len(times):
        return last
    return max(int(block[block < last].max()) for block in blocks if (block < last).any())


def quantile(values: np.ndarray, share: float) -> int:
    """The smallest value that at least ``share`` of the integers ``values`` do not exceed.

    Exact, in memory that does not grow with the number of values: histograms narrow the range
    that contains the quantile until it is a single value.
    """
    starts = range(0, len(values), ragged.BLOCK_EVENTS)
    blocks = [values[start : start + ragged.BLOCK_EVENTS] for start in starts]
    low, high = min(int(b.min()) for b in blocks), max(int(b.max()) for b in blocks)
    rank = max(math.ceil(share * len(values)) - 1, 0)
    while low < high:
        width = (high - low) // _QUANTILE_BINS + 1
        counts = np.zeros(_QUANTILE_BINS, np.int64)
        for block in blocks:
            within = block[(block >= low) & (block <= high)]
            counts += np.bincount((within - low) // width, minlength=_QUANTILE_BINS)
        cumulative = np.cumsum(counts)
        bin_index = int(np.searchsorted(cumulative, rank, side="right"))
        rank -= int(cumulative[bin_index - 1]) if bin_index else 0
        low, high = low + bin_index * width, min(high, low + (bin_index + 1) * width - 1)
    return low
