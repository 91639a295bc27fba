"""Continuing sequences: one item after another, greedily or by top-k sampling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64

from segue.axes import INDEX_DTYPE, N_SPECIALS, Ragged
from segue.ranking import Ranked

NextItems = Callable[[Ragged, Ragged, int], Ranked]
"""``(histories, excluded, k)`` to the k best next items of each row."""


@dataclass(frozen=True)
class Sampling:
    """How the next item is chosen from the model's distribution.

    Attributes:
        temperature: 0 takes the best item; 1 samples from the model's own distribution;
            above 1 more evenly.
        top_k: sample among so many best items only.
        seed: the same seed gives the same continuation.
    """

    temperature: float = 1.0
    top_k: int = 50
    seed: int = 0


def continue_sequences(
    next_items: NextItems, histories: Ragged, length: int, sampling: Sampling
) -> Ranked:
    """Lengthen each history by ``length`` items, never a special one, none twice.

    Returns:
        The generated items in order, and the score that each had when it was chosen.
        Where the catalogue runs out, the places that remain hold ``PAD`` and -inf.
    """
    random = np.random.default_rng(sampling.seed)
    greedy = sampling.temperature == 0
    known = [histories.row(i).tolist() for i in range(histories.n_rows)]
    items = np.zeros((len(known), length), INDEX_DTYPE)
    scores = np.full((len(known), length), -np.inf, np.float32)
    for place in range(length):
        now = Ragged.of(known)
        best = next_items(now, now, 1 if greedy else sampling.top_k)
        chosen = 0 if greedy else _sample(best.scores, sampling.temperature, random)
        rows = np.arange(len(known))
        items[:, place] = best.items[rows, chosen]
        scores[:, place] = best.scores[rows, chosen]
        for history, item in zip(known, items[:, place].tolist(), strict=True):
            if item >= N_SPECIALS:
                history.append(item)
    return Ranked(items, scores)


def _sample(
    scores: Float32[np.ndarray, "batch k"], temperature: float, random: np.random.Generator
) -> Int64[np.ndarray, " batch"]:
    """Columns drawn from the softmax of ``scores / temperature`` (Gumbel's trick).

    The noise is multiplied instead, which no temperature makes overflow.
    """
    return np.argmax(scores + temperature * random.gumbel(size=scores.shape), axis=1)
