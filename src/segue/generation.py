"""Continuing sequences: one item after another, greedily or by top-k sampling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64

from segue.axes import END, INDEX_DTYPE, N_SPECIALS, Ragged
from segue.errors import RequestError
from segue.ranking import Ranked

NextItems = Callable[[Ragged, int], tuple[Ranked, Float32[np.ndarray, " batch"]]]
"""``(histories, k)`` to the k best next items of each row that it does not hold yet, and the
score of its end."""

LARGEST = 1e30
"""Of a temperature and of the weight of the end; beyond it numbers overflow."""


@dataclass(frozen=True)
class Sampling:
    """How the next item is chosen from the model's distribution.

    Attributes:
        temperature: 0 takes the best item; 1 samples from the model's own distribution;
            above 1 more evenly.
        top_k: sample among so many best items only.
        end_weight: what the probability of the end is multiplied with; 0 never ends.
        seed: the same seed gives the same continuation.
    """

    temperature: float = 1.0
    top_k: int = 50
    end_weight: float = 0.0
    seed: int = 0

    def check(self, *, has_end: bool) -> None:
        """Refuse what cannot be sampled.

        Args:
            has_end: whether the model knows where sequences end.

        Raises:
            RequestError: a number is out of range.
        """
        if self.top_k < 1:
            raise RequestError(f"top_k is {self.top_k}, expected 1 or more", "50 is usual")
        for name, value in (("temperature", self.temperature), ("end_weight", self.end_weight)):
            if not 0 <= value <= LARGEST:
                message = f"{name} is {value}, expected a number from 0 to {LARGEST:g}"
                raise RequestError(message, "0 and 1 are usual")
        if self.end_weight and not has_end:
            raise RequestError(
                f"end_weight is {self.end_weight}, but the model has no END to weigh",
                "leave it out, or train with model.end=true",
            )
        if self.seed < 0:
            raise RequestError(f"seed is {self.seed}, expected 0 or more", "give another one")


def continue_sequences(
    next_items: NextItems, histories: Ragged, length: int, sampling: Sampling
) -> Ranked:
    """Lengthen each history by ``length`` items, never a special one, none twice.

    Returns:
        The generated items in order, and the score that each had when it was chosen.
        After the end of a sequence, and where the catalogue runs out, the places that
        remain hold special tokens.
    """
    random = np.random.default_rng(sampling.seed)
    greedy = sampling.temperature == 0
    known = [histories.row(i).tolist() for i in range(histories.n_rows)]
    items = np.zeros((len(known), length), INDEX_DTYPE)
    scores = np.full((len(known), length), -np.inf, np.float32)
    going = np.arange(len(known))
    for place in range(length):
        best, end = next_items(Ragged.of(known), 1 if greedy else sampling.top_k)
        candidates = _with_end(best, end, sampling)
        chosen = _sample(candidates.scores, sampling.temperature, random)[going]
        items[going, place] = candidates.items[going, chosen]
        scores[going, place] = candidates.scores[going, chosen]
        going = going[items[going, place] >= N_SPECIALS]
        for row in going.tolist():
            known[row].append(int(items[row, place]))
        if not len(going):
            break
    return Ranked(items, scores)


def _with_end(best: Ranked, end: Float32[np.ndarray, " batch"], sampling: Sampling) -> Ranked:
    """The best items and the end, where it is among the best so many with or without its weight.

    What the temperature divides is multiplied with it first, so that the chance of the end is
    weighed by the weight itself. Greedily its probability is.
    """
    if sampling.end_weight == 0:
        return best
    weighed = end + np.float32((sampling.temperature or 1.0) * np.log(sampling.end_weight))
    is_among = np.maximum(end, weighed) >= best.scores[:, -1]
    score = np.where(is_among, weighed, -np.inf).astype(np.float32)[:, None]
    items = np.pad(best.items, ((0, 0), (0, 1)), constant_values=END)
    return Ranked(items, np.concatenate([best.scores, score], axis=1))


def _sample(
    scores: Float32[np.ndarray, "batch k"], temperature: float, random: np.random.Generator
) -> Int64[np.ndarray, " batch"]:
    """Columns drawn from the softmax of ``scores / temperature`` (Gumbel's trick).

    The noise is multiplied instead, so that a temperature near 0 makes nothing overflow.
    """
    return np.argmax(scores + temperature * random.gumbel(size=scores.shape), axis=1)
