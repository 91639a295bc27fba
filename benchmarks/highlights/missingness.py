"""Robustness to missing tracks: the overlap of continuations with and without masked tracks.

The first five distinct catalogue tracks of each playlist are given; then two of them, drawn with
the seed, are masked as unknown. A masked track may be generated, since the model cannot know that
it was given. The overlap has two references: the continuation of the same prompt with another
seed, which shows the effect of sampling alone, and the continuation of another playlist, which
shows what all continuations have in common.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Int32, Int64

from highlights.estimates import difference, estimate
from highlights.generator import GREEDY, Generator, overlap, top_50_sampling
from segue.ragged import Ragged
from segue.tokens import UNK

GIVEN = 5
MASKED = 2
ADDED = 14
"""Generated tracks, as many as in the example of playlist-decoder (trecs), where 11 were shared."""

Prompts = Int32[np.ndarray, "playlists given"]
Lists = Int32[np.ndarray, "playlists added"]


def mask_tracks(prompts: Prompts, count: int, seed: int) -> Prompts:
    """Replace ``count`` random tracks of each prompt with ``UNK``."""
    order = np.random.default_rng(seed).random(prompts.shape).argsort(axis=1)
    return np.where(order < count, np.int32(UNK), prompts)


def measure_missingness(model: Generator, prompts: Prompts, seed: int) -> list[dict[str, Any]]:
    """Overlaps between continuations of ``ADDED`` tracks, one row per sampling and reference.

    The sampled continuations of the masked and of the same prompt have another seed than the one
    they are compared with.
    """
    masked_prompts = mask_tracks(prompts, MASKED, seed)
    given, masked = Ragged.from_rows(list(prompts)), Ragged.from_rows(list(masked_prompts))
    greedy = model.generate(given, ADDED, GREEDY)
    sampled, resampled = (
        model.generate(given, ADDED, top_50_sampling(draw_seed)) for draw_seed in (seed, seed + 1)
    )
    greedy_masked = model.generate(masked, ADDED, GREEDY)
    sampled_masked = model.generate(masked, ADDED, top_50_sampling(seed + 1))
    masked_tracks = np.where(masked_prompts == UNK, prompts, -1)
    comparisons = [
        ("greedy", greedy, {"masked": greedy_masked, "same prompt": greedy}),
        ("sampled", sampled, {"masked": sampled_masked, "same prompt": resampled}),
    ]
    rows = []
    for sampling, lists, references in comparisons:
        references["another playlist"] = np.roll(lists, 1, axis=0)
        control = overlap(lists, references["same prompt"])
        for name, reference in references.items():
            shared = overlap(lists, reference)
            row: dict[str, Any] = {
                "sampling": sampling,
                "against": name,
                "playlists": len(prompts),
                "shared": estimate(shared, seed),
                "less_control": None,
                "recovered": None,
            }
            if name == "masked":
                row["less_control"] = difference(shared, control, seed)
                row["recovered"] = estimate(recovered(reference, masked_tracks), seed)
            rows.append(row)
    return rows


def recovered(
    lists: Lists, masked_tracks: Int32[np.ndarray, "playlists given"]
) -> Int64[np.ndarray, " playlists"]:
    """The number of masked tracks in each list; ``masked_tracks`` is -1 for unmasked ones."""
    return overlap(masked_tracks, lists)
