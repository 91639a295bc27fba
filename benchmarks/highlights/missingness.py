"""Robustness to missing tracks: the overlap of continuations with and without masked tracks.

The first five distinct catalogue tracks of each playlist are given; then two of them, drawn with
the seed, are masked as unknown. A masked track may be generated, since the model cannot know that
it was given. The overlap has two references: the continuation of the same prompt with another
seed, which shows the effect of sampling alone, and the continuation of another playlist, which
shows what all continuations have in common. Each is measured with greedy decoding and with several
kinds of sampling, from the flattest to the sharpest.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Int32, Int64

from highlights.estimates import difference, estimate
from highlights.generator import GREEDY, Generator, overlap
from segue.ragged import Ragged
from segue.recommender.sampling import Sampling
from segue.tokens import UNK

GIVEN = 5
MASKED = 2
ADDED = 14
"""Generated tracks, as many as in the example of playlist-decoder (trecs), where 11 were shared."""

SAMPLINGS = {
    "sampled": Sampling(top_k=50),
    "top_p .5": Sampling(top_k=50, top_p=0.5),
    "top_k 10": Sampling(top_k=10),
    "temperature .7": Sampling(top_k=50, temperature=0.7),
    "temperature .5": Sampling(top_k=50, temperature=0.5),
    "temperature .3": Sampling(top_k=50, temperature=0.3),
}
"""Kinds of sampling by name; the first one is that of playlist-decoder (trecs)."""

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
    masked_tracks = np.where(masked_prompts == UNK, prompts, -1)
    rows = []
    for sampling, options in {"greedy": GREEDY, **SAMPLINGS}.items():
        first, second = (replace(options, seed=draw_seed) for draw_seed in (seed, seed + 1))
        lists = model.generate(given, ADDED, first)
        references = {
            "masked": model.generate(masked, ADDED, second),
            "same prompt": model.generate(given, ADDED, second),
            "another playlist": np.roll(lists, 1, axis=0),
        }
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
