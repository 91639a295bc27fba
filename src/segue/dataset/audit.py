"""The audit of a prepared dataset: what a person should know before training on it.

Plain data, for the manifest and for ``segue inspect``. Everything is computed a block of
sequences at a time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Int64

from segue.axes import N_SPECIALS
from segue.dataset.leakage import leakage, part_sizes
from segue.dataset.sequences import Sequences, row_blocks
from segue.dataset.splits import Split
from segue.wording import counted

MANY_REPEATS = 0.05
"""From this share of repeated events on, leaving items already seen out of the candidates
gives up that share of the targets: the audit then recommends to include them."""


def audit(sequences: Sequences, split: Split, n_items: int, n_catalogue: int) -> dict[str, Any]:
    """Look through a whole dataset.

    Args:
        sequences: final item indices, with their cuts.
        split: the rule of the cuts.
        n_items: items known, in the catalogue or not.
        n_catalogue: items that can be recommended.

    Returns:
        ``counts``, ``lengths``, ``popularity``, ``repeats``, ``times`` (None without
        times), ``parts``, ``leakage`` and ``warnings``, as JSON; shares are of 1.
    """
    popularity = np.zeros(n_items, np.int64)
    repeats = duplicates = ties = 0
    for first, end in row_blocks(sequences.offsets):
        items, groups, instants = _block(sequences, first, end)
        popularity += np.bincount(items, minlength=n_items)
        repeats += _n_again(groups, items, n_items)
        if instants is not None:
            duplicates += _n_again(instants, items, n_items)
            ties += _n_tied(instants)
    n_sequences, n_events = len(sequences), sequences.n_events
    findings = {
        "counts": {
            "sequences": n_sequences,
            "events": n_events,
            "items": n_items,
            "items_with_events": int(np.count_nonzero(popularity)),
            "catalogue": n_catalogue,
            "density": (n_events - repeats) / (n_sequences * n_items),
        },
        "lengths": _distribution(sequences.lengths),
        "popularity": _distribution(popularity[popularity > 0]),
        "repeats": {
            "events": repeats,
            "share": repeats / n_events,
            "recommended_seen": "include" if repeats / n_events >= MANY_REPEATS else "exclude",
        },
        "times": _times(sequences, ties, duplicates),
        "parts": part_sizes(sequences, split, N_SPECIALS + n_catalogue),
        "leakage": leakage(sequences, split),
    }
    return findings | {"warnings": warnings_of(findings, split)}


def warnings_of(findings: dict[str, Any], split: Split) -> list[str]:
    """What a person should be told of an audit's findings, a sentence each."""
    parts, repeats, said = findings["parts"], findings["repeats"], []
    if parts["too_short"] and split.kind == "leave-one-out":
        few = counted(parts["too_short"], "sequence has", "sequences have")
        said.append(f"{few} fewer than 3 events: all training, no target.")
    if repeats["recommended_seen"] == "include":
        said.append(
            f"{repeats['share']:.1%} of the events repeat an item of their sequence: "
            "evaluate and recommend with seen items included."
        )
    if parts["test"]["ceiling"] < 1:
        said.append(
            f"{parts['test']['cold_share']:.1%} of the test targets are outside the catalogue: "
            f"no hit rate can exceed {parts['test']['ceiling']:.3f}."
        )
    if not parts["validation"]["targets"]:
        said.append("There are no validation targets to choose a model by.")
    if split.kind == "windows":
        said.append("The split 'windows' leaks held-out targets into training by design.")
    if findings["leakage"]["violations"]:
        said.append(f"The promise of the split is broken: {findings['leakage']}.")
    return said


def _block(
    sequences: Sequences, first: int, end: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """The events of some rows: item numbers from 0, row numbers, and numbers of instants.

    Events share an instant if they belong to one row and have the same time.
    """
    offsets = sequences.offsets[first : end + 1]
    begin, stop = int(offsets[0]), int(offsets[-1])
    items = sequences.items[begin:stop].astype(np.int64) - N_SPECIALS
    rows = np.repeat(np.arange(end - first), np.diff(offsets))
    if sequences.times is None:
        return items, rows, None
    moved = np.ones(len(items), dtype=bool)
    moved[1:] = np.diff(sequences.times[begin:stop]) != 0
    moved[offsets[:-1] - begin] = True
    return items, rows, np.cumsum(moved)


def _n_again(groups: np.ndarray, items: np.ndarray, n_items: int) -> int:
    """How many events have an item that another event of the same group had before."""
    pairs = np.sort(groups * n_items + items)
    return int(np.count_nonzero(pairs[1:] == pairs[:-1]))


def _n_tied(instants: np.ndarray) -> int:
    """How many events share their instant with the event before them."""
    return int(np.count_nonzero(instants[1:] == instants[:-1]))


def _distribution(values: Int64[np.ndarray, " values"]) -> dict[str, Any]:
    """Five numbers and a histogram whose bins double: 1, 2-3, 4-7, 8-15, ..."""
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


def _times(sequences: Sequences, ties: int, duplicates: int) -> dict[str, Any] | None:
    """Range of the times, events tied with the one before, and events that are duplicates.

    A duplicate has item and time of an event before it in the sequence.
    """
    if sequences.times is None:
        return None
    firsts = sequences.times[sequences.offsets[:-1]]
    lasts = sequences.times[sequences.offsets[1:] - 1]
    return {
        "from": _iso(int(firsts.min())),
        "to": _iso(int(lasts.max())),
        "ties": ties,
        "tie_share": ties / sequences.n_events,
        "duplicates": duplicates,
    }


def _iso(time_us: int) -> str:
    return f"{np.datetime64(time_us, 'us')}Z"
