"""Audit of a prepared dataset: statistics, part sizes, leakage check and warnings.

Plain JSON values, stored in the manifest and shown by ``segue inspect``. Everything is computed
in blocks of sequences.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Int64

from segue.dataset.sequences import Sequences
from segue.dataset.splits import TEST, VALIDATION, SplitRule
from segue.dataset.targets import SplitPart
from segue.dataset.training_events import readable_lengths, training_mask_blocks
from segue.errors import quantity
from segue.ragged import row_blocks
from segue.tokens import N_SPECIALS

MANY_REPEATS = 0.05
"""Share of repeated events from which the audit recommends keeping seen items as candidates.
Excluding them would give up that share of the targets."""


def audit(sequences: Sequences, rule: SplitRule, n_items: int, n_catalogue: int) -> dict[str, Any]:
    """Compute the audit of all sequences.

    Args:
        sequences: all sequences, with final item indices.
        rule: the split of the sequences.
        n_items: number of items, in the catalogue or not.
        n_catalogue: number of items that can be recommended.

    Returns:
        ``counts``, ``lengths``, ``popularity``, ``repeats``, ``times`` (None without
        times), ``parts``, ``leakage`` and ``warnings``. Shares lie between 0 and 1.
    """
    popularity = np.zeros(n_items, np.int64)
    n_repeats = n_duplicates = n_exact_duplicates = n_ties = 0
    for first, end in row_blocks(sequences.offsets):
        items, rows, instants = _block(sequences, first, end)
        popularity += np.bincount(items, minlength=n_items)
        n_repeats += _n_repeated(rows, items, n_items)
        if instants is not None:
            if n_of_block := _n_repeated(instants, items, n_items):
                n_duplicates += n_of_block
                n_exact_duplicates += _n_exact_duplicates(sequences, first, end, instants, items)
            n_ties += _n_tied(instants)
    n_sequences, n_events = len(sequences), sequences.n_events
    findings = {
        "counts": {
            "sequences": n_sequences,
            "events": n_events,
            "items": n_items,
            "items_with_events": int(np.count_nonzero(popularity)),
            "catalogue": n_catalogue,
            "density": (n_events - n_repeats) / (n_sequences * n_items),
        },
        "lengths": _distribution(sequences.lengths),
        "popularity": _distribution(popularity[popularity > 0]),
        "repeats": {
            "events": n_repeats,
            "share": n_repeats / n_events,
            "recommended_seen": "include" if n_repeats / n_events >= MANY_REPEATS else "exclude",
        },
        "times": _times(sequences, n_ties, n_duplicates, n_exact_duplicates),
        "parts": part_sizes(sequences, rule, N_SPECIALS + n_catalogue),
        "leakage": leakage(sequences, rule),
    }
    return findings | {"warnings": warnings_of(findings, rule)}


def warnings_of(findings: dict[str, Any], rule: SplitRule) -> list[str]:
    """The warnings that follow from an audit, one sentence each."""
    parts, repeats, warnings = findings["parts"], findings["repeats"], []
    if parts["too_short"] and rule.warns_of_short_sequences:
        sequences_have = quantity(parts["too_short"], "sequence has", "sequences have")
        warnings.append(
            f"{sequences_have} fewer than {rule.min_length} events: "
            "all are training events, none is a target."
        )
    if repeats["recommended_seen"] == "include":
        warnings.append(
            f"{repeats['share']:.1%} of the events repeat an item of their sequence: "
            "evaluation and recommendations include seen items unless an option excludes them."
        )
    if findings["times"] is not None and findings["times"]["exact_duplicates"]:
        events_are = quantity(
            findings["times"]["exact_duplicates"],
            "event is an exact duplicate",
            "events are exact duplicates",
        )
        warnings.append(
            f"{events_are} of another event of their sequence, with the same item, time and "
            "rating: rows of the log may have been written twice."
        )
    if parts["test"]["ceiling"] < 1:
        warnings.append(
            f"{parts['test']['cold_share']:.1%} of the test targets are outside the catalogue: "
            f"no hit rate can exceed {parts['test']['ceiling']:.3f}."
        )
    if not parts["validation"]["targets"]:
        warnings.append(f"There are no validation targets to select a model by{_why(rule)}.")
    for part in ("validation", "test"):
        if parts[part]["targets"] and parts[part]["cold_start"] == parts[part]["targets"]:
            warnings.append(
                f"Every {part} target is in a sequence that starts within the {part} part, so "
                "there is no history to predict it from: choose a larger share, or another split."
            )
    if rule.leak is not None:
        warnings.append(f"The split {rule.kind!r} leaks by design: {rule.leak}.")
    if findings["leakage"]["violations"]:
        warnings.append(f"The guarantee of the split is violated: {findings['leakage']}.")
    return warnings


def _why(rule: SplitRule) -> str:
    """The reason of an empty validation part and the remedy, if the split should have one."""
    if not rule.has_part("validation"):
        return ""
    reason, remedy = rule.why_empty("validation")
    return f": {reason} ({remedy})"


def part_sizes(sequences: Sequences, rule: SplitRule, vocabulary_size: int) -> dict[str, Any]:
    """Sizes of the three parts, and how many sequences are too short to have a target.

    For validation and test also the share of targets outside the catalogue (``cold_share``), and
    the upper bound on any hit rate that follows from it (``ceiling``), and the number of targets
    whose sequence starts in the part (``cold_start``).
    """
    n_training = sum(int(mask.sum()) for _, mask in training_mask_blocks(rule, sequences))
    n_validation, n_test = _n_held_out_events(sequences, rule)
    return {
        "train": {
            "sequences": int(np.count_nonzero(readable_lengths(sequences))),
            "events": n_training,
        },
        "validation": _held_out_part(sequences, rule, "validation", n_validation, vocabulary_size),
        "test": _held_out_part(sequences, rule, "test", n_test, vocabulary_size),
        "too_short": int(np.count_nonzero(sequences.lengths < rule.min_length)),
    }


def leakage(sequences: Sequences, rule: SplitRule) -> dict[str, Any]:
    """Check the guarantee of the split.

    Returns:
        ``guarantee`` in words, None where there is none; its ``violations`` (see
        ``SplitRule.violations``); and for information the number of
        ``training_events_after_first_test_event``, None without times.
    """
    n_late_events = _n_training_events_after_test(sequences, rule)
    return {
        "guarantee": rule.guarantee,
        "violations": rule.violations(sequences, n_late_events),
        "training_events_after_first_test_event": n_late_events,
    }


def _held_out_part(
    sequences: Sequences, rule: SplitRule, part: SplitPart, n_events: int, vocabulary_size: int
) -> dict[str, Any]:
    rows, positions = rule.targets(sequences, part, "every")
    n_targets = len(rows)
    in_catalogue = sequences.items[sequences.offsets[rows] + positions] < vocabulary_size
    n_cold = n_targets - int(np.count_nonzero(in_catalogue))
    return {
        "sequences": len(np.unique(rows)),
        "events": n_events,
        "targets": n_targets,
        "cold_targets": n_cold,
        "cold_start": int(np.count_nonzero(rule.is_cold_start(sequences, part, rows))),
        "cold_share": n_cold / n_targets if n_targets else 0.0,
        "ceiling": 1 - n_cold / n_targets if n_targets else 1.0,
    }


def _n_held_out_events(sequences: Sequences, rule: SplitRule) -> tuple[int, int]:
    """The numbers of validation and of test events."""
    n_validation = n_test = 0
    for first, end in row_blocks(sequences.offsets):
        parts = rule.event_parts(sequences.cuts, sequences.offsets, first, end)
        n_validation += int(np.count_nonzero(parts == VALIDATION))
        n_test += int(np.count_nonzero(parts == TEST))
    return n_validation, n_test


def _n_training_events_after_test(sequences: Sequences, rule: SplitRule) -> int | None:
    """The number of training events later than the log's first test target; None without times."""
    times = sequences.times
    if times is None:
        return None
    rows, positions = rule.targets(sequences, "test", "every")
    if not len(rows):
        return 0
    first_test_time = times[sequences.offsets[rows] + positions].min()
    return sum(
        int(np.count_nonzero(times[events][mask] > first_test_time))
        for events, mask in training_mask_blocks(rule, sequences)
    )


