"""Robustness to missing tracks: how much of a continuation survives a masked prompt?

Of each playlist the first five tracks that training saw are given; then two of them, drawn
by the seed, are masked as unknown. A masked track may be generated: the model cannot know
that it was there. What the overlaps are held against: the same prompt continued under
another seed, which shows what chance alone changes, and another playlist's continuation,
which shows how much all continuations share.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Int32, Int64

from highlights.estimates import difference, estimate
from highlights.generator import GREEDY, Generator, overlap, sampled
from segue.axes import UNK, Ragged

GIVEN = 5
MASKED = 2
ADDED = 14
"""The document's single example: 11 of these 14 were shared."""

Prompts = Int32[np.ndarray, "playlists given"]
Lists = Int32[np.ndarray, "playlists added"]


def masked(prompts: Prompts, count: int, seed: int) -> Prompts:
    """The prompts with ``count`` tracks of each replaced by ``UNK``."""
    order = np.random.default_rng(seed).random(prompts.shape).argsort(axis=1)
    return np.where(order < count, np.int32(UNK), prompts)


def measure_missingness(model: Generator, prompts: Prompts, seed: int) -> list[dict[str, Any]]:
    """Overlaps of two continuations, of ``ADDED`` tracks, for each way of generating.

    Both sampled comparisons are of two different seeds.
    """
    whole, holed = Ragged.of(list(prompts)), masked(prompts, MASKED, seed)
    holes = Ragged.of(list(holed))
    greedy = model.generate(whole, ADDED, GREEDY)
    drawn, again = (model.generate(whole, ADDED, sampled(each)) for each in (seed, seed + 1))
    greedy_holed = model.generate(holes, ADDED, GREEDY)
    drawn_holed = model.generate(holes, ADDED, sampled(seed + 1))
    hidden = np.where(holed == UNK, prompts, -1)
    compared = [
        ("greedy", greedy, {"masked": greedy_holed, "same prompt": greedy}),
        ("sampled", drawn, {"masked": drawn_holed, "same prompt": again}),
    ]
    rows = []
    for way, first, others in compared:
        others["another playlist"] = np.roll(first, 1, axis=0)
        control = overlap(first, others["same prompt"])
        for against, second in others.items():
            shared = overlap(first, second)
            row: dict[str, Any] = {"way": way, "against": against, "playlists": len(prompts)}
            row["shared"] = estimate(shared, seed)
            row["less_control"], row["recovered"] = None, None
            if against == "masked":
                row["less_control"] = difference(shared, control, seed)
                row["recovered"] = estimate(recovered(second, hidden), seed)
            rows.append(row)
    return rows


def recovered(
    lists: Lists, hidden: Int32[np.ndarray, "playlists given"]
) -> Int64[np.ndarray, " playlists"]:
    """How many of the masked tracks were generated; ``hidden`` holds -1 for the others."""
    return overlap(hidden, lists)
