"""Where playlists begin and end: generation from START alone, and lengths by END's weight."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float64, Int, Int32, Int64

from highlights.estimates import estimate
from highlights.generator import Generator, added, sampled
from highlights.wandering import percentiles_of
from segue.axes import N_SPECIALS, Ragged
from segue.dataset import Dataset

FROM_NOTHING = 100
BEGINNING = 20
"""Tracks of a playlist that is generated from nothing."""

GIVEN = 5
LONGEST = 100
"""Tracks added at most; the real playlists are cut there too."""
END_WEIGHTS = (0.01, 0.1, 1.0)


def measure_beginnings(
    model: Generator, data: Dataset, rows: Int64[np.ndarray, " playlists"], seed: int
) -> list[dict[str, Any]]:
    """Playlists from START alone beside as many real beginnings of the same length."""
    nothing = Ragged.of([[] for _ in rows])
    real = [data.sequences.row(row)[:BEGINNING] for row in rows.tolist()]
    percentiles = percentiles_of(data.items.training_counts)
    return [
        {"playlists": name, **described(lists, percentiles, seed)}
        for name, lists in (
            ("from START alone", model.generate(nothing, BEGINNING, sampled(seed))),
            ("real", np.stack(real)),
        )
    ]


def described(
    lists: Int32[np.ndarray, "playlists places"],
    percentiles: Float64[np.ndarray, " indices"],
    seed: int,
) -> dict[str, Any]:
    """How different the tracks are, how popular, and what should not be there at all."""
    ordered = np.sort(lists, axis=1)
    return {
        "n": len(lists),
        "distinct_first": len(np.unique(lists[:, 0])),
        "distinct_share": round(len(np.unique(lists)) / lists.size, 3),
        "percentile": estimate(percentiles[lists], seed),
        "special": int(np.count_nonzero(lists < N_SPECIALS)),
        "repeats": int(np.count_nonzero(ordered[:, 1:] == ordered[:, :-1])),
    }


def measure_lengths(
    model: Generator, data: Dataset, rows: Int64[np.ndarray, " playlists"], seed: int
) -> list[dict[str, Any]]:
    """How many tracks follow the first five before the end, for each weight of END."""
    beginnings = Ragged.of([data.sequences.row(row)[:GIVEN] for row in rows.tolist()])
    found = [{"end_weight": "real", **spread(data.sequences.lengths[rows] - GIVEN, seed)}]
    for weight in END_WEIGHTS:
        lists = model.generate(beginnings, LONGEST, sampled(seed, weight))
        found.append({"end_weight": weight, **spread(added(lists), seed)})
    return found


def spread(lengths: Int[np.ndarray, " playlists"], seed: int) -> dict[str, Any]:
    """Mean and quartiles, of lengths cut at ``LONGEST``, and the share that ends before."""
    cut = np.minimum(lengths, LONGEST)
    quartiles = np.quantile(cut, (0.25, 0.5, 0.75)).tolist()
    return {
        "playlists": len(lengths),
        "mean": estimate(cut, seed),
        **dict(zip(("lower_quartile", "median", "upper_quartile"), quartiles, strict=True)),
        "ended": round(float((lengths < LONGEST).mean()), 3),
    }
