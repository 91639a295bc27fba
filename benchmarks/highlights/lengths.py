"""Playlists generated from START alone, and lengths of playlists by the weight of END."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float64, Int, Int32, Int64

from highlights.estimates import estimate
from highlights.generator import Generator, generated_lengths, top_50_sampling
from highlights.wandering import popularity_percentiles
from segue.dataset import Dataset
from segue.ragged import Ragged
from segue.tokens import N_SPECIALS

MAX_PLAYLISTS = 100
"""Largest number of playlists to generate from START alone."""
BEGINNING = 20
"""Tracks of a playlist generated from START alone."""

GIVEN = 5
LONGEST = 100
"""Largest number of generated tracks; lengths of real playlists are cut to it too."""
END_WEIGHTS = (0.01, 0.1, 1.0)


def measure_beginnings(
    model: Generator, data: Dataset, rows: Int64[np.ndarray, " playlists"], seed: int
) -> list[dict[str, Any]]:
    """Compare playlists generated from START alone with as many beginnings of real playlists.

    Args:
        model: the model.
        data: its dataset.
        rows: rows of real playlists of at least ``BEGINNING`` events.
        seed: seed of sampling and bootstrap.
    """
    empty = Ragged.from_rows([[] for _ in rows])
    real = [data.sequences.row(row)[:BEGINNING] for row in rows.tolist()]
    percentiles = popularity_percentiles(data.items.training_counts)
    return [
        {"playlists": name, **describe_lists(lists, percentiles, seed)}
        for name, lists in (
            ("from START alone", model.generate(empty, BEGINNING, top_50_sampling(seed))),
            ("real", np.stack(real)),
        )
    ]


def describe_lists(
    lists: Int32[np.ndarray, "playlists positions"],
    percentiles: Float64[np.ndarray, " indices"],
    seed: int,
) -> dict[str, Any]:
    """Diversity and popularity of lists, and the number of special tokens and repeats in them."""
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
    """Numbers of tracks generated before END after the first five, for each weight of END.

    The first row describes the real playlists.
    """
    prompts = Ragged.from_rows([data.sequences.row(row)[:GIVEN] for row in rows.tolist()])
    real_lengths = data.sequences.lengths[rows] - GIVEN
    table = [{"end_weight": "real", **describe_lengths(real_lengths, seed)}]
    for weight in END_WEIGHTS:
        lists = model.generate(prompts, LONGEST, top_50_sampling(seed, weight))
        table.append({"end_weight": weight, **describe_lengths(generated_lengths(lists), seed)})
    return table


def describe_lengths(lengths: Int[np.ndarray, " playlists"], seed: int) -> dict[str, Any]:
    """Mean and quartiles of lengths cut to ``LONGEST``, and the share of shorter ones."""
    cut_lengths = np.minimum(lengths, LONGEST)
    quartiles = np.quantile(cut_lengths, (0.25, 0.5, 0.75)).tolist()
    return {
        "playlists": len(lengths),
        "mean": estimate(cut_lengths, seed),
        **dict(zip(("lower_quartile", "median", "upper_quartile"), quartiles, strict=True)),
        "ended": round(float((lengths < LONGEST).mean()), 3),
    }