def _block(
    sequences: Sequences, first: int, end: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """The events of the rows ``first:end``: items from 0, rows from 0, and instant numbers.

    Events share an instant number if they belong to one row and have the same time.
    """
    offsets = sequences.offsets[first : end + 1]
    start, stop = int(offsets[0]), int(offsets[-1])
    items = sequences.items[start:stop].astype(np.int64) - N_SPECIALS
    rows = np.repeat(np.arange(end - first), np.diff(offsets))
    if sequences.times is None:
        return items, rows, None
    is_new_instant = np.ones(len(items), dtype=bool)
    is_new_instant[1:] = np.diff(sequences.times[start:stop]) != 0
    is_new_instant[offsets[:-1] - start] = True
    return items, rows, np.cumsum(is_new_instant)


def _n_repeated(groups: np.ndarray, items: np.ndarray, n_items: int) -> int:
    """The number of events with the item of an earlier event of the same group."""
    pairs = np.sort(groups * n_items + items)
    return int(np.count_nonzero(pairs[1:] == pairs[:-1]))


def _n_tied(instants: np.ndarray) -> int:
    """The number of events that share their instant with the event before them."""
    return int(np.count_nonzero(instants[1:] == instants[:-1]))


def _distribution(values: Int64[np.ndarray, " values"]) -> dict[str, Any]:
    """Summary statistics and a histogram with doubling bins: 1, 2-3, 4-7, 8-15, ..."""
    bins = np.bincount(np.frexp(values.astype(np.float64))[1] - 1)
    quartiles = np.quantile(values, [0.25, 0.5, 0.75])
    return {
        "min": int(values.min()),
        "quartiles": quartiles.tolist(),
        "mean": float(values.mean()),
        "max": int(values.max()),
        "histogram": [
            {"from": 2**k, "to": 2 ** (k + 1) - 1, "n": int(n)} for k, n in enumerate(bins)
        ],
    }


def _n_exact_duplicates(
    sequences: Sequences, first: int, end: int, instants: np.ndarray, items: np.ndarray
) -> int:
    """The number of events with item, time and rating of an earlier event of the same row."""
    columns = [items, instants]
    if sequences.ratings is not None:
        start, stop = int(sequences.offsets[first]), int(sequences.offsets[end])
        columns.insert(0, sequences.ratings[start:stop].view(np.int32))  # bits: NaN equals itself
    order = np.lexsort(columns)
    same = [values[order][1:] == values[order][:-1] for values in columns]
    return int(np.count_nonzero(np.logical_and.reduce(same)))


def _times(
    sequences: Sequences, n_ties: int, n_duplicates: int, n_exact_duplicates: int
) -> dict[str, Any] | None:
    """The range of the times, and the numbers of ties and of duplicate events.

    A tie has the time of the event before it. A duplicate has item and time of an earlier event
    of its sequence; an exact duplicate its rating too.
    """
    if sequences.times is None:
        return None
    first_times = sequences.times[sequences.offsets[:-1]]
    last_times = sequences.times[sequences.offsets[1:] - 1]
    return {
        "from": _iso(int(first_times.min())),
        "to": _iso(int(last_times.max())),
        "ties": n_ties,
        "tie_share": n_ties / sequences.n_events,
        "duplicates": n_duplicates,
        "exact_duplicates": n_exact_duplicates,
    }


def _iso(time_us: int) -> str:
    return f"{np.datetime64(time_us, 'us')}Z"
