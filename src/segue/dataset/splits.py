"""Which events may be trained on, and which are predicted: the splits, as pure functions.

A split gives each event a part. It is stored as two cut positions a sequence; the split
``windows`` labels single targets instead. Everything random comes from the split's seed,
and is drawn over the whole dataset in its order.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec
import numpy as np
from jaxtyping import Int8, Int32, Int64

from segue.axes import offsets_of
from segue.config import SplitConfig, SplitKind
from segue.dataset.sequences import (
    BLOCK_EVENTS,
    NO_TARGET,
    TEST_TARGET,
    TRAIN_TARGET,
    VALID_TARGET,
    count_per_row,
    positions_in_rows,
    row_blocks,
)
from segue.errors import DatasetError

MIN_LENGTHS: dict[SplitKind, int] = {
    "holdout": 2,
    "leave-one-out": 3,
    "global-time": 1,
    "windows": 4,
}
"""Events that a sequence needs before any of them can be a target."""

VALIDATION_SHARE = 0.1
WINDOWS_VALIDATION_SHARE = 0.02
"""Shares where none is asked for. The published protocol behind ``windows`` has no validation
part: a small one leaves its training targets all but whole, and its test targets untouched."""

_QUANTILE_BINS = 1 << 16


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """The rule of a split, as the manifest keeps it.

    Attributes:
        kind: ``holdout``, ``leave-one-out``, ``global-time`` or ``windows``.
        seed: of everything drawn, the targets ``random`` included.
        validation_share: of the sequences (``holdout``), of the time before the test
            (``global-time``) or of the targets that are not test (``windows``).
        test_share: of the sequences, of the event times or of the targets (``windows``).
        window: events that a target of ``windows`` is predicted from.
        train_until: microseconds since 1970 of the last moment of training
            (``global-time``).
        valid_until: microseconds since 1970 of the last moment of validation.
    """

    kind: SplitKind
    seed: int
    validation_share: float
    test_share: float
    window: int
    train_until: int | None = None
    valid_until: int | None = None

    @classmethod
    def of(cls, config: SplitConfig, default: SplitKind) -> Split:
        """The rule that options ask for, with nothing left to default.

        Args:
            default: the kind where the options name none.
        """
        kind, share = config.kind or default, config.validation_share
        if share is None:
            share = WINDOWS_VALIDATION_SHARE if kind == "windows" else VALIDATION_SHARE
        return cls(
            kind=kind,
            seed=config.seed,
            validation_share=share,
            test_share=config.test_share,
            window=config.window,
        )


class Cuts(NamedTuple):
    """Where the parts of each sequence end; see ``Sequences``."""

    train_end: Int32[np.ndarray, " sequences"]
    valid_end: Int32[np.ndarray, " sequences"]
    target_parts: Int8[np.ndarray, " events"] | None = None


def cut(
    split: Split, lengths: Int64[np.ndarray, " sequences"], times: np.ndarray | None
) -> tuple[Split, Cuts]:
    """Draw a split.

    Args:
        split: the rule; its cut times are not read.
        lengths: events in each sequence.
        times: int64 microseconds of all events, needed by ``global-time`` only.

    Returns:
        The rule, with its cut times where it has some, and the cuts.

    Raises:
        DatasetError: ``global-time`` is asked of a log without times.
    """
    if split.kind == "holdout":
        return split, holdout(lengths, split)
    if split.kind == "leave-one-out":
        return split, leave_one_out(lengths)
    if split.kind == "windows":
        return split, windows(lengths, split)
    if times is None:
        raise DatasetError(
            "the split 'global-time' needs times, but the log has none",
            "name the time column, or choose another split",
        )
    split = with_cut_times(split, times)
    return split, global_time(lengths, times, split)


def holdout(lengths: Int64[np.ndarray, " sequences"], split: Split) -> Cuts:
    """Whole sequences, drawn by the seed: training, validation or test in the given shares.

    A share above 0 gets at least one sequence.
    """
    n = len(lengths)
    n_test = _at_least_one(split.test_share, n)
    n_valid = _at_least_one(split.validation_share, n)
    order = np.random.default_rng(split.seed).permutation(n)
    train_end, valid_end = lengths.astype(np.int32), lengths.astype(np.int32)
    train_end[order[: n_test + n_valid]] = 0
    valid_end[order[:n_test]] = 0
    return Cuts(train_end, valid_end)


def leave_one_out(lengths: Int64[np.ndarray, " sequences"]) -> Cuts:
    """The last event is test, the one before it validation.

    Sequences of fewer than 3 events are all training.
    """
    long = (lengths >= MIN_LENGTHS["leave-one-out"]).astype(np.int32)
    ends = lengths.astype(np.int32)
    return Cuts(ends - 2 * long, ends - long)


def with_cut_times(split: Split, times: Int64[np.ndarray, " events"]) -> Split:
    """Find the cut times of ``global-time``.

    Test begins after the ``1 - test_share`` quantile of all event times; validation is
    the last ``validation_share`` of the time span from the first event up to there.
    """
    valid_until = quantile(times, 1 - split.test_share)
    start = quantile(times, 0.0)
    train_until = valid_until - round(split.validation_share * (valid_until - start))
    return msgspec.structs.replace(split, train_until=train_until, valid_until=valid_until)


def global_time(
    lengths: Int64[np.ndarray, " sequences"], times: Int64[np.ndarray, " events"], split: Split
) -> Cuts:
    """Cut every sequence at the two cut times of ``split``; an event at a cut is before it."""
    offsets = offsets_of(lengths)
    train_end = np.empty(len(lengths), np.int32)
    valid_end = np.empty_like(train_end)
    for first, end in row_blocks(offsets):
        block = times[offsets[first] : offsets[end]]
        local = offsets[first : end + 1] - offsets[first]
        train_end[first:end] = count_per_row(block <= split.train_until, local)
        valid_end[first:end] = count_per_row(block <= split.valid_until, local)
    return Cuts(train_end, valid_end)


def windows(lengths: Int64[np.ndarray, " sequences"], split: Split) -> Cuts:
    """Each event from a sequence's 4th on is a target, of test with chance ``test_share``.

    Of the others, each is of validation with chance ``validation_share``; they are drawn
    apart, so that the test targets are the same whatever that share is. Leaky by design,
    to reproduce a published protocol: a held-out target is an ordinary event in the
    windows of its neighbours.
    """
    offsets = offsets_of(lengths)
    parts = np.empty(offsets[-1], np.int8)
    test_draw = np.random.default_rng(split.seed)
    validation_draw = np.random.default_rng([split.seed, VALID_TARGET])
    for first, end in row_blocks(offsets):
        block = parts[offsets[first] : offsets[end]]
        local = offsets[first : end + 1] - offsets[first]
        block[:] = TRAIN_TARGET
        block[validation_draw.random(len(block)) < split.validation_share] = VALID_TARGET
        block[test_draw.random(len(block)) < split.test_share] = TEST_TARGET
        block[positions_in_rows(local) < MIN_LENGTHS["windows"] - 1] = NO_TARGET
    ends = lengths.astype(np.int32)
    return Cuts(ends, ends, parts)


def quantile(values: np.ndarray, share: float) -> int:
    """The smallest value that at least ``share`` of ``values`` do not exceed.

    Exact, and in bounded memory whatever the number of values: the range that holds the
    quantile is narrowed by counting.
    """
    starts = range(0, len(values), BLOCK_EVENTS)
    blocks = [values[start : start + BLOCK_EVENTS] for start in starts]
    low, high = min(int(b.min()) for b in blocks), max(int(b.max()) for b in blocks)
    rank = max(math.ceil(share * len(values)) - 1, 0)
    while low < high:
        width = (high - low) // _QUANTILE_BINS + 1
        counts = np.zeros(_QUANTILE_BINS, np.int64)
        for block in blocks:
            within = block[(block >= low) & (block <= high)]
            counts += np.bincount((within - low) // width, minlength=_QUANTILE_BINS)
        reached = np.cumsum(counts)
        found = int(np.searchsorted(reached, rank, side="right"))
        rank -= int(reached[found - 1]) if found else 0
        low, high = low + found * width, min(high, low + (found + 1) * width - 1)
    return low


def _at_least_one(share: float, n: int) -> int:
    return max(1, round(share * n)) if share > 0 else 0
